"""What each command does: read files, call one function of the package, write, print.

The parsed options come from `cli`.  Bad input raises `BadInput` or `IsolationError`, which
`cli` turns into one sentence and an exit code.
"""
