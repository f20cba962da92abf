//go:build linux

package process

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"armada"
)

// markVariable is in the environment of every process of a run and names its
// folder.
const markVariable = "ARMADA_RUN_FOLDER"

// strays finds the living processes of runs by what they inherited: the open
// lifeline, or the mark in the environment.
func (l layout) strays() map[armada.RunID][]int {
	found := make(map[armada.RunID][]int)
	entries, _ := os.ReadDir("/proc")
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		for run := range l.marks(pid) {
			found[run] = append(found[run], pid)
		}
	}
	return found
}

// marks tells of which runs a living process is.
func (l layout) marks(pid int) map[armada.RunID]bool {
	marks := make(map[armada.RunID]bool)
	add := func(path string) {
		if run, below := strings.CutPrefix(path, l.runs()+"/"); below && runName.MatchString(run) {
			marks[armada.RunID(run)] = true
		}
	}
	at := filepath.Join("/proc", strconv.Itoa(pid))
	handles, _ := os.ReadDir(filepath.Join(at, "fd"))
	for _, handle := range handles {
		target, _ := os.Readlink(filepath.Join(at, "fd", handle.Name()))
		if dir, isLifeline := strings.CutSuffix(target, "/lifeline"); isLifeline {
			add(dir)
		}
	}
	environment, _ := os.ReadFile(filepath.Join(at, "environ"))
	for variable := range bytes.SplitSeq(environment, []byte{0}) {
		if dir, isMark := strings.CutPrefix(string(variable), markVariable+"="); isMark {
			add(dir)
		}
	}
	return marks
}

// killStray kills a process if it is still one of the run: the handle is taken
// first, then the process behind it is looked at again.
func (l layout) killStray(pid int, run armada.RunID) {
	handle, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return // it has ended, or the kernel has no handles and its lifeline tells
	}
	defer unix.Close(handle)
	if l.marks(pid)[run] {
		_ = unix.PidfdSendSignal(handle, unix.SIGKILL, nil, 0)
	}
}
