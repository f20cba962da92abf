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
	storetest.Run(t, formOf(&places{pooler: pgtest.Shared().Pooler(t)}))
}

func TestThePromisesAreKeptBehindPgBouncerWithoutADirectURL(t *testing.T) {
	t.Parallel()
	pooler, p := pgtest.Shared().Pooler(t), &places{}
	storetest.Run(t, func(t *testing.T, c storetest.Config) store.Store {
		t.Helper()
		return openForm(t, c, postgres.Config{URL: pooler.Through(t, p.url(t, c.Place)), TransactionPooler: true})
	})
}

// places are the databases that stand for folders.
type places struct {
	pooler *pgtest.Pooler // nil: there is none
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

// pooled tells that the latest opening of a place is every second one, and that
// there is a pooler.
func (p *places) pooled(place string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.pooler != nil && p.opened[place]%2 == 0
}

// formOf opens the database of a place; every second time through PgBouncer, so
// that both ways of talking are proved to go together.
func formOf(p *places) storetest.Form {
	return func(t *testing.T, c storetest.Config) store.Store {
		t.Helper()
		config := postgres.Config{URL: p.url(t, c.Place)}
		if p.pooled(c.Place) {
			config.DirectURL, config.TransactionPooler = config.URL, true
			config.URL = p.pooler.Through(t, config.URL)
		}
		return openForm(t, c, config)
	}
}

func openForm(t *testing.T, c storetest.Config, config postgres.Config) store.Store {
	t.Helper()
	config.Clock, config.Resources, config.Connections = c.Clock, c.Resources, 4
	config.ClientIDRetention, config.MaxQueuedPerQueue, config.Retries = c.ClientIDRetention, c.MaxQueuedPerQueue, c.Retries
	config.IndexedAnnotations = c.IndexedAnnotations
	s, err := postgres.Open(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	return s
}
