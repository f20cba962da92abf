package kubernetes

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/util/flowcontrol"
)

// clients talk to the API server: as ourselves, and where that is asked for as
// the owners of jobs.
type clients struct {
	own         kubernetes.Interface
	host        string
	config      *rest.Config
	impersonate bool

	mu     sync.Mutex
	owners map[string]kubernetes.Interface // by name and groups
}

// mostOwners bounds the clients that are kept; they share connections.
const mostOwners = 1000

// connect reads where the cluster is. It does not talk to it.
func connect(c *Config) (*clients, error) {
	config, err := restConfig(c)
	if err != nil {
		return nil, err
	}
	config.RateLimiter = flowcontrol.NewTokenBucketRateLimiter(float32(c.QPS), c.Burst) // one for all clients
	config.UserAgent = "armada-executor"
	config.ContentType, config.AcceptContentTypes = "application/vnd.kubernetes.protobuf", "application/vnd.kubernetes.protobuf,application/json"
	own, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("making a client: %w", err)
	}
	return &clients{own: own, host: config.Host, config: config, impersonate: c.ImpersonateUsers, owners: map[string]kubernetes.Interface{}}, nil
}

func restConfig(c *Config) (*rest.Config, error) {
	if c.Kubeconfig == "" && c.Context == "" {
		config, err := rest.InClusterConfig()
		if err != nil {
			return nil, fmt.Errorf("kubeconfig: is empty, and this process is not in a pod: %w", err)
		}
		return config, nil
	}
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = c.Kubeconfig
	config, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, &clientcmd.ConfigOverrides{CurrentContext: c.Context}).ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("kubeconfig: %w", err)
	}
	return config, nil
}

// errNoOwner is answered where something would be made in nobody's name, which is
// with our own rights.
var errNoOwner = errors.New("the job has no owner in whose name (executor.kubernetes.impersonateUsers) something could be made")

// of returns the client for what is made in the name of a job's owner.
func (c *clients) of(owner string, groups []string) (kubernetes.Interface, error) {
	if !c.impersonate {
		return c.own, nil
	}
	if owner == "" {
		return nil, errNoOwner
	}
	groups = slices.Sorted(slices.Values(groups))
	key := owner + "\x00" + strings.Join(groups, "\x00")
	c.mu.Lock()
	defer c.mu.Unlock()
	if client, known := c.owners[key]; known {
		return client, nil
	}
	config := rest.CopyConfig(c.config)
	config.Impersonate = rest.ImpersonationConfig{UserName: owner, Groups: groups}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("making a client in the name of %s: %w", owner, err)
	}
	if len(c.owners) >= mostOwners {
		clear(c.owners)
	}
	c.owners[key] = client
	return client, nil
}

// patch changes a pod's metadata, if the pod is still the one it was, and answers
// with the pod as it is then.
func (r *Runtime) patch(ctx context.Context, pod *corev1.Pod, change map[string]any) (*corev1.Pod, error) {
	text, err := json.Marshal(change)
	if err != nil {
		return nil, err
	}
	return r.clients.own.CoreV1().Pods(pod.Namespace).Patch(ctx, pod.Name, types.StrategicMergePatchType, text, metav1.PatchOptions{})
}

// sleep waits, or ends with the context's cause.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// every calls do now and then until the context ends.
func every(ctx context.Context, interval time.Duration, do func(context.Context)) {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			do(ctx)
		}
	}
}
