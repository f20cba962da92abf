package sqlite

import (
	"fmt"
	"slices"
	"time"

	"armada"
	"armada/internal/store/codec"
	"armada/internal/store/feed"
)

// maxBlock bounds the events of a block: whoever reads one event decodes all
// of its block.
const maxBlock = 1024

// writeEvents numbers the events of each job set and writes them as blocks.
func (b *batch) writeEvents() error {
	for _, pending := range b.Sets {
		set := b.w.setsByID[pending.ID]
		b.woke[set.Key] = struct{}{}
		for events := range slices.Chunk(set.Pending, maxBlock) {
			if err := b.writeBlock(set, events); err != nil {
				return err
			}
		}
		var err error
		switch by := b.tally.take(set.ID); {
		case set.fresh:
			_, err = b.w.conn.exec(insertSet, append(counts(by), set.ID, set.Key.Queue, string(set.Key.JobSet), set.last)...)
		case by != nil:
			_, err = b.w.conn.exec(updateSet, append(counts(by), set.last, set.ID)...)
		default:
			_, err = b.w.conn.exec("UPDATE job_set SET last = ? WHERE id = ?", set.last, set.ID)
		}
		if err != nil {
			return fmt.Errorf("write job set: %w", err)
		}
		set.fresh = false
		if set.Pending = set.Pending[:0]; cap(set.Pending) > 64 {
			set.Pending = nil
		}
	}
	return nil
}

func (b *batch) writeBlock(set *jobSet, events []armada.Event) error {
	set.last += int64(len(events))
	b.block = codec.AppendBlock(b.block[:0], events)
	if _, err := b.w.conn.exec("INSERT INTO event_block (job_set, last, count, at, events) VALUES (?, ?, ?, ?, ?)",
		set.ID, set.last, len(events), micros(b.Now), b.block); err != nil {
		return fmt.Errorf("insert events: %w", err)
	}
	return nil
}

// The feed keeps at least feedKept transactions and what is younger than
// feedAge. Every feedTrim transactions up to four times as many rows go.
const (
	feedKept = 16384
	feedAge  = 10 * time.Minute
	feedTrim = 1024
)

// writeFeed tells what the transaction touched.
func (b *batch) writeFeed() error {
	if len(b.feed) == 0 {
		return nil
	}
	body := feed.AppendRow(make([]byte, 0, 4*len(b.feed)), b.feed...)
	if _, err := b.w.conn.exec("INSERT INTO change (at, body) VALUES (?, ?)", micros(b.Now), body); err != nil {
		return fmt.Errorf("write the feed: %w", err)
	}
	if b.w.feed++; b.w.feed < feedTrim {
		return nil
	}
	b.w.feed = 0
	if _, err := b.w.conn.exec(`DELETE FROM change WHERE seq <= (SELECT max(seq) FROM change) - ?
		AND seq < (SELECT min(seq) FROM change) + ? AND at < ?`, feedKept, 4*feedTrim, micros(b.Now.Add(-feedAge))); err != nil {
		return fmt.Errorf("trim the feed: %w", err)
	}
	return nil
}
