"""What this machine offers: Python, versions, isolation, cores, GPU, HumanEval.

python -m eta_utils doctor
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import platform
from argparse import Namespace
from collections.abc import Iterator

import eta_utils
from eta_utils.common.files import BadInput
from eta_utils.common.machine import LIBRARIES, cores
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
        yield name, _version(name)
    yield "vllm", _version("vllm", "not installed (optional: it samples faster on a GPU)")
    yield "cores", str(cores())
    yield "GPU", _gpu()
    yield "HumanEval", _humaneval()
    held = []
    for rung in RUNGS:
        finding = probe(rung)
        held += [rung] * finding.holds
        yield "isolation", str(finding)
    yield "in use", f"{held[0]} (the first that holds)"


def _version(library: str, absent: str = ABSENT) -> str:
    try:
        return importlib.metadata.version(library)
    except importlib.metadata.PackageNotFoundError:
        return absent


def _gpu() -> str:
    if importlib.util.find_spec("torch") is None:
        return "unknown: torch is not installed"
    import torch  # takes seconds, so not before it is needed

    if not torch.cuda.is_available():
        return "none that torch can use"
    return torch.cuda.get_device_name()


def _humaneval() -> str:
    try:
        return f"{len(load_tasks('humaneval'))} problems found"
    except BadInput as error:
        return str(error)
