package manifest

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"armada"
	"armada/internal/podspec"
	"armada/pkg/api"
)

// Jobs is a file of jobs:
//
//	queue: my-queue
//	jobSetId: my-job-set
//	jobs:
//	  - priority: 1
//	    podSpec: {…}
//
// What an entry of jobs may have is what api.JobSubmitRequestItem has.
type Jobs struct {
	Queue  string
	JobSet string
	Items  []*api.JobSubmitRequestItem

	document *document
}

var jobsKeys = []string{"jobSetId", "jobs", "queue"}

// ReadJobs reads a file of jobs. The error is an [*Error] with everything that
// is wrong.
func ReadJobs(data []byte) (*Jobs, error) {
	d, err := parse(data)
	if err != nil {
		return nil, err
	}
	var top map[string]json.RawMessage
	if err := json.Unmarshal(d.json, &top); err != nil || top == nil {
		return nil, &Error{[]Problem{{Line: 1, Message: "must have the keys queue, jobSetId and jobs"}}}
	}
	jobs := &Jobs{document: d}
	var problems []Problem
	for _, key := range slices.Sorted(maps.Keys(top)) {
		switch strings.ToLower(key) {
		case "queue":
			problems = append(problems, d.text(top[key], key, &jobs.Queue)...)
		case "jobsetid", "job_set_id":
			problems = append(problems, d.text(top[key], key, &jobs.JobSet)...)
		case "jobs":
			problems = append(problems, jobs.items(top[key], key)...)
		default:
			problems = append(problems, d.problem(key, unknown(key, jobsKeys)))
		}
	}
	missing := func(key string) {
		problems = append(problems, d.absent(key, top))
	}
	if jobs.Queue == "" && !reported(problems, "queue") {
		missing("queue")
	}
	if jobs.JobSet == "" && !reported(problems, "jobsetid") {
		missing("jobSetId")
	}
	if len(jobs.Items) == 0 && !reported(problems, "jobs") {
		missing("jobs")
	}
	for i, item := range jobs.Items {
		problems = append(problems, jobs.specs(i, item, problems)...)
	}
	if len(problems) > 0 {
		slices.SortStableFunc(problems, func(a, b Problem) int { return a.Line - b.Line })
		return nil, &Error{problems}
	}
	return jobs, nil
}

// absent is the problem of a key at the top that has no value.
func (d *document) absent(key string, top map[string]json.RawMessage) Problem {
	for given := range top {
		if strings.EqualFold(given, key) {
			return d.problem(key, "must not be empty")
		}
	}
	return d.problem(key, "is missing")
}

// reported tells whether there is a problem at or below a path.
func reported(problems []Problem, path string) bool {
	return slices.ContainsFunc(problems, func(p Problem) bool {
		return len(p.Path) >= len(path) && strings.EqualFold(p.Path[:len(path)], path)
	})
}

func (d *document) text(raw []byte, path string, into *string) []Problem {
	if err := json.Unmarshal(raw, into); err != nil {
		return []Problem{d.problem(path, fmt.Sprintf("must be a string, not %s; put it in quotes", raw))}
	}
	return nil
}

func (j *Jobs) items(raw []byte, path string) []Problem {
	var items []json.RawMessage
	if err := json.Unmarshal(raw, &items); err != nil {
		return []Problem{j.document.problem(path, "must be a list")}
	}
	var problems []Problem
	for i, raw := range items {
		item := &api.JobSubmitRequestItem{}
		problems = append(problems, j.document.message(raw, fmt.Sprintf("%s[%d]", path, i), item)...)
		j.Items = append(j.Items, item)
	}
	return problems
}

// specs checks that an item has one pod spec, unless something was found below
// the item already.
func (j *Jobs) specs(i int, item *api.JobSubmitRequestItem, known []Problem) []Problem {
	path := fmt.Sprintf("jobs[%d]", i)
	n := len(item.GetPodSpecs())
	if item.GetPodSpec() != nil {
		n++
	}
	switch {
	case n == 1:
		return nil
	case n > 1:
		if item.GetPodSpec() != nil {
			return []Problem{j.document.problem(path+".podSpecs", "must be empty when podSpec is set: a job has exactly one pod spec")}
		}
		return []Problem{j.document.problem(path+".podSpecs", fmt.Sprintf("has %d entries, a job has exactly one pod spec", n))}
	case reported(known, path+"."):
		return nil
	default:
		return []Problem{j.document.problem(path+".podSpec", "is missing: it says what to run")}
	}
}

// Check tells what a server of this version with the rules it has by default
// would refuse in the jobs; nil when it would take them. The error is an [*Error].
func (j *Jobs) Check() error {
	rules := podspec.DefaultRules(armada.DefaultResourceTable())
	var wrong []armada.Violation
	if err := armada.ValidateQueueName(j.Queue); err != nil {
		wrong = append(wrong, armada.Violation{Path: "queue", Message: err.Error()})
	}
	for i, item := range j.Items {
		path := fmt.Sprintf("jobs[%d]", i)
		field, message := path+".podSpec", item.GetPodSpec()
		if message == nil {
			field, message = path+".podSpecs[0]", item.GetPodSpecs()[0]
		}
		raw, err := proto.Marshal(message)
		if err != nil {
			return fmt.Errorf("encode the pod spec of %s: %w", path, err)
		}
		spec, err := podspec.Decode(raw)
		if err != nil {
			return fmt.Errorf("decode the pod spec of %s: %w", path, err)
		}
		spec.FoldNodeLabels(item.GetRequiredNodeLabels())
		wrong = append(wrong, spec.Validate(rules, field)...)
		_, gang := podspec.ParseGang(item.GetAnnotations(), path+".annotations")
		wrong = append(wrong, gang...)
	}
	if len(wrong) == 0 {
		return nil
	}
	return &Error{j.Locate(wrong, 0)}
}

// Locate finds the lines of violations. Their paths are the file's own, or those
// of a request that the items from first on were sent in.
func (j *Jobs) Locate(wrong []armada.Violation, first int) []Problem {
	problems := make([]Problem, len(wrong))
	for i, v := range wrong {
		problems[i] = j.document.problem(inFile(v.Path, first), v.Message)
	}
	return problems
}

// itemPath takes a path in a request apart: an item, a field of it, the rest.
var itemPath = regexp.MustCompile(`^job_request_items\[(\d+)\](?:\.(\w+))?(.*)$`)

// inFile is a path in a request as a path in the file.
func inFile(path string, first int) string {
	if path == "job_set_id" {
		return "jobSetId"
	}
	parts := itemPath.FindStringSubmatch(path)
	if parts == nil {
		return path
	}
	n, err := strconv.Atoi(parts[1])
	if err != nil {
		return path
	}
	return join(fmt.Sprintf("jobs[%d]", first+n), jsonName(parts[2])) + parts[3]
}

// jsonName is the name that a field of an item has in files.
func jsonName(field string) string {
	known := (&api.JobSubmitRequestItem{}).ProtoReflect().Descriptor().Fields().ByName(protoreflect.Name(field))
	if known == nil {
		return field
	}
	return known.JSONName()
}
