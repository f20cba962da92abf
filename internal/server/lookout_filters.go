package server

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"armada"
	"armada/internal/podspec"
	"armada/internal/store"
	"armada/internal/wire"
	"armada/pkg/api"
	"armada/pkg/api/lookout"
)

// mostPatience bounds the time that a caller gives a search.
const mostPatience = 10 * time.Second

// aliases are short names of resources.
var aliases = map[string]string{"gpu": armada.NvidiaGPU}

// ops are the comparisons as the store knows them.
var ops = map[lookout.Match]store.Op{
	lookout.Match_EQUALS: store.OpEqual, lookout.Match_IN: store.OpEqual, lookout.Match_CONTAINS: store.OpContains,
	lookout.Match_STARTS_WITH: store.OpPrefix, lookout.Match_GREATER_THAN: store.OpGreater, lookout.Match_LESS_THAN: store.OpLess,
	lookout.Match_GREATER_OR_EQUAL: store.OpGreaterEqual, lookout.Match_LESS_OR_EQUAL: store.OpLessEqual, lookout.Match_EXISTS: store.OpExists,
}

// listQuery reads what jobs are wanted.
func (s *lookoutService) listQuery(r *lookout.GetJobsRequest) (store.Query, error) {
	var wrong violations
	query := store.Query{
		After: r.GetPageToken(), Limit: pageSize(r.GetPageSize(), &wrong), Descending: r.GetOrder().GetDirection() == lookout.Direction_DESCENDING,
		Patience: patience("time_budget", r.GetTimeBudget(), &wrong), Where: s.conditions(r.GetFilters(), &wrong),
	}
	if field := r.GetOrder().GetField(); field != "" {
		column, known := s.column(field, r.GetOrder().GetIsAnnotation())
		if !known {
			wrong.add("order.field", s.noColumn(field))
		}
		if query.Order = column; column.Field == store.FieldSubmitted || column.Field == store.FieldJobID {
			query.Order = store.Column{}
		}
	}
	return query, wrong.err("nothing was listed")
}

func pageSize(n int32, wrong *violations) int {
	if n < 0 || n > store.MaxPage {
		wrong.add("page_size", fmt.Sprintf("is %d, must be 0 to %d", n, store.MaxPage))
	}
	return int(n)
}

// patience reads a duration; 0 when it is not given.
func patience(path string, d *durationpb.Duration, wrong *violations) time.Duration {
	if d == nil {
		return 0
	}
	if given := d.AsDuration(); d.CheckValid() == nil && given > 0 && given <= mostPatience {
		return given
	}
	wrong.add(path, fmt.Sprintf("must be more than nothing and at most %v", mostPatience))
	return 0
}

// column is the one that a name stands for.
func (s *lookoutService) column(name string, annotation bool) (store.Column, bool) {
	if annotation {
		return store.Column{Field: store.FieldAnnotation, Key: name}, name != ""
	}
	for _, f := range store.Fields() {
		if f.String() == name {
			return store.Column{Field: f}, true
		}
	}
	if full, short := aliases[name]; short {
		name = full
	}
	_, counted := s.table.Index(name)
	return store.Column{Field: store.FieldResource, Key: name}, counted
}

// noColumn says that there is no such column, and which there are.
func (s *lookoutService) noColumn(name string) string {
	var names []string
	for _, f := range store.Fields() {
		names = append(names, f.String())
	}
	names = append(names, s.table.Names()...)
	names = append(names, slices.Sorted(maps.Keys(aliases))...)
	return fmt.Sprintf("there is no field %q: there are %s, and annotations with is_annotation", clip(name, 60), strings.Join(names, ", "))
}

// conditions reads filters.
func (s *lookoutService) conditions(filters []*lookout.Filter, wrong *violations) []store.Condition {
	var list []store.Condition
	for i, f := range filters {
		path := fmt.Sprintf("filters[%d]", i)
		before := len(*wrong)
		c := s.condition(f, path, wrong)
		if len(*wrong) == before {
			if err := c.Means(); err != nil {
				wrong.add(path+".match", err.Error())
				continue
			}
			list = append(list, c)
		}
	}
	return list
}

func (s *lookoutService) condition(f *lookout.Filter, path string, wrong *violations) store.Condition {
	column, known := s.column(f.GetField(), f.GetIsAnnotation())
	if !known {
		wrong.add(path+".field", s.noColumn(f.GetField()))
		return store.Condition{}
	}
	op, known := ops[f.GetMatch()]
	if !known {
		wrong.add(path+".match", fmt.Sprintf("%d is no comparison", f.GetMatch()))
	}
	switch n := len(f.GetValues()); {
	case n == 0 && op != store.OpExists:
		wrong.add(path+".values", "is empty: "+f.GetMatch().String()+" needs a value")
	case n > 0 && op == store.OpExists:
		wrong.add(path+".values", "must be empty for EXISTS")
	case n > 1 && op != store.OpEqual:
		wrong.add(path+".values", fmt.Sprintf("has %d entries, and %s takes one", n, f.GetMatch()))
	}
	c := store.Condition{Column: column, Op: op}
	for i, value := range f.GetValues() {
		if !column.Numeric() {
			c.Texts = append(c.Texts, value)
			continue
		}
		number, err := s.number(column, value, op)
		if err != "" {
			wrong.add(fmt.Sprintf("%s.values[%d]", path, i), err)
		}
		c.Numbers = append(c.Numbers, number)
	}
	return c
}

// number reads a value of a numeric column, or says what is wrong with it.
func (s *lookoutService) number(column store.Column, value string, op store.Op) (int64, string) {
	switch column.Field {
	case store.FieldState:
		named, is := api.JobState_value[strings.ToUpper(value)]
		state, known := wire.StateOf(api.JobState(named))
		if !is || !known {
			return 0, fmt.Sprintf("%q is no state", clip(value, 60))
		}
		return int64(state), ""
	case store.FieldSubmitted, store.FieldTransitioned:
		at, err := time.Parse(time.RFC3339Nano, value)
		if err != nil {
			return 0, "must be a time as in RFC 3339, 2006-01-02T15:04:05Z"
		}
		return at.UnixMicro(), ""
	case store.FieldResource:
		i, _ := s.table.Index(column.Key)
		amount, err := podspec.ParseQuantity(value, s.table.At(i), op == store.OpGreaterEqual || op == store.OpLess)
		if err != nil {
			return 0, "must be a quantity such as 500m, 2 or 16Gi: " + err.Error()
		}
		return amount, ""
	default:
		n, err := strconv.ParseInt(value, 10, 64)
		if err != nil {
			return 0, fmt.Sprintf("must be a whole number, is %q", clip(value, 60))
		}
		return n, ""
	}
}
