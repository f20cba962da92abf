package app

import (
	"fmt"
	"net"
	"net/url"
	"strings"
)

// Welcome tells where everything is and what to type next, where armadactl is
// typed as given.
func (s *System) Welcome(armadactl string) string {
	var b strings.Builder
	line := func(what, format string, args ...any) {
		fmt.Fprintf(&b, "  %-15s %s\n", what, fmt.Sprintf(format, args...))
	}
	switch s.roles {
	case RoleUp:
		fmt.Fprintf(&b, "Armada is up; its data is in %s\n\n", s.keeps())
	case RoleServer:
		fmt.Fprintf(&b, "Armada serves as replica %s; its data is in %s\n\n", s.replica.Name, s.keeps())
	default:
		fmt.Fprintf(&b, "Armada runs jobs as %s; its data is in %s\n\n", s.names(), s.dir.path)
	}
	if s.server != nil {
		line("gRPC", "%s", s.addresses.GRPC())
		line("REST", "http://%s/api/v1   (described by http://%s/api/swagger.json)", s.addresses.HTTP(), s.addresses.HTTP())
	}
	if s.roles == RoleServer {
		line("health", "http://%s/health", s.addresses.HTTP())
		line("other replicas", "reach this one at %s", s.replica.Addr)
	}
	if s.metrics != nil {
		line("metrics", "http://%s/metrics", s.metrics.Addr())
	}
	if s.roles == RoleExecutor {
		line("servers", "%s", strings.Join(s.config.Executor.Servers, ", "))
	}
	if len(s.clusters) > 0 {
		line("jobs run on", "%s", s.where())
	}
	if s.exposed() && s.config.Auth.Open() {
		b.WriteString("\nNobody has to log in: whoever reaches these addresses may do everything.\n")
	}
	if s.roles == RoleUp {
		b.WriteString("\nTry, in another terminal:\n\n")
		for _, line := range []string{"create queue demo", "submit examples/demo.yaml", "watch demo first-steps", "get jobs --queue demo"} {
			fmt.Fprintf(&b, "  %s %s%s\n", armadactl, s.urlFlag(), line)
		}
	}
	b.WriteString("\nCtrl-C stops.\n")
	return b.String()
}

// keeps names what remembers everything, without its secrets.
func (s *System) keeps() string {
	if s.config.Store.Database.IsEmpty() {
		return s.dir.path
	}
	return s.config.Store.place()
}

// place names the database.
func (s Store) place() string {
	at, err := url.Parse(s.Database.Reveal())
	if err != nil {
		return "PostgreSQL"
	}
	return "PostgreSQL at " + at.Host + at.Path
}

// names names the executors.
func (s *System) names() string {
	first, last := s.clusters[0].id, s.clusters[len(s.clusters)-1].id
	if first == last {
		return fmt.Sprintf("executor %s", first)
	}
	return fmt.Sprintf("executors %s to %s", first, last)
}

// exposed tells whether others than this machine reach the API.
func (s *System) exposed() bool {
	if s.server == nil {
		return false
	}
	for _, addr := range []string{s.addresses.GRPC(), s.addresses.HTTP()} {
		host, _, err := net.SplitHostPort(addr)
		if ip := net.ParseIP(host); err != nil || ip == nil || !ip.IsLoopback() {
			return true
		}
	}
	return false
}

// where says what jobs run on.
func (s *System) where() string {
	switch {
	case s.config.Executor.Simulate != "":
		return fmt.Sprintf("%s made up by --simulate %s; no real work is done", plural(len(s.clusters), "cluster", "clusters"), s.config.Executor.Simulate)
	case s.config.Executor.Runtime == runtimeKubernetes:
		return "nodes of a Kubernetes cluster, as pods"
	}
	return "this machine, as processes: the containers' commands, no images"
}

// urlFlag is what armadactl must be told when the address is not the usual one.
func (s *System) urlFlag() string {
	if _, port, err := net.SplitHostPort(s.addresses.GRPC()); err == nil && port != "50051" {
		return "--armadaUrl localhost:" + port + " "
	}
	return ""
}

// Farewell tells what Stop is about to do.
func (s *System) Farewell() string {
	n := s.holds()
	switch {
	case n == 0:
		return "Stopping.\n"
	case s.config.Executor.leavesRunning():
		return fmt.Sprintf("Stopping; %s on running. The next one with this data folder finds them.\n", plural(n, "job goes", "jobs go"))
	case n == 1:
		return "Stopping 1 job with its grace period; it is queued again. Ctrl-C again stops it at once.\n"
	default:
		return fmt.Sprintf("Stopping %d jobs with their grace periods; they are queued again. Ctrl-C again stops them at once.\n", n)
	}
}

func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
