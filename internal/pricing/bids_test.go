package pricing

import (
	"context"
	"encoding/pem"
	"errors"
	"log/slog"
	"math"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"armada"
	"armada/pkg/api/bidstore"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// some are the bids of a queue that bids the same for every band but one.
func some(otherwise armada.Bid, band armada.PriceBand, bid armada.Bid) armada.QueueBids {
	var b armada.QueueBids
	for i := range b {
		b[i] = otherwise
	}
	b[band] = bid
	return b
}

func write(t *testing.T, path, text string) {
	t.Helper()
	next := path + ".next"
	if err := os.WriteFile(next, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(next, path); err != nil {
		t.Fatal(err)
	}
}

// watch runs bids until the test ends.
func watch(t *testing.T, config Config, parts Parts) *Bids {
	t.Helper()
	config.Refresh = time.Millisecond
	if err := config.Validate(); err != nil {
		t.Fatal(err)
	}
	b, err := New(config, parts)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = b.Run(ctx) // it ends with the context
	}()
	t.Cleanup(func() {
		stop()
		<-done
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

// wantNext waits for a change and compares what is bid then.
func wantNext(t *testing.T, b *Bids, want armada.Bids) {
	t.Helper()
	select {
	case <-b.Changed():
	case <-t.Context().Done():
		t.Fatal("nothing has changed")
	}
	if diff := gocmp.Diff(want, b.Latest()); diff != "" {
		t.Fatalf("bids (-want +got):\n%s", diff)
	}
}

func TestBidsFollowTheirFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "bids.yaml")
	write(t, path, "pools:\n  gpu:\n    physics: {A: 2.5/3, otherwise: 1}\n")
	registry := prometheus.NewRegistry()
	warned := make(warnings, 1)
	b := watch(t, Config{File: path}, Parts{Metrics: registry, Log: warned.log()})
	one, two := armada.Price(1_000_000), armada.Price(2_000_000)
	first := armada.Bids{"gpu": {"physics": some(armada.Bid{Queued: one, Running: one}, 1, armada.Bid{Queued: 2_500_000, Running: 3_000_000})}}
	wantNext(t, b, first)

	// A wrong file changes nothing, and neither does one that is gone.
	write(t, path, "pools: {gpu: {physics: {I: 2}}}\n")
	warned.wait(t, "A to H")
	if diff := gocmp.Diff(first, b.Latest()); diff != "" {
		t.Errorf("a wrong file has changed the bids:\n%s", diff)
	}
	if at := gauge(t, registry, "armada_pricing_last_answer_timestamp_seconds"); at == 0 {
		t.Error("the metric does not tell when the file was good")
	}
	if failures := gauge(t, registry, "armada_pricing_failures_total"); failures == 0 {
		t.Error("the metric does not count failures")
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	warned.wait(t, "no such file")
	write(t, path, "pools: {gpu: {physics: {otherwise: 2}}}\n")
	both := armada.Bid{Queued: two, Running: two}
	wantNext(t, b, armada.Bids{"gpu": {"physics": some(both, 0, both)}})
}

// warnings are the latest lines of a log.
type warnings chan string

func (w warnings) Write(line []byte) (int, error) {
	select {
	case w <- string(line):
	default: // nobody waits for it
	}
	return len(line), nil
}

func (w warnings) log() *slog.Logger { return slog.New(slog.NewTextHandler(w, nil)) }

// wait waits for a warning that says something.
func (w warnings) wait(t *testing.T, what string) {
	t.Helper()
	for {
		select {
		case line := <-w:
			if strings.Contains(line, what) && strings.Contains(line, "level=WARN") && strings.Contains(line, "known_for=") {
				return
			}
		case <-t.Context().Done():
			t.Fatalf("nobody warned of %s", what)
		}
	}
}

// gauge reads a metric without labels.
func gauge(t *testing.T, registry *prometheus.Registry, name string) float64 {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			return f.GetMetric()[0].GetGauge().GetValue() + f.GetMetric()[0].GetCounter().GetValue()
		}
	}
	t.Fatalf("there is no metric %s", name)
	return 0
}

func TestAWrongFileIsToldWithTheFieldAndWhatWouldBeRight(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"pools: {gpu: {physics: {I: 2}}}":       "pools.gpu.physics.I: is no price band; they are A to H, and otherwise for all that are not named",
		"pools: {gpu: {physics: {A: cheap}}}":   "must be a price, such as 2, or two, such as 2/3",
		"pools: {gpu: {physics: {A: -1}}}":      "-1 is no price: it must be from 0 to",
		"pools: {gpu: {physics: {A: 1/NaN}}}":   "NaN is no price: it must be from 0 to",
		"pool: {gpu: {physics: {A: 1}}}":        "unknown key; the nearest known key is pools",
		"pools: {gpu: {physics: {A: 1, A: 2}}}": "A",
	} {
		path := filepath.Join(t.TempDir(), "bids.yaml")
		write(t, path, text)
		if _, err := file(path).read(t.Context()); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "bids.yaml") {
			t.Errorf("%s: the error is %v, want the file and %q", text, err, want)
		}
	}
}

// store is a service whose answer a test sets.
type store struct {
	bidstore.UnimplementedBidRetrieverServiceServer
	mutex  sync.Mutex
	answer *bidstore.RetrieveBidsResponse
	err    error
	asked  []string
}

func (s *store) RetrieveBids(_ context.Context, r *bidstore.RetrieveBidsRequest) (*bidstore.RetrieveBidsResponse, error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.asked = r.GetQueues()
	return s.answer, s.err
}

func (s *store) set(answer *bidstore.RetrieveBidsResponse, err error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.answer, s.err = answer, err
}

// serve serves on an address until stop is called.
func (s *store) serve(t *testing.T, addr string, options ...grpc.ServerOption) (at string, stop func()) {
	t.Helper()
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer(options...)
	bidstore.RegisterBidRetrieverServiceServer(server, s)
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := server.Serve(listener); err != nil && !errors.Is(err, grpc.ErrServerStopped) {
			t.Error(err)
		}
	}()
	return listener.Addr().String(), func() {
		server.Stop()
		<-done
	}
}

// bid is one for both phases; 0 leaves running out.
func bid(queueing, running float64) *bidstore.PriceBandBids {
	b := &bidstore.PriceBandBids{PricingPhaseBids: []*bidstore.PricingPhaseBid{
		{PricingPhase: bidstore.PricingPhase_PRICING_PHASE_QUEUEING, Bid: &bidstore.Bid{Amount: queueing}},
	}}
	if running != 0 {
		b.PricingPhaseBids = append(b.PricingPhaseBids, &bidstore.PricingPhaseBid{
			PricingPhase: bidstore.PricingPhase_PRICING_PHASE_RUNNING, Bid: &bidstore.Bid{Amount: running},
		})
	}
	return b
}

// answerOf is what queue physics bids in pool gpu: for band B, and otherwise.
func answerOf(b, otherwise *bidstore.PriceBandBids) *bidstore.RetrieveBidsResponse {
	return &bidstore.RetrieveBidsResponse{QueueBids: map[string]*bidstore.QueueBids{"physics": {PoolBids: map[string]*bidstore.PoolBids{"gpu": {
		PriceBandBids: []*bidstore.PriceBandBid{{PriceBand: bidstore.PriceBand_PRICE_BAND_B, PriceBandBids: b}}, FallbackBids: otherwise,
	}}}}}
}

func twoQueues(context.Context) ([]armada.Queue, error) {
	return []armada.Queue{{Name: "chemistry"}, {Name: "physics"}}, nil
}

func TestBidsFollowTheService(t *testing.T) {
	t.Parallel()
	s := &store{answer: answerOf(bid(2, 0), bid(1, 1.5))}
	addr, stop := s.serve(t, "127.0.0.1:0")
	warned := make(warnings, 1)
	b := watch(t, Config{Service: Service{Address: addr}}, Parts{Queues: twoQueues, Log: warned.log()})
	fallback := armada.Bid{Queued: 1_000_000, Running: 1_500_000}
	first := armada.Bids{"gpu": {"physics": some(fallback, 2, armada.Bid{Queued: 2_000_000, Running: 1_500_000})}}
	wantNext(t, b, first)
	s.mutex.Lock()
	if want := []string{"chemistry", "physics"}; !slices.Equal(s.asked, want) {
		t.Errorf("the service was asked for %v, want %v", s.asked, want)
	}
	s.mutex.Unlock()

	// While it is away, or answers nonsense, what is known stays.
	failed := func(what string) {
		t.Helper()
		warned.wait(t, what)
		if diff := gocmp.Diff(first, b.Latest()); diff != "" {
			t.Errorf("%s, and the bids have changed:\n%s", what, diff)
		}
	}
	s.set(answerOf(bid(-1, 0), nil), nil)
	failed("-1 is no price")
	s.set(nil, errors.New("out of order"))
	failed("out of order")
	stop()
	failed("connection refused")

	s.set(answerOf(bid(3, 3), bid(1, 1.5)), nil)
	_, stop = s.serve(t, addr)
	defer stop()
	wantNext(t, b, armada.Bids{"gpu": {"physics": some(fallback, 2, armada.Bid{Queued: 3_000_000, Running: 3_000_000})}})
}

func TestAWrongAnswerIsRefusedAsAWhole(t *testing.T) {
	t.Parallel()
	strange := answerOf(bid(1, 1), nil)
	strange.QueueBids["physics"].PoolBids["gpu"].PriceBandBids[0].PriceBand = 9
	phase := answerOf(bid(1, 1), nil)
	phase.QueueBids["physics"].PoolBids["gpu"].PriceBandBids[0].PriceBandBids.PricingPhaseBids[0].PricingPhase = 0
	for want, answer := range map[string]*bidstore.RetrieveBidsResponse{
		"PRICE_BAND_B: PRICING_PHASE_QUEUEING: -1 is no price":  answerOf(bid(-1, 0), nil),
		"PRICE_BAND_B: PRICING_PHASE_RUNNING: +Inf is no price": answerOf(bid(1, math.Inf(1)), nil),
		"fallback_bids: PRICING_PHASE_QUEUEING: NaN":            answerOf(bid(1, 1), bid(math.NaN(), 0)),
		"there is no price band 9":                              strange,
		"a bid must say for which phase it is":                  phase,
	} {
		bids, err := answered(answer)
		if bids != nil || err == nil || !strings.HasPrefix(err.Error(), "the answer for queue physics in pool gpu: ") || !strings.Contains(err.Error(), want) {
			t.Errorf("the error is %v, want %q", err, want)
		}
	}
}

func TestAPlainServiceIsNotAskedOverTLS(t *testing.T) {
	t.Parallel()
	s := &store{answer: answerOf(bid(2, 2), nil)}
	addr, stop := s.serve(t, "127.0.0.1:0")
	defer stop()
	asked, err := dial(Service{Address: addr, TLS: true}, twoQueues)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = asked.close() }()
	if bids, err := asked.read(t.Context()); err == nil || !strings.Contains(err.Error(), "tls") {
		t.Errorf("the answer is %v and the error %v, want one about TLS", bids, err)
	}
}

func TestAServiceOverTLSIsTrustedByItsAuthority(t *testing.T) {
	t.Parallel()
	web := httptest.NewTLSServer(nil) // for its certificate
	web.Close()
	s := &store{answer: answerOf(bid(2, 2), nil)}
	addr, stop := s.serve(t, "127.0.0.1:0", grpc.Creds(credentials.NewServerTLSFromCert(&web.TLS.Certificates[0])))
	defer stop()
	file := filepath.Join(t.TempDir(), "ca.pem")
	ask := func(ca string) (armada.Bids, error) {
		asked, err := dial(Service{Address: addr, TLS: true, CAFile: ca}, twoQueues)
		if err != nil {
			return nil, err
		}
		defer func() { _ = asked.close() }()
		return asked.read(t.Context())
	}
	if _, err := ask(file); err == nil || !strings.HasPrefix(err.Error(), "service.caFile: ") || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("without the file the error is %v", err)
	}
	if err := os.WriteFile(file, []byte("nothing"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := ask(file); err == nil || !strings.Contains(err.Error(), "must have one in PEM") {
		t.Errorf("for a file without certificates the error is %v", err)
	}
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: web.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	if bids, err := ask(file); err != nil || len(bids["gpu"]) != 1 {
		t.Errorf("the bids are %v, %v", bids, err)
	}
	if _, err := ask(""); err == nil || !strings.Contains(err.Error(), "unknown authority") {
		t.Errorf("without its authority the error is %v", err)
	}
}

func TestSettingsOfBidsNameTheFieldAndWhatWouldBeRight(t *testing.T) {
	t.Parallel()
	for want, c := range map[string]Config{
		"file: must be empty when service.address is set": {File: "f", Service: Service{Address: "a:1"}, Refresh: 1},
		"refresh: must be more than nothing":              {},
		"service.address: must be host:port":              {Service: Service{Address: "bids.example"}, Refresh: 1},
		"service.tls: must be left out":                   {Service: Service{TLS: true}, Refresh: 1},
		"service.caFile: must be left out":                {Service: Service{Address: "a:1", CAFile: "ca.pem"}, Refresh: 1},
	} {
		if err := c.Validate(); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("the error is %v, want %q", err, want)
		}
	}
	if c := DefaultConfig(); c.Validate() != nil || c.Configured() {
		t.Errorf("the defaults are %+v: %v", c, c.Validate())
	}
}
