package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"
)

// age is how long ago something was, in its largest unit and the next.
func (c *cli) age(at *timestamppb.Timestamp) string {
	if at == nil {
		return "-"
	}
	return span(c.now().Sub(at.AsTime()))
}

// span is a duration in its largest unit and the next.
func span(d time.Duration) string {
	d = max(d, 0)
	switch {
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	case d < time.Minute:
		return fmt.Sprintf("%ds", d/time.Second)
	case d < time.Hour:
		return fmt.Sprintf("%dm%ds", d/time.Minute, d%time.Minute/time.Second)
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh%dm", d/time.Hour, d%time.Hour/time.Minute)
	default:
		return fmt.Sprintf("%dd%dh", d/(24*time.Hour), d%(24*time.Hour)/time.Hour)
	}
}

// clock is a date and a time of day.
func (c *cli) clock(at *timestamppb.Timestamp) string {
	return at.AsTime().In(c.zone).Format("2006-01-02 15:04:05.000")
}

// moment is a time of day with its date, and how long ago it was; empty for none.
func (c *cli) moment(at *timestamppb.Timestamp) string {
	if at == nil {
		return ""
	}
	return c.clock(at) + " (" + c.age(at) + " ago)"
}

// past reads the value of a flag that names a moment: how long ago it was (90s,
// 1h30m, 2d), or the moment itself (RFC 3339, or a date with or without the time
// of day, in the user's zone). Empty is the zero time.
func (c *cli) past(flag, text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	ago, err := time.ParseDuration(text)
	if days, isDays := strings.CutSuffix(text, "d"); err != nil && isDays {
		var n uint64
		if n, err = strconv.ParseUint(days, 10, 16); err == nil {
			ago = time.Duration(n) * 24 * time.Hour
		}
	}
	if err == nil {
		if ago < 0 {
			return time.Time{}, &usageError{fmt.Sprintf("--%s is %q, which is in the future", flag, text)}
		}
		return c.now().Add(-ago), nil
	}
	for _, layout := range []string{time.RFC3339, time.DateTime, "2006-01-02T15:04:05", "2006-01-02 15:04", time.DateOnly} {
		if at, err := time.ParseInLocation(layout, text, c.zone); err == nil {
			return at, nil
		}
	}
	return time.Time{}, &usageError{fmt.Sprintf("--%s is %q, must be how long ago, such as 90s, 15m or 2d, or a time, such as 2026-11-23T12:00:00Z or 2026-11-23 12:00", flag, text)}
}
