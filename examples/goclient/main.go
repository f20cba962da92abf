// Command goclient shows the Go client at work: it connects to a server, creates
// a queue, submits jobs, watches them to their end, and shows what they wrote.
//
// Start a server with `armada up`, then: go run ./examples/goclient
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"armada"
	"armada/pkg/api"
	"armada/pkg/api/lookout"
	"armada/pkg/client"
	"armada/pkg/client/manifest"
)

func main() {
	address := flag.String("armadaUrl", client.DefaultURL, "address of the server's gRPC API")
	flag.Parse()
	if err := run(context.Background(), *address); err != nil {
		fmt.Fprintln(os.Stderr, "goclient:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, address string) error {
	c, err := client.Connect(ctx, client.Config{ArmadaURL: address})
	if err != nil {
		return fmt.Errorf("%w (start a server with `armada up`)", err)
	}
	defer c.Close()

	const queue = "goclient"
	if err := c.CreateQueue(ctx, &api.Queue{Name: queue, PriorityFactor: 1}); err != nil {
		return err
	}
	jobs, err := greetings("Ada", "Grace", "Edsger")
	if err != nil {
		return err
	}
	jobSet := time.Now().UTC().Format("run-20060102-150405.000")
	ids, err := c.Submit(ctx, queue, jobSet, jobs)
	if err != nil {
		return err
	}
	fmt.Printf("%d jobs are in queue %s, job set %s\n", len(ids), queue, jobSet)

	var progress client.Progress
	err = c.Watch(ctx, client.Stream{Queue: queue, JobSet: jobSet}, func(m *api.EventStreamMessage) error {
		progress.Apply(m.GetMessage())
		event := client.Head(m.GetMessage())
		fmt.Printf("%s  %s  %s\n", event.Created.Local().Format(time.TimeOnly), event.Job, event.Kind)
		if progress.Done() {
			return client.ErrStop
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, id := range ids {
		err := c.Logs(ctx, client.LogQuery{Job: id}, func(line *lookout.LogLine) error {
			fmt.Println(line.GetLine())
			return nil
		})
		if err != nil {
			return err
		}
	}
	if failed := len(ids) - progress.Count(armada.JobSucceeded); failed > 0 {
		return fmt.Errorf("%d jobs did not succeed", failed)
	}
	return nil
}

// greetings makes jobs by the Go types of Kubernetes; manifest.ReadPodSpec reads
// the same from YAML.
func greetings(names ...string) ([]*api.JobSubmitRequestItem, error) {
	amounts := corev1.ResourceList{
		corev1.ResourceCPU:    resource.MustParse("100m"),
		corev1.ResourceMemory: resource.MustParse("32Mi"),
	}
	var items []*api.JobSubmitRequestItem
	for i, name := range names {
		spec, err := manifest.FromKubernetes(&corev1.PodSpec{Containers: []corev1.Container{{
			Name:      "greets",
			Command:   []string{"echo", "hello, " + name},
			Resources: corev1.ResourceRequirements{Requests: amounts, Limits: amounts},
		}}})
		if err != nil {
			return nil, err
		}
		items = append(items, &api.JobSubmitRequestItem{Priority: float64(i), PodSpecs: []*manifest.PodSpec{spec}})
	}
	return items, nil
}
