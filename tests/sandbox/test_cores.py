"""Workers share the cores out, and nobody's files are touched for it."""

from __future__ import annotations

import os
import sys

import pytest

from eta_utils.sandbox import pool
from eta_utils.sandbox.pool import CoreClaim

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="cores are chosen on Linux")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Where the locks of this test lie."""
    monkeypatch.setattr(pool.tempfile, "gettempdir", lambda: str(tmp_path))
    return tmp_path / f"eta-cores-{os.getuid()}"


def core_of(claim):
    with claim.pinned():
        return os.sched_getaffinity(0)


def test_claims_go_round_the_cores_and_a_released_one_is_taken_again(folder):
    before = os.sched_getaffinity(0)
    claims = [CoreClaim() for _ in before]
    assert set.union(*map(core_of, claims)) == before
    assert os.sched_getaffinity(0) == before  # this process itself stays free
    freed = core_of(claims[0])
    claims[0].release()
    again = CoreClaim()
    assert core_of(again) == freed
    for claim in [again, *claims[1:]]:
        claim.release()


def test_a_folder_that_is_a_link_to_elsewhere_is_left_alone(folder, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "0").write_text("precious")
    folder.symlink_to(elsewhere)
    claim = CoreClaim()
    assert core_of(claim) == os.sched_getaffinity(0)
    assert (elsewhere / "0").read_text() == "precious"
