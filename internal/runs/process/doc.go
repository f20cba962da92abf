// Package process runs pods as processes of this machine: each container's
// command and args are a session and process group of their own, in a working
// folder per run. It runs no images.
//
// The words: the supervisor is one process per executor that starts, watches
// and ends the processes and outlives `armada`; the client ([Runtime]) is the
// executor's side, which starts a supervisor where none lives and talks to it
// over a unix socket; a run folder holds all there is of a run; the journal
// remembers ends; the lifeline is a lock that only the processes of a run hold;
// a cage is a control group of a container, where the machine lets us make one;
// a stray is a process of a run that is not one of its containers' first; a
// command is one that people run beside a container, in its cage.
//
//	<dir>/supervisor.lock   held by the living supervisor
//	<dir>/supervisor.sock   where it listens
//	<dir>/supervisor.log    what it says
//	<dir>/cages             where control groups of its runs may be
//	<dir>/journal           how runs ended, which are forgotten or pruned
//	<dir>/runs/<run>/       order.json, lifeline, log, work/
//
// What is promised, and why it holds, is docs/adr/0006-supervisor.md:
//   - a run starts at most once: only who makes its folder starts it, and the
//     latest of those without a folder are remembered;
//   - an end is in the journal, on the disk, before anybody hears of it;
//   - when the supervisor is killed, the next one kills what lives of its runs
//     and only then reports them as Unknown;
//   - no process outlives the end of its run, and no command that of its
//     container, nor its caller.
//
// It must never store or trust a process id, and never let a process end
// because `armada` did. Begin with runtime.go on the client's side and with
// supervisor.go, then run.go, on the other. It works on Linux only; elsewhere
// Open answers [errors.ErrUnsupported].
package process
