package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"runtime"
	"strings"

	"github.com/spf13/cobra"

	"armada/pkg/client"
	"armada/pkg/client/credentials"
)

func (c *cli) authCommand() *cobra.Command {
	g := group("auth", "Log in and out, and see who you are to the server", c.loginCommand(), c.logoutCommand(), c.whoAmICommand())
	g.Long = `How you prove to a server who you are stands in the config file, for each context; the first of these
keys that is there counts:

  basicAuth                    a name and a password
  kubernetesNativeAuth         the token of the pod's Kubernetes service account
  openIdAuth                   a login in the browser of this machine
  openIdDeviceAuth             a login in a browser elsewhere
  openIdPasswordAuth           a name and a password at an OpenID Connect provider
  openIdClientCredentialsAuth  the secret of a program at such a provider
  openIdKubernetesAuth         the token of the service account, exchanged at such a provider
  kerberosAuth                 a Kerberos ticket: that of your session (kinit), or one by a keytab
  execAuth                     a command that prints a token

Without any you are anonymous. A certificate of your own goes into tls, beside any of them.
docs/howto/authentication.md shows each.`
	return g
}

func (c *cli) loginCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "login",
		Short: "Log in anew where somebody has to, and show who you are to the server",
		Long: `Log in at the OpenID Connect provider of the context, in the browser or as openIdDeviceAuth says, and
keep the login for the commands that follow, in a folder that only you can look into. It lasts until
the provider ends it or armadactl auth logout does.

By every other way there is nothing to keep: this shows only whether the server takes it.`,
		Args: arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, stop := c.signals(cmd.Context())
			err := c.login(ctx)
			if interrupted := stop(); interrupted != nil {
				return interrupted
			}
			if err != nil {
				return err
			}
			return c.connected(cmd.Context(), c.showCaller)
		},
	}
}

// login logs in where that is something that lasts.
func (c *cli) login(ctx context.Context) error {
	config, err := c.config()
	if err != nil {
		return err
	}
	config.Terminal = &credentials.Terminal{In: c.in, Out: c.errors, Browse: browse} // somebody is there: it was asked for
	source, err := config.Source()
	if err != nil || source == nil {
		return err
	}
	defer source.Close()
	if lasting, is := source.(*credentials.OpenID); is {
		return lasting.Login(ctx)
	}
	return nil
}

func (c *cli) logoutCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "logout",
		Short: "Forget a login that is kept, here and at the provider if that takes logins back",
		Args:  arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			config, err := c.config()
			if err != nil {
				return err
			}
			source, err := config.Source()
			if err != nil {
				return err
			}
			there, ended := false, true
			if lasting, is := source.(*credentials.OpenID); is {
				if there, ended, err = lasting.Logout(cmd.Context()); err != nil {
					return err
				}
			}
			switch {
			case !there:
				c.printf("No login was kept.\n")
			case ended:
				c.printf("You are logged out.\n")
			default:
				c.printf("You are logged out here. The provider did not take the login back: there it stays good until it ends.\n")
			}
			return nil
		},
	}
}

func (c *cli) whoAmICommand() *cobra.Command {
	var form string
	cmd := &cobra.Command{
		Use:   "whoami",
		Short: "Show who you are to the server",
		Args:  arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.connected(cmd.Context(), func(ctx context.Context, server *client.Client) error {
				if form == formText {
					return c.showCaller(ctx, server)
				}
				who, err := server.WhoAmI(ctx)
				if err != nil {
					return err
				}
				return (&machine{cli: c, form: form}).addValue(who.Name, struct {
					Name   string   `json:"name"` // empty for nobody
					Groups []string `json:"groups"`
					Method string   `json:"method"`
				}{who.Name, append([]string{}, who.Groups...), who.Method})
			})
		},
	}
	outputFlag(cmd, &form, asText...)
	return cmd
}

func (c *cli) showCaller(ctx context.Context, server *client.Client) error {
	who, err := server.WhoAmI(ctx)
	switch {
	case err != nil:
		return err
	case who.Name == "":
		return &advisedError{errors.New("you are nobody to this server: no credentials were given, and it takes no calls without any"), "armadactl auth --help says how to give some."}
	}
	c.pairs("", "Name", who.Name, "Groups", strings.Join(who.Groups, ", "), "Proven by", who.Method)
	return nil
}

// ask is where a person can log in; nil when nobody is there.
func (c *cli) ask() *credentials.Terminal {
	if _, is := c.terminal(); !is {
		return nil
	}
	return &credentials.Terminal{In: c.in, Out: c.errors, Browse: browse}
}

// browse opens a page in the browser of this machine.
func browse(url string) error {
	name, args := "xdg-open", []string{url}
	switch runtime.GOOS {
	case "darwin":
		name = "open"
	case "windows":
		name, args = "rundll32", []string{"url.dll,FileProtocolHandler", url}
	}
	program := exec.Command(name, args...)
	if err := program.Start(); err != nil {
		return fmt.Errorf("open a browser: %w", err)
	}
	go func() { _ = program.Wait() }() // whatever it says, the page was printed too
	return nil
}
