package simulator

import (
	"encoding/csv"
	"fmt"
	"io"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/parquet-go/parquet-go"

	"armada"
)

// jobRow is a row of the table of jobs. Times are seconds from the beginning,
// empty when the moment did not come; amounts are cores, bytes and devices.
type jobRow struct {
	Queue            string   `parquet:"queue,dict"`
	JobSet           string   `parquet:"job_set,dict"`
	Template         string   `parquet:"template,dict"`
	JobID            string   `parquet:"job_id"`
	RunID            string   `parquet:"run_id"`
	Trial            int64    `parquet:"trial"` // 2 is the work of a preempted job once more
	Gang             string   `parquet:"gang,dict"`
	PriorityClass    string   `parquet:"priority_class,dict"`
	CPU              float64  `parquet:"cpu"`
	Memory           int64    `parquet:"memory"`
	GPU              int64    `parquet:"gpu"`
	EphemeralStorage int64    `parquet:"ephemeral_storage"`
	State            string   `parquet:"state,dict"`
	Reason           string   `parquet:"reason,dict"`
	Pool             string   `parquet:"pool,dict"`
	Cluster          string   `parquet:"cluster,dict"`
	Node             string   `parquet:"node,dict"`
	Submitted        float64  `parquet:"submitted_time"`
	Scheduled        *float64 `parquet:"scheduled_time,optional"`
	Started          *float64 `parquet:"started_time,optional"`
	Finished         *float64 `parquet:"finished_time,optional"`
}

// roundRow is a row of the table of rounds: a queue in one round of a pool.
// Shares are fractions of the pool.
type roundRow struct {
	Time                      float64 `parquet:"time"`
	Pool                      string  `parquet:"pool,dict"`
	Queue                     string  `parquet:"queue,dict"`
	FairShare                 float64 `parquet:"fair_share"`
	AdjustedShare             float64 `parquet:"adjusted_fair_share"`
	DemandShare               float64 `parquet:"demand_share"`
	ActualShare               float64 `parquet:"actual_share"`
	CPUShare                  float64 `parquet:"cpu_share"`
	MemoryShare               float64 `parquet:"memory_share"`
	GPUShare                  float64 `parquet:"gpu_share"`
	AllocatedCPU              float64 `parquet:"allocated_cpu"`
	AllocatedMemory           int64   `parquet:"allocated_memory"`
	AllocatedGPU              int64   `parquet:"allocated_gpu"`
	AllocatedEphemeralStorage int64   `parquet:"allocated_ephemeral_storage"`
	Queued                    int64   `parquet:"num_queued"`
	Scheduled                 int64   `parquet:"num_scheduled"`
	Preempted                 int64   `parquet:"num_preempted"`
}

// seconds is a moment for a table; nil when it did not come.
func seconds(at time.Time) *float64 {
	if at.IsZero() {
		return nil
	}
	s := float64(at.Sub(began).Milliseconds()) / 1000
	return &s
}

// amount is an amount of a resource by name, 0 when it is not counted.
func (r *Result) amount(of *armada.Resources, name string) int64 {
	if i, counted := r.table.Index(name); counted {
		return of[i]
	}
	return 0
}

func (r *Result) jobRows() []jobRow {
	rows := make([]jobRow, len(r.lives))
	for i, l := range r.lives {
		needs := &l.of.needs.Resources
		rows[i] = jobRow{
			Queue: l.job.Queue, JobSet: string(l.job.JobSet), Template: l.of.id, JobID: string(l.job.ID), RunID: string(l.run.ID),
			Trial: int64(l.trial), Gang: l.job.Gang.ID, PriorityClass: l.of.needs.PriorityClass,
			CPU: float64(r.amount(needs, armada.CPU)) / 1000, Memory: r.amount(needs, armada.Memory),
			GPU: r.amount(needs, armada.NvidiaGPU), EphemeralStorage: r.amount(needs, armada.EphemeralStorage),
			State: l.job.State.String(), Reason: l.job.Reason, Pool: l.run.Pool, Cluster: string(l.run.Executor), Node: l.run.Node,
			Submitted: *seconds(l.job.Submitted), Scheduled: seconds(l.run.Leased), Started: seconds(l.run.Started), Finished: seconds(l.run.Finished),
		}
	}
	return rows
}

func (r *Result) roundRows() []roundRow {
	has := map[string]armada.Resources{}
	for _, c := range r.pools {
		has[c.pool] = c.has
	}
	rows := make([]roundRow, len(r.held))
	for i := range r.held {
		h := &r.held[i]
		capacity := has[h.pool]
		part := func(name string) float64 {
			return float64(r.amount(&h.allocated, name)) / float64(max(1, r.amount(&capacity, name)))
		}
		rows[i] = roundRow{
			Time: float64(h.at.Milliseconds()) / 1000, Pool: h.pool, Queue: h.queue,
			FairShare: fraction(h.fair), AdjustedShare: fraction(h.adjusted), DemandShare: fraction(h.demand), ActualShare: fraction(h.share),
			CPUShare: part(armada.CPU), MemoryShare: part(armada.Memory), GPUShare: part(armada.NvidiaGPU),
			AllocatedCPU:    float64(r.amount(&h.allocated, armada.CPU)) / 1000,
			AllocatedMemory: r.amount(&h.allocated, armada.Memory), AllocatedGPU: r.amount(&h.allocated, armada.NvidiaGPU),
			AllocatedEphemeralStorage: r.amount(&h.allocated, armada.EphemeralStorage),
			Queued:                    h.queued, Scheduled: h.placed, Preempted: h.lost,
		}
	}
	return rows
}

func fraction(millionths int64) float64 { return float64(millionths) / 1e6 }

// WriteJobsCSV writes a row per job, in the order in which they ended.
func (r *Result) WriteJobsCSV(w io.Writer) error { return writeCSV(w, r.jobRows()) }

// WriteJobsParquet writes the same in Parquet.
func (r *Result) WriteJobsParquet(w io.Writer) error { return writeParquet(w, r.jobRows()) }

// WriteRoundsCSV writes a row per round, pool and queue, in order of time.
func (r *Result) WriteRoundsCSV(w io.Writer) error { return writeCSV(w, r.roundRows()) }

// WriteRoundsParquet writes the same in Parquet.
func (r *Result) WriteRoundsParquet(w io.Writer) error { return writeParquet(w, r.roundRows()) }

// writeCSV writes rows with the columns that their type has in Parquet.
func writeCSV[T any](w io.Writer, rows []T) error {
	out := csv.NewWriter(w)
	row := reflect.TypeFor[T]()
	record := make([]string, row.NumField())
	for i := range record {
		record[i], _, _ = strings.Cut(row.Field(i).Tag.Get("parquet"), ",")
	}
	if err := out.Write(record); err != nil {
		return fmt.Errorf("writing CSV: %w", err)
	}
	for i := range rows {
		v := reflect.ValueOf(&rows[i]).Elem()
		for j := range record {
			record[j] = cell(v.Field(j))
		}
		if err := out.Write(record); err != nil {
			return fmt.Errorf("writing CSV: %w", err)
		}
	}
	out.Flush()
	return out.Error()
}

// cell writes a value of a row; nil is empty.
func cell(v reflect.Value) string {
	if v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return ""
		}
		v = v.Elem()
	}
	switch {
	case v.CanInt():
		return strconv.FormatInt(v.Int(), 10)
	case v.CanFloat():
		return strconv.FormatFloat(v.Float(), 'f', -1, 64)
	}
	return v.String()
}

func writeParquet[T any](w io.Writer, rows []T) error {
	// The name of the writer would otherwise hold the version of the build.
	out := parquet.NewGenericWriter[T](w, parquet.Compression(&parquet.Zstd), parquet.CreatedBy("armada", "", ""))
	if _, err := out.Write(rows); err != nil {
		return fmt.Errorf("writing Parquet: %w", err)
	}
	if err := out.Close(); err != nil {
		return fmt.Errorf("writing Parquet: %w", err)
	}
	return nil
}

func sortedNames(m map[string]float64) []string { return slices.Sorted(maps.Keys(m)) }
