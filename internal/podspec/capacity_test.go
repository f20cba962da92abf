package podspec_test

import (
	"strings"
	"testing"

	"armada"
	"armada/internal/podspec"
)

func TestACapacityReplacesOnlyWhatItNames(t *testing.T) {
	t.Parallel()
	table := armada.DefaultResourceTable()
	base := armada.Resources{1000, 2000, 3000}
	for text, want := range map[string]armada.Resources{
		"":                        base,
		"cpu=1500m":               {1500, 2000, 3000},
		"memory=1Gi, cpu=2":       {2000, 1 << 30, 3000},
		"nvidia.com/gpu=8,cpu=0":  {0, 2000, 3000, 8},
		"ephemeral-storage=1.5Gi": {1000, 2000, 3 << 29},
	} {
		got, err := podspec.ParseCapacity(text, table, base)
		if err != nil || got != want {
			t.Errorf("%q is %v, %v", text, got, err)
		}
	}
}

func TestACapacityThatCannotBeReadNamesItsPart(t *testing.T) {
	t.Parallel()
	for text, part := range map[string]string{
		"cpu": "cpu", "cpu=1,gold=2": "gold=2", "cpu=": "cpu=", "cpu=many": "cpu=many", "memory=-1": "memory=-1", ",": `""`,
	} {
		_, err := podspec.ParseCapacity(text, armada.DefaultResourceTable(), armada.Resources{})
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("of %q the error is %v", text, err)
		}
	}
}
