"""What this machine offers: Python, versions, isolation, cores, GPU, HumanEval.

python -m eta_utils doctor
"""

from __future__ import annotations

import platform
from argparse import Namespace
from collections.abc import Iterator

import eta_utils
from eta_utils.common.errors import BadInput
from eta_utils.common.machine import LIBRARIES, cores, gpu, version
from eta_utils.sandbox.isolation import probe
from eta_utils.sandbox.jail import RUNGS
from eta_utils.tasks import load_tasks

ABSENT = "not installed (needed for the study, not for the judge)"


def run_doctor(_options: Namespace) -> None:
    """Print what this machine offers, as it is found."""
    for what, finding in findings():
        print(f"{what:13} {finding}", flush=True)


def findings() -> Iterator[tuple[str, str]]:
    """(What, finding), line by line, as it is found."""
    yield "Python", f"{platform.python_version()} on {platform.platform()}"
    yield "eta_utils", eta_utils.__version__
    for name in LIBRARIES:
        yield name, version(name) or ABSENT
    faster = "not installed (optional: it samples faster on a GPU)"
    yield "vllm", version("vllm") or faster
    yield "cores", str(cores())
    yield "GPU", _gpu()
    yield "HumanEval", _humaneval()
    in_use = ""
    for rung in RUNGS:
        finding = probe(rung)
        if finding.holds and not in_use:
            in_use = rung
        yield "isolation", str(finding)
    yield "in use", f"{in_use} (the first that holds)"


def _gpu() -> str:
    """What the driver lists.  Asking torch itself would take seconds."""
    found, torch = gpu(), version("torch")
    if found is None:
        return "none found by nvidia-smi"
    if torch is not None and torch.endswith("+cpu"):
        return f"{found} (but torch {torch} is built without support for it)"
    return found


def _humaneval() -> str:
    try:
        return f"{len(load_tasks('humaneval'))} problems found"
    except BadInput as error:
        return str(error)
