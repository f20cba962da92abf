package armada

import (
	"fmt"
	"math"
	"strconv"
)

// Price is what a job bids for its place in a market-driven pool, in millionths
// of whatever its market counts in.
type Price int64

// maxPrice is what a price can be at most, in whole units.
const maxPrice = 1e12

// NewPrice returns the price of an amount in whole units.
func NewPrice(amount float64) (Price, error) {
	if !(amount >= 0 && amount <= maxPrice) {
		return 0, fmt.Errorf("%v is no price: it must be from 0 to %.0f", amount, maxPrice)
	}
	return Price(math.Round(amount * 1e6)), nil
}

// Amount is the price in whole units.
func (p Price) Amount() float64 { return float64(p) / 1e6 }

// String writes the price in whole units.
func (p Price) String() string { return strconv.FormatFloat(p.Amount(), 'f', -1, 64) }

// PriceBand is the band in which a job bids, 1 for A to 8 for H. The zero value
// is that of a job that names none.
type PriceBand uint8

// PriceBands is how many bands there are.
const PriceBands = 8

// ParsePriceBand reads the letter of a band.
func ParsePriceBand(letter string) (PriceBand, bool) {
	if len(letter) != 1 || letter < "A" || letter > "H" {
		return 0, false
	}
	return PriceBand(letter[0]-'A') + 1, true
}

// String returns the letter, or "none".
func (b PriceBand) String() string {
	if b == 0 || b > PriceBands {
		return "none"
	}
	return string(rune('A' + b - 1))
}

// Bid is what a job offers for a place, and what it offers to keep it.
type Bid struct{ Queued, Running Price }

// QueueBids are what a queue bids in one pool, by the band of its jobs. The first
// is for jobs without a band.
type QueueBids [PriceBands + 1]Bid

// Bids are what queues bid, by pool and queue. Who is not in it bids nothing.
type Bids map[string]map[string]QueueBids
