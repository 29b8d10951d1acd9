"""What the room hands out is imported when it is asked for, and is always the same."""

from __future__ import annotations

import subprocess
import sys

import pytest


def output_of(code):
    command = [sys.executable, "-W", "error", "-c", code]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize(
    "first", ["eta_utils.tracing", "eta_utils.tracing.instrumentation"]
)
def test_instrument_is_the_function_whoever_imported_the_module_before(first):
    code = (
        f"import {first}\n"
        "from eta_utils.tracing import instrument\n"
        "from eta_utils.tracing import instrument as again\n"
        "print(instrument('x = 1').lines, again is instrument)"
    )
    assert output_of(code) == "[1] True\n"


def test_importing_the_room_imports_none_of_its_modules():
    code = (
        "import sys, eta_utils.tracing\n"
        "print([name for name in sys.modules if name.startswith('eta_utils.tracing.')])"
    )
    assert output_of(code) == "[]\n"


def test_what_it_does_not_hand_out_is_an_error_that_names_it():
    import eta_utils.tracing

    with pytest.raises(AttributeError, match=r"eta_utils\.tracing.*'nothing'"):
        _ = eta_utils.tracing.nothing
