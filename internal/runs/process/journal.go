//go:build linux

package process

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"armada"
	"armada/internal/runs"
)

// record is one line of the journal; exactly one field is set.
type record struct {
	End    *runs.Status `json:"end,omitempty"`    // how a run ended
	Forget armada.RunID `json:"forget,omitempty"` // the server knows the end
	Prune  armada.RunID `json:"prune,omitempty"`  // its folder is gone
}

// history is what a journal tells.
type history struct {
	ended     map[armada.RunID]runs.Status // not forgotten
	forgotten map[armada.RunID]bool        // folder still there
	pruned    map[armada.RunID]bool
}

func newHistory() history {
	return history{
		ended:     make(map[armada.RunID]runs.Status),
		forgotten: make(map[armada.RunID]bool),
		pruned:    make(map[armada.RunID]bool),
	}
}

// add notes one record.
func (h *history) add(r record) {
	switch {
	case r.End != nil:
		h.ended[r.End.Run] = *r.End
	case r.Forget != "":
		delete(h.ended, r.Forget)
		h.forgotten[r.Forget] = true
	case r.Prune != "":
		delete(h.ended, r.Prune)
		delete(h.forgotten, r.Prune)
		h.pruned[r.Prune] = true
	}
}

// over tells whether the run needs nothing more done.
func (h *history) over(run armada.RunID) bool {
	_, ended := h.ended[run]
	return ended || h.forgotten[run] || h.pruned[run]
}

// journal is a file of records that are on the disk when append returns.
// Concurrent appends share one sync.
type journal struct {
	file  *os.File
	group group
	torn  bool // the last line is; what comes next must not grow onto it
}

// openJournal reads a journal and opens it to go on. A line that cannot be read
// was being written when the machine died, and was not reported: it is skipped.
func openJournal(path string) (*journal, history, error) {
	h, err := readJournal(path)
	if err != nil {
		return nil, h, err
	}
	if err := rewriteJournal(path, &h); err != nil {
		return nil, h, err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return nil, h, fmt.Errorf("open journal: %w", err)
	}
	j := &journal{file: f}
	j.group.commit = j.write
	return j, h, nil
}

func readJournal(path string) (history, error) {
	h := newHistory()
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return h, nil
	} else if err != nil {
		return h, fmt.Errorf("open journal: %w", err)
	}
	defer f.Close()
	for lines := bufio.NewReader(f); ; {
		line, err := lines.ReadBytes('\n')
		var r record
		if err == nil && json.Unmarshal(line, &r) == nil {
			h.add(r)
		}
		if errors.Is(err, io.EOF) {
			return h, nil
		} else if err != nil {
			return h, fmt.Errorf("read journal: %w", err)
		}
	}
}

// rewriteJournal replaces the journal by one without what is superseded.
func rewriteJournal(path string, h *history) error {
	f, err := os.CreateTemp(filepath.Dir(path), "journal-*")
	if err != nil {
		return fmt.Errorf("rewrite journal: %w", err)
	}
	defer os.Remove(f.Name())
	buffer := bufio.NewWriter(f)
	lines := json.NewEncoder(buffer)
	for run := range h.pruned {
		err = errors.Join(err, lines.Encode(record{Prune: run}))
	}
	for run := range h.forgotten {
		err = errors.Join(err, lines.Encode(record{Forget: run}))
	}
	for _, s := range h.ended {
		err = errors.Join(err, lines.Encode(record{End: &s}))
	}
	err = errors.Join(err, buffer.Flush(), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err == nil {
		err = syncFolder(filepath.Dir(path))
	}
	if err != nil {
		return fmt.Errorf("rewrite journal: %w", err)
	}
	return nil
}

// append writes records and returns when they are on the disk. After an error
// they may be there or not, and may be written again.
func (j *journal) append(records ...record) error {
	var lines []byte
	for _, r := range records {
		line, err := json.Marshal(r)
		if err != nil {
			return fmt.Errorf("write journal: %w", err)
		}
		lines = append(append(lines, line...), '\n')
	}
	return j.group.do(lines)
}

func (j *journal) write(lines []byte) error {
	if j.torn {
		lines = append([]byte{'\n'}, lines...)
	}
	n, err := j.file.Write(lines)
	if j.torn = err != nil && (j.torn || n > 0); err != nil {
		return fmt.Errorf("write journal: %w", err)
	}
	if err := j.file.Sync(); err != nil {
		return fmt.Errorf("sync journal: %w", err)
	}
	return nil
}

func (j *journal) close() error { return j.file.Close() }

// group lets callers that come while a commit is under way share the next one.
type group struct {
	commit func(data []byte) error

	mu   sync.Mutex
	next *batch // collects; nil when nobody waits
	busy sync.Mutex
}

type batch struct {
	data []byte
	once sync.Once
	err  error
}

// do returns when a commit that began after the call, with data in it, has
// ended.
func (g *group) do(data []byte) error {
	g.mu.Lock()
	if g.next == nil {
		g.next = &batch{}
	}
	mine := g.next
	mine.data = append(mine.data, data...)
	g.mu.Unlock()

	g.busy.Lock()
	defer g.busy.Unlock()
	mine.once.Do(func() {
		g.mu.Lock()
		g.next = nil
		g.mu.Unlock()
		mine.err = g.commit(mine.data)
	})
	return mine.err
}

// syncFolder makes the entries of a folder durable.
func syncFolder(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
