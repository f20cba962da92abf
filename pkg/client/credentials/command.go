package credentials

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"
)

// command runs a program that prints a token.
type command struct {
	config   ExecAuth
	terminal *Terminal
	token    held
}

// unknownLife is how long a token is used that does not say when it ends.
const unknownLife = time.Minute

func (c *command) Authorization(ctx context.Context) (string, error) {
	token, err := c.token.get(func() (string, time.Time, error) { return c.run(ctx) })
	if err != nil {
		return "", fmt.Errorf("execAuth: %w", err)
	}
	return "Bearer " + token, nil
}

func (*command) Close() error { return nil }

func (c *command) run(ctx context.Context) (string, time.Time, error) {
	program := exec.CommandContext(ctx, c.config.Cmd, c.config.Args...)
	program.Env = os.Environ()
	for _, v := range c.config.Env {
		program.Env = append(program.Env, v.Name+"="+v.Value)
	}
	var out, complaint bytes.Buffer
	program.Stdout, program.Stderr = &out, &complaint
	if c.config.Interactive && c.terminal != nil {
		program.Stdin, program.Stderr = c.terminal.In, c.terminal.Out
	}
	if err := program.Run(); err != nil {
		if said := strings.TrimSpace(complaint.String()); said != "" {
			return "", time.Time{}, fmt.Errorf("%s: %w: %s", c.config.Cmd, err, said)
		}
		return "", time.Time{}, fmt.Errorf("%s: %w", c.config.Cmd, err)
	}
	token, until := printed(out.Bytes())
	if token == "" {
		return "", time.Time{}, fmt.Errorf("%s printed no token", c.config.Cmd)
	}
	if until.IsZero() {
		until = expiryOf(token)
	}
	if until.IsZero() {
		until = time.Now().Add(unknownLife + early)
	}
	return token, until, nil
}

// printed reads what a program printed: the token alone, or the ExecCredential that
// programs made for kubectl print.
func printed(text []byte) (string, time.Time) {
	var credential struct {
		Status struct {
			Token  string    `json:"token"`
			Expiry time.Time `json:"expirationTimestamp"`
		} `json:"status"`
	}
	if json.Unmarshal(text, &credential) == nil && credential.Status.Token != "" {
		return credential.Status.Token, credential.Status.Expiry
	}
	return strings.TrimSpace(string(text)), time.Time{}
}
