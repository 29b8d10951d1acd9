"""Which notebooks of a run would say again what they say.

>>> digest_of(step)     # the same as at its last execution: it need not be executed

A notebook says the same while its own cells, the code, the libraries, the parameters, the
files that these name, and what the run's stages have made are what they were.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from eta_utils.common.files import read_json
from eta_utils.common.machine import LIBRARIES, version
from eta_utils.report.notebook import Step
from eta_utils.report.page import LAST
from eta_utils.report.provenance import fingerprint
from eta_utils.study.stages import contents_of
from eta_utils.study.study import parts


def digest_of(step: Step) -> str:
    """A checksum of all that decides what a notebook says."""
    study = step.study
    decides = {
        "cells": [
            (cell["cell_type"], "".join(cell["source"]))
            for cell in read_json(step.source)["cells"]
        ],
        "code": fingerprint(),
        "libraries": {name: version(name) for name in LIBRARIES},
        "parameters": study.flat(),
        "files": [contents_of(getattr(study, part)) for part in parts()],
        "made": _made(step),
    }
    return hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()[:16]


def _made(step: Step) -> dict[str, str]:
    """What the stages of its seed have made; of the analysis, what all seeds have kept."""
    run, inside = step.study.run_folder, step.study.folder
    found = inside.glob("**/done.json")
    if step.target.stem == LAST:
        kept = (*run.glob("scores/*"), *run.glob("beside/*/scores/*"))
        found = (*kept, *run.glob("seed*/**/done.json"))
    return {path.relative_to(run).as_posix(): _content(path) for path in sorted(found)}


def _content(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
