"""Run untrusted programs so that nothing they do can decide their own verdict.

One worker is two processes, each in a jail of its own:

    judge  <->  examiner  <->  zygote  --fork-->  candidate (one program, then killed)
                    \\______________________________/
                           calls and answers

What happens to one program:

1. the judge sends the examiner a job: the program, its task, its limits;
2. the examiner compiles the program and its test, and takes a candidate that waits;
3. the candidate runs the program's module level, then answers the test's calls;
4. the examiner compares each answer and books steps, states and the first failure;
5. the zygote kills the candidate, wipes the scratch folder, and forks the next one.

The candidate never sees a test or an expected value.  It can only answer, so it has no
verdict to forge.

Modules of the trusted side:

- `pool`         starts workers, feeds them jobs, and replaces those that die;
- `isolation`    finds the rung of isolation that holds here, by trying to break out;
- `jail`         how a process is started on each rung, and what it is given;
- `visible`      what a sandboxed process can read;
- `libraries`    what programs may import: numpy, and what a user names;
- `seccomp`      builds the filters of system calls.

Modules of the examiner:

- `examiner`     compiles a program, runs its test against it, reports the outcome;
- `checks`       rewrites a test so that each of its asserts is run and reported;
- `examination`  the conversation with one candidate, and how its program failed;
- `proxies`      what a test gets for a value that the program returns;
- `raised`       the same for an exception;
- `patches`      what a test changes in this process, and how that is undone;
- `candidates`   the zygote as the examiner sees it.

Modules of the zygote and its candidates:

- `zygote`       the fork server: one candidate per program;
- `candidate`    the forked process: confines itself, runs the program, answers calls;
- `operations`   what a test does with an object that stays in the program;
- `cleanup`      the destructive steps, and the proof that each of them demands.

Modules that several of them use:

- `confine`      limits that a process puts on itself: rlimits, seccomp, Landlock;
- `channel`      frames of bytes between processes;
- `values`       which values may cross, and in which form;
- `world`        what a test sets up around a call: output, input, random state, files.
"""
