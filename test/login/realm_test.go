package login

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	krbclient "github.com/jcmturner/gokrb5/v8/client"
	krbconfig "github.com/jcmturner/gokrb5/v8/config"
	krbcredentials "github.com/jcmturner/gokrb5/v8/credentials"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/emptypb"

	"armada/internal/auth/authtest"
	"armada/pkg/api"
	"armada/pkg/client/credentials"
)

// realm is a Kerberos realm with MIT's KDC.
type realm struct {
	dir, conf, keytab string
	mu                sync.Mutex
	n                 int
}

const (
	realmName  = "TEST.ARMADA"
	kerbSecret = "a password of alice"
)

// tool is a program of MIT Kerberos in the world of the realm.
func (r *realm) tool(t testing.TB, input, name string, args ...string) string {
	t.Helper()
	out, err := r.try(t, input, nil, name, args...)
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return out
}

func (r *realm) try(t testing.TB, input string, env []string, name string, args ...string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), find(t, name), args...)
	cmd.Env = append(append(os.Environ(), "KRB5_CONFIG="+r.conf, "KRB5_KDC_PROFILE="+r.conf), env...)
	cmd.Stdin = strings.NewReader(input)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	return out.String(), err
}

// find finds a program where Debian and others have it.
func find(t testing.TB, name string) string {
	t.Helper()
	for _, dir := range append(filepath.SplitList(os.Getenv("PATH")), "/usr/sbin", "/usr/lib/mit/sbin", "/usr/local/sbin") {
		if path := filepath.Join(dir, name); executable(path) {
			return path
		}
	}
	t.Fatalf("there is no %s: make services installs it, or says what to install", name)
	return ""
}

func executable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && !info.IsDir() && info.Mode()&0o111 != 0
}

// newRealm starts a realm with the user alice and two services, of which the keytab
// has the key of one.
func newRealm(t *testing.T) *realm {
	t.Helper()
	r := &realm{dir: t.TempDir()}
	r.conf, r.keytab = filepath.Join(r.dir, "krb5.conf"), filepath.Join(r.dir, "service.keytab")
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := listener.Addr().(*net.TCPAddr).Port
	_ = listener.Close()
	text := fmt.Sprintf(`[libdefaults]
	default_realm = %[1]s
	dns_lookup_kdc = false
	dns_lookup_realm = false
	dns_canonicalize_hostname = false
	rdns = false
	udp_preference_limit = 1
	forwardable = true

[realms]
	%[1]s = {
		kdc = 127.0.0.1:%[2]d
		database_name = %[3]s/principal
		key_stash_file = %[3]s/stash
		acl_file = %[3]s/acl
		kdc_listen = 127.0.0.1:%[2]d
		kdc_tcp_listen = 127.0.0.1:%[2]d
		max_life = 1h
	}

[domain_realm]
	localhost = %[1]s

[logging]
	kdc = STDERR
`, realmName, port, r.dir)
	if err := os.WriteFile(r.conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	r.tool(t, "", "kdb5_util", "-r", realmName, "create", "-s", "-P", "a key of the database", "-W")
	for _, query := range []string{
		"addprinc -pw \"" + kerbSecret + "\" alice", "addprinc -randkey HTTP/localhost", "addprinc -randkey HTTP/elsewhere", "addprinc -randkey robot",
		"ktadd -k " + r.keytab + " HTTP/localhost", "ktadd -k " + filepath.Join(r.dir, "robot.keytab") + " robot",
	} {
		r.tool(t, "", "kadmin.local", "-r", realmName, "-q", query)
	}
	ctx, cancel := context.WithCancel(context.Background())
	kdc := exec.CommandContext(ctx, find(t, "krb5kdc"), "-n", "-r", realmName, "-P", filepath.Join(r.dir, "pid"))
	kdc.Env = append(os.Environ(), "KRB5_CONFIG="+r.conf, "KRB5_KDC_PROFILE="+r.conf)
	said, err := kdc.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := kdc.Start(); err != nil {
		t.Fatal(err)
	}
	ready, ended := make(chan bool, 1), make(chan struct{})
	go func() {
		defer close(ended)
		for lines := bufio.NewScanner(said); lines.Scan(); {
			if strings.Contains(lines.Text(), "commencing operation") {
				ready <- true
			}
		}
		close(ready)
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
		_ = kdc.Wait() // it was killed
	})
	if !<-ready {
		t.Fatal("the KDC does not start")
	}
	return r
}

// kinit logs alice in, and returns the file with her tickets.
func (r *realm) kinit(t testing.TB) string {
	t.Helper()
	r.mu.Lock()
	r.n++
	tickets := filepath.Join(r.dir, fmt.Sprintf("tickets-%d", r.n))
	r.mu.Unlock()
	r.tool(t, kerbSecret+"\n", "kinit", "-c", "FILE:"+tickets, "alice")
	return tickets
}

// env is the environment of a program of somebody with tickets.
func (r *realm) env(tickets string) func(string) string {
	return func(name string) string {
		switch name {
		case "KRB5CCNAME":
			return "FILE:" + tickets
		case "KRB5_CONFIG":
			return r.conf
		}
		return ""
	}
}

// say is what a program of somebody with tickets says to a service in its next call.
func (r *realm) say(t testing.TB, tickets, service string) string {
	t.Helper()
	source, err := credentials.New(credentials.Auth{KerberosAuth: &credentials.KerberosAuth{Enabled: true, Service: service}},
		credentials.Options{Server: "localhost:1", Getenv: r.env(tickets)})
	if err != nil {
		t.Fatal(err)
	}
	defer source.Close()
	header, err := source.Authorization(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	everything.header(header)
	everything.secret(kerbSecret)
	return header
}

func TestWhoeverHasATicketCallsOverBothWaysAsInTheHowto(t *testing.T) {
	r := newRealm(t)
	blocks := examples(t, "### Kerberos", "yaml")
	s := serve(t, blocks[0], "/etc/armada/armada.keytab", r.keytab, "HTTP/armada.example", "HTTP/localhost")
	_, port, _ := net.SplitHostPort(s.grpc)
	config := clientOf(t, blocks[1], "armada.example:50051", "localhost:"+port)
	tickets := r.kinit(t)
	t.Setenv("KRB5_CONFIG", r.conf)
	t.Setenv("KRB5CCNAME", "FILE:"+tickets)
	c := calls(t, config, "alice")
	if _, err := c.Jobs(t.Context(), jobsOfQ); err != nil {
		t.Errorf("a second call of the connection: %v", err)
	}

	// curl is MIT's own client; it asks the server to prove who it is, too.
	_, httpPort, _ := net.SplitHostPort(s.http)
	out := r.tool(t, "", "curl", "--silent", "--show-error", "--include", "--negotiate", "--user", ":", "http://localhost:"+httpPort+"/api/v1/queue/q")
	if !strings.Contains(out, "200 OK") || !strings.Contains(out, `"name":"q"`) || !strings.Contains(strings.ToLower(out), "www-authenticate: negotiate ") {
		t.Errorf("curl gets\n%s", out)
	}
	empty, err := r.try(t, "", []string{"KRB5CCNAME=FILE:" + filepath.Join(r.dir, "none")}, "curl", "--silent", "--include", "--negotiate", "--user", ":", "http://localhost:"+httpPort+"/api/v1/queue/q")
	if err != nil || !strings.Contains(empty, "401 Unauthorized") || !strings.Contains(empty, "Negotiate") {
		t.Errorf("without a ticket curl gets %v\n%s", err, empty)
	}

	header := r.say(t, tickets, "")
	if code, answer := get(t, s.http, header); code != http.StatusOK || !strings.HasPrefix(answer.Get("WWW-Authenticate"), "Negotiate ") {
		t.Errorf("a ticket is answered %d, %v", code, answer)
	}
	if code, _ := get(t, s.http, header); code != http.StatusUnauthorized {
		t.Errorf("a proof that was shown before is answered %d", code)
	}
	if code, _ := get(t, s.http, r.say(t, tickets, "HTTP/elsewhere")); code != http.StatusUnauthorized {
		t.Errorf("a ticket for another service is answered %d", code)
	}
}

func TestTheServerProvesOverBothWaysThatItHasTheKeyOfItsService(t *testing.T) {
	r := newRealm(t)
	s := serve(t, examples(t, "### Kerberos", "yaml")[0], "/etc/armada/armada.keytab", r.keytab, "HTTP/armada.example", "HTTP/localhost")
	realms, err := krbconfig.Load(r.conf)
	if err != nil {
		t.Fatal(err)
	}
	tickets, err := krbcredentials.LoadCCache(r.kinit(t))
	if err != nil {
		t.Fatal(err)
	}
	alice, err := krbclient.NewFromCCache(tickets, realms, krbclient.DisablePAFXFAST(true))
	if err != nil {
		t.Fatal(err)
	}
	defer alice.Destroy()
	ticket, key, err := alice.GetServiceTicket("HTTP/localhost")
	if err != nil {
		t.Fatal(err)
	}
	conn, err := grpc.NewClient(s.grpc, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for over, call := range map[string]func(header string) string{
		"REST": func(header string) string {
			_, answer := get(t, s.http, header)
			return answer.Get("WWW-Authenticate")
		},
		"gRPC": func(header string) string {
			var answer metadata.MD
			ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", header)
			_, err := api.NewSubmitClient(conn).Health(ctx, &emptypb.Empty{}, grpc.Header(&answer))
			if err != nil {
				t.Error(err)
			}
			return strings.Join(answer.Get("www-authenticate"), "; ")
		},
	} {
		said, check, err := authtest.Mutual(alice, ticket, key)
		if err != nil {
			t.Fatal(err)
		}
		answer, is := strings.CutPrefix(call("Negotiate "+said), "Negotiate ")
		if err := check(answer); !is || err != nil {
			t.Errorf("over %s the answer %q proves nothing: %v", over, answer, err)
		}
	}
}

func TestAProgramWithAKeytabNeedsNobodyToLogIn(t *testing.T) {
	r := newRealm(t)
	t.Setenv("KRB5_CONFIG", r.conf)
	source, err := credentials.New(credentials.Auth{KerberosAuth: &credentials.KerberosAuth{
		Enabled: true, Keytab: filepath.Join(r.dir, "robot.keytab"), Principal: "robot@" + realmName,
	}}, credentials.Options{Server: "localhost:1"})
	if err != nil {
		t.Fatal(err)
	}
	defer source.Close()
	blocks := examples(t, "### Kerberos", "yaml")
	s := serve(t, blocks[0], "/etc/armada/armada.keytab", r.keytab, "HTTP/armada.example", "HTTP/localhost", "admins: [alice]", "admins: [robot]")
	for range 2 {
		header, err := source.Authorization(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if code, _ := get(t, s.http, header); code != http.StatusNotFound { // let in, and there is no queue
			t.Errorf("it is answered %d", code)
		}
	}
}

func TestATicketThatHasEndedIsToldBeforeTheCall(t *testing.T) {
	r := newRealm(t)
	tickets := filepath.Join(r.dir, "short")
	r.tool(t, kerbSecret+"\n", "kinit", "-l", "2s", "-c", "FILE:"+tickets, "alice")
	for ended := false; !ended; {
		source, err := credentials.New(credentials.Auth{KerberosAuth: &credentials.KerberosAuth{Enabled: true}}, credentials.Options{Server: "localhost:1", Getenv: r.env(tickets)})
		if err != nil {
			t.Fatal(err)
		}
		_, err = source.Authorization(t.Context())
		if ended = err != nil; ended && !strings.Contains(err.Error(), "kinit gets one") && !strings.Contains(err.Error(), "no ticket") {
			t.Errorf("the error is %v", err)
		}
		_ = source.Close()
	}
}
