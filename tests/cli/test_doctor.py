"""The doctor says what the machine offers, and what keeps it from being used."""

from __future__ import annotations

import pytest

from eta_utils.cli import doctor


@pytest.mark.parametrize(
    ("gpu", "torch", "line"),
    [
        (None, "2.13.0", "none found by nvidia-smi"),
        ("NVIDIA L4, 23034 MiB", "2.13.0", "NVIDIA L4, 23034 MiB"),
        ("NVIDIA L4, 23034 MiB", None, "NVIDIA L4, 23034 MiB"),
        (
            "NVIDIA L4, 23034 MiB",
            "2.13.0+cpu",
            "NVIDIA L4, 23034 MiB (but torch 2.13.0+cpu is built without support for it)",
        ),
    ],
)
def test_a_gpu_is_named_and_a_torch_that_cannot_use_it(monkeypatch, gpu, torch, line):
    monkeypatch.setattr(doctor, "gpu", lambda: gpu)
    monkeypatch.setattr(doctor, "version", lambda name: torch if name == "torch" else "1")
    assert dict(doctor.findings())["GPU"] == line
