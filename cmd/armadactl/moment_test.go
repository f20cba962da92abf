package main

import (
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"
)

func TestAnAgeIsNeverNegativeWhenTheClocksDisagree(t *testing.T) {
	t.Parallel()
	for shift, want := range map[time.Duration]string{time.Hour: "1h0m", 0: "0s", -time.Hour: "0s"} {
		c := &cli{now: func() time.Time { return noon.Add(shift) }, zone: time.UTC}
		if got := c.age(timestamppb.New(noon)); got != want {
			t.Errorf("with a clock that is %s ahead the age is %s, want %s", shift, got, want)
		}
	}
}
