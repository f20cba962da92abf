//go:build linux

// Command actor is what containers of the real node run: a static program that does what
// its arguments say, one after the other.
//
//	print=TEXT   prints a line        say=FILE         prints a file
//	write=FILE   writes the file      exit=CODE        ends
//	sleep=TIME   waits so long        eat=MEBIBYTES    takes that much memory
//	bulk=BYTES   prints so many dots    complain=TEXT    prints a line to stderr
//	echo         prints its input, to the end of it
//	sizes        prints the size of its terminal, and again when it changes
//	wait         waits for SIGTERM and ends with 143, as a shell would
//	stay         waits and minds no SIGTERM
//
// After the last one it ends with 0. As the first process of a pod it is told to
// wait.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

func main() {
	// Process 1 of a container has no signal that ends it unless it asks for it.
	told := make(chan os.Signal, 1)
	signal.Notify(told, syscall.SIGTERM, syscall.SIGINT)
	for _, step := range os.Args[1:] {
		verb, value, _ := strings.Cut(step, "=")
		code, err := act(verb, value, told)
		if err != nil {
			fmt.Fprintf(os.Stderr, "actor: %s: %v\n", step, err)
			code = 64
		}
		if code != 0 || verb == "exit" {
			os.Exit(code)
		}
	}
}

// written is what write leaves in a file.
const written = "written by an actor\n"

// eaten keeps what was eaten.
var eaten [][]byte

// act does one step; a code other than 0 is what to end with.
func act(verb, value string, told <-chan os.Signal) (code int, err error) {
	switch verb {
	case "print":
		fmt.Println(value)
	case "complain":
		_, err := fmt.Fprintln(os.Stderr, value)
		return 0, err
	case "bulk":
		n, err := strconv.Atoi(value)
		if err != nil {
			return 0, err
		}
		_, err = os.Stdout.WriteString(strings.Repeat(".", n))
		return 0, err
	case "echo":
		_, err := io.Copy(os.Stdout, os.Stdin)
		return 0, err
	case "sizes":
		return 0, printSizes()
	case "say":
		text, err := os.ReadFile(value)
		fmt.Print(string(text))
		return 0, err
	case "write":
		return 0, os.WriteFile(value, []byte(written), 0o644)
	case "exit":
		return strconv.Atoi(value)
	case "sleep":
		d, err := time.ParseDuration(value)
		if err != nil {
			return 0, err
		}
		select {
		case <-time.After(d):
		case s := <-told:
			return 0, fmt.Errorf("%s came first", s)
		}
	case "eat":
		n, err := strconv.Atoi(value)
		if err != nil {
			return 0, err
		}
		for range n {
			piece := make([]byte, 1<<20)
			for i := 0; i < len(piece); i += 4096 {
				piece[i] = 1
			}
			eaten = append(eaten, piece)
		}
	case "wait":
		<-told
		fmt.Println("told to stop")
		return 128 + int(syscall.SIGTERM), nil
	case "stay":
		for range told {
			fmt.Println("told to stop, and staying")
		}
	default:
		return 0, errors.New("is nothing that can be done")
	}
	return 0, nil
}

// printSizes prints two sizes of the terminal. A new one has none until who made it
// says so.
func printSizes() error {
	changed := make(chan os.Signal, 1)
	signal.Notify(changed, syscall.SIGWINCH)
	var last unix.Winsize
	for told := 0; told < 2; {
		size, err := unix.IoctlGetWinsize(int(os.Stdin.Fd()), unix.TIOCGWINSZ)
		if err != nil {
			return err
		}
		if size.Col == last.Col && size.Row == last.Row {
			<-changed
			continue
		}
		last = *size
		told++
		fmt.Printf("%dx%d\n", size.Col, size.Row)
	}
	return nil
}
