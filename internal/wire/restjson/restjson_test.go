package restjson_test

import (
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"armada/internal/wire/restjson"
	"armada/pkg/api"
	"armada/pkg/api/binoculars"
	"armada/pkg/api/k8s/api/resource"
	corev1 "armada/pkg/api/k8s/core/v1"
	"armada/pkg/api/lookout"
)

// decoded reads text that must be fine and free of warnings.
func decoded[M proto.Message](t *testing.T, text string, into M) M {
	t.Helper()
	warnings, err := restjson.Decode([]byte(text), into)
	if err != nil {
		t.Fatalf("reading %s: %v", text, err)
	}
	if len(warnings) > 0 {
		t.Errorf("reading %s warns of %v", text, warnings)
	}
	return into
}

func encoded(t *testing.T, m proto.Message) string {
	t.Helper()
	b, err := restjson.Encode(m)
	if err != nil {
		t.Fatalf("writing %v: %v", m, err)
	}
	return string(b)
}

func same(t *testing.T, got, want proto.Message) {
	t.Helper()
	if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" {
		t.Errorf("want -, got +:\n%s", diff)
	}
}

func TestAnAnswerHasItsListsAndMapsEvenWhenEmpty(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		answer proto.Message
		want   string
	}{
		{&api.JobReprioritizeResponse{}, `{"reprioritizationResults":{}}`},
		{&api.PreemptionResult{}, `{"preemptionResults":{}}`},
		{&api.CancellationResult{}, `{"cancelledIds":[]}`},
		{&api.JobSubmitResponse{}, `{"jobResponseItems":[]}`},
		{&api.JobReprioritizeResponse{ReprioritizationResults: map[string]string{"b": "", "a": "gone"}}, `{"reprioritizationResults":{"a":"gone","b":""}}`},
		{&emptypb.Empty{}, `{}`},
	} {
		if got := encoded(t, c.answer); got != c.want {
			t.Errorf("%T is %s, want %s", c.answer, got, c.want)
		}
	}
}

func TestWhatIsEmptyBelowTheTopIsLeftOut(t *testing.T) {
	t.Parallel()
	got := encoded(t, &api.QueueList{Queues: []*api.Queue{{Name: "a", PriorityFactor: 1}}})
	if want := `{"queues":[{"name":"a","priorityFactor":1}]}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestALineOfTheQueueStreamKeepsTheEventLevel(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		line *api.StreamingQueueMessage
		want string
	}{
		{&api.StreamingQueueMessage{Event: &api.StreamingQueueMessage_Queue{Queue: &api.Queue{Name: "a"}}}, `{"result":{"Event":{"queue":{"name":"a"}}}}`},
		{&api.StreamingQueueMessage{Event: &api.StreamingQueueMessage_End{End: &api.EndMarker{}}}, `{"result":{"Event":{"end":{}}}}`},
	} {
		got, err := restjson.Marshaler{}.Marshal(map[string]any{"result": c.line})
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != c.want {
			t.Errorf("got %s, want %s", got, c.want)
		}
		same(t, decoded(t, strings.TrimSuffix(strings.TrimPrefix(c.want, `{"result":`), "}"), &api.StreamingQueueMessage{}), c.line)
	}
}

func TestAnEventHasItsTimeAsRFC3339(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 1, 31, 12, 0, 0, 120_000_000, time.UTC)
	message := &api.EventStreamMessage{Id: "7", Message: &api.EventMessage{Events: &api.EventMessage_Pending{
		Pending: &api.JobPendingEvent{JobId: "j", Created: timestamppb.New(at), PodNumber: 0},
	}}}
	want := `{"id":"7","message":{"pending":{"jobId":"j","created":"2026-01-31T12:00:00.12Z"}}}`
	if got := encoded(t, message); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	same(t, decoded(t, want, &api.EventStreamMessage{}), message)
}

func TestATimeIsReadInEitherForm(t *testing.T) {
	t.Parallel()
	want := &lookout.LogsRequest{Since: &timestamppb.Timestamp{Seconds: 1769860800, Nanos: 5}}
	for _, text := range []string{
		`{"since":"2026-01-31T12:00:00.000000005Z"}`,
		`{"since":"2026-01-31T13:00:00.000000005+01:00"}`,
		`{"since":{"seconds":1769860800,"nanos":5}}`,
		`{"since":{"Seconds":"1769860800","nanos":5,"nothing":null}}`,
	} {
		var got lookout.LogsRequest
		if _, err := restjson.Decode([]byte(text), &got); err != nil {
			t.Errorf("reading %s: %v", text, err)
		}
		same(t, &got, want)
	}
}

func TestNamesAreMatchedWithoutRegardToCase(t *testing.T) {
	t.Parallel()
	want := &api.JobSubmitRequest{Queue: "a", JobSetId: "b", JobRequestItems: []*api.JobSubmitRequestItem{{ClientId: "c"}}}
	for _, text := range []string{
		`{"queue":"a","jobSetId":"b","jobRequestItems":[{"clientId":"c"}]}`,
		`{"Queue":"a","JobSetId":"b","JobRequestItems":[{"ClientID":"c"}]}`,
		`{"QUEUE":"a","job_set_id":"b","job_request_items":[{"Client_Id":"c"}]}`,
	} {
		same(t, decoded(t, text, &api.JobSubmitRequest{}), want)
	}
}

func TestNullMeansAbsentAnywhere(t *testing.T) {
	t.Parallel()
	same(t, decoded(t, `null`, &api.JobSubmitRequest{}), &api.JobSubmitRequest{})
	same(t, decoded(t, `{"id":null,"watch":null,"fromMessageId":null}`, &api.JobSetRequest{}), &api.JobSetRequest{})
	same(t,
		decoded(t, `{"priorityFactor":null,"userOwners":[null,"b"],"permissions":null,"labels":{"a":null},"resourceLimits":null}`, &api.Queue{}),
		&api.Queue{UserOwners: []string{"", "b"}, Labels: map[string]string{"a": ""}})
	same(t,
		decoded(t, `{"jobRequestItems":[{"podSpec":null,"podSpecs":null,"ingress":[{"type":null}]},null]}`, &api.JobSubmitRequest{}),
		&api.JobSubmitRequest{JobRequestItems: []*api.JobSubmitRequestItem{{Ingress: []*api.IngressConfig{{}}}, {}}})
}

func TestAManifestsPodSpecWorksAsItIs(t *testing.T) {
	t.Parallel()
	request := decoded(t, `{"jobRequestItems":[{"podSpec":{
		"terminationGracePeriodSeconds":0, "restartPolicy":"Never", "nodeSelector":null, "volumes":null,
		"containers":[{
			"name":"Container1", "image":"alpine:3", "command":["sh","-c"], "args":["true"], "env":null, "livenessProbe":null,
			"ports":[{"containerPort":80}],
			"readinessProbe":{"httpGet":{"path":"/","port":"http"}},
			"startupProbe":{"httpGet":{"path":"/","port":8080}},
			"resources":{"limits":{"memory":"512Mi","cpu":"120m","nvidia.com/gpu":1},"requests":{"memory":"512Mi","cpu":0.12,"nvidia.com/gpu":1}}
		}]}}]}`, &api.JobSubmitRequest{})
	spec := request.GetJobRequestItems()[0].GetPodSpec()
	container := spec.GetContainers()[0]
	if spec.TerminationGracePeriodSeconds == nil || spec.GetTerminationGracePeriodSeconds() != 0 || spec.GetRestartPolicy() != "Never" {
		t.Errorf("the spec is %v", spec)
	}
	if container.GetName() != "Container1" || container.GetPorts()[0].GetContainerPort() != 80 {
		t.Errorf("the container is %v", container)
	}
	if port := container.GetReadinessProbe().GetHandler().GetHttpGet().GetPort(); port.GetStrVal() != "http" || port.GetType() != 1 {
		t.Errorf("the named port is %v", port)
	}
	if port := container.GetStartupProbe().GetHandler().GetHttpGet().GetPort(); port.GetIntVal() != 8080 || port.GetType() != 0 {
		t.Errorf("the numbered port is %v", port)
	}
	for _, c := range []struct {
		of   map[string]*resource.Quantity
		name string
		want string
	}{
		{container.GetResources().GetLimits(), "cpu", "120m"},
		{container.GetResources().GetRequests(), "cpu", "120m"},
		{container.GetResources().GetLimits(), "memory", "512Mi"},
		{container.GetResources().GetLimits(), "nvidia.com/gpu", "1"},
	} {
		if got := c.of[c.name].GetString_(); got != c.want {
			t.Errorf("%s is %q, want %q", c.name, got, c.want)
		}
	}
}

func TestAPodSpecIsWrittenAsAManifestHasIt(t *testing.T) {
	t.Parallel()
	text := encoded(t, &api.Job{Id: "j", PodSpec: &corev1.PodSpec{
		Containers: []*corev1.Container{{
			Name: proto.String("main"),
			Resources: &corev1.ResourceRequirements{
				Limits: map[string]*resource.Quantity{"cpu": {String_: proto.String("1500m")}},
			},
		}},
	}})
	for _, want := range []string{`"podSpec":{"containers":[{"name":"main","resources":{"limits":{"cpu":"1500m"}}}]`} {
		if !strings.Contains(text, want) {
			t.Errorf("%s has no %s", text, want)
		}
	}
	usage := encoded(t, &api.JobUtilisationEvent{MaxResourcesForPeriod: map[string]*resource.Quantity{
		"cpu": {String_: proto.String("0.5")}, "memory": {String_: proto.String("1Gi")},
	}})
	if want := `"MaxResourcesForPeriod":{"cpu":"500m","memory":"1Gi"}`; !strings.Contains(usage, want) {
		t.Errorf("%s has no %s", usage, want)
	}
}

func TestAQuantityThatIsNoneDoesNotHideItsMessage(t *testing.T) {
	t.Parallel()
	got := encoded(t, &api.JobUtilisationEvent{JobId: "j", MaxResourcesForPeriod: map[string]*resource.Quantity{"cpu": {}, "memory": {String_: proto.String("lots")}}})
	for _, want := range []string{`"jobId":"j"`, `"cpu":"0"`, `"memory":"lots"`} {
		if !strings.Contains(got, want) {
			t.Errorf("%s has no %s", got, want)
		}
	}
}

// Kubernetes' parser would compute these powers of ten, for minutes.
func TestAQuantityWithAHugeExponentIsRefusedAtOnce(t *testing.T) {
	t.Parallel()
	for _, quantity := range []string{`"1e-999999999"`, `1e999999999`, `" 2.E+99999 "`, `"1\u0065-999999999"`} {
		for _, text := range []string{
			`{"resources":{"limits":{"cpu":` + quantity + `}}}`,
			`{"Resources":{"Limits":{"cpu":` + quantity + `}}}`,
		} {
			_, err := restjson.Decode([]byte(`{"jobRequestItems":[{"podSpec":{"containers":[`+text+`]}}]}`), &api.JobSubmitRequest{})
			if err == nil || !strings.Contains(err.Error(), "containers[0].resources.limits[cpu]: ") || !strings.Contains(err.Error(), "a quantity's exponent is out of range") {
				t.Errorf("%s: %v", text, err)
			}
		}
	}
	got := encoded(t, &api.JobUtilisationEvent{MaxResourcesForPeriod: map[string]*resource.Quantity{"cpu": {String_: proto.String("1e-999999999")}}})
	if !strings.Contains(got, `"cpu":"1e-999999999"`) {
		t.Errorf("got %s", got)
	}
	decoded(t, `{"jobRequestItems":[{"podSpec":{"containers":[{"image":"a:1e99999","env":[{"name":"A","value":"1e99999 \u00e9"}]}]}}]}`, &api.JobSubmitRequest{})
}

func TestNamesInAPodSpecAreMatchedWithoutRegardToCase(t *testing.T) {
	t.Parallel()
	request := decoded(t, `{"jobRequestItems":[{"podSpec":{"Containers":[{"Name":"a","ENV":[{"name":"X","value":"1"}],
		"resources":{"Limits":{"CPU":"1"}}}],"NodeSelector":{"Zone":"b"}}}]}`, &api.JobSubmitRequest{})
	spec := request.GetJobRequestItems()[0].GetPodSpec()
	container := spec.GetContainers()[0]
	if container.GetName() != "a" || container.GetEnv()[0].GetValue() != "1" || spec.GetNodeSelector()["Zone"] != "b" ||
		container.GetResources().GetLimits()["CPU"].GetString_() != "1" {
		t.Errorf("the spec is %v", spec)
	}
}

func TestEnumsAreReadByNameAndByNumber(t *testing.T) {
	t.Parallel()
	same(t, decoded(t, `{"filter":{"states":["QUEUED",0,"running",2]}}`, &api.JobSetCancelRequest{}),
		&api.JobSetCancelRequest{Filter: &api.JobSetFilter{States: []api.JobState{0, 0, 2, 2}}})
	same(t, decoded(t, `{"defaultAction":"Fail","rules":[{"action":"retry"},{"action":"RETRY_ACTION_RETRY"},{"action":2}]}`, &api.RetryPolicy{}),
		&api.RetryPolicy{DefaultAction: api.RetryAction_RETRY_ACTION_FAIL, Rules: []*api.RetryRule{{Action: 2}, {Action: 2}, {Action: 2}}})
	if got, want := encoded(t, &api.RetryRule{Action: api.RetryAction_RETRY_ACTION_RETRY}), `{"action":"Retry",`; !strings.HasPrefix(got, want) {
		t.Errorf("got %s, want it to begin with %s", got, want)
	}
	if got, want := encoded(t, &api.JobSetFilter{States: []api.JobState{0, 2, 77}}), `{"states":["QUEUED","RUNNING",77]}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestNumbersKeepTheirValue(t *testing.T) {
	t.Parallel()
	same(t, decoded(t, `{"tailLines":9007199254740993}`, &lookout.LogsRequest{}), &lookout.LogsRequest{TailLines: 9007199254740993})
	same(t, decoded(t, `{"tailLines":"-9007199254740993"}`, &lookout.LogsRequest{}), &lookout.LogsRequest{TailLines: -9007199254740993})
	same(t, decoded(t, `{"num":1e1}`, &api.StreamingQueueGetRequest{}), &api.StreamingQueueGetRequest{Num: 10})
	same(t, decoded(t, `{"priorityFactor":"1.5"}`, &api.Queue{}), &api.Queue{PriorityFactor: 1.5})
	if got, want := encoded(t, &lookout.LogsRequest{TailLines: 9007199254740993}), `{"tailLines":9007199254740993}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	for text, f := range map[string]float64{`"NaN"`: math.NaN(), `"Infinity"`: math.Inf(1), `"-Infinity"`: math.Inf(-1), `1e+21`: 1e21, `1e-07`: 1e-7, `0.25`: 0.25} {
		m := &api.JobReprioritizeRequest{JobSetId: "s", JobIds: []string{"j"}, NewPriority: f}
		want := `{"jobIds":["j"],"jobSetId":"s","newPriority":` + text + `}`
		if got := encoded(t, m); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		if got := decoded(t, want, &api.JobReprioritizeRequest{}); !proto.Equal(got, m) {
			t.Errorf("%s became %v", want, got)
		}
	}
}

func TestBytesAreBase64InEitherAlphabet(t *testing.T) {
	t.Parallel()
	want := &api.Job{CompressedQueueOwnershipUserGroups: []byte{0xfb, 0xff, 1, 2}}
	for _, text := range []string{"+/8BAg==", "-_8BAg==", "+/8BAg"} {
		same(t, decoded(t, `{"compressedQueueOwnershipUserGroups":"`+text+`"}`, &api.Job{}), want)
	}
	if got := encoded(t, want); !strings.Contains(got, `"+/8BAg=="`) {
		t.Errorf("got %s", got)
	}
}

func TestAnErrorHasItsDetails(t *testing.T) {
	t.Parallel()
	plain := status.New(codes.NotFound, "no such queue").Proto()
	if got, want := encoded(t, plain), `{"code":5,"message":"no such queue","details":[]}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	detailed, err := status.New(codes.InvalidArgument, "bad").WithDetails(
		&errdetails.BadRequest{FieldViolations: []*errdetails.BadRequest_FieldViolation{{Field: "a[0]", Description: "no"}}},
		&api.JobSubmitResponse{JobResponseItems: []*api.JobSubmitResponseItem{{Error: "x"}}},
		durationpb.New(1500*time.Millisecond), &emptypb.Empty{})
	if err != nil {
		t.Fatal(err)
	}
	want := `{"code":3,"message":"bad","details":[` +
		`{"@type":"type.googleapis.com/google.rpc.BadRequest","fieldViolations":[{"field":"a[0]","description":"no"}]},` +
		`{"@type":"type.googleapis.com/api.JobSubmitResponse","jobResponseItems":[{"error":"x"}]},` +
		`{"@type":"type.googleapis.com/google.protobuf.Duration","value":"1.500s"},` +
		`{"@type":"type.googleapis.com/google.protobuf.Empty"}]}`
	if got := encoded(t, detailed.Proto()); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	same(t, decoded(t, want, proto.Clone(plain)), detailed.Proto())
}

func TestAnErrorNamesThePathOfTheValue(t *testing.T) {
	t.Parallel()
	items := func(podSpec string) string { return `{"jobRequestItems":[{},{"podSpec":` + podSpec + `}]}` }
	for _, c := range []struct {
		into proto.Message
		text string
		want string
	}{
		{&api.JobSubmitRequest{}, `{"queue":1}`, `queue: must be a string, not the number 1`},
		{&api.JobSubmitRequest{}, `{"queue":{}}`, `queue: must be a string, not an object`},
		{&api.JobSubmitRequest{}, `{"jobRequestItems":{}}`, `jobRequestItems: must be a list, not an object`},
		{&api.JobSubmitRequest{}, `[]`, `must be an object, not a list`},
		{&api.JobSubmitRequest{}, `{"jobRequestItems":[{},{"labels":{"a.b/c":true}}]}`, `jobRequestItems[1].labels[a.b/c]: must be a string, not true`},
		{&api.JobSubmitRequest{}, `{"jobRequestItems":[{"priority":"high"}]}`, `jobRequestItems[0].priority: "high" is not a number`},
		{&api.JobSubmitRequest{}, items(`{"containers":[{"name":7}]}`), `jobRequestItems[1].podSpec.containers[0].name: must be a string, not the number 7`},
		{&api.JobSubmitRequest{}, items(`{"containers":{}}`), `jobRequestItems[1].podSpec.containers: must be a list, not an object`},
		{&api.JobSubmitRequest{}, items(`{"Containers":[{"Resources":[]}]}`), `jobRequestItems[1].podSpec.containers[0].resources: must be an object, not a list`},
		{&api.JobSubmitRequest{}, items(`{"containers":[{"ports":[{"containerPort":"80"}]}]}`), `jobRequestItems[1].podSpec.containers[0].ports[0].containerPort: must be a whole number of 32 bits, not the string "80"`},
		{&api.JobSubmitRequest{}, items(`{"containers":[{"resources":{"limits":{"cpu":"much"}}}]}`), `jobRequestItems[1].podSpec.containers[0].resources.limits[cpu]: "much" is not a quantity: write a number`},
		{&api.JobSubmitRequest{}, items(`"x"`), `jobRequestItems[1].podSpec: must be an object, not the string "x"`},
		{&api.StreamingQueueGetRequest{}, `{"num":-1}`, `num: -1 is out of range`},
		{&api.StreamingQueueGetRequest{}, `{"num":1.5}`, `num: 1.5 is not a whole number`},
		{&api.StreamingQueueGetRequest{}, `{"num":5e9}`, `num: 5e9 is out of range`},
		{&api.JobSetFilter{}, `{"states":["DONE"]}`, `states[0]: must be one of QUEUED, PENDING`},
		{&api.JobSetRequest{}, `{"watch":"yes"}`, `watch: must be true or false, not the string "yes"`},
		{&lookout.LogsRequest{}, `{"since":"yesterday"}`, `since: "yesterday" is not a time`},
		{&lookout.LogsRequest{}, `{"since":12}`, `since: must be a time`},
		{&api.Job{}, `{"compressedQueueOwnershipUserGroups":"*"}`, `compressedQueueOwnershipUserGroups: must be a string in base64`},
		{&api.JobRunDetails{}, `{"ingressAddresses":{"http":"x"}}`, `ingressAddresses[http]: the key: "http" is not a whole number`},
	} {
		_, err := restjson.Decode([]byte(c.text), c.into)
		var field *restjson.FieldError
		if !errors.As(err, &field) || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("reading %s: %v\nwant %s", c.text, err, c.want)
		}
	}
}

func TestWhatIsNotJSONIsRefusedWithItsPlace(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		``, ` `, `{`, `{"queue"`, `{"queue":`, `{"queue":"a"`, `{"queue":"a",}`, `{"queue" "a"}`, `{queue:"a"}`, `{"queue":"a"}}`, `{} {}`, `nul`,
		`{"jobRequestItems":[{"podSpec":{`, `{"jobRequestItems":[`, `{"jobRequestItems":[{}`, `{"jobRequestItems":[}]}`, `{"unknown":[1,]}`,
	} {
		if _, err := restjson.Decode([]byte(text), &api.JobSubmitRequest{}); err == nil || !strings.HasPrefix(err.Error(), "not valid JSON") {
			t.Errorf("reading %q: %v", text, err)
		}
	}
}

func TestUnknownNamesAreToldWithTheirPaths(t *testing.T) {
	t.Parallel()
	text := `{"queue":"a","qeueu":{"x":[1]},"Queue":"b","jobRequestItems":[{"podSpec":{
		"containers":[{"name":"a","imagge":"b","Image":"c","image":"d","resources":{"limit":{}}}],"restartPolicy":"Never","restartPolicy":"Always"}},
		{"labels":{"k":"1","k":"2"},"clientID":"c","client":"d"}]}`
	var request api.JobSubmitRequest
	warnings, err := restjson.Decode([]byte(text), &request)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]bool{}
	for _, w := range warnings {
		got[w.String()] = true
	}
	for _, want := range []string{
		`unknown field "qeueu"`,
		`duplicate field "Queue"`,
		`unknown field "jobRequestItems[0].podSpec.containers[0].imagge"`,
		`unknown field "jobRequestItems[0].podSpec.containers[0].resources.limit"`,
		`duplicate field "jobRequestItems[0].podSpec.restartPolicy"`,
		`duplicate field "jobRequestItems[1].labels[k]"`,
		`unknown field "jobRequestItems[1].client"`,
	} {
		if !got[want] {
			t.Errorf("no warning %s in %v", want, warnings)
		}
	}
	item := request.GetJobRequestItems()[0].GetPodSpec()
	if request.GetQueue() != "b" || item.GetContainers()[0].GetImage() != "d" || request.GetJobRequestItems()[1].GetLabels()["k"] != "2" {
		t.Errorf("the last one does not count: %v", &request)
	}
}

func TestAnInvalidTextIsWrittenAsValidJSON(t *testing.T) {
	t.Parallel()
	got := encoded(t, &api.JobFailedEvent{Reason: "a\xffb\n\"<"})
	if want := "{\"reason\":\"a\\ufffdb\\n\\\"\\u003c\",\"exitCodes\":{},\"containerStatuses\":[]}"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestLogOptionsAreKubernetesOwn(t *testing.T) {
	t.Parallel()
	request := decoded(t, `{"jobId":"j","logOptions":{"container":"main","sinceTime":"2026-01-31T12:00:00Z","tailLines":5}}`, &binoculars.LogRequest{})
	options := request.GetLogOptions()
	if options.GetContainer() != "main" || options.GetTailLines() != 5 || options.GetSinceTime().GetSeconds() != 1769860800 {
		t.Errorf("the options are %v", options)
	}
}
