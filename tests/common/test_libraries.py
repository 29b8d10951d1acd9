"""A process that trains is settled before torch is loaded, however it was started."""

from __future__ import annotations

import os
import subprocess
import sys

from eta_utils.common.libraries import ENVIRONMENT
from tests.conftest import ROOT


def printed(source, **environment):
    clean = {name: value for name, value in os.environ.items() if name not in ENVIRONMENT}
    done = subprocess.run(
        [sys.executable, "-c", source],
        env=clean | {"PYTHONPATH": str(ROOT)} | environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_imports_of_a_notebook_settle_the_process_before_torch_is_there():
    source = (
        "import os, sys\n"
        "from eta_utils.analysis import figures, best\n"
        "from eta_utils.execution import judge\n"
        "assert 'torch' not in sys.modules\n"
        "import eta_utils.study\n"
        "assert 'torch' not in sys.modules\n"
        "print(os.environ['GOMP_SPINCOUNT'], os.environ['TRANSFORMERS_VERBOSITY'])"
    )
    assert printed(source) == "1000 error"


def test_what_a_user_has_set_stays():
    source = "import os, eta_utils.study\nprint(os.environ['GOMP_SPINCOUNT'])"
    assert printed(source, GOMP_SPINCOUNT="7") == "7"


def test_importing_the_judge_alone_changes_nothing():
    source = (
        "import os\nbefore = dict(os.environ)\n"
        "from eta_utils.execution import judge\nprint(dict(os.environ) == before)"
    )
    assert printed(source) == "True"
