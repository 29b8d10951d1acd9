"""How far did a program get?  Counting and recording its steps from inside.

Three rooms, in the order a program passes through them:

- `instrument`  rewrites a program's syntax tree so that it counts itself;
- `recorder`    receives the counts and the variable states while the program runs;
- `alignment`   compares a program's variable states with the reference's.

Why the tree and not `sys.settrace`: half the cost, the same counts on every Python
version, and the program cannot switch it off.  Leaves out: code inside libraries and
strings given to `exec`, which are not counted.
"""
