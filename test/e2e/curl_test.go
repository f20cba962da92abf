package e2e

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestMain lets this program stand in for curl when it is called by that name,
// so that what the docs type can be run where curl is not installed.
func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) != "curl" {
		os.Exit(m.Run())
	}
	if err := curl(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "curl:", err)
		os.Exit(22)
	}
}

// curl makes one call, to where ARMADA_REST says instead of the address in the
// docs. An answer that is not OK is an error.
func curl(args []string) error {
	method, url, body := http.MethodGet, "", ""
	headers := http.Header{}
	for i := 0; i < len(args); i++ {
		switch args[i] {
		case "-s", "-sN", "--fail-with-body":
		case "-X":
			i++
			method = args[i]
		case "-H":
			i++
			name, value, _ := strings.Cut(args[i], ": ")
			headers.Add(name, value)
		case "-d":
			i++
			body = args[i]
		default:
			url = strings.Replace(args[i], "http://127.0.0.1:8080", os.Getenv("ARMADA_REST"), 1)
		}
	}
	request, err := http.NewRequest(method, url, strings.NewReader(body)) //nolint:noctx // a process of its own, that its parent ends
	if err != nil {
		return err
	}
	request.Header = headers
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if _, err := io.Copy(os.Stdout, answer.Body); err != nil {
		return err
	}
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("%s %s: %s", method, url, answer.Status)
	}
	return nil
}
