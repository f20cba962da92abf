// Package badinput holds what users hear who send something wrong: the same
// mistake goes to a server over gRPC, over REST and through armadactl, and must
// be answered each time with the code that fits, every place that is wrong, and
// what would be right.
//
// A mistake is one entry of a table. It is written once, as REST takes it, with
// the violations by their paths in the request; the harness (harness_test.go)
// makes the other two forms of it, sends all three to a server of their own with
// a real store, and looks at the database file: a request that was refused must
// have committed nothing. In armadactl's answer every violation must name the
// line of the file where the mistake stands.
//
// The tests want the built armadactl, as those in test/e2e do. What happens to a
// port or data folder in use is tested there. No entry may have an answer of its
// own for one of the three ways, unless that way cannot say the mistake at all;
// then a comment says why.
package badinput
