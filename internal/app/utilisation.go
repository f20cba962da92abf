package app

import (
	"fmt"
	"time"
)

// Utilisation says how often is looked and told what running jobs use.
type Utilisation struct {
	SampleEvery time.Duration // should be no shorter than the cluster measures
	ReportEvery time.Duration // and at the end of each run; 0 is never
}

func (u Utilisation) validate() error {
	switch {
	case u.SampleEvery < time.Second:
		return fmt.Errorf("executor.utilisation.sampleEvery: must be at least 1s, is %s", u.SampleEvery)
	case u.ReportEvery != 0 && u.ReportEvery < u.SampleEvery:
		return fmt.Errorf("executor.utilisation.reportEvery: must be 0, for never, or no shorter than sampleEvery, which is %s, is %s", u.SampleEvery, u.ReportEvery)
	}
	return nil
}
