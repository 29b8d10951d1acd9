"""No program changes the world of the next one, and none reaches the world outside."""

from __future__ import annotations

import ctypes
import itertools
import json
import os
import random
import socket
import stat

import numpy
import psutil
import pytest

from eta_utils.execution import JudgeSettings, judge
from eta_utils.sandbox import pool
from eta_utils.tasks import Task
from tests.conftest import ADD, judge_one

# What a program can find out about where it runs, as one text.
LOOK = """
def look():
    import builtins, gc, locale, os, random, resource, signal, sys, time, warnings
    def status(path):
        s = os.lstat(path)
        whole = s.st_mode, s.st_nlink, s.st_uid, s.st_gid, s.st_size
        # The times of its own folder tell when this program began.
        return whole if path in (".", here) else (*whole, s.st_mtime_ns)
    here = os.getcwd()
    parts = [here, status("..")]
    for folder, names, files in os.walk(".."):
        for name in sorted(names) + sorted(files):
            path = os.path.join(folder, name)
            parts.append((path, status(path)) if path != "../work" else path)
    for path in ("/", "/tmp", "/dev", "/dev/shm", os.path.dirname(os.path.dirname(here))):
        try:
            parts.append((path, sorted(os.listdir(path))))
        except OSError as error:
            parts.append((path, error.errno))
        try:
            parts.append(os.listxattr(path))
        except OSError as error:
            parts.append(error.errno)
    descriptors = []
    for number in range(64):
        try:
            descriptors.append((number, os.fstat(number).st_mode))
        except OSError:
            pass
    parts += [descriptors, sorted(os.environ.items()), sorted(sys.modules)]
    parts += [sorted(vars(builtins)), [str(f) for f in warnings.filters], sys.path]
    parts += [random.getstate()[1][:3], sys.getrecursionlimit(), time.tzname]
    parts += [signal.getsignal(n) for n in (2, 13, 14, 15)]
    parts += [signal.getitimer(kind) for kind in (0, 1, 2)]
    parts += [signal.pthread_sigmask(signal.SIG_BLOCK, [])]
    parts += [resource.getrlimit(kind) for kind in range(16)]
    parts += [os.umask(0o22), os.getpriority(0, 0), os.sched_getaffinity(0)]
    space = os.statvfs("..")
    parts += [space.f_blocks, space.f_flag]
    if here == "/tmp/work":  # memory of its own; elsewhere the disk of this machine
        parts += [space.f_bavail, space.f_favail]
    return repr(parts)
"""
ATTACKS = {
    "a default ACL on the folder above": """
    import os
    acl = b"\\x02\\0\\0\\0" + b"".join(
        tag + b"\\0" + mode + b"\\0\\xff\\xff\\xff\\xff"
        for tag, mode in ((b"\\x01", b"\\0"), (b"\\x04", b"\\0"), (b"\\x20", b"\\0")))
    os.setxattr("..", "system.posix_acl_default", acl)
""",
    "an attribute of the folder above": """
    import os
    os.setxattr("..", "user.left", b"1")
""",
    "the mode of the folder above": """
    import os
    os.chmod("..", 0o1777)
""",
    "the mode of the folder above, so that none can be made in it": """
    import os
    os.chmod("..", 0o555)
""",
    "the times of the folder above": """
    import os
    os.utime("..", (12345, 67890))
""",
    "the owner of the folder above": """
    import os
    os.chown("..", os.getuid(), os.getgid())
""",
    "a file where the next folder will be": """
    import os
    os.chdir("..")
    os.rmdir("work")
    open("work", "w").close()
""",
    "a link where the next folder will be": """
    import os
    os.chdir("..")
    os.rmdir("work")
    os.symlink("/tmp", "work")
""",
    "a folder that cannot be entered": """
    import os
    os.makedirs("a/b/c")
    open("a/b/c/d", "w").close()
    os.chmod("a/b", 0)
    os.chmod("a", 0)
""",
    "files with strange names": """
    for name in (b"\\xff", b"a\\nb", b"-rf"):
        open(name, "w").close()
""",
    "a priority": """
    import os
    os.setpriority(os.PRIO_PROCESS, 0, 5)
""",
    "a mask, a limit, a timer, a handler": """
    import os, resource, signal
    os.umask(0)
    signal.setitimer(signal.ITIMER_REAL, 100)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_NOFILE, (4, 4))
""",
}


def world_after(programs, rung):
    """What a program sees before and after each of these, on one worker."""
    samples = []
    for number, program in enumerate(programs):
        sight = f"    return look()  # {number}\n{LOOK}"
        samples += [{"task_id": "look", "completion": sight}]
        samples += [{"task_id": "add", "completion": program}]
    samples.append({"task_id": "look", "completion": f"    return look()\n{LOOK}"})
    digest = (
        "import hashlib\ndef check(c):\n    text = c()\n"
        "    assert False, hashlib.sha256(text.encode()).hexdigest()\n"
    )
    seen, tasks = [], {"add": ADD, "look": Task("look", "def f():\n", "f", digest)}
    # Fewer steps come with less time on the clock.
    settings = JudgeSettings(700_000, workers=1, isolation=rung, timeout=5.0)
    for sample, outcome in zip(
        samples, judge(samples, tasks, settings, cache=False), strict=True
    ):
        if sample["task_id"] == "look":
            seen.append(outcome.result)
    return seen


def test_attacks_on_the_next_program_change_nothing_that_it_can_see(rung):
    names, bodies = zip(*ATTACKS.items(), strict=True)
    seen = world_after([body + "    return 0\n" for body in bodies], rung)
    assert seen[0].startswith("failed: ") and len(seen[0]) > 60
    changed = [
        name
        for name, (before, after) in zip(names, itertools.pairwise(seen), strict=True)
        if before != after
    ]
    assert changed == []


@pytest.mark.slow
def test_hostile_programs_leave_the_world_as_it_was(data, rung):
    lines = data("hostile_answers.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    pool.close_workers()
    before = processes()
    seen = world_after([row["completion"] for row in rows], rung)
    changed = [
        row["name"]
        for row, (one, other) in zip(rows, itertools.pairwise(seen), strict=True)
        if one != other
    ]
    assert changed == []
    pool.close_workers()
    assert processes() == before


def processes():
    return len(psutil.Process().children(recursive=True))


# --- The world outside


@pytest.fixture
def outside(tmp_path):
    """A file, a folder and a socket of ours, where a program knows them."""
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "file").write_text("ours")
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    # The name of a socket has at most 107 characters.
    place = f"/tmp/eta-test-{os.getpid()}"
    listener.bind(place)
    listener.settimeout(0.2)
    yield folder / "file", place, listener
    listener.close()
    os.unlink(place)


def state(path):
    found = path.stat()
    return (
        stat.S_IMODE(found.st_mode),
        found.st_uid,
        found.st_gid,
        found.st_mtime_ns,
        found.st_size,
        os.listxattr(path),
        path.read_text(),
    )


TOUCHES = """
    import ctypes, os, shutil, socket
    libc = ctypes.CDLL(None, use_errno=True)
    file, folder, place = {file!r}, {folder!r}, {place!r}
    def attempt(do):
        try:
            do()
        except (OSError, AttributeError):
            pass
    for path in (file, folder):
        attempt(lambda: os.chmod(path, 0o777))
        attempt(lambda: os.lchown(path, 1, 1))
        attempt(lambda: os.chown(path, 1, 1))
        attempt(lambda: os.utime(path, (1, 1)))
        attempt(lambda: os.utime(path, (1, 1), follow_symlinks=False))
        attempt(lambda: os.setxattr(path, "user.x", b"1"))
        attempt(lambda: os.truncate(path, 0))
        attempt(lambda: os.rename(path, path + "2"))
        attempt(lambda: os.link(path, "link"))
        attempt(lambda: os.unlink(path))
        attempt(lambda: os.rmdir(path))
        attempt(lambda: open(path, "a").write("x"))
        for number in (90, 91, 92, 93, 94, 132, 188, 189, 190, 235):  # chmod and the like
            libc.syscall(number, path.encode(), 0o777, 1, 1, 0)
        for number in (260, 268, 280, 452):  # the same, relative to a folder
            libc.syscall(number, -100, path.encode(), 0o777, 1, 0)
    one, other = None, None
    for kind in (socket.SOCK_DGRAM, socket.SOCK_SEQPACKET, socket.SOCK_STREAM):
        try:
            one, other = socket.socketpair(socket.AF_UNIX, kind)
        except OSError:
            continue
        attempt(lambda: one.sendto(b"hello", place))
        attempt(lambda: one.sendmsg([b"hello"], [], 0, place))
        attempt(lambda: one.connect(place))
    attempt(lambda: os.nice(-5))
    attempt(lambda: os.setpriority(os.PRIO_PROCESS, os.getppid(), 19))
    attempt(lambda: os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1)))
    attempt(lambda: socket.sethostname("changed"))
    attempt(lambda: os.kill(os.getppid(), 0))
    return a + b
"""


def test_files_sockets_and_names_outside_stay_as_they_are(rung, outside):
    file, place, listener = outside
    before, folder_before = state(file), file.parent.stat()
    name = socket.gethostname()
    names = {"file": str(file), "folder": str(file.parent), "place": place}
    sample = {"task_id": "add", "completion": TOUCHES.format(**names)}
    settings = JudgeSettings(workers=1, isolation=rung)
    [outcome] = judge([sample], {"add": ADD}, settings, cache=False)
    assert outcome.status == "passed", outcome  # it could try everything
    assert state(file) == before
    assert file.parent.stat().st_mode == folder_before.st_mode
    assert file.parent.stat().st_mtime_ns == folder_before.st_mtime_ns
    assert socket.gethostname() == name
    with pytest.raises(TimeoutError):
        listener.recv(10)


# --- What honest programs need is there


HONEST = {
    "asyncio": """
    import asyncio
    async def add():
        await asyncio.sleep(0.001)
        return a + b
    return asyncio.run(add())
""",
    "threads": """
    from concurrent.futures import ThreadPoolExecutor
    with ThreadPoolExecutor(2) as pool:
        return pool.submit(lambda: a + b).result()
""",
    "files": """
    import os, shutil, tempfile
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "x")
        with open(path, "w") as file:
            file.write(str(a + b))
        os.mkdir(os.path.join(folder, "y"))
        shutil.copyfile(path, os.path.join(folder, "y", "z"))
        os.rename(os.path.join(folder, "y", "z"), os.path.join(folder, "w"))
        with open(os.path.join(folder, "w")) as file:
            return int(file.read())
""",
    "a database": """
    import sqlite3
    with sqlite3.connect("sums.sqlite") as base:
        base.execute("CREATE TABLE IF NOT EXISTS sums (x INTEGER)")
        base.execute("INSERT INTO sums VALUES (?)", (a + b,))
        return base.execute("SELECT x FROM sums ORDER BY rowid DESC").fetchone()[0]
""",
    "numpy": """
    import numpy as np
    return int(np.linalg.solve(np.eye(2), np.array([a + b, 0.0]))[0] + np.zeros(9).sum())
""",
    "the standard library": """
    import bz2, ctypes, curses, decimal, hashlib, lzma, mmap, secrets, select, ssl, uuid
    import zlib, zoneinfo
    zoneinfo.ZoneInfo("Europe/Paris")
    hashlib.sha256(zlib.compress(bz2.compress(lzma.compress(b"x")))).digest()
    mmap.mmap(-1, 4096).close()
    return int(decimal.Decimal(a) + b)
""",
}
IN_A_JAIL = """
    import os, shutil
    open("x", "w").close()
    os.chmod("x", 0o600)
    os.utime("x", (1, 1))
    shutil.copy2("x", "y")
    return a + b
"""


@pytest.mark.parametrize("name", HONEST)
def test_honest_programs_find_what_they_need(rung, name):
    settings = JudgeSettings(workers=1, isolation=rung)
    sample = {"task_id": "add", "completion": HONEST[name]}
    [outcome] = judge([sample], {"add": ADD}, settings, cache=False)
    assert outcome.status == "passed", outcome


DRAWS = """
    import random
    import numpy as np
    draws = [random.random(), float(np.random.rand()), int(np.random.randint(10**9))]
    assert draws == {draws}, draws
    return a + b
"""


def test_random_numbers_are_the_same_for_every_program_and_in_every_process(rung):
    random.seed(0)
    numpy.random.seed(0)
    draws = [random.random(), numpy.random.rand(), int(numpy.random.randint(10**9))]
    text = DRAWS.format(draws=draws)
    one = ADD.test.split("\n")[:2]  # a single call: the next one draws on
    task = Task("draws", ADD.prompt, "add", "\n".join(one) + "\n")
    samples = [{"task_id": "draws", "completion": f"{text}  # {n}\n"} for n in range(4)]
    settings = JudgeSettings(workers=2, isolation=rung)
    outcomes = list(judge(samples, {"draws": task}, settings, cache=False))
    assert {outcome.status for outcome in outcomes} == {"passed"}, outcomes[0]


def test_in_a_jail_files_can_have_modes_and_times():
    settings = JudgeSettings(workers=1, isolation="jail")
    sample = {"task_id": "add", "completion": IN_A_JAIL}
    [outcome] = judge([sample], {"add": ADD}, settings, cache=False)
    assert outcome.status == "passed", outcome


ADDRESSES = """
    raise ValueError(str([hash(None), id(ValueError), [*{None, "x", 3.5, len, int}]]))
"""


def test_hashes_that_are_addresses_are_the_same_in_every_process(rung):
    if not addresses_can_be_fixed():
        pytest.skip("the policy of this machine refuses fixed addresses")
    found = set()
    for _ in range(3):
        pool.close_workers()  # the next one has a worker of its own
        found.add(judge_one(ADDRESSES, isolation=rung).result)
    assert len(found) == 1


def addresses_can_be_fixed():
    libc = ctypes.CDLL(None)
    before = libc.personality(ctypes.c_ulong(0xFFFFFFFF))
    fixed = libc.personality(before | 0x0040000) != -1
    libc.personality(before)
    return fixed
