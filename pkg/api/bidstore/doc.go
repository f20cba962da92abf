// Package bidstore is the wire on which a server asks another service for the
// bids of queues. It is generated from bids.proto and never edited.
package bidstore
