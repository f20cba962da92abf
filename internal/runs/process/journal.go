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

// keptPruned is how many pruned runs are remembered, the latest. A run that is
// not could be started once more, but only by a server whose store was put back to
// before so many runs of this machine.
const keptPruned = 200_000

// history is what a journal tells.
type history struct {
	ended     map[armada.RunID]runs.Status // not forgotten
	forgotten map[armada.RunID]bool        // folder still there
	pruned    map[armada.RunID]bool
	prunings  []armada.RunID // the pruned runs in their order
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
		h.prune(r.Prune)
	}
}

// prune notes a pruned run in place of the earliest.
func (h *history) prune(run armada.RunID) {
	if h.pruned[run] {
		return
	}
	h.pruned[run] = true
	h.prunings = append(h.prunings, run)
	if len(h.prunings) > keptPruned {
		delete(h.pruned, h.prunings[0])
		h.prunings = h.prunings[1:]
	}
}

// over tells whether the run needs nothing more done.
func (h *history) over(run armada.RunID) bool {
	_, ended := h.ended[run]
	return ended || h.forgotten[run] || h.pruned[run]
}

// slack is how many bytes of superseded records a journal may have, or as many as
// it has others.
const slack = 16 << 20

// journal is a file of records that are on the disk when append returns.
// Concurrent appends share one sync.
type journal struct {
	path  string
	file  *os.File
	group group
	torn  bool // the last line is; what comes next must not grow onto it
	moved bool // the file has come to its path, which may not be on the disk yet

	size, most int64 // of the file, more or less, and at which it is written anew
}

// openJournal reads a journal and opens it to go on. A line that cannot be read
// was being written when the machine died, and was not reported: it is skipped.
func openJournal(path string) (*journal, history, error) {
	j := &journal{path: path}
	j.group.commit = j.write
	h, err := j.renew()
	if err != nil {
		return nil, h, err
	}
	if err := j.sync(); err != nil {
		return nil, h, errors.Join(err, j.close())
	}
	return j, h, nil
}

// renew replaces the file by one without what is superseded, to go on with that;
// after an error with the one before.
func (j *journal) renew() (history, error) {
	h, err := readJournal(j.path)
	if err != nil {
		return h, err
	}
	file, size, err := rewriteJournal(j.path, &h)
	if err != nil {
		return h, fmt.Errorf("rewrite journal: %w", err)
	}
	if j.file != nil {
		_ = j.file.Close() // the new one has all that was in it
	}
	j.file, j.torn, j.moved = file, false, true
	j.size, j.most = size, 2*size+slack
	return h, nil
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

// rewriteJournal replaces the journal by one without what is superseded, and
// returns it to be written on, and its size.
func rewriteJournal(path string, h *history) (*os.File, int64, error) {
	file, err := os.OpenFile(path+".new", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, 0, err
	}
	buffer := bufio.NewWriter(file)
	lines := json.NewEncoder(buffer)
	for _, run := range h.prunings {
		err = errors.Join(err, lines.Encode(record{Prune: run}))
	}
	for run := range h.forgotten {
		err = errors.Join(err, lines.Encode(record{Forget: run}))
	}
	for _, s := range h.ended {
		err = errors.Join(err, lines.Encode(record{End: &s}))
	}
	err = errors.Join(err, buffer.Flush(), file.Sync())
	size, unknown := file.Seek(0, io.SeekCurrent)
	if err = errors.Join(err, unknown); err == nil {
		err = os.Rename(file.Name(), path)
	}
	if err != nil {
		return nil, 0, errors.Join(err, file.Close(), os.Remove(file.Name()))
	}
	return file, size, nil
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
	if j.size > j.most {
		if _, err := j.renew(); err != nil {
			j.most = j.size + slack // it is tried again, and meanwhile the old one will do
		}
	}
	if j.torn {
		lines = append([]byte{'\n'}, lines...)
	}
	n, err := j.file.Write(lines)
	j.size += int64(n)
	if j.torn = err != nil && (j.torn || n > 0); err != nil {
		return fmt.Errorf("write journal: %w", err)
	}
	return j.sync()
}

func (j *journal) sync() error {
	err := j.file.Sync()
	if err == nil && j.moved {
		err = syncFolder(filepath.Dir(j.path))
		j.moved = err != nil
	}
	if err != nil {
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
