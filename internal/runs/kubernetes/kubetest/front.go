package kubetest

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"testing"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// Front puts a handler before the API server, which passes on what it likes to
// the one that it is given, and returns the kubeconfig of an administrator who
// comes through it. It stands until the test ends.
func (c *Cluster) Front(t testing.TB, handler func(api http.Handler) http.Handler) (kubeconfig string) {
	t.Helper()
	transport, err := rest.TransportFor(c.Config())
	if err != nil {
		t.Fatal(err)
	}
	to, err := url.Parse(c.host)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(handler(&httputil.ReverseProxy{
		Transport: transport, FlushInterval: -1,
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(to) },
		// A watch that breaks off is ended here too.
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) },
	}))
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError) // of connections that are cut
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(func() { server.CloseClientConnections(); server.Close() })
	k := clientcmdapi.NewConfig()
	k.Clusters["front"] = &clientcmdapi.Cluster{Server: server.URL, InsecureSkipTLSVerify: true}
	k.Contexts["front"] = &clientcmdapi.Context{Cluster: "front"}
	k.CurrentContext = "front"
	kubeconfig = filepath.Join(t.TempDir(), "kubeconfig")
	if err := clientcmd.WriteToFile(*k, kubeconfig); err != nil {
		t.Fatal(err)
	}
	return kubeconfig
}
