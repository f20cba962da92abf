//go:build linux

package process

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"armada"
	"armada/internal/runs"
)

// settings are what a client passes to the supervisor that it starts.
type settings struct {
	Dir      string        `json:"dir"`
	Idle     time.Duration `json:"idle"`           // how long it stays without runs and clients
	LogLimit int64         `json:"logLimit"`       // bytes of log per run
	Bare     bool          `json:"bare,omitempty"` // make no cages
}

// lockPatience is how long a new supervisor waits for one that is ending.
const lockPatience = 2 * time.Second

// readyFD is where a supervisor tells the client that started it that it
// listens.
const readyFD = 3

// supervisor starts, watches and ends the processes of one executor's runs.
type supervisor struct {
	settings settings
	layout   layout
	log      *slog.Logger
	cages    cages
	reaper   *reaper
	journal  *journal
	ledger   *runs.Ledger
	folders  group // makes new run folders durable

	mu        sync.Mutex
	known     history // what of it is not in the ledger
	live      map[armada.RunID]*run
	found     map[armada.RunID]bool // of an earlier supervisor, not yet ended
	clients   map[*client]bool
	leaving   bool // no new runs: it ends
	lifetimes sync.WaitGroup
	idle      chan struct{} // a run or a client has gone
	leave     chan struct{} // closed when it shall end
	leaveOnce sync.Once
	gone      chan struct{} // closed when it serves no more
	litter    atomic.Bool   // groups of runs that are over may be left
}

// SupervisorMain is the supervisor's process: `armada` calls it for its hidden
// subcommand and exits with the code it returns. args is what [Runtime] passes
// after [Config.Supervisor].
func SupervisorMain(args []string) int {
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	var s settings
	if len(args) != 1 || json.Unmarshal([]byte(args[0]), &s) != nil {
		log.Error("the supervisor is started by armada, not by hand")
		return 2
	}
	if err := supervise(s, log); err != nil {
		log.Error("the supervisor has failed", "error", err)
		return 1
	}
	return 0
}

// supervise is the supervisor's life.
func supervise(set settings, log *slog.Logger) error {
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, unix.SIGTERM, unix.SIGINT, unix.SIGHUP)
	defer signal.Stop(signals)
	// A file that reaches the limit of file sizes is an error like a full disk,
	// and no reason to die.
	signal.Notify(make(chan os.Signal, 1), unix.SIGXFSZ)

	l, err := openLayout(set.Dir)
	if err != nil {
		return err
	}
	lock, err := takeLock(l.lock())
	if err != nil {
		return err
	}
	defer lock.Close()
	fate, err := watchFile(l.lock(), unix.IN_ATTRIB) // which its removal changes
	if err != nil {
		return err
	}
	defer fate.close()
	s, err := newSupervisor(set, l, log)
	if err != nil {
		return err
	}
	defer s.close()
	listener, err := l.listen()
	if err != nil {
		return err
	}
	s.recoverRuns()
	unheard := tellReady()
	log.Info("the supervisor is ready", "dir", l.dir, "cages", s.cages.features())
	var connections sync.WaitGroup
	connections.Go(func() { s.accept(listener, &connections) })
	connections.Go(s.spread)
	if unheard == nil || !s.retire(false) { // who started it may have left before it was ready
		s.serve(signals, fate.changed, lock)
	}
	_ = listener.Close()
	s.hangUp()
	connections.Wait()
	log.Info("the supervisor ends")
	return nil
}

func newSupervisor(set settings, l layout, log *slog.Logger) (*supervisor, error) {
	s := &supervisor{
		settings: set, layout: l, log: log, ledger: runs.NewLedger(),
		live: make(map[armada.RunID]*run), found: make(map[armada.RunID]bool), clients: make(map[*client]bool),
		idle: make(chan struct{}, 1), leave: make(chan struct{}), gone: make(chan struct{}),
	}
	if !set.Bare {
		s.cages = findCages(cagesName(l))
		if err := s.cages.recall(l.cages()); err != nil { // as on a full disk
			log.Error("where the control groups of runs are cannot be written down", "error", err)
		}
	}
	s.folders.commit = func([]byte) error { return syncFolder(l.runs()) }
	var err error
	if s.journal, s.known, err = openJournal(l.journal()); err != nil {
		return nil, err
	}
	for _, status := range s.known.ended {
		s.ledger.Put(status)
	}
	if s.reaper, err = newReaper(); err != nil {
		return nil, errors.Join(err, s.journal.close())
	}
	return s, nil
}

// close ends what the supervisor holds; nothing runs any more.
func (s *supervisor) close() {
	s.reaper.killStrays(func(int) bool { return true })
	s.reaper.close()
	if err := s.cages.remove(s.layout.cages()); err != nil {
		s.log.Error("where control groups are left cannot be written down", "error", err)
	}
	if err := s.journal.close(); err != nil {
		s.log.Error("closing the journal failed", "error", err)
	}
}

// takeLock takes the lock of the living supervisor, waiting a little for one
// that is about to end.
func takeLock(path string) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the supervisor's lock: %w", err)
	}
	for begun := time.Now(); ; time.Sleep(5 * time.Millisecond) { // a lock cannot be waited for with a limit
		locked, err := lockFile(file)
		if locked {
			return file, nil
		}
		if err == nil && time.Since(begun) > lockPatience {
			err = errors.New("another supervisor lives")
		}
		if err != nil {
			return nil, errors.Join(err, file.Close())
		}
	}
}

// listen makes the socket. Whoever holds the lock may take it over.
func (l layout) listen() (*net.UnixListener, error) {
	_ = os.Remove(filepath.Join(l.dir, socketName))
	var listener *net.UnixListener
	err := l.throughHandle(func(address *net.UnixAddr) (err error) {
		listener, err = net.ListenUnix("unix", address)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("listen for clients: %w", err)
	}
	listener.SetUnlinkOnClose(false) // the next one replaces it
	return listener, nil
}

// throughHandle calls use with a short address of the socket.
func (l layout) throughHandle(use func(*net.UnixAddr) error) error {
	handle, err := os.Open(l.dir)
	if err != nil {
		return err
	}
	defer handle.Close()
	name := fmt.Sprintf("/proc/self/fd/%d/%s", handle.Fd(), socketName)
	return use(&net.UnixAddr{Name: name, Net: "unix"})
}

func tellReady() error {
	ready := os.NewFile(readyFD, "ready")
	_, err := ready.WriteString("ready\n")
	return errors.Join(err, ready.Close())
}

// serve waits until there has been nothing to do for long, or until it is told
// to end, or until its folder was removed: then another supervisor may live there
// and nobody can ask for these runs any more.
func (s *supervisor) serve(signals <-chan os.Signal, touched <-chan struct{}, lock *os.File) {
	timer := time.NewTimer(s.settings.Idle)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
			if s.retire(true) {
				return
			}
			timer.Reset(s.settings.Idle)
		case <-s.idle:
			if s.litter.Load() {
				s.sweep()
			}
			timer.Reset(s.settings.Idle)
		case <-s.leave:
			return
		case sig := <-signals:
			if sig == unix.SIGHUP {
				continue
			}
			s.log.Info("the supervisor was told to end", "signal", sig.String())
			s.haltAll(0)
			return
		case <-touched:
			var info unix.Stat_t
			if err := unix.Fstat(int(lock.Fd()), &info); err == nil && info.Nlink > 0 {
				continue
			}
			s.log.Error("the data folder was removed while the supervisor lived; its runs are killed")
			s.haltAll(-1)
			return
		}
	}
}

// haltAll ends all runs and waits for it; nothing new is started.
func (s *supervisor) haltAll(grace time.Duration) {
	s.mu.Lock()
	s.leaving = true
	for _, r := range s.live {
		go r.halt(haltShutdown, grace)
	}
	s.mu.Unlock()
	s.lifetimes.Wait()
}

// retire decides that the supervisor ends, if no run lives and, where that
// matters, no client is there.
func (s *supervisor) retire(alone bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.live)+len(s.found) > 0 || (alone && len(s.clients) > 0) {
		return false
	}
	s.leaving = true
	return true
}

func (s *supervisor) nudge() {
	select {
	case s.idle <- struct{}{}:
	default:
	}
}
