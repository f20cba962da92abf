//go:build linux

package process

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"sync"
	"time"

	"armada/internal/runs"
)

// A log is a text file with a line per line that a container printed: the time,
// o or e for the stream, the container and the text, parted by spaces; r in the
// place of the stream, without a text, is that the container was started again.
// Times never decrease. Nothing but a newline ends a line, so any bytes can be kept;
// what a container's name may not have there is escaped as in a URL's path.
const (
	kindOut    = 'o'
	kindErrors = 'e'
	kindAgain  = 'r'

	timeLayout = "2006-01-02T15:04:05.000000000Z"
	maxLine    = 64 << 10
)

// logWriter appends to the log of a run. Many goroutines may use it.
type logWriter struct {
	mu     sync.Mutex
	file   *os.File
	last   time.Time
	size   int64
	limit  int64
	full   bool
	lost   int  // lines since the last one that could be written
	torn   bool // the last of these was written in part
	buffer []byte
}

// appendLines writes lines, each without a newline, that one container printed.
// What goes beyond the limit is lost, and one line says so. What cannot be
// written, because the disk is full, is lost too, and when there is room again a
// line says how much.
func (w *logWriter) appendLines(container string, stderr bool, lines [][]byte) {
	kind := byte(kindOut)
	if stderr {
		kind = kindErrors
	}
	w.append(container, kind, lines)
}

// again notes that a container is started again.
func (w *logWriter) again(container string) { w.append(container, kindAgain, [][]byte{nil}) }

func (w *logWriter) append(container string, kind byte, lines [][]byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.full {
		return
	}
	if now := time.Now(); now.After(w.last) {
		w.last = now
	}
	w.buffer = w.buffer[:0]
	if w.torn {
		w.buffer = append(w.buffer, '\n')
	}
	if w.lost > 0 {
		w.buffer = appendLine(w.buffer, w.last, container, kindErrors, fmt.Appendf(nil, "armada: the disk was full, %d lines are missing here", w.lost))
	}
	for _, text := range lines {
		w.buffer = appendLine(w.buffer, w.last, container, kind, text)
	}
	if w.size+int64(len(w.buffer)) > w.limit {
		w.full = true
		w.buffer = appendLine(w.buffer[:0], w.last, container, kindErrors, []byte("armada: the log of this run is full, what follows is not kept"))
	}
	n, err := w.file.Write(w.buffer)
	w.size += int64(n)
	if err == nil {
		w.lost, w.torn = 0, false
		return
	}
	w.lost += len(lines)
	w.torn = w.torn || n > 0
}

func appendLine(to []byte, at time.Time, container string, kind byte, text []byte) []byte {
	to = at.UTC().AppendFormat(to, timeLayout)
	to = append(to, ' ', kind, ' ')
	to = append(append(to, url.PathEscape(container)...), ' ')
	return append(append(to, text...), '\n')
}

// parseLine reads a line of a log, and answers false for what is none. The text
// is part of line.
func parseLine(line []byte) (runs.LogLine, bool) {
	l, kind, ok := splitLine(line)
	l.Stderr = kind == kindErrors
	return l, ok && kind != kindAgain
}

func splitLine(line []byte) (l runs.LogLine, kind byte, ok bool) {
	const head = len(timeLayout) + len(" o ")
	if len(line) < head || line[len(timeLayout)] != ' ' {
		return l, 0, false
	}
	at, err := time.Parse(timeLayout, string(line[:len(timeLayout)]))
	escaped, text, found := bytes.Cut(line[head:], []byte{' '})
	container, unescapeErr := url.PathUnescape(string(escaped))
	if err != nil || !found || unescapeErr != nil {
		return l, 0, false
	}
	return runs.LogLine{Time: at, Container: container, Text: text}, line[len(timeLayout)+1], true
}

// pump moves what a container prints into the log until its end.
func (w *logWriter) pump(from io.Reader, container string, stderr bool) {
	var lines [][]byte
	buffer := make([]byte, 0, 4096)
	for {
		if len(buffer) == cap(buffer) {
			buffer = append(make([]byte, 0, min(2*cap(buffer), maxLine)), buffer...)
		}
		n, err := from.Read(buffer[len(buffer):cap(buffer)])
		buffer = buffer[:len(buffer)+n]
		lines = lines[:0]
		rest := buffer
		for {
			text, after, found := bytes.Cut(rest, []byte{'\n'})
			if !found {
				break
			}
			lines, rest = append(lines, text), after
		}
		if len(rest) == maxLine || (err != nil && len(rest) > 0) {
			lines, rest = append(lines, rest), nil
		}
		if len(lines) > 0 {
			w.appendLines(container, stderr, lines)
		}
		buffer = buffer[:copy(buffer, rest)]
		if err != nil {
			return
		}
	}
}

func (w *logWriter) close() error { return w.file.Close() }

// logReader reads a log from a place on; it may grow meanwhile.
type logReader struct {
	file   *os.File
	buffer []byte // read and not yet visited
}

// visit calls visit for the whole lines from here on that the query selects.
func (r *logReader) visit(q *runs.LogQuery, visit func(runs.LogLine) error) error {
	chunk := make([]byte, maxLine)
	for {
		for {
			line, rest, found := bytes.Cut(r.buffer, []byte{'\n'})
			if !found {
				break
			}
			r.buffer = rest
			if l, ok := parseLine(line); ok && selects(q, &l) {
				l.Text = bytes.Clone(l.Text)
				if err := visit(l); err != nil {
					return err
				}
			}
		}
		n, err := r.file.Read(chunk)
		r.buffer = append(r.buffer, chunk[:n]...)
		if errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
	}
}

func selects(q *runs.LogQuery, l *runs.LogLine) bool {
	return (q.Container == "" || q.Container == l.Container) && !l.Time.Before(q.Since)
}

// seekTail moves to the first of the last lines that the query asks for. It
// reads backwards, as far as it must.
func (r *logReader) seekTail(q *runs.LogQuery) error {
	end, err := r.file.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	var (
		left  = q.Tail
		block = make([]byte, maxLine)
		tail  []byte // from start, up to and without the newline of the next line
		start = end
		first = end // of the lines that are selected
	)
	count := func(line []byte, at int64) (more bool) {
		l, ok := parseLine(line)
		if !ok {
			return true
		}
		if selects(q, &l) {
			left, first = left-1, at
		}
		return left > 0 && !l.Time.Before(q.Since)
	}
	for more := true; more && start > 0; {
		n := min(start, int64(len(block)))
		if _, err := r.file.ReadAt(block[:n], start-n); err != nil {
			return err
		}
		start -= n
		tail = append(bytes.Clone(block[:n]), tail...)
		for more {
			newline := bytes.LastIndexByte(tail, '\n')
			if newline < 0 {
				break
			}
			more = count(tail[newline+1:], start+int64(newline)+1)
			tail = tail[:newline]
		}
		if start == 0 && more {
			count(tail, 0)
		}
	}
	_, err = r.file.Seek(first, io.SeekStart)
	return err
}
