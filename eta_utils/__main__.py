"""`python -m eta_utils COMMAND`: hands over to `eta_utils.cli`."""

import sys

from eta_utils.cli import main

if __name__ == "__main__":
    sys.exit(main())
