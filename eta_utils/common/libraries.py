"""How torch and the libraries around it behave in a process that trains.

>>> import eta_utils.study      # calls `settle` before anything loads torch

So a notebook is as fast and quiet in JupyterLab and by plain papermill as by `run`.
"""

from __future__ import annotations

import contextlib
import ctypes
import os

ENVIRONMENT = {
    # Log lines and progress bars of libraries, hundreds of lines, would bury the output.
    "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "TRANSFORMERS_VERBOSITY": "error",
    # A thread of torch that waits for another one spins, then sleeps.  The kernel soon
    # gives a sleeper its core back, and makes a spinner wait its turn behind another busy
    # process: with one beside it, training took 3.2 times as long at 10,000 spins, and 1.8
    # times at 1,000.  On idle cores the two are equal (`tests.training.bench_threads`).
    "GOMP_SPINCOUNT": "1000",
}
# glibc returns the memory of every large tensor at once and fetches it again, page by page.
# Keeping it made DPO a fifth faster.  The numbers of options are those of <malloc.h>.
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3
_MALLOC = {
    _TRIM_THRESHOLD: (1 << 31) - 1,
    _TOP_PAD: 256 << 20,
    _MMAP_THRESHOLD: (1 << 31) - 1,
}


def settle() -> None:
    """Set what this process has not set itself.  Libraries read it when they are loaded."""
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    with contextlib.suppress(AttributeError, OSError, TypeError):  # another C library
        for option, value in _MALLOC.items():
            ctypes.CDLL(None).mallopt(option, value)
