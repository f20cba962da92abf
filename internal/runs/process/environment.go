//go:build linux

package process

import (
	"os"
	"strings"

	"armada/internal/podspec"
	"armada/internal/runs"
)

// defaultPath is for supervisors that have no PATH themselves.
const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// inherited are the variables of the supervisor that every process gets.
// Nothing else is: secrets of `armada` stay with it.
var inherited = []string{"LANG", "LC_ALL", "TZ", "USER", "LOGNAME"}

// fields answers what variables ask about their pod.
func fields(o *runs.Order) podspec.Fields {
	return func(path string) (string, bool) {
		switch path {
		case "metadata.name":
			return podName(o), true
		case "metadata.namespace":
			return o.Namespace, true
		case "metadata.uid":
			return string(o.Run), true
		case "spec.nodeName":
			return o.Node, true
		case "status.hostIP", "status.podIP":
			return "127.0.0.1", true
		}
		for prefix, from := range map[string]map[string]string{
			"metadata.labels['": o.Labels, "metadata.annotations['": o.Annotations,
		} {
			if key, found := strings.CutPrefix(path, prefix); found {
				return from[strings.TrimSuffix(key, "']")], true
			}
		}
		return "", false
	}
}

// podName is what the run's pod would be called.
func podName(o *runs.Order) string { return "armada-" + string(o.Job) + "-0" }

// environment is what a container's processes begin with. The mark is set
// last, so that no job takes it away by accident.
func (r *run) environment(c *podspec.Container) []string {
	path := os.Getenv("PATH")
	if path == "" {
		path = defaultPath
	}
	var env []string
	at := make(map[string]int)
	set := func(name, value string) { // of a name given twice only the later may stay: programs read the first
		i, given := at[name]
		if !given {
			i = len(env)
			at[name] = i
			env = append(env, "")
		}
		env[i] = name + "=" + value
	}
	set("PATH", path)
	set("HOME", r.folder.work())
	for _, name := range inherited {
		if value, given := os.LookupEnv(name); given {
			set(name, value)
		}
	}
	for _, v := range c.Env {
		set(v.Name, v.Value)
	}
	set(markVariable, r.folder.path)
	return env
}
