// Package chaos lets three servers and three executors work on one PostgreSQL
// while everything around them breaks, and proves afterwards that no promise
// was.
//
// The words: a world is the database, the processes and the links between them;
// users submit, cancel, reprioritise and watch, and write down what they were
// answered; a plague is a sequence of faults, chosen by a seed; the evidence is
// what users wrote down and what the executors traced of their pods. The verdict
// is that of package checker, which knows nothing of how the servers work.
//
// The seed decides what goes wrong and when; what meets it there is up to the
// machine. It takes a minute; for longer:
//
//	go test ./test/chaos -run Whatever -chaos.for 1h -timeout 2h -chaos.seed 7
package chaos
