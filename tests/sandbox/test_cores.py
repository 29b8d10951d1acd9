"""Workers share the cores out, and nobody's files are touched for it."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import threading

import pytest

from eta_utils.sandbox import pool
from eta_utils.sandbox.pool import CoreClaim
from tests.conftest import ROOT

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


CLAIM = """
from eta_utils.sandbox.pool import CoreClaim
claim = CoreClaim()
print("claimed", flush=True)
input()
"""


def test_a_slot_that_another_process_has_is_left_to_it_until_it_ends(folder, tmp_path):
    command = [sys.executable, "-c", CLAIM]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    place = os.environ | {"TMPDIR": str(tmp_path)}
    with subprocess.Popen(command, cwd=ROOT, env=place, **pipes) as other:
        assert other.stdout.readline() == b"claimed\n"
        ours = CoreClaim()
        assert sorted(path.name for path in folder.iterdir()) == ["0", "1"]
        other.kill()
    again = CoreClaim()
    assert sorted(path.name for path in folder.iterdir()) == ["0", "1"]  # no third slot
    for claim in (ours, again):
        claim.release()


def test_a_claim_can_be_released_by_another_thread(folder):
    claim = CoreClaim()
    thread = threading.Thread(target=claim.release)
    thread.start()
    thread.join()
    CoreClaim().release()
    assert [path.name for path in folder.iterdir()] == ["0"]


def test_the_locks_lie_in_a_folder_of_this_user_alone(folder):
    CoreClaim().release()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_without_a_folder_to_lock_in_a_worker_runs_on_any_core(folder):
    folder.write_text("a file")
    claim = CoreClaim()
    assert core_of(claim) == os.sched_getaffinity(0)
    claim.release()


def test_a_folder_that_is_a_link_to_elsewhere_is_left_alone(folder, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "0").write_text("precious")
    folder.symlink_to(elsewhere)
    claim = CoreClaim()
    assert core_of(claim) == os.sched_getaffinity(0)
    assert (elsewhere / "0").read_text() == "precious"


def test_slots_held_in_another_folder_do_not_count(folder, monkeypatch, tmp_path):
    held = [CoreClaim() for _ in range(3)]
    monkeypatch.setattr(pool.tempfile, "gettempdir", lambda: str(tmp_path / "other"))
    (tmp_path / "other").mkdir()
    claim = CoreClaim()
    there = tmp_path / "other" / folder.name
    assert [path.name for path in there.iterdir()] == ["0"]
    for each in (claim, *held):
        each.release()
