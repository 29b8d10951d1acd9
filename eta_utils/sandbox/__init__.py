"""Run a program nobody trusts, and let nothing it does decide its own verdict.

One worker is two processes, each in a jail of its own:

    judge  <->  examiner  <->  zygote  --fork-->  candidate (one program, then killed)
                    \\______________________________/
                        calls and answers, plain values only

- `examiner`     compiles the program, runs the tests, reports; `checks` makes a test's
                 asserts run one by one, `examination` is one program's turn,
                 `failures` how it failed;
- `zygote`       forks one candidate per program; kills, reaps and wipes after each;
                 `candidates` is the examiner's view of it;
- `candidate`    the forked process: confined, runs the program, answers calls;
- `channel`      frames of bytes between processes; `values` which values may cross;
- `confine`      limits that a process puts on itself: rlimits, seccomp, Landlock;
- `cleanup`      the destructive steps and the proof that each of them demands;
- `jail`         the rungs of isolation: how each is built, and which one holds here;
- `pool`         workers from outside: start, feed, restart.

The candidate never sees a test or an expected value, so it has no verdict to forge:
it can only answer.
"""
