package executor2020

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"sync"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// table is the wire of 2020 as far as executors, and those who watch them, use
// it. A pod spec is left as the bytes that it is.
const table = `
Quantity
1 string string
Taint
1 key string
2 value string
3 effect string
Job
1 id string
2 job_set_id string
3 queue string
4 priority double
5 pod_spec bytes
6 created Timestamp
7 namespace string
8 owner string
9 labels map<string>
10 annotations map<string>
11 required_node_labels map<string>
NodeInfo
1 name string
2 taints repeated Taint
3 labels map<string>
4 allocatable_resources map<Quantity>
5 available_resources map<Quantity>
QueueLeasedReport
1 name string
2 resources_leased map<Quantity>
ClusterLeasedReport
1 cluster_id string
2 report_time Timestamp
3 queues repeated QueueLeasedReport
LeaseRequest
1 ClusterId string
2 resources map<Quantity>
4 cluster_leased_report ClusterLeasedReport
6 minimum_job_size map<Quantity>
7 nodes repeated NodeInfo
JobLease
1 job repeated Job
IdList
1 ids repeated string
RenewLeaseRequest
1 cluster_id string
2 ids repeated string
ReturnLeaseRequest
1 cluster_id string
2 job_id string
QueueReport
1 name string
2 resources map<Quantity>
3 resources_used map<Quantity>
ClusterUsageReport
1 cluster_id string
2 report_time Timestamp
3 queues repeated QueueReport
4 cluster_capacity map<Quantity>
5 cluster_available_capacity map<Quantity>
JobSubmittedEvent
1 job_id string
2 job_set_id string
3 queue string
4 created Timestamp
5 job Job
JobQueuedEvent
1 job_id string
2 job_set_id string
3 queue string
4 created Timestamp
JobLeasedEvent
1 job_id string
2 job_set_id string
3 queue string
4 created Timestamp
5 cluster_id string
JobLeaseReturnedEvent
1 job_id string
2 job_set_id string
3 queue string
4 created Timestamp
5 cluster_id string
6 reason string
JobLeaseExpiredEvent
1 job_id string
2 job_set_id string
3 queue string
4 created Timestamp
JobPendingEvent
1 job_id string
2 job_set_id string
3 queue string
4 created Timestamp
5 cluster_id string
6 kubernetes_id string
JobRunningEvent
1 job_id string
2 job_set_id string
3 queue string
4 created Timestamp
5 cluster_id string
6 kubernetes_id string
7 node_name string
JobUnableToScheduleEvent
1 job_id string
2 job_set_id string
3 queue string
4 created Timestamp
5 cluster_id string
6 reason string
7 kubernetes_id string
8 node_name string
JobFailedEvent
1 job_id string
2 job_set_id string
3 queue string
4 created Timestamp
5 cluster_id string
6 reason string
7 exit_codes map<int32>
8 kubernetes_id string
9 node_name string
JobSucceededEvent
1 job_id string
2 job_set_id string
3 queue string
4 created Timestamp
5 cluster_id string
6 kubernetes_id string
7 node_name string
JobUtilisationEvent
1 job_id string
2 job_set_id string
3 queue string
4 created Timestamp
5 cluster_id string
6 kubernetes_id string
7 MaxResourcesForPeriod map<Quantity>
8 node_name string
JobReprioritizedEvent
1 job_id string
2 job_set_id string
3 queue string
4 created Timestamp
JobCancellingEvent
1 job_id string
2 job_set_id string
3 queue string
4 created Timestamp
JobCancelledEvent
1 job_id string
2 job_set_id string
3 queue string
4 created Timestamp
JobTerminatedEvent
1 job_id string
2 job_set_id string
3 queue string
4 created Timestamp
5 cluster_id string
EventMessage
1 submitted oneof JobSubmittedEvent
2 queued oneof JobQueuedEvent
3 leased oneof JobLeasedEvent
4 lease_returned oneof JobLeaseReturnedEvent
5 lease_expired oneof JobLeaseExpiredEvent
6 pending oneof JobPendingEvent
7 running oneof JobRunningEvent
8 unable_to_schedule oneof JobUnableToScheduleEvent
9 failed oneof JobFailedEvent
10 succeeded oneof JobSucceededEvent
11 reprioritized oneof JobReprioritizedEvent
12 cancelling oneof JobCancellingEvent
13 cancelled oneof JobCancelledEvent
14 terminated oneof JobTerminatedEvent
15 utilisation oneof JobUtilisationEvent
EventList
1 events repeated EventMessage
EventStreamMessage
1 id string
2 message EventMessage
JobSetRequest
1 id string
2 watch bool
3 from_message_id string
4 queue string
JobSubmitRequestItem
1 priority double
2 pod_spec bytes
3 namespace string
4 labels map<string>
5 annotations map<string>
6 required_node_labels map<string>
JobSubmitRequest
1 queue string
2 job_set_id string
3 job_request_items repeated JobSubmitRequestItem
JobSubmitResponseItem
1 job_id string
2 error string
JobSubmitResponse
1 job_response_items repeated JobSubmitResponseItem
JobCancelRequest
1 job_id string
2 job_set_id string
3 queue string
CancellationResult
1 cancelled_ids repeated string
Queue
1 name string
2 priority_factor double
3 user_owners repeated string
4 group_owners repeated string
QueueInfoRequest
1 name string
JobSetInfo
1 name string
2 queued_jobs int32
3 leased_jobs int32
QueueInfo
1 name string
2 active_job_sets repeated JobSetInfo
Empty
`

// era is the package that the messages of the table are in here; nothing of it is
// on the wire.
const era = "of2020"

var scalars = map[string]descriptorpb.FieldDescriptorProto_Type{
	"string": descriptorpb.FieldDescriptorProto_TYPE_STRING,
	"bytes":  descriptorpb.FieldDescriptorProto_TYPE_BYTES,
	"double": descriptorpb.FieldDescriptorProto_TYPE_DOUBLE,
	"int32":  descriptorpb.FieldDescriptorProto_TYPE_INT32,
	"bool":   descriptorpb.FieldDescriptorProto_TYPE_BOOL,
}

// messages are the descriptors of the table.
var messages = sync.OnceValue(func() protoreflect.MessageDescriptors {
	file := &descriptorpb.FileDescriptorProto{
		Name: proto.String("2020.proto"), Package: proto.String(era), Syntax: proto.String("proto3"),
		Dependency: []string{timestamppb.File_google_protobuf_timestamp_proto.Path()},
	}
	var m *descriptorpb.DescriptorProto
	for line := range strings.Lines(strings.TrimSpace(table)) {
		words := strings.Fields(line)
		if len(words) == 1 {
			m = &descriptorpb.DescriptorProto{Name: proto.String(words[0])}
			file.MessageType = append(file.MessageType, m)
			continue
		}
		addField(m, words)
	}
	built, err := protodesc.NewFile(file, protoregistry.GlobalFiles)
	if err != nil {
		panic(fmt.Sprintf("the table of 2020 is no proto file: %v", err))
	}
	return built.Messages()
})

var mapOf = regexp.MustCompile(`^map<(\w+)>$`)

// addField adds what a line of the table says: number, name, and type.
func addField(m *descriptorpb.DescriptorProto, words []string) {
	number, err := strconv.ParseInt(words[0], 10, 32)
	if err != nil {
		panic(err)
	}
	f := field(words[1], int32(number), words[len(words)-1])
	switch of := mapOf.FindStringSubmatch(words[2]); {
	case of != nil:
		entry := &descriptorpb.DescriptorProto{
			Name: proto.String(entryName(words[1])), Options: &descriptorpb.MessageOptions{MapEntry: proto.Bool(true)},
			Field: []*descriptorpb.FieldDescriptorProto{field("key", 1, "string"), field("value", 2, of[1])},
		}
		m.NestedType = append(m.NestedType, entry)
		f = field(words[1], int32(number), m.GetName()+"."+entry.GetName())
		f.Label = descriptorpb.FieldDescriptorProto_LABEL_REPEATED.Enum()
	case words[2] == "repeated":
		f.Label = descriptorpb.FieldDescriptorProto_LABEL_REPEATED.Enum()
	case words[2] == "oneof":
		if len(m.GetOneofDecl()) == 0 {
			m.OneofDecl = []*descriptorpb.OneofDescriptorProto{{Name: proto.String("events")}}
		}
		f.OneofIndex = proto.Int32(0)
	}
	m.Field = append(m.Field, f)
}

// entryName is how the entries of a map are called.
func entryName(field string) string {
	name := ""
	for part := range strings.SplitSeq(field, "_") {
		name += strings.ToUpper(part[:1]) + part[1:]
	}
	return name + "Entry"
}

func field(name string, number int32, kind string) *descriptorpb.FieldDescriptorProto {
	f := &descriptorpb.FieldDescriptorProto{
		Name: proto.String(name), Number: proto.Int32(number), Label: descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL.Enum(),
	}
	if scalar, is := scalars[kind]; is {
		f.Type = scalar.Enum()
		return f
	}
	f.Type, f.TypeName = descriptorpb.FieldDescriptorProto_TYPE_MESSAGE.Enum(), proto.String("."+era+"."+kind)
	if kind == "Timestamp" {
		f.TypeName = proto.String(".google.protobuf.Timestamp")
	}
	return f
}
