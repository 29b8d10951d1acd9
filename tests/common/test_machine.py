"""Facts about the machine are true, and cheap to ask for."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from eta_utils.common import machine
from tests.conftest import ROOT


def said_by(code):
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.skipif(sys.platform != "linux", reason="processes are bound to cores on Linux")
def test_only_the_cores_that_this_process_may_use_count():
    bound = "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
    assert (
        said_by(bound + "from eta_utils.common.machine import cores; print(cores())") == "1"
    )
    assert machine.cores() == len(os.sched_getaffinity(0))


def test_memory_that_was_given_back_counts_in_the_peak():
    code = "from eta_utils.common.machine import peak_mib\nbefore = peak_mib()\n"
    code += "block = bytearray(200 << 20); del block\nprint(peak_mib() - before)"
    assert float(said_by(code)) == pytest.approx(200, abs=10)  # some may have been free


@pytest.mark.skipif(sys.platform != "linux", reason="seen on Linux")
def test_what_the_parent_had_does_not_count_in_the_peak():
    peak = "from eta_utils.common.machine import peak_mib; print(peak_mib())"
    code = "import subprocess, sys\nblock = bytearray(200 << 20)\n"
    assert float(said_by(code + f"subprocess.run([sys.executable, '-c', {peak!r}])")) < 150


def test_the_processor_is_named_and_has_memory():
    assert machine.cpu()
    assert machine.peak_mib() / 1024 < machine.memory_gib()


@pytest.fixture
def driver(tmp_path, monkeypatch):
    """A function that puts an `nvidia-smi` with this script on the path."""

    def install(script):
        tool = tmp_path / "nvidia-smi"
        tool.write_text(f"#!/bin/sh\n{script}\n")
        tool.chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)

    return install


def test_each_gpu_is_named_with_its_memory(driver):
    driver("echo NVIDIA L4, 23034 MiB; echo NVIDIA T4, 15360 MiB")
    assert machine.gpu() == "NVIDIA L4, 23034 MiB; NVIDIA T4, 15360 MiB"


@pytest.mark.parametrize("script", ["exit 9", "true"])
def test_a_driver_without_a_gpu_is_no_gpu(driver, script):
    driver(script)
    assert machine.gpu() is None


def test_what_is_not_there_is_none():
    assert machine.answer("no-such-program") is None
    assert machine.answer("false") is None
    assert machine.version("no-such-library") is None


@pytest.mark.parametrize("module", ["common.machine", "report.provenance", "cli.doctor"])
def test_asking_does_not_load_torch(module):
    code = f"import sys, eta_utils.{module}; print('torch' in sys.modules)"
    assert said_by(code) == "False"
