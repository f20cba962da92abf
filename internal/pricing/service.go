package pricing

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"

	"armada"
	"armada/pkg/api/bidstore"
)

// service is a server that knows bids.
type service struct {
	conn   *grpc.ClientConn
	queues func(ctx context.Context) ([]armada.Queue, error)
}

// dial prepares the connection; it is made when it is needed first.
func dial(config Service, queues func(ctx context.Context) ([]armada.Queue, error)) (*service, error) {
	security := insecure.NewCredentials()
	if config.TLS {
		trusted, err := authorities(config.CAFile)
		if err != nil {
			return nil, fmt.Errorf("service.caFile: %w", err)
		}
		security = credentials.NewTLS(&tls.Config{MinVersion: tls.VersionTLS12, RootCAs: trusted})
	}
	conn, err := grpc.NewClient("dns:///"+config.Address, grpc.WithTransportCredentials(security), grpc.WithUserAgent("armada-server"))
	if err != nil {
		return nil, fmt.Errorf("service.address: %w", err)
	}
	return &service{conn, queues}, nil
}

// authorities reads certificates; nil are those that the machine trusts.
func authorities(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s has no certificate, must have one in PEM at least", file)
	}
	return pool, nil
}

// read asks for the bids of all queues.
func (s *service) read(ctx context.Context) (armada.Bids, error) {
	queues, err := s.queues(ctx)
	if err != nil {
		return nil, fmt.Errorf("listing the queues: %w", err)
	}
	request := &bidstore.RetrieveBidsRequest{}
	for _, q := range queues {
		request.Queues = append(request.Queues, q.Name)
	}
	answer, err := bidstore.NewBidRetrieverServiceClient(s.conn).RetrieveBids(ctx, request)
	if err != nil {
		return nil, fmt.Errorf("asking %s: %w", s.conn.Target(), err)
	}
	return answered(answer)
}

func (s *service) close() error { return s.conn.Close() }

// answered turns an answer into bids, or tells everything that is wrong with it.
func answered(answer *bidstore.RetrieveBidsResponse) (armada.Bids, error) {
	bids := armada.Bids{}
	var errs []error
	for _, queue := range slices.Sorted(maps.Keys(answer.GetQueueBids())) {
		pools := answer.GetQueueBids()[queue].GetPoolBids()
		for _, pool := range slices.Sorted(maps.Keys(pools)) {
			b, err := ofQueue(pools[pool])
			if err != nil {
				errs = append(errs, fmt.Errorf("the answer for queue %s in pool %s: %w", queue, pool, err))
			}
			if bids[pool] == nil {
				bids[pool] = map[string]armada.QueueBids{}
			}
			bids[pool][queue] = b
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return bids, nil
}

// ofQueue are the bids of one queue. What a band does not bid for a phase is the
// fallback.
func ofQueue(said *bidstore.PoolBids) (armada.QueueBids, error) {
	var bids armada.QueueBids
	fallback, err := over(armada.Bid{}, said.GetFallbackBids())
	if err != nil {
		return bids, fmt.Errorf("fallback_bids: %w", err)
	}
	for i := range bids {
		bids[i] = fallback
	}
	for _, b := range said.GetPriceBandBids() {
		if b.GetPriceBand() < 0 || int(b.GetPriceBand()) >= len(bids) {
			return bids, fmt.Errorf("there is no price band %d", b.GetPriceBand())
		}
		if bids[b.GetPriceBand()], err = over(fallback, b.GetPriceBandBids()); err != nil {
			return bids, fmt.Errorf("%v: %w", b.GetPriceBand(), err)
		}
	}
	return bids, nil
}

// over replaces what is said of a bid.
func over(bid armada.Bid, said *bidstore.PriceBandBids) (armada.Bid, error) {
	for _, p := range said.GetPricingPhaseBids() {
		price, err := armada.NewPrice(p.GetBid().GetAmount())
		if err != nil {
			return bid, fmt.Errorf("%v: %w", p.GetPricingPhase(), err)
		}
		switch p.GetPricingPhase() {
		case bidstore.PricingPhase_PRICING_PHASE_QUEUEING:
			bid.Queued = price
		case bidstore.PricingPhase_PRICING_PHASE_RUNNING:
			bid.Running = price
		case bidstore.PricingPhase_PRICING_PHASE_UNSPECIFIED:
			return bid, errors.New("a bid must say for which phase it is")
		default:
			return bid, fmt.Errorf("there is no pricing phase %d", p.GetPricingPhase())
		}
	}
	return bid, nil
}
