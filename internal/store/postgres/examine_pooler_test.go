package postgres_test

import (
	"testing"

	"armada/internal/doctor"
	"armada/internal/store/postgres"
	"armada/internal/store/postgres/pgtest"
)

func TestAPoolerThatSharesConnectionsIsFoundByMeetingInOne(t *testing.T) {
	t.Parallel()
	server := pgtest.Start(t)
	direct := server.Database(t)
	_ = opened(t, direct)
	through := server.Pooler(t).Through(t, direct)
	says(t, checked(t, examine(t, postgres.Config{URL: direct}, postgres.Limits{}), "pooler"), doctor.OK, "none")
	for _, test := range []struct {
		config postgres.Config
		want   doctor.Verdict
		words  string
	}{
		{postgres.Config{URL: through}, doctor.Problem, "set store.transactionPooler: true"},
		{postgres.Config{URL: through, TransactionPooler: true}, doctor.Warning, "a quarter of a second later"},
		{postgres.Config{URL: through, DirectURL: direct, TransactionPooler: true}, doctor.OK, "past it"},
		{postgres.Config{URL: direct, DirectURL: through, TransactionPooler: true}, doctor.Problem, "through which nobody can be woken"},
		{postgres.Config{URL: direct, TransactionPooler: true}, doctor.Warning, "were not found to be shared"},
	} {
		x := examine(t, test.config, postgres.Limits{})
		says(t, checked(t, x, "pooler"), test.want, test.words)
		says(t, checked(t, x, "database"), doctor.OK)
		says(t, checked(t, x, "migrations"), doctor.OK)
	}
}
