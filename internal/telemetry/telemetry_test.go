package telemetry_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"armada/internal/telemetry"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestTheDefaultsAreValid(t *testing.T) {
	t.Parallel()
	if err := telemetry.DefaultConfig().Validate(); err != nil {
		t.Error(err)
	}
}

func TestEverythingWrongIsReportedAtOnce(t *testing.T) {
	t.Parallel()
	err := errors.Join(
		telemetry.Config{LogFormat: "xml", MetricsAddr: "nine thousand"}.Validate(),
		telemetry.Config{LogFormat: telemetry.FormatJSON, Profiling: true}.Validate(),
	)
	for _, want := range []string{`logFormat: "xml" is none of`, "metricsAddr: not host:port", "profiling: needs a metricsAddr"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in %v", want, err)
		}
	}
}

func TestLogsAreJSONWhereNobodyLooks(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	telemetry.NewLogger(&out, telemetry.DefaultConfig()).Info("hello", "queue", "a")
	if !strings.Contains(out.String(), `"msg":"hello","queue":"a"}`) {
		t.Errorf("got %s", out.String())
	}
}

func TestLogsAreTextWhereTheConfigSaysSo(t *testing.T) {
	t.Parallel()
	config := telemetry.DefaultConfig()
	config.LogFormat = telemetry.FormatText
	var out bytes.Buffer
	telemetry.NewLogger(&out, config).Info("hello", "queue", "a")
	if !strings.HasSuffix(out.String(), "msg=hello queue=a\n") {
		t.Errorf("got %s", out.String())
	}
}

func TestACharacterDeviceCountsAsATerminal(t *testing.T) {
	t.Parallel()
	device, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer device.Close()
	handler := telemetry.NewLogger(device, telemetry.DefaultConfig()).Handler()
	if _, ok := handler.(*slog.TextHandler); !ok {
		t.Errorf("got %T", handler)
	}
}

func TestLinesBelowTheLevelAreNotWritten(t *testing.T) {
	t.Parallel()
	config := telemetry.DefaultConfig()
	config.LogLevel = slog.LevelWarn
	var out bytes.Buffer
	log := telemetry.NewLogger(&out, config)
	log.Info("quiet")
	log.Warn("loud")
	if strings.Contains(out.String(), "quiet") || !strings.Contains(out.String(), "loud") {
		t.Errorf("got %s", out.String())
	}
}

// get asks a handler for a path.
func get(handler http.Handler, path string) *httptest.ResponseRecorder {
	answer := httptest.NewRecorder()
	handler.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, path, nil))
	return answer
}

func TestMetricsSayWhatIsRunning(t *testing.T) {
	t.Parallel()
	handler := telemetry.Handler(telemetry.DefaultConfig(), telemetry.NewRegistry("v1.2.3"), slog.New(slog.DiscardHandler))
	answer := get(handler, "/metrics")
	for _, want := range []string{`version="v1.2.3"} 1`, "go_goroutines", "process_cpu_seconds_total"} {
		if !strings.Contains(answer.Body.String(), want) {
			t.Errorf("%s is not among the metrics", want)
		}
	}
	if code := get(handler, "/debug/pprof/cmdline").Code; code != http.StatusNotFound {
		t.Errorf("profiles are served without being asked for: %d", code)
	}
}

func TestProfilesAreServedWhenTheConfigSaysSo(t *testing.T) {
	t.Parallel()
	config := telemetry.DefaultConfig()
	config.Profiling = true
	handler := telemetry.Handler(config, telemetry.NewRegistry(""), slog.New(slog.DiscardHandler))
	if code := get(handler, "/debug/pprof/heap").Code; code != http.StatusOK {
		t.Errorf("got %d", code)
	}
}

func TestACollectorThatFailsIsLoggedAndTheOthersAreServed(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	registry := telemetry.NewRegistry("v1")
	registry.MustRegister(failing{})
	answer := get(telemetry.Handler(telemetry.DefaultConfig(), registry, slog.New(slog.NewJSONHandler(&out, nil))), "/metrics")
	if answer.Code != http.StatusOK || !strings.Contains(answer.Body.String(), "armada_build_info") {
		t.Errorf("got %d %s", answer.Code, answer.Body)
	}
	if !strings.Contains(out.String(), "collecting metrics failed") || !strings.Contains(out.String(), "out of order") {
		t.Errorf("logged %s", out.String())
	}
}

// failing is a collector that cannot say what it counts.
type failing struct{}

func (failing) Describe(descriptions chan<- *prometheus.Desc) {
	descriptions <- prometheus.NewDesc("broken", "", nil, nil)
}

func (failing) Collect(metrics chan<- prometheus.Metric) {
	metrics <- prometheus.NewInvalidMetric(prometheus.NewDesc("broken", "", nil, nil), errors.New("out of order"))
}

func TestServingEndsWithItsContext(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	log := slog.New(slog.DiscardHandler)
	handler := telemetry.Handler(telemetry.DefaultConfig(), telemetry.NewRegistry("v1"), log)
	go func() { ended <- telemetry.Serve(ctx, listener, handler, log) }()

	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := client.Get("http://" + listener.Addr().String() + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(answer.Body)
	answer.Body.Close()
	if err != nil || !bytes.Contains(body, []byte("armada_build_info")) {
		t.Errorf("got %s, %v", body, err)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if conn, err := net.Dial("tcp", listener.Addr().String()); err == nil {
		conn.Close()
		t.Error("the address is still served")
	}
}

func TestAListenerThatIsClosedIsAnError(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	err = telemetry.Serve(t.Context(), listener, http.NotFoundHandler(), slog.New(slog.DiscardHandler))
	if !errors.Is(err, net.ErrClosed) {
		t.Errorf("got %v", err)
	}
}
