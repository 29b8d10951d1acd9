"""`python -m eta_utils COMMAND`: hands over to `eta_utils.cli`."""

import signal
import sys

from eta_utils.cli import main
from eta_utils.common.processes import leave


def end(number: int, _frame: object) -> None:
    """End as after any error: workers are killed, and their folders removed."""
    raise SystemExit(128 + number)


if __name__ == "__main__":
    for name in ("SIGTERM", "SIGHUP"):  # Windows has no SIGHUP
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), end)
    code = main()
    leave()
    sys.exit(code)
