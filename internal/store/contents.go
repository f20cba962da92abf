package store

import (
	"iter"
	"time"
)

// Contents is all that a form of the store holds at one moment, as rows of plain
// values: the way from one form into another. Whoever made it says for how long
// it can be read.
//
// What forms keep the same way is moved as it is: blobs, which are codec's, and
// the numbers of rows, which cursors of watchers and the feed speak of. Not in it
// is what only says how far somebody has come: the feed itself, whose readers
// load anew, and who leads.
type Contents struct {
	Tables []Table
	// Numbers are the highest numbers that tables ever gave, by the table's name:
	// the form that takes the rows in gives higher ones only.
	Numbers map[string]int64
	Epoch   int64     // of the latest leader: the next one has a higher one
	Latest  time.Time // of the latest transaction: the next one is not before it
	Lives   int64     // how often it was brought back from a copy, see [Restoration]
	Held    time.Time // until then nothing may be started
}

// Table is one table of a store.
type Table struct {
	Name    string
	Columns []string // in the order of the values of a row
	Count   int64    // of its rows
	// Rows yields the rows, as many as Count, until the first error. Values are
	// int64, string, bool, []byte, or nil where there is none; a row is the
	// reader's only until the next one. It does not hold them in memory.
	Rows iter.Seq2[[]any, error]
}
