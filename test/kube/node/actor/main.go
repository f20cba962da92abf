//go:build linux

// Actor is what containers of the real node run: a static program that does what
// its arguments say, one after the other.
//
//	print=TEXT   prints a line        say=FILE         prints a file
//	write=FILE   writes the file      exit=CODE        ends
//	sleep=TIME   waits so long        eat=MEBIBYTES    takes that much memory
//	wait         waits for SIGTERM    stay             waits and minds no SIGTERM
//
// After the last one it ends with 0. As the first process of a pod (pause) it is
// told to wait.
package main

import (
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"
)

func main() {
	// Process 1 of a container has no signal that ends it unless it asks for it.
	told := make(chan os.Signal, 1)
	signal.Notify(told, syscall.SIGTERM, syscall.SIGINT)
	for _, step := range os.Args[1:] {
		verb, value, _ := strings.Cut(step, "=")
		if err := act(verb, value, told); err != nil {
			fmt.Fprintf(os.Stderr, "actor: %s: %v\n", step, err)
			os.Exit(64)
		}
	}
}

// written is what write leaves in a file.
const written = "written by another container\n"

// eaten keeps what was eaten.
var eaten [][]byte

func act(verb, value string, told <-chan os.Signal) error {
	switch verb {
	case "print":
		fmt.Println(value)
	case "say":
		text, err := os.ReadFile(value)
		fmt.Print(string(text))
		return err
	case "write":
		return os.WriteFile(value, []byte(written), 0o644)
	case "exit":
		code, err := strconv.Atoi(value)
		if err != nil {
			return err
		}
		os.Exit(code)
	case "sleep":
		d, err := time.ParseDuration(value)
		if err != nil {
			return err
		}
		select {
		case <-time.After(d):
		case s := <-told:
			return fmt.Errorf("%s came first", s)
		}
	case "eat":
		n, err := strconv.Atoi(value)
		if err != nil {
			return err
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
	case "stay":
		for range told {
			fmt.Println("told to stop, and staying")
		}
	default:
		return fmt.Errorf("is nothing that can be done")
	}
	return nil
}
