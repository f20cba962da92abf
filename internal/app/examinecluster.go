package app

import (
	"context"

	"golang.org/x/sync/errgroup"

	"armada/internal/doctor"
	"armada/internal/runs/kubernetes"
)

// ExamineCluster looks at what the executor of a config needs before it starts,
// and changes nothing: its servers, and the cluster that it would run pods in.
func ExamineCluster(ctx context.Context, config Config) []doctor.Check {
	checks := examineServers(ctx, &config.Executor)
	if config.Executor.Runtime != runtimeKubernetes {
		return append(checks, doctor.Good("runtime", "executor.runtime is %s, which needs no cluster", config.Executor.Runtime))
	}
	return append(checks, kubernetes.Check(ctx, config.Executor.Kubernetes, kubernetes.Expected{
		Pool: config.Executor.Pool, Classes: config.Jobs.PriorityClasses, Commands: config.Executor.Exec,
	})...)
}

// examineServers asks the servers of an executor, all at once. One that answers is
// enough to work with.
func examineServers(ctx context.Context, e *Executor) []doctor.Check {
	const servers = "servers"
	if len(e.Servers) == 0 {
		return []doctor.Check{doctor.Unknown(servers, "executor.servers names none; armada up needs none")}
	}
	secured, err := e.serversTLS()
	if err != nil {
		return []doctor.Check{doctor.Good(servers, "executor.%v", err).Fail("name files that are there")}
	}
	ctx, cancel := context.WithTimeout(ctx, answerPatience)
	defer cancel()
	answers := make([]reached, len(e.Servers))
	group := new(errgroup.Group)
	for i, addr := range e.Servers {
		group.Go(func() error {
			answers[i] = reach(ctx, "server "+addr, addr, addr, secured)
			return nil
		})
	}
	_ = group.Wait()
	some := false
	for _, a := range answers {
		some = some || a.err == nil
	}
	const advice = "look at executor.servers and executor.tls, and let firewalls pass it"
	checks := make([]doctor.Check, len(answers))
	for i, a := range answers {
		switch checks[i] = a.check(); {
		case a.err == nil:
		case some:
			checks[i] = doctor.Good(a.name, "it is not reached: %v", a.err).Warn("%s; another one answers", advice)
		default:
			checks[i] = doctor.Good(a.name, "it is not reached: %v", a.err).Fail("%s", advice)
		}
	}
	return checks
}
