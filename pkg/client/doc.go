// Package client is the Go client of Armada: it connects to a server, hands in
// jobs and steers them, and follows what becomes of them.
//
//	c, err := client.Connect(ctx, client.Config{ArmadaURL: "localhost:50051"})
//	defer c.Close()
//	ids, err := c.Submit(ctx, "my-queue", "my-job-set", items)
//	err = c.Watch(ctx, client.Stream{Queue: "my-queue", JobSet: "my-job-set"}, visit)
//
// The words: a [Config] says where the server is, whom to trust and who is calling;
// [Load] reads one from the file that armadactl uses, and [Config.Environment] what
// the environment has to say; a [Client] is one connection; a [Stream] is a place in
// the events of a job set, and [Client.Watch] continues from it over broken
// connections without losing or repeating an event; a [Progress] folds events into
// the states of jobs, and [Client.Await] waits for their ends; a [JobQuery] finds
// jobs; [Work] is what an operator cancels or preempts in bulk. Messages are those
// of armada/pkg/api, states and kinds of events those of package armada ([StateOf]
// turns one into the other).
//
// What the network does to a call is dealt with here: every call has a
// deadline, and within it UNAVAILABLE and RESOURCE_EXHAUSTED are tried again
// with growing pauses. That is safe because every call can be repeated: [Client.Submit]
// gives each job a client id by which the server knows it again, and jobs without
// one, sent by Client.Submitter, are sent once. Other errors are returned at once,
// wrapped; status.Code and [Violations] look into them.
//
// The package is no part of the server: it imports nothing of internal, and a house
// test keeps it so. It prints and logs nothing, reads no files but those that [Load]
// is pointed to and that [TLS] names, and starts no goroutine that [Client.Close] does not end.
//
// Reading job files, and pod specs in YAML or in Kubernetes' own Go types, is
// the business of the package manifest below this one. Examples are in
// example_test.go, example_calls_test.go and examples/goclient; the command line is cmd/armadactl.
package client
