// Package placement tells which node a gang fits on.
//
// The words: a [Space] is what the nodes of one pool have free; a [Demand] is
// what a job of one shape asks of its node, resolved once per shape; a [Part]
// is how many members of a gang share a demand. A node is *open* when it may
// get something new. Nodes are grouped by *type*: open nodes whose taints and
// whose labels, as far as any demand mentions them, are equal.
//
// There are two views of every amount: the base, changed by [Space.Hold] and
// [Space.Release] as runs come and go, and the working view, changed by
// [Space.Place] and [Space.Evict] within a round and given back by [Space.Rewind].
// Both are kept per level: level 0 counts everything in use; level i leaves out
// runs that leave, and what a job of the i-th lowest class priority outranks; the
// highest level leaves out all that may be preempted. Placement searches at level
// 0, which displaces nobody, and asks a [Finder] when nothing is free there
// (levels.go). What others than Armada use is in use at every level.
//
// Why it is fast: the nodes of a type stand in flat arrays ordered by free
// capacity (index.go); jobs of one shape share one search position, kept right
// by looking only at the nodes that changed since (search.go). The inner loop
// allocates nothing and looks up no map. The outcome depends on what the nodes
// are and hold, never on the order in which that became known.
//
// The package knows neither queues nor fairness nor time; who may ask is told
// by the scheduling package.
package placement
