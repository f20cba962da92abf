package main

import (
	"strings"
	"testing"

	"armada/internal/app"
)

func TestAMisspeltVariableIsToldAndAnothersIsNot(t *testing.T) {
	t.Parallel()
	_, effective, err := app.LoadConfig("", []string{
		"ARMADA_SCHEDULING_MIN_ROUND_INTERVALL=1m", "ARMADA_BIN=/bin", "ARMADA_SERVER_SERVICE_HOST=10.0.0.1", "ARMADA_SERVER_PORT_8080_TCP_ADDR=10.0.0.1",
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	var told strings.Builder
	if err := warnOfVariables(&told, effective); err != nil {
		t.Fatal(err)
	}
	const want = "armada: the variable ARMADA_SCHEDULING_MIN_ROUND_INTERVALL sets nothing; did you mean ARMADA_SCHEDULING_MIN_ROUND_INTERVAL?\n"
	if told.String() != want {
		t.Errorf("told is %q, want %q", told.String(), want)
	}
}
