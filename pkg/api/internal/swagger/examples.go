package main

import (
	"encoding/json"
	"fmt"
)

// aJob stands for the id of a job where an example needs one.
const aJob = "01jd0000000000000000000000"

// examples are a body for each definition that is one. They work as they are on a
// server that has what they name, and pages about the interface offer them to be
// changed and sent; the generator's own are "string" for every text.
var examples = map[string]string{
	"apiQueue":              `{"name": "demo", "priorityFactor": 1, "labels": {"team": "research"}}`,
	"SubmitUpdateQueueBody": `{"priorityFactor": 2, "cordoned": false, "labels": {"team": "research"}}`,
	"apiQueueList":          `{"queues": [{"name": "demo", "priorityFactor": 1}]}`,
	"apiJobSubmitRequest": `{"queue": "demo", "jobSetId": "first-steps", "jobRequestItems": [{
		"priority": 0, "namespace": "default", "annotations": {"example.com/team": "research"},
		"podSpec": {"containers": [{
			"name": "hello", "image": "busybox:1.37", "command": ["sh", "-c", "echo hello"],
			"resources": {"requests": {"cpu": "100m", "memory": "16Mi"}, "limits": {"cpu": "100m", "memory": "16Mi"}}}]}}]}`,
	"apiJobCancelRequest":       `{"queue": "demo", "jobSetId": "first-steps", "reason": "not needed"}`,
	"apiJobSetCancelRequest":    `{"queue": "demo", "jobSetId": "first-steps", "filter": {"states": ["QUEUED"]}}`,
	"apiJobReprioritizeRequest": `{"queue": "demo", "jobSetId": "first-steps", "newPriority": 1}`,
	"apiJobPreemptRequest":      `{"queue": "demo", "jobSetId": "first-steps", "jobIds": ["` + aJob + `"]}`,
	"EventGetJobSetEventsBody":  `{"watch": false}`,

	"apiJobStatusRequest":                    `{"jobIds": ["` + aJob + `"]}`,
	"apiJobDetailsRequest":                   `{"jobIds": ["` + aJob + `"], "expandJobRun": true}`,
	"apiJobErrorsRequest":                    `{"jobIds": ["` + aJob + `"]}`,
	"apiJobRunDetailsRequest":                `{"runIds": ["` + aJob + `-1"]}`,
	"apiJobStatusUsingExternalJobUriRequest": `{"queue": "demo", "jobset": "first-steps", "externalJobUri": "https://example.com/1"}`,

	"lookoutGetJobsRequest":   `{"filters": [{"field": "queue", "values": ["demo"]}], "order": {"field": "submitted", "direction": "DESCENDING"}, "pageSize": 50}`,
	"lookoutCountJobsRequest": `{"filters": [{"field": "state", "match": "IN", "values": ["FAILED", "REJECTED"]}]}`,
	"lookoutGroupJobsRequest": `{"by": "state", "filters": [{"field": "queue", "values": ["demo"]}]}`,
	"lookoutWatchJobsRequest": `{"filters": [{"field": "queue", "values": ["demo"]}], "interval": "0.5s"}`,
	"lookoutLogsRequest":      `{"jobId": "` + aJob + `", "tailLines": 100}`,

	"binocularsLogRequest":    `{"jobId": "` + aJob + `", "logOptions": {"tailLines": 100}}`,
	"binocularsCordonRequest": `{"nodeName": "node-1"}`,

	"ExecutorUpsertExecutorSettingsBody": `{"cordoned": true, "cordonReason": "new disks"}`,
	"ExecutorCancelOnExecutorBody":       `{"queues": ["demo"], "priorityClasses": ["armada-default"], "pools": ["default"]}`,
	"ExecutorPreemptOnExecutorBody":      `{"queues": ["demo"], "priorityClasses": ["armada-default"], "pools": ["default"]}`,
	"NodeCancelOnNodeBody":               `{"executor": "local", "queues": ["demo"]}`,
	"NodePreemptOnNodeBody":              `{"executor": "local", "queues": ["demo"]}`,

	"apiRetryPolicy": `{"name": "patient", "retryLimit": 2, "defaultAction": "Fail", "rules": [{"action": "Retry", "onExitCodes": [3]}]}`,
	"RetryPolicyServiceUpdateRetryPolicyBody": `{"retryLimit": 3, "defaultAction": "Fail", "rules": [{"action": "Retry", "onConditions": ["OOMKilled"]}]}`,
}

// showExamples puts the examples into the definitions of bodies.
func showExamples(definitions object) error {
	for name, text := range examples {
		definition, _ := definitions[name].(object)
		if definition == nil {
			return fmt.Errorf("there is an example of %s, which the document has not", name)
		}
		var example any
		if err := json.Unmarshal([]byte(text), &example); err != nil {
			return fmt.Errorf("the example of %s: %w", name, err)
		}
		definition["example"] = example
	}
	return nil
}

// firstTags are what most readers look for, in this order; others follow as they come.
var firstTags = []string{"Submit", "Event", "Lookout", "Jobs"}

// rank is where a tag stands among the others.
func rank(tag any) int {
	name, _ := tag.(object)["name"].(string)
	for i, first := range firstTags {
		if name == first {
			return i
		}
	}
	return len(firstTags)
}
