package postgres_test

import (
	"context"
	"os"
	"sync"
	"testing"

	"armada/internal/store"
	"armada/internal/store/postgres"
	"armada/internal/store/postgres/pgtest"
	"armada/internal/store/storetest"
)

func openURL(ctx context.Context, url string) (store.Store, error) {
	return postgres.Open(ctx, postgres.Config{URL: url})
}

func TestMain(m *testing.M) {
	if storetest.CrashChild(openURL) {
		os.Exit(1)
	}
	os.Exit(pgtest.Main(m))
}

func TestWhatWasAcknowledgedSurvivesKill9AtRandomMoments(t *testing.T) {
	t.Parallel()
	storetest.SurviveKill9(t, pgtest.Database(t), openURL)
}

func TestThePostgreSQLFormKeepsAllPromises(t *testing.T) {
	t.Parallel()
	storetest.Run(t, formOf(&places{}))
}

// places are the databases that stand for folders.
type places struct {
	mu     sync.Mutex
	urls   map[string]string
	opened map[string]int
}

func (p *places) url(t *testing.T, place string) string {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.urls == nil {
		p.urls, p.opened = map[string]string{}, map[string]int{}
	}
	if p.urls[place] == "" {
		p.urls[place] = pgtest.Database(t)
	}
	p.opened[place]++
	return p.urls[place]
}

// pooled tells that the latest opening of a place is every second one.
func (p *places) pooled(place string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.opened[place]%2 == 0
}

// formOf opens the database of a place; every second time as if there were a
// transaction pooler, so that both ways of talking are proved to be the same.
func formOf(p *places) storetest.Form {
	return func(t *testing.T, c storetest.Config) store.Store {
		t.Helper()
		url := p.url(t, c.Place)
		config := postgres.Config{
			URL: url, Clock: c.Clock, Resources: c.Resources, TransactionPooler: p.pooled(c.Place), DirectURL: url,
			ClientIDRetention: c.ClientIDRetention, MaxQueuedPerQueue: c.MaxQueuedPerQueue, Connections: 4,
		}
		s, err := postgres.Open(t.Context(), config)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
}
