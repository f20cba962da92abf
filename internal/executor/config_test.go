package executor

import (
	"strings"
	"testing"
	"time"
)

func TestAConfigTellsEverythingThatIsWrongWithIt(t *testing.T) {
	t.Parallel()
	config := DefaultConfig()
	config.ID = "east"
	if err := config.Validate(); err != nil {
		t.Errorf("the defaults with an id: %v", err)
	}
	config = Config{Margin: time.Minute, FirstLease: time.Minute}
	err := config.Validate()
	for _, path := range []string{"id", "pool", "heartbeat", "patience", "firstLease", "retryMin", "retryMax", "starts", "maxExecs"} {
		if err == nil || !strings.Contains(err.Error(), path+":") {
			t.Errorf("nothing is said about %s: %v", path, err)
		}
	}
}
