"""The destructive steps do nothing unless they can prove where they are."""

from __future__ import annotations

import os

import pytest

from eta_utils.sandbox import cleanup
from eta_utils.sandbox.cleanup import Refused, Scratch

SECRET = "5ec2e7"


@pytest.fixture
def place(tmp_path):
    """A scratch folder with a precious file in it, and its marker beside it."""
    folder = tmp_path.resolve() / "scratch"
    folder.mkdir()
    (folder / "precious").write_text("keep me")
    marker = tmp_path / "marker"
    marker.write_text(SECRET)
    return folder, marker


@pytest.fixture
def no_kill(monkeypatch):
    def kill(*arguments):
        pytest.fail(f"os.kill{arguments} was called")

    monkeypatch.setattr(os, "kill", kill)


def scratch(place, secret=SECRET, jailed=False):
    folder, marker = place
    return Scratch(str(folder), str(marker), secret, jailed)


def assert_refuses(steps, place):
    with pytest.raises(Refused):
        steps.renew()
    assert "precious" in os.listdir(place[0])


def test_wiping_empties_the_scratch_folder_and_nothing_else(place):
    folder, marker = place
    work = scratch(place).renew()
    assert os.listdir(folder) == [os.path.basename(work)]
    assert marker.exists()


def test_wiping_refuses_without_a_marker(place):
    steps = scratch(place)
    place[1].unlink()
    assert_refuses(steps, place)


def test_wiping_refuses_with_another_secret(place):
    assert_refuses(scratch(place, secret="other"), place)


def test_wiping_refuses_an_empty_secret_even_if_the_marker_is_empty(place):
    place[1].write_text("")
    assert_refuses(scratch(place, secret=""), place)


def test_wiping_refuses_a_folder_that_was_swapped(place):
    steps = scratch(place)
    folder, _ = place
    folder.rename(folder.with_name("moved"))
    folder.mkdir()
    (folder / "precious").write_text("somebody else's")
    assert_refuses(steps, place)


def test_wiping_refuses_a_link_to_elsewhere(place):
    folder, marker = place
    link = folder.with_name("link")
    link.symlink_to(folder)
    assert_refuses(Scratch(str(link), str(marker), SECRET, False), place)


def test_what_needs_a_jail_refuses_outside_of_one(place, no_kill):
    steps = scratch(place, jailed=True)
    assert_refuses(steps, place)
    with pytest.raises(Refused):
        steps.kill_the_rest()


def test_being_process_one_is_not_enough(place, no_kill, monkeypatch):
    steps = scratch(place, jailed=True)
    root = os.stat("/")
    with monkeypatch.context() as patch:
        patch.setattr(os, "getpid", lambda: 1)
        # a jail's scratch is a file system of its own; this folder is made to look like "/"
        patch.setattr(os, "stat", lambda *_, **__: root)
        assert_refuses(steps, place)
        with pytest.raises(Refused):
            steps.kill_the_rest()


def test_outside_a_jail_nobody_is_killed(place, no_kill):
    scratch(place).kill_the_rest()


def test_folders_that_nobody_may_list_are_wiped(place):
    folder, _ = place
    locked = folder / "a" / "b"
    locked.mkdir(parents=True)
    (locked / "file").touch()
    locked.chmod(0)
    (folder / "a").chmod(0)
    scratch(place).renew()
    assert os.listdir(folder) == ["work"]


def test_links_are_removed_and_not_followed(place):
    folder, _ = place
    outside = folder.with_name("outside")
    outside.mkdir()
    (outside / "file").write_text("keep me")
    (folder / "link").symlink_to(outside)
    scratch(place).renew()
    assert (outside / "file").exists()


def test_folders_within_one_another_are_wiped_however_many(place, monkeypatch):
    monkeypatch.setattr(cleanup, "LONGEST", 60.0)  # seconds, on a busy machine too
    folder, _ = place
    before = os.getcwd()
    os.chdir(folder)
    for _ in range(3_000):  # far beyond the longest path and the deepest recursion
        os.mkdir("a")
        os.chdir("a")
        open("file", "w").close()
    os.chdir(before)
    scratch(place).renew()
    assert os.listdir(folder) == ["work"]


def test_names_that_the_wiping_would_use_are_no_obstacle(place):
    folder, _ = place
    (folder / "a" / "b" / "c").mkdir(parents=True)
    (folder / "a" / "b" / "c" / "file").touch()
    (folder / "1").touch()
    (folder / "2" / "x").mkdir(parents=True)
    (folder / "3").mkdir()
    (folder / "4").symlink_to(folder)
    scratch(place).renew()
    assert os.listdir(folder) == ["work"]


def test_the_folder_itself_is_as_it_was(place):
    folder, _ = place
    steps = scratch(place)
    steps.renew()
    before = folder.stat()
    folder.chmod(0o777)
    os.utime(folder, (1, 2))
    steps.renew()
    after = folder.stat()
    assert (after.st_mode, after.st_mtime) == (before.st_mode, before.st_mtime)
