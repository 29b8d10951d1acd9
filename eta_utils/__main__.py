"""`python -m eta_utils COMMAND`: hands over to `eta_utils.cli`."""

import sys

from eta_utils.cli import main
from eta_utils.common.processes import leave

if __name__ == "__main__":
    code = main()
    leave()
    sys.exit(code)
