package main

import (
	"fmt"
	"strconv"
	"strings"

	"armada/pkg/api"
)

// queueLimits is the flag --limits: the most of a pool that the jobs of a queue may
// hold, by priority class.
type queueLimits struct{ queue *api.Queue }

// limitsForm is what a value of the flag looks like.
const limitsForm = "CLASS[@POOL]:RESOURCE=FRACTION,..."

// Set adds a value of the flag.
func (l queueLimits) Set(text string) error {
	of, amounts, found := strings.Cut(text, ":")
	class, pool, inPool := strings.Cut(of, "@")
	if !found || class == "" || inPool && pool == "" || amounts == "" {
		return fmt.Errorf("must be %s, such as batch:cpu=0.5 or batch@gpu:cpu=50%%,memory=25%%", limitsForm)
	}
	if l.queue.ResourceLimitsByPriorityClassName == nil {
		l.queue.ResourceLimitsByPriorityClassName = map[string]*api.PriorityClassResourceLimits{}
	}
	limits := l.queue.ResourceLimitsByPriorityClassName[class]
	if limits == nil {
		limits = &api.PriorityClassResourceLimits{}
		l.queue.ResourceLimitsByPriorityClassName[class] = limits
	}
	into := &limits.MaximumResourceFraction
	if inPool {
		if limits.MaximumResourceFractionByPool == nil {
			limits.MaximumResourceFractionByPool = map[string]*api.PriorityClassPoolResourceLimits{}
		}
		if limits.MaximumResourceFractionByPool[pool] == nil {
			limits.MaximumResourceFractionByPool[pool] = &api.PriorityClassPoolResourceLimits{}
		}
		into = &limits.MaximumResourceFractionByPool[pool].MaximumResourceFraction
	}
	return fractionsInto(into, amounts)
}

// fractionsInto reads RESOURCE=FRACTION,...
func fractionsInto(into *map[string]float64, text string) error {
	if *into == nil {
		*into = map[string]float64{}
	}
	for part := range strings.SplitSeq(text, ",") {
		resource, amount, found := strings.Cut(part, "=")
		fraction, err := fraction(amount)
		if !found || resource == "" || err != nil {
			return fmt.Errorf("%q must be RESOURCE=FRACTION, with a fraction from 0 to 1 or from 0%% to 100%%", part)
		}
		if _, twice := (*into)[resource]; twice {
			return fmt.Errorf("there are two limits of %s", resource)
		}
		(*into)[resource] = fraction
	}
	return nil
}

// fraction is a part of a whole, as 0.25 or as 25%.
func fraction(text string) (float64, error) {
	number, percent := strings.CutSuffix(text, "%")
	f, err := strconv.ParseFloat(number, 64)
	if percent {
		f /= 100
	}
	if err == nil && !(f >= 0 && f <= 1) {
		err = strconv.ErrRange
	}
	return f, err
}

func (l queueLimits) String() string { return "" }

// Type is what the help shows as the value.
func (l queueLimits) Type() string { return limitsForm }
