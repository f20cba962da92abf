// Package manifest reads what users write, in YAML or JSON: files of jobs,
// pod specs, queues and retry policies. It turns them into the messages that package client
// sends.
//
//	file, err := manifest.ReadJobs(data)
//	ids, err := c.Submit(ctx, file.Queue, file.JobSet, file.Items)
//
// Reading is strict, because what a server would ignore somebody once meant: an
// unknown key is an error with its path, its line and the nearest known key, as
// are a key given twice and a value of the wrong kind. All that is found is
// reported at once, as an [Error] of [Problem]s. YAML has the meaning that
// Kubernetes gives it, so a pod spec that kubectl takes is taken here, and keys
// of Armada's own match without regard to case.
//
// Programs that build their pod specs with the Go types of Kubernetes turn them
// into messages by [FromKubernetes].
//
// Nothing here judges what a job asks for: [Jobs.Check] asks internal/podspec,
// which is what a server of this version does with the rules it has by default,
// and the server has the last word. The JSON itself is the business of
// internal/wire/restjson.
package manifest
