package pricing

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"armada"
	"armada/internal/settings"
)

// file is a file of bids.
type file string

// contents are what a file of bids has.
type contents struct {
	// Pools are the bids by pool, queue and band; otherwise stands for the bands
	// that a queue does not name, and for jobs without one.
	Pools map[string]map[string]map[string]written
}

const otherwise = "otherwise"

// written is a bid in a file: 2, or 2/3 to offer 2 for a place and 3 to keep it.
type written armada.Bid

// UnmarshalText reads a bid.
func (w *written) UnmarshalText(text []byte) error {
	queued, running, both := strings.Cut(string(text), "/")
	if !both {
		running = queued
	}
	var err error
	if w.Queued, err = price(queued); err == nil {
		w.Running, err = price(running)
	}
	return err
}

func price(text string) (armada.Price, error) {
	amount, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
	if err != nil {
		return 0, fmt.Errorf("must be a price, such as 2, or two, such as 2/3 to offer 3 for keeping a place, is %q", text)
	}
	return armada.NewPrice(amount)
}

func (f file) read(context.Context) (armada.Bids, error) { return ReadFile(string(f)) }

// ReadFile reads a file of bids. Errors name the file, the field, and what would be
// right.
func ReadFile(f string) (armada.Bids, error) {
	c, _, err := settings.Load(contents{}, settings.Sources{File: f})
	if err != nil {
		return nil, err
	}
	bids := armada.Bids{}
	var errs []error
	for _, pool := range slices.Sorted(maps.Keys(c.Pools)) {
		bids[pool] = map[string]armada.QueueBids{}
		for _, queue := range slices.Sorted(maps.Keys(c.Pools[pool])) {
			b, err := bands(c.Pools[pool][queue])
			if err != nil {
				errs = append(errs, fmt.Errorf("%s: pools.%s.%s.%w", f, pool, queue, err))
			}
			bids[pool][queue] = b
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return bids, nil
}

func (file) close() error { return nil }

// bands are the bids of a queue by the letter of the band.
func bands(said map[string]written) (armada.QueueBids, error) {
	var bids armada.QueueBids
	for i := range bids {
		bids[i] = armada.Bid(said[otherwise])
	}
	for _, letter := range slices.Sorted(maps.Keys(said)) {
		band, ok := armada.ParsePriceBand(letter)
		switch {
		case ok:
			bids[band] = armada.Bid(said[letter])
		case letter != otherwise:
			return bids, fmt.Errorf("%s: is no price band; they are A to H, and otherwise for all that are not named", letter)
		}
	}
	return bids, nil
}
