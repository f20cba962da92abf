package app

import (
	"crypto/tls"
	"fmt"
	"io"
	"os"
	"time"

	"armada/internal/auth"
	"armada/internal/server"
	"armada/internal/store"
)

// door is who lets callers in.
type door struct {
	methods    *auth.Methods
	authorizer *auth.Authorizer
	audit      io.Writer // nil for none
	file       *os.File  // what audit has to be closed; nil for none
}

// openDoor makes what the config says about callers.
func (s *System) openDoor(queues store.Queues) (*door, error) {
	config, log := s.config.Auth, s.log.With("part", "auth")
	methods, err := config.Methods(log, time.Now)
	if err != nil {
		return nil, fmt.Errorf("auth.%w", err)
	}
	d := &door{methods: methods, authorizer: config.Authorizer(queues)}
	switch config.AuditFile {
	case "":
	case "-":
		d.audit = os.Stdout
	default:
		if d.file, err = os.OpenFile(config.AuditFile, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600); err != nil {
			return nil, fmt.Errorf("auth.auditFile: %w", err)
		}
		d.audit = d.file
	}
	if config.Open() {
		log.Info("nobody has to log in: whoever reaches this server may do everything")
	} else {
		log.Info("callers are let in", "methods", methods.Names())
		if !s.config.Store.Database.IsEmpty() && config.PeerSecret.IsEmpty() {
			log.Warn("auth.peerSecret is not set: replicas of this server do not answer each other; a single one needs none")
		}
	}
	return d, nil
}

func (d *door) close() error {
	if d == nil || d.file == nil {
		return nil
	}
	return d.file.Close()
}

// peersTLS is how other replicas are spoken with; nil for in plain text.
func peersTLS(config server.TLS) (*tls.Config, error) {
	if !config.IsSet() {
		return nil, nil //nolint:nilnil // no TLS is an answer
	}
	secured := &tls.Config{MinVersion: tls.VersionTLS12}
	if config.PeerCAFile != "" {
		var err error
		if secured.RootCAs, err = server.Authorities(config.PeerCAFile); err != nil {
			return nil, fmt.Errorf("server.tls.peerCAFile: %w", err)
		}
	}
	return secured, nil
}

// peerAuthorization is what replicas tell each other; empty for nothing.
func (c Config) peerAuthorization() string {
	if c.Auth.PeerSecret.IsEmpty() {
		return ""
	}
	return server.PeerScheme + " " + c.Auth.PeerSecret.Reveal()
}

// validateAuth tells what is wrong with who is let in and how.
func (c Config) validateAuth() error {
	if err := c.Auth.Validate(); err != nil {
		return fmt.Errorf("auth: %w", err)
	}
	if c.Auth.ClientCertificates.Enabled && c.Server.TLS.ClientCAFile == "" {
		return fmt.Errorf("auth.clientCertificates: needs server.tls.clientCAFile, the authorities of those certificates")
	}
	if keys := c.Server.Exposed(); len(keys) > 0 && !c.Auth.Open() {
		return fmt.Errorf("%s: can be reached from elsewhere, and passwords and tokens would come in plain text; set server.tls, or server.allowPlainText where something before the server encrypts", keys[0])
	}
	return nil
}
