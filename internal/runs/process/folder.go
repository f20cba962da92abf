//go:build linux

package process

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"

	"golang.org/x/sys/unix"

	"armada"
	"armada/internal/runs"
)

// layout is the data folder of one executor's runtime.
type layout struct{ dir string }

func (l layout) lock() string    { return filepath.Join(l.dir, "supervisor.lock") }
func (l layout) says() string    { return filepath.Join(l.dir, "supervisor.log") }
func (l layout) journal() string { return filepath.Join(l.dir, "journal") }
func (l layout) cages() string   { return filepath.Join(l.dir, "cages") }
func (l layout) runs() string    { return filepath.Join(l.dir, "runs") }

// socketName is in the data folder. Sockets are reached through a handle of the
// folder, as a whole path may be longer than the 107 bytes of an address.
const socketName = "supervisor.sock"

// run is the folder of one run.
func (l layout) run(run armada.RunID) folder {
	return folder{filepath.Join(l.runs(), string(run))}
}

type folder struct{ path string }

func (f folder) order() string    { return filepath.Join(f.path, "order.json") }
func (f folder) lifeline() string { return filepath.Join(f.path, "lifeline") }
func (f folder) log() string      { return filepath.Join(f.path, "log") }
func (f folder) work() string     { return filepath.Join(f.path, "work") }

// openLayout makes the data folder where it is missing. The path becomes
// absolute and free of links, as the kernel shows it.
func openLayout(dir string) (layout, error) {
	if dir == "" {
		return layout{}, errors.New("the data folder of the process runtime is not given")
	}
	at, err := filepath.Abs(dir)
	if err == nil {
		err = os.MkdirAll(filepath.Join(at, "runs"), 0o700)
	}
	if err == nil {
		at, err = filepath.EvalSymlinks(at)
	}
	if err != nil {
		return layout{}, fmt.Errorf("make the data folder of the process runtime: %w", err)
	}
	return layout{at}, nil
}

// runName is what a run id must look like to name a folder.
var runName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_-]{0,127}$`)

// errKnown is answered when a run's folder is there already.
var errKnown = errors.New("the run has a folder already")

// create makes the folder of a run; there is nobody else who ever makes the
// same one. The caller makes that durable.
func (f folder) create(o *runs.Order) error {
	if err := os.Mkdir(f.path, 0o700); errors.Is(err, fs.ErrExist) {
		return errKnown
	} else if err != nil {
		return fmt.Errorf("make the run folder: %w", err)
	}
	order, err := json.Marshal(o)
	if err == nil {
		err = os.WriteFile(f.order(), order, 0o600)
	}
	if err == nil {
		err = os.Mkdir(f.work(), 0o700)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("fill the run folder: %w", err), os.RemoveAll(f.path))
	}
	return nil
}

// readOrder reads the order of a run; the error is that the machine died before
// it was written.
func (f folder) readOrder() (runs.Order, error) {
	var o runs.Order
	text, err := os.ReadFile(f.order())
	if err == nil {
		err = json.Unmarshal(text, &o)
	}
	return o, err
}

// openLifeline opens the lifeline of a run and locks it. The lock belongs to
// the opening and to all copies of it, so it lasts as long as any process has
// one. It answers nil when others hold it.
func (f folder) openLifeline() (*os.File, error) {
	file, err := os.OpenFile(f.lifeline(), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the lifeline: %w", err)
	}
	locked, err := lockFile(file)
	if err != nil || !locked {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}

// lockFile locks a file if nobody holds it.
func lockFile(file *os.File) (bool, error) {
	err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("lock %s: %w", filepath.Base(file.Name()), err)
	}
	return true, nil
}
