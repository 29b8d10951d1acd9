"""Errors that end a command with one sentence instead of a traceback; exit codes."""

FAILED, BAD_INPUT, INTERRUPTED = 1, 2, 130


class BadInput(ValueError):
    """The user's input is wrong.

    The message is one sentence that says what and where.  The command line prints it and
    exits with code 2.  A notebook shows it without the lines of code that found it out.
    """

    def _render_traceback_(self) -> list[str]:
        """What IPython shows in a traceback's place."""
        return [f"{type(self).__name__}: {self}"]


class Failed(RuntimeError):
    """Something that we depend on has failed.  The message is one sentence; exit code 1."""
