package executor2020

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"
)

// The messages as a program of Go would name their fields; they are put into the
// bytes of the table by [encode] and taken out of them by [decode].
type (
	quantities map[string]quantity
	quantity   struct {
		String string `json:"string"`
	}
	node struct {
		Name        string            `json:"name"`
		Labels      map[string]string `json:"labels,omitempty"`
		Allocatable quantities        `json:"allocatable_resources"`
		Available   quantities        `json:"available_resources"`
	}
	leaseRequest struct {
		ClusterID string     `json:"ClusterId"`
		Resources quantities `json:"resources"`
		Minimum   quantities `json:"minimum_job_size,omitempty"`
		Nodes     []node     `json:"nodes"`
	}
	job struct {
		ID          string            `json:"id"`
		JobSet      string            `json:"job_set_id"`
		Queue       string            `json:"queue"`
		PodSpec     []byte            `json:"pod_spec"`
		Namespace   string            `json:"namespace"`
		Owner       string            `json:"owner"`
		Labels      map[string]string `json:"labels"`
		Annotations map[string]string `json:"annotations"`
	}
	usageReport struct {
		ClusterID string       `json:"cluster_id"`
		Time      time.Time    `json:"report_time"`
		Queues    []queueUsage `json:"queues,omitempty"`
		Capacity  quantities   `json:"cluster_capacity,omitempty"`
		Available quantities   `json:"cluster_available_capacity,omitempty"`
	}
	queueUsage struct {
		Name  string     `json:"name"`
		Asked quantities `json:"resources,omitempty"`
		Used  quantities `json:"resources_used,omitempty"`
	}
	// event is what all events may have.
	event struct {
		JobID        string           `json:"job_id"`
		JobSet       string           `json:"job_set_id,omitempty"`
		Queue        string           `json:"queue,omitempty"`
		Created      time.Time        `json:"created"`
		Cluster      string           `json:"cluster_id,omitempty"`
		Reason       string           `json:"reason,omitempty"`
		ExitCodes    map[string]int32 `json:"exit_codes,omitempty"`
		KubernetesID string           `json:"kubernetes_id,omitempty"`
		Node         string           `json:"node_name,omitempty"`
		Max          quantities       `json:"MaxResourcesForPeriod,omitempty"`
		Job          *job             `json:"job,omitempty"`
	}
	// eventMessage is an event by the name of its kind.
	eventMessage map[string]event
)

func of(amounts map[string]string) quantities {
	out := quantities{}
	for name, amount := range amounts {
		out[name] = quantity{amount}
	}
	return out
}

// caller is a connection of a program of 2020.
type caller struct{ conn grpc.ClientConnInterface }

func described(name string) protoreflect.MessageDescriptor {
	m := messages().ByName(protoreflect.Name(name))
	if m == nil {
		panic("the table has no message " + name)
	}
	return m
}

// encode makes a message of the table.
func encode(name string, value any) *dynamicpb.Message {
	text, err := json.Marshal(value)
	if err != nil {
		panic(err)
	}
	m := dynamicpb.NewMessage(described(name))
	if err := protojson.Unmarshal(text, m); err != nil {
		panic(fmt.Sprintf("%s: %v: %s", name, err, text))
	}
	return m
}

// decode takes a message of the table apart; what is not in the table is lost.
func decode(m *dynamicpb.Message, into any) error {
	text, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(m)
	if err != nil {
		return err
	}
	return json.Unmarshal(text, into)
}

// call makes a call by its path, with the messages named; into may be nil.
func (c caller) call(ctx context.Context, path, request string, value any, answer string, into any) error {
	out := dynamicpb.NewMessage(described(answer))
	if err := c.conn.Invoke(ctx, path, encode(request, value), out); err != nil {
		return err
	}
	if into == nil {
		return nil
	}
	return decode(out, into)
}

func (c caller) lease(ctx context.Context, r leaseRequest) ([]job, error) {
	var answer struct {
		Job []job `json:"job"`
	}
	err := c.call(ctx, "/api.AggregatedQueue/LeaseJobs", "LeaseRequest", r, "JobLease", &answer)
	return answer.Job, err
}

// ids is a list of ids.
type ids struct {
	IDs []string `json:"ids"`
}

func (c caller) renew(ctx context.Context, cluster string, jobs ...string) ([]string, error) {
	var answer ids
	err := c.call(ctx, "/api.AggregatedQueue/RenewLease", "RenewLeaseRequest", map[string]any{"cluster_id": cluster, "ids": jobs}, "IdList", &answer)
	return answer.IDs, err
}

func (c caller) giveBack(ctx context.Context, cluster, job string) error {
	return c.call(ctx, "/api.AggregatedQueue/ReturnLease", "ReturnLeaseRequest", map[string]any{"cluster_id": cluster, "job_id": job}, "Empty", nil)
}

func (c caller) done(ctx context.Context, jobs ...string) error {
	var answer ids
	return c.call(ctx, "/api.AggregatedQueue/ReportDone", "IdList", ids{jobs}, "IdList", &answer)
}

func (c caller) usage(ctx context.Context, r usageReport) error {
	r.Time = time.Now()
	return c.call(ctx, "/api.Usage/ReportUsage", "ClusterUsageReport", r, "Empty", nil)
}

func (c caller) report(ctx context.Context, kind string, e event) error {
	return c.call(ctx, "/api.Event/Report", "EventMessage", eventMessage{kind: e}, "Empty", nil)
}

// reportBroken reports failures whose reasons end in the middle of a character, as
// the libraries of those programs let them.
func (c caller) reportBroken(ctx context.Context, events ...event) error {
	list := dynamicpb.NewMessage(described("EventList"))
	for _, e := range events {
		e.Reason += "XX"
		m := encode("EventMessage", eventMessage{"failed": e})
		raw, err := proto.Marshal(m)
		if err != nil {
			return err
		}
		list.ProtoReflect().SetUnknown(protowire.AppendBytes(
			protowire.AppendTag(list.GetUnknown(), 1, protowire.BytesType), bytes.Replace(raw, []byte("XX"), []byte("\xe2\x82"), 1)))
	}
	return c.conn.Invoke(ctx, "/api.Event/ReportMultiple", list, dynamicpb.NewMessage(described("Empty")))
}

func (c caller) reportAll(ctx context.Context, events ...eventMessage) error {
	return c.call(ctx, "/api.Event/ReportMultiple", "EventList", map[string]any{"events": events}, "Empty", nil)
}

// told is an event of a job set as a watcher of 2020 reads it: its kind is empty
// when it is one that he does not know.
type told struct {
	ID   string
	Kind string
	event
}

// watch reads the events of a job set until enough says so.
func (c caller) watch(t testing.TB, queue, set string, enough func([]told) bool) []told {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	stream, err := c.conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, "/api.Event/GetJobSetEvents")
	if err == nil {
		err = stream.SendMsg(encode("JobSetRequest", map[string]any{"id": set, "queue": queue, "watch": true}))
	}
	if err == nil {
		err = stream.CloseSend()
	}
	ok(t, err)
	var all []told
	for !enough(all) {
		m := dynamicpb.NewMessage(described("EventStreamMessage"))
		if err := stream.RecvMsg(m); errors.Is(err, io.EOF) || err != nil {
			t.Fatalf("the stream of %s has ended after %d events: %v; on their way are %v", set, len(all), err, underWay(all))
		}
		var read struct {
			ID      string       `json:"id"`
			Message eventMessage `json:"message"`
		}
		ok(t, decode(m, &read))
		one := told{ID: read.ID}
		for kind, e := range read.Message {
			one.Kind, one.event = kind, e
		}
		all = append(all, one)
	}
	return all
}

// underWay are the jobs that have not ended, with the kinds of their events.
func underWay(all []told) map[string]string {
	open := map[string]string{}
	for _, e := range all {
		if open[e.JobID] = kinds(all, e.JobID); ended(1)(slices.DeleteFunc(slices.Clone(all), func(o told) bool { return o.JobID != e.JobID })) {
			delete(open, e.JobID)
		}
	}
	return open
}

// patience bounds what a failing test waits for; it is no measure of speed.
const patience = time.Minute

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// unmarshal reads a message of ours.
func unmarshal(raw []byte, into proto.Message) error { return proto.Unmarshal(raw, into) }
