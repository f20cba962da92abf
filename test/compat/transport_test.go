package compat

import (
	"context"
	"encoding/base64"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"armada/internal/app"
	"armada/internal/auth"
	"armada/internal/settings"
	"armada/test/compat/wiretable"
)

// header is what a call says in its metadata about who makes it.
type header string

func (h header) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{"authorization": string(h)}, nil
}

func (header) RequireTransportSecurity() bool { return false }

// Statement 4 of the compatibility notes.
func TestTheSchemeOfCredentialsIsReadInAnyCase(t *testing.T) {
	t.Parallel()
	address := startUp(t, func(c *app.Config) {
		c.Auth.BasicAuth.Users = map[string]auth.User{"ada": {Password: settings.NewSecret("right"), Groups: []string{"admins"}}}
		c.Auth.PermissionGroupMapping = map[string][]string{"create_queue": {"admins"}}
	})
	for _, table := range []*wiretable.Table{wiretable.Year2020(), wiretable.Year2026()} {
		c := newClient(t, address, table)
		for _, scheme := range []string{"basic", "Basic", "BASIC"} {
			for password, want := range map[string]codes.Code{"right": codes.OK, "wrong": codes.Unauthenticated} {
				said := header(scheme + " " + base64.StdEncoding.EncodeToString([]byte("ada:"+password)))
				_, err := c.call("api.Submit/CreateQueue", Fields{"name": "x", "priority_factor": 1.0}, grpc.PerRPCCredentials(said))
				if status.Code(err) != want {
					t.Errorf("%s with the %s password answers %v, want %s", scheme, password, err, want)
				}
			}
		}
	}
}
