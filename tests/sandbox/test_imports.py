"""The processes of the sandbox load little: each module costs memory at every fork."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.conftest import ROOT

EVERY = """
    eta_utils
    eta_utils.sandbox
    eta_utils.sandbox.candidate
    eta_utils.sandbox.channel
    eta_utils.sandbox.cleanup
    eta_utils.sandbox.confine
    eta_utils.sandbox.operations
    eta_utils.sandbox.values
    eta_utils.sandbox.world
    eta_utils.sandbox.zygote
    eta_utils.tracing
    eta_utils.tracing.recorder
""".split()
ALLOWED = {
    "zygote": {*EVERY},
    "examiner": {
        *EVERY,
        "eta_utils.sandbox.candidates",
        "eta_utils.sandbox.checks",
        "eta_utils.sandbox.examination",
        "eta_utils.sandbox.examiner",
        "eta_utils.sandbox.patches",
        "eta_utils.sandbox.proxies",
        "eta_utils.sandbox.raised",
        "eta_utils.tracing.alignment",
        "eta_utils.tracing.answers",
        "eta_utils.tracing.departure",
        "eta_utils.tracing.instrumentation",
    },
}
# The examiner parses programs, unpickles and waits for signals: it needs some of these.
NEEDED = {
    "zygote": set(),
    "examiner": {"ast", "dataclasses", "inspect", "json", "pickle", "signal", "socket"},
}
HEAVY = {
    *NEEDED["examiner"],
    "argparse",
    "asyncio",
    "concurrent",
    "email",
    "http",
    "logging",
    "multiprocessing",
    "numpy",
    "pathlib",
    "shutil",
    "sqlite3",
    "subprocess",
    "tempfile",
    "threading",
    "traceback",
    "unittest",
    "urllib",
    "xml",
}


@pytest.mark.parametrize("module", sorted(ALLOWED))
def test_a_jailed_process_imports_what_it_needs_and_no_more(module):
    # Started as `jail.Site.command` does, without site-packages.
    command = [sys.executable, "-S", "-s", "-P", "-B", "-c"]
    code = f"import sys, eta_utils.sandbox.{module}\nprint(*sys.modules)"
    process = subprocess.run(
        [*command, code],
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = set(process.stdout.split())
    assert f"eta_utils.sandbox.{module}" in loaded
    assert {name for name in loaded if name.startswith("eta_utils")} <= ALLOWED[module]
    assert loaded & HEAVY <= NEEDED[module]
