// Package executor2026 plays an executor of the original of 2026 against this
// server. Everything it sends and reads is made by the numbers of the wire table
// (test/compat/wiretable); what it does is written from what is known of those
// executors, and it shares no line with the server or with our own executor.
//
// [Ask] and [Report] are single calls, for tests of what is promised about each of
// them. [Executor] is a whole one, with its own rhythm and a made-up [Cluster]: it
// forgets runs only when it is told to, and notes everything that would have
// ended or stopped a real one.
package executor2026
