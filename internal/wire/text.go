package wire

import (
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"
)

// MaxText bounds a text from an executor, in bytes. It keeps every message of
// an event stream far below the 4 MiB that clients take.
const MaxText = 32 << 10

const cutMark = " [cut]"

// Text makes a text from elsewhere fit to be stored and sent: valid UTF-8, and
// at most [MaxText] bytes.
func Text(s string) string {
	s = strings.ToValidUTF8(s, "�")
	if len(s) <= MaxText {
		return s
	}
	return strings.ToValidUTF8(s[:MaxText-len(cutMark)], "") + cutMark
}

// timestamp returns nil for the zero time.
func timestamp(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}

// instant returns the zero time for nil and for what is no valid time.
func instant(t *timestamppb.Timestamp) time.Time {
	if t == nil || t.CheckValid() != nil {
		return time.Time{}
	}
	return t.AsTime()
}
