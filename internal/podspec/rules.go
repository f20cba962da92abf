package podspec

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/api/validate/content"

	"armada"
)

// Config is what an installation demands of pod specs and fills in. Amounts are
// in Kubernetes' notation, by resource name; those of resources that are not
// counted have no effect.
type Config struct {
	// MaxPodSpecSizeBytes bounds a spec's encoded size.
	MaxPodSpecSizeBytes int
	// PriorityClasses are those that jobs may name.
	PriorityClasses []armada.PriorityClass
	// DefaultPriorityClassName is for jobs that name none.
	DefaultPriorityClassName string
	// DefaultJobLimits are request and limit of what a container does not ask
	// for; DefaultInitContainerLimits the same for init containers.
	DefaultJobLimits           map[string]string
	DefaultInitContainerLimits map[string]string
	// MaxOversubscriptionByResourceRequest is how many times its request a limit
	// may be, by resource; 1 for those not named.
	MaxOversubscriptionByResourceRequest map[string]float64
	// MinJobResources is the least that a container may ask for.
	MinJobResources map[string]string
	// MinTerminationGracePeriod is also the default grace period.
	MinTerminationGracePeriod time.Duration
	MaxTerminationGracePeriod time.Duration
	// DefaultActiveDeadline is how long a job may run that does not say it
	// itself; the longest counts of those named for resources that it asks for.
	DefaultActiveDeadline                  time.Duration
	DefaultActiveDeadlineByResourceRequest map[string]time.Duration
	// The tolerations that every job gets, those of its class, and those of the
	// resources it asks for.
	DefaultTolerations                  []armada.Toleration
	DefaultTolerationsByPriorityClass   map[string][]armada.Toleration
	DefaultTolerationsByResourceRequest map[string][]armada.Toleration
	// RestrictedTolerationKeys may not be tolerated by users' own words.
	RestrictedTolerationKeys []string
	// AssertInitContainersRequestFractionalCPU refuses init containers that ask
	// for whole cpus: a kubelet may pin those for the life of the pod.
	AssertInitContainersRequestFractionalCPU bool
	// DefaultGangNodeUniformityLabel is the label of which the nodes of a gang share a
	// value when the gang names none; empty for nodes anywhere.
	DefaultGangNodeUniformityLabel string
	// AddGangIDLabel gives the pods of a gang its id as the label armadaproject.io/gangId,
	// so that the members can be selected.
	AddGangIDLabel bool
}

// DefaultConfig returns the values of an installation that says nothing.
func DefaultConfig() Config {
	armadaOnly := func(key string) []armada.Toleration {
		return []armada.Toleration{{Key: key, Value: "true", Effect: armada.NoSchedule}}
	}
	return Config{
		MaxPodSpecSizeBytes: 65535,
		PriorityClasses: []armada.PriorityClass{
			{Name: "armada-default", Priority: 1000},
			{Name: "armada-preemptible", Priority: 1000, Preemptible: true},
		},
		DefaultPriorityClassName:   "armada-default",
		DefaultJobLimits:           map[string]string{armada.CPU: "1", armada.Memory: "1Gi", armada.EphemeralStorage: "8Gi"},
		DefaultInitContainerLimits: map[string]string{armada.CPU: "900m", armada.Memory: "1Gi", armada.EphemeralStorage: "8Gi"},
		MinJobResources:            map[string]string{armada.Memory: "1Mi"},
		MinTerminationGracePeriod:  time.Second,
		MaxTerminationGracePeriod:  5 * time.Minute,
		DefaultActiveDeadline:      72 * time.Hour,
		DefaultActiveDeadlineByResourceRequest: map[string]time.Duration{
			armada.NvidiaGPU: 336 * time.Hour,
		},
		DefaultTolerations: armadaOnly("armadaproject.io/armada"),
		DefaultTolerationsByPriorityClass: map[string][]armada.Toleration{
			"armada-default":     armadaOnly("armadaproject.io/pc-armada-default"),
			"armada-preemptible": armadaOnly("armadaproject.io/pc-armada-preemptible"),
		},
		DefaultTolerationsByResourceRequest: map[string][]armada.Toleration{
			armada.NvidiaGPU: armadaOnly("armadaproject.io/gpu"),
		},
		AssertInitContainersRequestFractionalCPU: true,
	}
}

// Rules are a [Config] made ready for use. They do not change and may be used
// by many goroutines.
type Rules struct {
	config   Config
	table    armada.ResourceTable
	classes  map[string]armada.PriorityClass
	limits   [2]map[string]resource.Quantity // of containers, of init containers
	least    map[string]int64
	deadline []string // resources with a deadline of their own, sorted
	tolerate []string // resources with tolerations of their own, sorted
}

// DefaultRules returns the rules of [DefaultConfig] for a table.
func DefaultRules(table armada.ResourceTable) *Rules {
	rules, err := DefaultConfig().Rules(table)
	if err != nil {
		panic(fmt.Sprintf("podspec: the default rules are broken: %v", err))
	}
	return rules
}

// Rules checks the config and makes it ready for use. The config must not be
// changed afterwards.
func (c Config) Rules(table armada.ResourceTable) (*Rules, error) {
	r := &Rules{config: c, table: table, classes: make(map[string]armada.PriorityClass)}
	for i, class := range c.PriorityClasses {
		if _, twice := r.classes[class.Name]; twice || class.Name == "" {
			return nil, fmt.Errorf("priorityClasses[%d].name: %q is empty or given twice", i, class.Name)
		}
		r.classes[class.Name] = class
	}
	if _, ok := r.classes[c.DefaultPriorityClassName]; !ok {
		return nil, fmt.Errorf("defaultPriorityClassName: %q is not one of the priority classes %v", c.DefaultPriorityClassName, r.ClassNames())
	}
	if c.MinTerminationGracePeriod < 0 || c.MaxTerminationGracePeriod < c.MinTerminationGracePeriod {
		return nil, fmt.Errorf("maxTerminationGracePeriod: %s is less than the minimum, %s", c.MaxTerminationGracePeriod, c.MinTerminationGracePeriod)
	}
	if label := c.DefaultGangNodeUniformityLabel; label != "" && len(content.IsLabelKey(label)) > 0 {
		return nil, fmt.Errorf("defaultGangNodeUniformityLabel: %q is not a label key", label)
	}
	for _, name := range slices.Sorted(maps.Keys(c.MaxOversubscriptionByResourceRequest)) {
		if ratio := c.MaxOversubscriptionByResourceRequest[name]; !(ratio >= 1) {
			return nil, fmt.Errorf("maxOversubscriptionByResourceRequest[%s]: %v is less than 1", name, ratio)
		}
	}
	var err error
	if r.limits[0], err = quantities("defaultJobLimits", c.DefaultJobLimits, table); err != nil {
		return nil, err
	}
	if r.limits[1], err = quantities("defaultInitContainerLimits", c.DefaultInitContainerLimits, table); err != nil {
		return nil, err
	}
	least, err := quantities("minJobResources", c.MinJobResources, table)
	if err != nil {
		return nil, err
	}
	r.least = make(map[string]int64, len(least))
	for name, q := range least {
		i, _ := table.Index(name)
		r.least[name], _ = amountOf(q, table.At(i), true)
	}
	r.deadline = slices.Sorted(maps.Keys(c.DefaultActiveDeadlineByResourceRequest))
	r.tolerate = slices.Sorted(maps.Keys(c.DefaultTolerationsByResourceRequest))
	return r, nil
}

// quantities reads the amounts of counted resources.
func quantities(key string, texts map[string]string, table armada.ResourceTable) (map[string]resource.Quantity, error) {
	parsed := make(map[string]resource.Quantity, len(texts))
	for _, name := range slices.Sorted(maps.Keys(texts)) {
		i, counted := table.Index(name)
		if !counted {
			continue
		}
		amount, err := ParseQuantity(texts[name], table.At(i), true)
		if err != nil {
			return nil, fmt.Errorf("%s[%s]: %w", key, name, err)
		}
		if amount < 0 {
			return nil, fmt.Errorf("%s[%s]: %s is negative", key, name, texts[name])
		}
		parsed[name] = resource.MustParse(FormatQuantity(amount, table.At(i)))
	}
	return parsed, nil
}

// Table returns the resources that the rules count.
func (r *Rules) Table() armada.ResourceTable { return r.table }

// PriorityClass returns an allowed class by name; the empty name is the default
// one's. False when jobs may not name it.
func (r *Rules) PriorityClass(name string) (armada.PriorityClass, bool) {
	if name == "" {
		name = r.config.DefaultPriorityClassName
	}
	class, ok := r.classes[name]
	return class, ok
}

// ClassNames returns the names of the allowed classes in order.
func (r *Rules) ClassNames() []string { return slices.Sorted(maps.Keys(r.classes)) }

// ratio is how many times the request the limit of a resource may be.
func (r *Rules) ratio(name string) float64 {
	if ratio, ok := r.config.MaxOversubscriptionByResourceRequest[name]; ok {
		return ratio
	}
	return 1
}
