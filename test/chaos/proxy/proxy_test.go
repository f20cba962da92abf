package proxy

import (
	"bufio"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"
)

// echo is a server that sends every line back, and a proxy before it, which
// knows other servers too.
func echo(t *testing.T, others ...string) *Proxy {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			go func() { _, _ = io.Copy(c, c); _ = c.Close() }()
		}
	}()
	p, err := Open(append(others, listener.Addr().String())...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

type caller struct {
	net.Conn
	lines *bufio.Reader
}

func call(t *testing.T, p *Proxy) caller {
	t.Helper()
	c, err := net.Dial("tcp", p.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return caller{c, bufio.NewReader(c)}
}

// says sends a line and returns what comes back, or the error.
func (c caller) says(line string) (string, error) {
	if _, err := io.WriteString(c, line+"\n"); err != nil {
		return "", err
	}
	return c.lines.ReadString('\n')
}

func TestAHealthyProxyCarriesBothWaysAndTheEnd(t *testing.T) {
	t.Parallel()
	c := call(t, echo(t))
	if answer, err := c.says("hello"); err != nil || answer != "hello\n" {
		t.Fatalf("it answers %q, %v", answer, err)
	}
	if err := c.Conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if _, err := c.lines.ReadString('\n'); !errors.Is(err, io.EOF) {
		t.Errorf("the end arrives as %v", err)
	}
}

func TestACutConnectionIsAnErrorAndTheNextOneIsFine(t *testing.T) {
	t.Parallel()
	p := echo(t)
	c := call(t, p)
	if _, err := c.says("hello"); err != nil {
		t.Fatal(err)
	}
	p.Cut()
	if answer, err := c.lines.ReadString('\n'); err == nil {
		t.Errorf("after the cut it answers %q", answer)
	}
	if _, err := call(t, p).says("again"); err != nil {
		t.Error(err)
	}
}

func TestAStarvedDirectionIsSilentAndNothingArrivesOutOfOrderLater(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]Fault{"up": {NothingUp: true}, "down": {NothingDown: true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := echo(t)
			c := call(t, p)
			if _, err := c.says("hello"); err != nil {
				t.Fatal(err)
			}
			p.Set(fault)
			if err := c.SetReadDeadline(time.Now().Add(50 * time.Millisecond)); err != nil {
				t.Fatal(err)
			}
			if answer, err := c.says("anybody?"); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Fatalf("it answers %q, %v", answer, err)
			}
			if err := c.SetReadDeadline(time.Time{}); err != nil {
				t.Fatal(err)
			}
			p.Set(Fault{})
			if answer, err := c.lines.ReadString('\n'); err == nil {
				t.Errorf("after losing data it answers %q", answer)
			}
			if _, err := call(t, p).says("again"); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestARefusedConnectionIsReset(t *testing.T) {
	t.Parallel()
	p := echo(t)
	p.Set(Fault{Refuse: true})
	c, err := net.Dial("tcp", p.Addr())
	if err != nil {
		return // it was reset before the dialler returned
	}
	defer c.Close()
	if answer, err := (caller{c, bufio.NewReader(c)}).says("hello"); err == nil {
		t.Errorf("it answers %q", answer)
	}
}

func TestADelayedConnectionAnswersLater(t *testing.T) {
	t.Parallel()
	p := echo(t)
	c := call(t, p)
	p.Set(Fault{Delay: 20 * time.Millisecond})
	begun := time.Now()
	if _, err := c.says("hello"); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(begun); took < 40*time.Millisecond {
		t.Errorf("both ways took %v", took)
	}
}

func TestAConnectionGoesToTheNextServerThatTakesIt(t *testing.T) {
	t.Parallel()
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := gone.Close(); err != nil {
		t.Fatal(err)
	}
	p := echo(t, gone.Addr().String())
	for range 3 {
		if _, err := call(t, p).says("hello"); err != nil {
			t.Error(err)
		}
	}
}
