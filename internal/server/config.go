package server

import (
	"errors"
	"fmt"
	"net/http"
	"time"
)

// Config is what an operator decides about the server.
type Config struct {
	// GRPCAddr and HTTPAddr are where it listens, host:port; port 0 takes a free
	// one.
	GRPCAddr string
	HTTPAddr string
	// TLS encrypts what goes over both addresses.
	TLS TLS
	// AllowPlainText says that credentials may come in plain text from elsewhere than
	// this machine, because something before the server encrypts.
	AllowPlainText bool
	// MaxMessageBytes bounds a request over gRPC, after decompression.
	MaxMessageBytes int
	// MaxBodyBytes bounds a request over REST.
	MaxBodyBytes int64
	// MaxJobsPerRequest and MaxIDsPerQuery bound what one call may ask for.
	MaxJobsPerRequest int
	MaxIDsPerQuery    int
	// CORSAllowedOrigins are the web pages of other origins that may call the
	// REST interface, such as https://jobs.example.
	CORSAllowedOrigins []string
	// CORSAllowedMethods and CORSAllowedHeaders are what such pages may use.
	CORSAllowedMethods, CORSAllowedHeaders []string
	// CORSAllowCredentials says that browsers may send such calls with credentials
	// that the pages do not know: cookies, certificates, tickets.
	CORSAllowCredentials bool
	// Limits bound what one user may do.
	Limits Limits
	// PodSpecCacheBytes is how much memory the pod specs seen last may take, on
	// the way in and again on the way out.
	PodSpecCacheBytes int
	// ClientPatience is how long a client over REST may let the server wait: for the
	// whole of a body, until it reads on in an answer, or between two calls of a
	// connection. After that it is cut off.
	ClientPatience time.Duration
	// StopTimeout is how long calls in flight may take when the server stops.
	StopTimeout time.Duration
	// KeepaliveMinTime is how often a client may ping.
	KeepaliveMinTime time.Duration
}

// DefaultConfig serves this machine only.
func DefaultConfig() Config {
	return Config{
		GRPCAddr:          "127.0.0.1:50051",
		HTTPAddr:          "127.0.0.1:8080",
		MaxMessageBytes:   32 << 20,
		MaxBodyBytes:      32 << 20,
		MaxJobsPerRequest: 20_000,
		MaxIDsPerQuery:    10_000,
		CORSAllowedOrigins: []string{
			"http://localhost:3000", "http://localhost:8089", "http://localhost:10000",
		},
		CORSAllowedMethods:   []string{"GET", "HEAD", "POST", "PUT", "DELETE"},
		CORSAllowedHeaders:   []string{"Content-Type", "Accept", "Authorization", "Grpc-Timeout"},
		CORSAllowCredentials: true,
		PodSpecCacheBytes:    64 << 20,
		ClientPatience:       2 * time.Minute,
		StopTimeout:          10 * time.Second,
		KeepaliveMinTime:     5 * time.Second,
	}
}

// Validate returns everything that is wrong with the config.
func (c Config) Validate() error {
	var wrong []error
	positive := func(name string, n int64) {
		if n <= 0 {
			wrong = append(wrong, fmt.Errorf("%s: must be more than 0", name))
		}
	}
	if c.GRPCAddr == "" {
		wrong = append(wrong, errors.New("grpcAddr: must not be empty"))
	}
	if c.HTTPAddr == "" {
		wrong = append(wrong, errors.New("httpAddr: must not be empty"))
	}
	if err := c.TLS.Validate(); err != nil {
		wrong = append(wrong, err)
	}
	for i, origin := range c.CORSAllowedOrigins {
		if err := http.NewCrossOriginProtection().AddTrustedOrigin(origin); err != nil {
			wrong = append(wrong, fmt.Errorf("corsAllowedOrigins[%d]: must be scheme://host or scheme://host:port, is %q", i, origin))
		}
	}
	wrong = append(wrong, c.Limits.Validate())
	positive("maxMessageBytes", int64(c.MaxMessageBytes))
	positive("maxBodyBytes", c.MaxBodyBytes)
	positive("maxJobsPerRequest", int64(c.MaxJobsPerRequest))
	positive("maxIDsPerQuery", int64(c.MaxIDsPerQuery))
	positive("podSpecCacheBytes", int64(c.PodSpecCacheBytes))
	positive("clientPatience", int64(c.ClientPatience))
	positive("stopTimeout", int64(c.StopTimeout))
	positive("keepaliveMinTime", int64(c.KeepaliveMinTime))
	return errors.Join(wrong...)
}
