package kubernetes

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"armada/internal/runs"
)

// finished is a pod of a queue whose container ended some time ago, and whose end
// was told some time ago; 0 is not yet.
func finished(name, queue string, phase corev1.PodPhase, ended, told time.Duration, now time.Time) *corev1.Pod {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{LabelQueue: queue}, Annotations: map[string]string{}}}
	pod.Status.Phase = phase
	pod.Status.ContainerStatuses = []corev1.ContainerStatus{{State: corev1.ContainerState{
		Terminated: &corev1.ContainerStateTerminated{FinishedAt: metav1.NewTime(now.Add(-ended))},
	}}}
	if told > 0 {
		pod.Annotations[AnnotationForgotten] = now.Add(-told).UTC().Format(time.RFC3339)
	}
	return pod
}

func TestFinishedPodsAreKeptForATimeAfterTheirEndWasTold(t *testing.T) {
	t.Parallel()
	now := time.Now()
	c := &Config{KeepFinished: 3 * time.Minute, KeepFailed: 10 * time.Minute}
	deleted := finished("deleted", "q", corev1.PodSucceeded, time.Hour, time.Hour, now)
	deleted.DeletionTimestamp = &metav1.Time{Time: now}
	pods := []*corev1.Pod{
		finished("not-told", "q", corev1.PodSucceeded, time.Hour, 0, now),
		finished("just-told", "q", corev1.PodSucceeded, time.Hour, time.Minute, now),
		finished("told-long-ago", "q", corev1.PodSucceeded, time.Hour, 4*time.Minute, now),
		finished("failed", "q", corev1.PodFailed, time.Hour, 4*time.Minute, now),
		finished("failed-long-ago", "q", corev1.PodFailed, time.Hour, 11*time.Minute, now),
		deleted,
	}
	if old := namesOf(expendablePods(c, pods, now)); old != "failed-long-ago told-long-ago" {
		t.Errorf("%s are removed", old)
	}
	c.KeepFailed = 0
	if old := namesOf(expendablePods(c, pods, now)); old != "failed failed-long-ago told-long-ago" {
		t.Errorf("when pods that failed are not to be kept, %s are removed", old)
	}
}

func TestOfTooManyFinishedPodsTheOldestOfTheLargestQueueGo(t *testing.T) {
	t.Parallel()
	now := time.Now()
	var pods []*corev1.Pod
	for i := range 5 {
		pods = append(pods, finished(fmt.Sprintf("crowd-%d", i), "crowd", corev1.PodSucceeded, time.Duration(5-i)*time.Second, time.Second, now))
	}
	pods = append(pods, finished("lonely", "small", corev1.PodSucceeded, time.Minute, time.Second, now))
	for most, want := range map[int]string{0: "", 6: "", 5: "crowd-0", 3: "crowd-0 crowd-1 crowd-2"} {
		c := &Config{KeepFinished: time.Hour, KeepFailed: time.Hour, KeepPods: most}
		if gone := namesOf(expendablePods(c, pods, now)); gone != want {
			t.Errorf("when %d may be kept, %q are removed, want %q", most, gone, want)
		}
	}
}

func namesOf(pods []*corev1.Pod) string {
	var list []string
	for _, pod := range pods {
		list = append(list, pod.Name)
	}
	slices.Sort(list)
	return strings.Join(list, " ")
}

func TestKeptLogsOfSeveralContainersAreInTheOrderOfTheirTimes(t *testing.T) {
	t.Parallel()
	a := archiveIn(t, LogStorage{})
	began := time.Now()
	line := func(container string, after time.Duration) runs.LogLine {
		return runs.LogLine{Time: began.Add(after), Container: container, Text: []byte(fmt.Sprint(container, " ", after))}
	}
	// As they are read of a pod: one container after the other.
	if err := a.write("a-run", []runs.LogLine{line("main", 1), line("main", 4), line("side", 2), line("side", 3)}); err != nil {
		t.Fatal(err)
	}
	isKept(t, a, "a-run", "main 1ns\nside 2ns\nside 3ns\nmain 4ns")
	var last []string
	if err := a.read(t.Context(), "a-run", runs.LogQuery{Tail: 1}, func(l runs.LogLine) error {
		last = append(last, string(l.Text))
		return nil
	}); err != nil || !slices.Equal(last, []string{"main 4ns"}) {
		t.Errorf("the last line is %q, %v", last, err)
	}
}

func TestTheEndOfALogIsKeptUpToItsSizeAndNoMoreIsHeld(t *testing.T) {
	t.Parallel()
	const most = 10_000
	end := lastLines{most: most}
	for i := range 5_000 {
		if err := end.add(runs.LogLine{Text: fmt.Appendf(nil, "%099d", i)}); err != nil { // 100 bytes with its end
			t.Fatal(err)
		}
		if held := cap(end.lines); held > 10*most/100 {
			t.Fatalf("after %d lines %d are held", i, held)
		}
	}
	if n := len(end.lines); n != most/100 || string(end.lines[n-1].Text) != fmt.Sprintf("%099d", 4_999) {
		t.Errorf("%d lines are kept, the last of them %q", n, end.lines[n-1].Text)
	}
	if _ = end.add(runs.LogLine{Text: make([]byte, 2*most)}); len(end.lines) != 0 {
		t.Errorf("of a line that is longer than what is kept %d lines are", len(end.lines))
	}
}
