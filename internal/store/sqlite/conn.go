package sqlite

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net/url"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// conn is one connection with its prepared statements. It goes straight to the
// driver: database/sql costs as much again per statement. One goroutine at a
// time uses it.
type conn struct {
	driver driver.Conn
	stmts  map[string]driver.Stmt
	args   []driver.NamedValue
}

// connect opens the file, making it if need be; pragmas are run in order.
func connect(path string, pragmas ...string) (*conn, error) {
	return connectAs(path, "rwc", pragmas...)
}

// connectAs is connect in a mode of SQLite's: rwc makes the file where there is
// none, rw does not, and ro changes nothing.
func connectAs(path, mode string, pragmas ...string) (*conn, error) {
	query := url.Values{"_pragma": pragmas, "mode": {mode}}
	name := "file:" + (&url.URL{Path: path}).EscapedPath() + "?" + query.Encode()
	c, err := (&sqlite.Driver{}).Open(name)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	return &conn{driver: c, stmts: map[string]driver.Stmt{}}, nil
}

func (c *conn) close() error {
	var errs []error
	for _, s := range c.stmts {
		errs = append(errs, s.Close())
	}
	return errors.Join(append(errs, c.driver.Close())...)
}

// script runs statements that take no arguments and are not worth keeping.
func (c *conn) script(text string) error {
	_, err := c.driver.(driver.ExecerContext).ExecContext(context.Background(), text, nil)
	return err
}

func (c *conn) prepare(query string) (driver.Stmt, error) {
	if s, ok := c.stmts[query]; ok {
		return s, nil
	}
	s, err := c.driver.Prepare(query)
	if err != nil {
		return nil, fmt.Errorf("prepare %q: %w", query, err)
	}
	c.stmts[query] = s
	return s, nil
}

// bind turns arguments into the driver's; the result is valid until the next
// statement.
func (c *conn) bind(args []any) []driver.NamedValue {
	c.args = c.args[:0]
	for i, a := range args {
		switch v := a.(type) {
		case int:
			a = int64(v)
		case bool:
			a = int64(0)
			if v {
				a = int64(1)
			}
		}
		c.args = append(c.args, driver.NamedValue{Ordinal: i + 1, Value: a})
	}
	return c.args
}

// exec runs a statement and returns how many rows it changed.
func (c *conn) exec(query string, args ...any) (int64, error) {
	s, err := c.prepare(query)
	if err != nil {
		return 0, err
	}
	result, err := s.(driver.StmtExecContext).ExecContext(context.Background(), c.bind(args))
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

// row is one row of an answer.
type row []driver.Value

func (r row) int(i int) int64 {
	v, _ := r[i].(int64)
	return v
}

func (r row) str(i int) string {
	v, _ := r[i].(string)
	return v
}

func (r row) blob(i int) []byte {
	v, _ := r[i].([]byte)
	return v
}

// errEnough is returned by a visit that wants no more rows.
var errEnough = errors.New("enough rows")

// each calls visit for every row, until it returns an error; the row is valid
// during the call. The statement must not be used again before each returns.
func (c *conn) each(query string, visit func(row) error, args ...any) error {
	s, err := c.prepare(query)
	if err != nil {
		return err
	}
	rows, err := s.(driver.StmtQueryContext).QueryContext(context.Background(), c.bind(args))
	if err != nil {
		return err
	}
	values := make(row, len(rows.Columns()))
	for {
		err := rows.Next(values)
		if err == nil {
			err = visit(values)
		}
		if errors.Is(err, io.EOF) || errors.Is(err, errEnough) {
			return rows.Close()
		}
		if err != nil {
			return errors.Join(err, rows.Close())
		}
	}
}

// one returns the first row, or nil when there is none.
func (c *conn) one(query string, args ...any) (row, error) {
	var found row
	err := c.each(query, func(r row) error {
		if found == nil {
			found = append(row(nil), r...)
		}
		return nil
	}, args...)
	return found, err
}

// isConstraint tells that a statement broke a rule of the schema.
func isConstraint(err error) bool { return primaryCode(err) == sqlite3.SQLITE_CONSTRAINT }

// isStorage tells that the file or the disk failed, and not the request: it
// may work later.
func isStorage(err error) bool {
	switch primaryCode(err) {
	case sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_NOMEM,
		sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_PROTOCOL,
		sqlite3.SQLITE_INTERRUPT, sqlite3.SQLITE_PERM:
		return true
	default:
		return false
	}
}

// primaryCode is SQLite's result code without its details, or 0.
func primaryCode(err error) int {
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return 0
	}
	return e.Code() & 0xff
}

// pool is a bounded set of connections for reading. Taking one blocks while
// all are in use.
type pool struct {
	idle chan *conn
	size int
}

func newPool(path string, size int) (*pool, error) {
	p := &pool{idle: make(chan *conn, size)}
	for range size {
		c, err := connect(path, "busy_timeout(5000)", "query_only(1)", "cache_size(-16384)")
		if err != nil {
			return nil, errors.Join(err, p.close())
		}
		p.idle <- c
		p.size++
	}
	return p, nil
}

// close waits for the connections in use.
func (p *pool) close() error {
	var errs []error
	for range p.size {
		errs = append(errs, (<-p.idle).close())
	}
	return errors.Join(errs...)
}
