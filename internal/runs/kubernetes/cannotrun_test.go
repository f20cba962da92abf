package kubernetes

import (
	"errors"
	"testing"
)

// The words are those of container runtimes and kernels as they reach a client.
func TestAProgramThatCannotBeRunIsToldFromOtherTrouble(t *testing.T) {
	t.Parallel()
	const runc = "Internal error occurred: error executing command in container: failed to exec in container: failed to start exec \"4f\": OCI runtime exec failed: exec failed: unable to start container process: "
	const crun = "Internal error occurred: error executing command in container: command terminated with error: executable file `nothing` not found: "
	for text, want := range map[string]int32{
		runc + `exec: "nothing": executable file not found in $PATH: unknown`:                 127,
		runc + `exec: "/no/thing": stat /no/thing: no such file or directory: unknown`:        127,
		runc + `exec: "/etc/passwd": permission denied: unknown`:                              126,
		runc + `exec /plain: exec format error: unknown`:                                      126,
		runc + `exec: "/etc": is a directory: unknown`:                                        126,
		crun + "No such file or directory":                                                    127,
		"Internal error occurred: error sending request: dial tcp: no such file or directory": 0,
		`pods "a" is forbidden: permission denied`:                                            0,
		`container not found ("main")`:                                                        0,
		"unable to upgrade connection: the server could not find the requested resource":      0,
		"Internal error occurred: error executing command in container: task 4f not found":    0,
	} {
		if got := cannotRun(errors.New(text)); got != want {
			t.Errorf("%q is exit code %d, want %d", text, got, want)
		}
	}
}
