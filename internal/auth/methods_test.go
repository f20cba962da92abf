package auth_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/crypto/bcrypt"

	"armada"
	"armada/internal/auth"
	"armada/internal/auth/authtest"
	"armada/internal/settings"
)

// methods makes the methods of a config.
func methods(t testing.TB, edit func(*auth.Config)) *auth.Methods {
	t.Helper()
	config := auth.DefaultConfig()
	edit(&config)
	m, err := config.Methods(slog.New(slog.DiscardHandler), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// ask tells who says something in the header authorization.
func ask(t testing.TB, m *auth.Methods, header string) (auth.Principal, error) {
	t.Helper()
	return m.Authenticate(t.Context(), auth.Credentials{Authorization: []string{header}, From: "192.0.2.1"})
}

// refuses fails the test unless the answer is a refusal that says why, and does not
// repeat the credentials.
func refuses(t testing.TB, m *auth.Methods, header, why string) {
	t.Helper()
	p, err := ask(t, m, header)
	if armada.CodeOf(err) != armada.CodeUnauthenticated || !strings.Contains(fmt.Sprint(err), why) {
		t.Errorf("answered %v, %v; want unauthenticated because of %q", p, err, why)
	}
	if _, secret, found := strings.Cut(header, " "); found && len(secret) > 8 && strings.Contains(fmt.Sprint(err), secret) {
		t.Errorf("the error repeats the credentials: %v", err)
	}
}

// is fails the test unless the header proves that the caller is a user.
func is(t testing.TB, m *auth.Methods, header, user string) auth.Principal {
	t.Helper()
	p, err := ask(t, m, header)
	if err != nil || p.Name != user {
		t.Errorf("answered %q, %v; want %s", p.Name, err, user)
	}
	return p
}

func basicHeader(user, password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
}

func bcrypted(t testing.TB, password string) string {
	t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	return string(hash)
}

func TestPasswordsOfEveryFormAreCompared(t *testing.T) {
	t.Parallel()
	const argon = "$argon2id$v=19$m=64,t=1,p=1$c2FsdHNhbHRzYWx0c2FsdA$cZqH+Xzyo0A8wGe0+1iwa4/v6AU+J43N/PP97rfjR2Q" // of hunter2
	m := methods(t, func(c *auth.Config) {
		c.BasicAuth.Users = map[string]auth.User{
			"plain":  {Password: settings.NewSecret("it is: a secret"), Groups: []string{"g"}},
			"bcrypt": {Password: settings.NewSecret(bcrypted(t, "pässword"))},
			"argon":  {Password: settings.NewSecret(argon)},
		}
		c.Groups = map[string][]string{"more": {"plain"}}
	})
	if p := is(t, m, basicHeader("plain", "it is: a secret"), "plain"); strings.Join(p.Groups, " ") != "g more" {
		t.Errorf("the groups are %v", p.Groups)
	}
	for range 2 { // the second time from memory
		is(t, m, basicHeader("bcrypt", "pässword"), "bcrypt")
		is(t, m, basicHeader("argon", "hunter2"), "argon")
	}
	is(t, m, "bAsIc  "+strings.TrimPrefix(basicHeader("plain", "it is: a secret"), "Basic "), "plain")
	const wrong = "there is no such user, or the password is wrong"
	for _, header := range []string{
		basicHeader("plain", "it is: a secreT"), basicHeader("bcrypt", ""), basicHeader("bcrypt", strings.Repeat("x", 5000)), basicHeader("argon", "hunter"),
		basicHeader("nobody", "it is: a secret"), basicHeader("", ""), basicHeader("plain", "\x00\xff"),
	} {
		refuses(t, m, header, wrong)
	}
	refuses(t, m, "Basic "+base64.StdEncoding.EncodeToString([]byte("no colon")), "there is no colon in it")
	refuses(t, m, "Basic !!!", "base64")
	refuses(t, m, "Basic", "base64")
	refuses(t, m, "Bearer x.y.z", "of a kind that this server does not take; it takes a name and a password (Basic)")
	refuses(t, m, "Basic "+strings.Repeat("A", 100<<10), "longer than")
}

func TestAFileOfUsersIsReadAgainWhenItChanges(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "htpasswd")
	write := func(user, password string) {
		if err := os.WriteFile(file, []byte("# users\n\n"+user+":"+bcrypted(t, password)+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("ada", "one")
	clock := time.Now()
	config := auth.DefaultConfig()
	config.BasicAuth.HtpasswdFile = file
	m, err := config.Methods(slog.New(slog.DiscardHandler), func() time.Time { return clock })
	if err != nil {
		t.Fatal(err)
	}
	is(t, m, basicHeader("ada", "one"), "ada")
	write("ada", "another")
	clock = clock.Add(2 * time.Second)
	is(t, m, basicHeader("ada", "another"), "ada")
	refuses(t, m, basicHeader("ada", "one"), "wrong") // although it was right lately
	if err := os.WriteFile(file, []byte("ada:plain text\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	clock = clock.Add(2 * time.Second)
	if _, err := ask(t, m, basicHeader("ada", "another")); armada.CodeOf(err) != armada.CodeUnavailable {
		t.Errorf("a file that cannot be read is answered %v", err)
	}
}

func TestGuessingPasswordsGetsSlowForTheGuesserOnly(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := methods(t, func(c *auth.Config) {
			c.BasicAuth.Users = map[string]auth.User{"ada": {Password: settings.NewSecret("right")}, "bob": {Password: settings.NewSecret("right")}}
		})
		for range 5 {
			refuses(t, m, basicHeader("ada", "wrong"), "the password is wrong")
		}
		refuses(t, m, basicHeader("ada", "right"), "too many wrong passwords")
		is(t, m, basicHeader("bob", "right"), "bob")
		if _, err := m.Authenticate(t.Context(), auth.Credentials{Authorization: []string{basicHeader("ada", "right")}, From: "192.0.2.2"}); err != nil {
			t.Errorf("from elsewhere she is answered %v", err)
		}
		time.Sleep(2 * time.Second) // virtual
		refuses(t, m, basicHeader("ada", "wrong"), "the password is wrong")
		time.Sleep(time.Second)
		refuses(t, m, basicHeader("ada", "another"), "too many") // the pauses grow
		time.Sleep(2 * time.Minute)
		refuses(t, m, basicHeader("ada", "wrong"), "the password is wrong")
		time.Sleep(2 * time.Minute)
		is(t, m, basicHeader("ada", "right"), "ada")
	})
}

func TestTokensOfAProviderAreVerified(t *testing.T) {
	t.Parallel()
	p := authtest.NewProvider(t)
	m := methods(t, func(c *auth.Config) {
		c.OpenIDAuth.ProviderURL, c.OpenIDAuth.ClientID, c.OpenIDAuth.GroupsClaim, c.OpenIDAuth.GroupsPrefix = p.URL, authtest.Audience, "groups", "oidc:"
	})
	who := is(t, m, "Bearer "+p.Token("ada", map[string]any{"groups": []string{"a", "b"}, "scope": "x y", "tenant": 1}), "ada")
	if fmt.Sprint(who.Groups, who.Scopes) != "[oidc:a oidc:b] [x y]" || !strings.Contains(strings.Join(who.Claims, " "), "tenant") {
		t.Errorf("it is %+v", who)
	}
	now := time.Now()
	is(t, m, "Bearer "+p.Token("ada", map[string]any{"exp": now.Add(-5 * time.Second).Unix()}), "ada") // within the clocks' difference
	for why, token := range map[string]string{
		"has expired at":                      p.Token("ada", map[string]any{"exp": now.Add(-time.Minute).Unix()}),
		"nbf":                                 p.Token("ada", map[string]any{"nbf": now.Add(time.Hour).Unix()}),
		`the token is for "other"`:            p.Token("ada", map[string]any{"aud": "other"}),
		"issued by a different provider":      p.Token("ada", map[string]any{"iss": "https://evil.example"}),
		`its claim "sub" is missing`:          p.Token("", nil),
		"none":                                p.Unsigned("ada"),
		"failed to verify":                    tampered(p.Token("eve", nil), "eve", "ada"),
		"malformed":                           "not a token at all, but a secret",
		"openIdConnect: oidc: malformed jwt:": "a.b.c",
	} {
		refuses(t, m, "Bearer "+token, why)
	}
	before := p.Token("ada", nil)
	p.Rotate()
	is(t, m, "Bearer "+p.Token("ada", nil), "ada")
	refuses(t, m, "Bearer "+before, "failed to verify")
}

// tampered is a token in whose claims something else stands, with its signature.
func tampered(token, what, with string) string {
	parts := strings.Split(token, ".")
	claims, _ := base64.RawURLEncoding.DecodeString(parts[1])
	parts[1] = base64.RawURLEncoding.EncodeToString([]byte(strings.Replace(string(claims), what, with, 1)))
	return strings.Join(parts, ".")
}

func TestAProviderMayBeDownAtFirstAndLater(t *testing.T) {
	t.Parallel()
	p := authtest.NewProvider(t)
	p.Down(true)
	clock := time.Now()
	config := auth.DefaultConfig()
	config.OpenIDAuth.ProviderURL, config.OpenIDAuth.ClientID = p.URL, authtest.Audience
	var logged strings.Builder
	m, err := config.Methods(slog.New(slog.NewTextHandler(&logged, nil)), func() time.Time { return clock })
	if err != nil {
		t.Fatal(err)
	}
	unavailable := func(token string) {
		t.Helper()
		if _, err := ask(t, m, "Bearer "+token); armada.CodeOf(err) != armada.CodeUnavailable {
			t.Errorf("answered %v, want unavailable", err)
		}
	}
	unavailable(p.Token("ada", nil))
	clock = clock.Add(2 * time.Second)
	unavailable(p.Token("ada", nil)) // asked again, and logged once
	if lines := strings.Count(logged.String(), "\n"); lines != 1 || !strings.Contains(logged.String(), p.URL) {
		t.Errorf("the server's log is %q", logged.String())
	}
	p.Down(false)
	clock = clock.Add(2 * time.Second)
	is(t, m, "Bearer "+p.Token("ada", nil), "ada")
	p.Down(true)
	is(t, m, "Bearer "+p.Token("ada", nil), "ada") // its keys are known
	// The library may hand the outcome of its last fetch of keys out once more.
	becomes := func(wanted func(error) bool) {
		t.Helper()
		for t.Context().Err() == nil {
			if _, err := ask(t, m, "Bearer "+p.Token("ada", nil)); wanted(err) {
				return
			}
		}
	}
	p.Rotate()
	becomes(func(err error) bool { return armada.CodeOf(err) == armada.CodeUnavailable })
	p.Down(false)
	becomes(func(err error) bool { return err == nil })
	is(t, m, "Bearer "+p.Token("ada", nil), "ada")
}

func TestAnAddressNamesAUserOnlyWhenItIsVerified(t *testing.T) {
	t.Parallel()
	p := authtest.NewProvider(t)
	m := methods(t, func(c *auth.Config) {
		c.OpenIDAuth.ProviderURL, c.OpenIDAuth.Audiences, c.OpenIDAuth.UsernameClaim, c.OpenIDAuth.UsernamePrefix = p.URL, []string{"x", authtest.Audience}, "email", "mail:"
	})
	is(t, m, "Bearer "+p.Token("1", map[string]any{"email": "ada@example.com", "email_verified": true}), "mail:ada@example.com")
	refuses(t, m, "Bearer "+p.Token("1", map[string]any{"email": "ada@example.com", "email_verified": false}), "has not verified")
}

func TestTokensOfServiceAccountsAreReviewedOnce(t *testing.T) {
	t.Parallel()
	cluster := authtest.NewCluster(t)
	kids := t.TempDir()
	if err := os.WriteFile(filepath.Join(kids, "key-1"), []byte(cluster.URL+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	m := methods(t, func(c *auth.Config) {
		c.KubernetesAuth.KidMappingFileLocation, c.KubernetesAuth.CAFile = kids, cluster.CAFile
	})
	token := cluster.Token("system:serviceaccount:team:robot", time.Now().Add(time.Hour))
	wrapped := "KubernetesAuth " + base64.StdEncoding.EncodeToString([]byte(fmt.Sprintf(`{"token":%q,"ca":"bm90IG91cnM="}`, token)))
	for range 3 {
		p := is(t, m, "Bearer "+token, "system:serviceaccount:team:robot")
		if !p.In("system:serviceaccounts") || !p.In("system:serviceaccount:team:robot") {
			t.Errorf("it is in %v", p.Groups)
		}
		is(t, m, wrapped, "system:serviceaccount:team:robot")
	}
	wrong := strings.TrimSuffix(token, token[len(token)-4:]) + "AAAA"
	for range 3 {
		refuses(t, m, "Bearer "+wrong, "does not know the token")
	}
	if n := len(cluster.Reviews); n != 2 {
		t.Errorf("the cluster was asked %d times about 2 tokens", n)
	}
	refuses(t, m, "Bearer "+cluster.Token("x", time.Now().Add(-time.Minute)), "has expired at")
	refuses(t, m, "Bearer x", "not that of a service account")
	refuses(t, m, "KubernetesAuth x", "base64 of")
	other := base64.RawURLEncoding.EncodeToString([]byte(`{"kid":"../../etc/passwd"}`)) + ".e30.x"
	refuses(t, m, "Bearer "+other, "of no cluster that this server knows")
}

func TestTicketsAreTakenOnceForTheRightServiceAndRealm(t *testing.T) {
	t.Parallel()
	realm := authtest.NewRealm(t)
	edit := func(more func(*auth.Kerberos)) func(*auth.Config) {
		return func(c *auth.Config) {
			c.Kerberos.KeytabLocation, c.Kerberos.UserNameSuffix = realm.Keytab, "@corp"
			more(&c.Kerberos)
		}
	}
	m := methods(t, edit(func(k *auth.Kerberos) { k.PrincipalName, k.Realms = "HTTP/localhost@TEST.ARMADA", []string{"FRIENDS"} }))
	ticket := "Negotiate " + realm.Ticket("ada", time.Hour)
	if p := is(t, m, ticket, "ada@corp"); !strings.HasPrefix(p.Answer, "Negotiate ") {
		t.Errorf("the answer is %q", p.Answer)
	}
	refuses(t, m, ticket, "was shown before")
	is(t, m, "negotiate "+realm.Ticket("ada", time.Hour), "ada@corp")
	is(t, m, "Negotiate "+realm.TicketOf("bob", "FRIENDS", time.Hour), "bob@FRIENDS@corp")
	refuses(t, m, "Negotiate "+realm.TicketOf("ada", "STRANGERS", time.Hour), `users of the realm "STRANGERS" are not taken`)
	refuses(t, m, "Negotiate "+realm.Ticket("ada", -time.Hour), "expired")
	refuses(t, m, "Negotiate "+authtest.NewRealm(t).Ticket("ada", time.Hour)[:100], "no ticket in the message")
	refuses(t, m, "Negotiate TlRMTVNTUAABAAAA", "no ticket in the message") // NTLM
	refuses(t, m, "Negotiate", "base64")
	wrong := methods(t, edit(func(k *auth.Kerberos) { k.PrincipalName = "HTTP/other" }))
	refuses(t, wrong, "Negotiate "+realm.Ticket("ada", time.Hour), `is for "HTTP/localhost@TEST.ARMADA", not for HTTP/other`)
}

func TestTheServerProvesWhoItIsToWhomeverAsksWithATicket(t *testing.T) {
	t.Parallel()
	realm := authtest.NewRealm(t)
	m := methods(t, func(c *auth.Config) { c.Kerberos.KeytabLocation = realm.Keytab })
	ticket, check := realm.Mutual("ada")
	if err := check(strings.TrimPrefix(is(t, m, "Negotiate "+ticket, "ada").Answer, "Negotiate ")); err != nil {
		t.Error(err)
	}
	if err := check(strings.TrimPrefix(is(t, m, "Negotiate "+realm.Ticket("ada", time.Hour), "ada").Answer, "Negotiate ")); err == nil {
		t.Error("an answer to another ticket proves something")
	}
}

func TestTheFirstMethodDoesNotMatterAndAnonymousHidesNone(t *testing.T) {
	t.Parallel()
	yes := true
	m := methods(t, func(c *auth.Config) {
		c.AnonymousAuth = &yes
		c.BasicAuth.Users = map[string]auth.User{"ada": {Password: settings.NewSecret("right")}}
	})
	p, err := m.Authenticate(t.Context(), auth.Credentials{})
	if err != nil || p.Name != auth.AnonymousName || !p.In(auth.Everyone) {
		t.Errorf("without credentials it is %v, %v", p, err)
	}
	refuses(t, m, basicHeader("ada", "wrong"), "wrong")
	if _, err := m.Authenticate(t.Context(), auth.Credentials{Authorization: []string{"Basic x", "Basic y"}}); armada.CodeOf(err) != armada.CodeUnauthenticated {
		t.Errorf("two headers are answered %v", err)
	}
	is(t, m, basicHeader("ada", "right"), "ada")
}

func TestWhatIsWrongInAConfigIsNamed(t *testing.T) {
	t.Parallel()
	no := false
	for want, edit := range map[string]func(*auth.Config){
		"anonymousAuth: is false and no other method":                     func(c *auth.Config) { c.AnonymousAuth = &no },
		"permissionGroupMapping: must give create_queue to somebody":      func(c *auth.Config) { c.ClientCertificates.Enabled = true },
		"permissionScopeMapping.submit_jobs: there is no such permission": func(c *auth.Config) { c.PermissionScopeMapping = map[string][]string{"submit_jobs": {"x"}} },
		"basicAuth.users.ada.password: is a hash of a kind": func(c *auth.Config) {
			c.BasicAuth.Users = map[string]auth.User{"ada": {Password: settings.NewSecret("$apr1$x")}}
		},
		"basicAuth.users.ada.password: must not be empty":                  func(c *auth.Config) { c.BasicAuth.Users = map[string]auth.User{"ada": {}} },
		"openIdAuth.clientId: must name the client":                        func(c *auth.Config) { c.OpenIDAuth.ProviderURL = "https://id.example" },
		"openIdAuth.providerUrl: must begin with https://":                 func(c *auth.Config) { c.OpenIDAuth.ProviderURL = "http://id.example" },
		"kerberos.keytabLocation: must name the file":                      func(c *auth.Config) { c.Kerberos.PrincipalName = "HTTP/x" },
		"kubernetesAuth.apiServer: must be the URL":                        func(c *auth.Config) { c.KubernetesAuth.APIServer = "kubernetes" },
		"clientCertificates.username: must be commonName, email, dns or u": func(c *auth.Config) { c.ClientCertificates.Username = "cn" },
		"peerSecret: must have at least 16 characters":                     func(c *auth.Config) { c.PeerSecret = settings.NewSecret("short") },
	} {
		config := auth.DefaultConfig()
		edit(&config)
		if err := config.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("the error is %v, want %s", err, want)
		}
	}
	if err := auth.DefaultConfig().Validate(); err != nil {
		t.Error(err)
	}
}

func FuzzAHeaderIsRefusedOrProvesSomething(f *testing.F) {
	realm, provider, cluster := authtest.NewRealm(f), authtest.NewProvider(f), authtest.NewCluster(f)
	m := methods(f, func(c *auth.Config) {
		c.BasicAuth.Users = map[string]auth.User{"ada": {Password: settings.NewSecret("right")}}
		c.Kerberos.KeytabLocation = realm.Keytab
		c.OpenIDAuth.ProviderURL, c.OpenIDAuth.ClientID = provider.URL, authtest.Audience
		c.KubernetesAuth.APIServer, c.KubernetesAuth.CAFile = cluster.URL, cluster.CAFile
	})
	ticket, token := realm.Ticket("ada", time.Hour), provider.Token("ada", nil)
	raw, _ := base64.StdEncoding.DecodeString(ticket)
	for _, seed := range []string{"", "Basic YTpi", basicHeader("ada", "right"), "Bearer " + token, "Bearer " + provider.Unsigned("ada"), "Negotiate " + ticket, "KubernetesAuth e30="} {
		f.Add(seed, []byte{})
	}
	f.Add("Negotiate ", raw)
	f.Add("Negotiate ", raw[:len(raw)/2])
	f.Fuzz(func(t *testing.T, header string, more []byte) {
		if len(more) > 0 {
			header += base64.StdEncoding.EncodeToString(more)
		}
		select {
		case <-cluster.Reviews:
		default:
		}
		p, err := m.Authenticate(context.Background(), auth.Credentials{Authorization: []string{header}, From: "192.0.2.1"})
		if err == nil && p.Name != "ada" {
			t.Errorf("%q proves that it is %q", header, p.Name)
		}
		if err != nil && armada.CodeOf(err) != armada.CodeUnauthenticated && armada.CodeOf(err) != armada.CodeUnavailable {
			t.Errorf("%q is answered %v", header, err)
		}
	})
}

func TestAnExecutorIsWhoItMayBe(t *testing.T) {
	t.Parallel()
	config := auth.DefaultConfig()
	config.PermissionGroupMapping = map[string][]string{"execute_jobs": {"agents"}}
	free := config.Authorizer(nil)
	config.Executors = map[string][]string{"robot": {"cluster-a"}}
	bound := config.Authorizer(nil)
	robot := auth.With(t.Context(), auth.Principal{Name: "robot", Groups: []string{"agents"}})
	other := auth.With(t.Context(), auth.Principal{Name: "other", Groups: []string{"agents"}})
	user := auth.With(t.Context(), auth.Principal{Name: "user"})
	for _, c := range []struct {
		a    *auth.Authorizer
		ctx  context.Context
		id   armada.ExecutorID
		want armada.ErrorCode
		ok   bool
	}{
		{free, robot, "any", 0, true},
		{free, user, "any", armada.CodeDenied, false},
		{bound, robot, "cluster-a", 0, true},
		{bound, robot, "", 0, true},
		{bound, robot, "cluster-b", armada.CodeDenied, false},
		{bound, other, "cluster-a", armada.CodeDenied, false},
		{bound, user, "cluster-a", armada.CodeDenied, false},
		{bound, auth.With(t.Context(), auth.OwnExecutor()), "cluster-b", 0, true},
		{bound, t.Context(), "cluster-a", armada.CodeUnauthenticated, false},
	} {
		err := c.a.AuthorizeExecutor(c.ctx, c.id)
		if (err == nil) != c.ok || err != nil && armada.CodeOf(err) != c.want {
			t.Errorf("%v as %q: %v", c.ctx, c.id, err)
		}
	}
}
