"""A Dask cluster of real processes: the same outcomes, or one sentence on what is wrong."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest
from distributed import LocalCluster

from eta_utils.cli import main
from eta_utils.common.errors import BadInput, Failed
from eta_utils.common.files import write_jsonl
from eta_utils.execution import JudgeSettings, judge
from eta_utils.report import cluster
from tests.conftest import ADD, ROOT

pytestmark = pytest.mark.slow

TEXTS = (
    "    return a + b\n",
    "    return a - b\n",
    "    while True: pass\n",
    "    return undefined\n",
    "    import os\n    os._exit(0)\n",
)
SAMPLES = [
    {"task_id": "add", "completion": TEXTS[number % len(TEXTS)] + f"    # {number}\n"}
    for number in range(400)
]


@pytest.fixture(scope="module")
def address():
    """A scheduler with two worker processes of one thread each."""
    sizes = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None}
    with LocalCluster(**sizes) as local:
        yield local.scheduler_address


@pytest.fixture
def client(address):
    with cluster.connected(address) as connected:
        yield connected


def judged_on(client, samples=SAMPLES):
    executor, workers = cluster.judges(client, "auto")
    settings = {"executor": executor, "at_once": workers, "cache": False}
    return judge(samples, {"add": ADD}, **settings)


def test_a_cluster_gives_the_outcomes_of_this_machine(client):
    here = list(judge(SAMPLES, {"add": ADD}, JudgeSettings(workers=2), cache=False))
    assert list(judged_on(client)) == here
    statuses = {outcome.status for outcome in here}
    assert statuses >= {"passed", "assertion", "budget", "exit"}


def test_a_worker_that_is_killed_loses_nothing(client):
    here = list(judge(SAMPLES, {"add": ADD}, JudgeSettings(workers=2), cache=False))
    before = client.run(os.getpid)
    there = judged_on(client)
    outcomes = [next(there)]
    os.kill(min(before.values()), signal.SIGKILL)
    outcomes += there
    assert outcomes == here
    client.wait_for_workers(2, timeout=300)  # the nanny has started another
    assert set(client.run(os.getpid).values()) != set(before.values())


def test_judging_on_a_cluster_can_be_stopped_and_begun_again(client):
    quick = [
        {"task_id": "add", "completion": f"    return a + b  # {number}\n"}
        for number in range(2_000)
    ]
    there = judged_on(client, quick)
    for _ in range(200):  # some batches are finished, some are under way
        next(there)
    there.close()
    outcomes = judged_on(client, SAMPLES[:5])
    assert [outcome.passed for outcome in outcomes] == [True, *[False] * 4]


def test_a_cluster_that_is_lost_is_named(tmp_path):
    sizes = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None}
    with (
        LocalCluster(**sizes) as local,
        cluster.connected(local.scheduler_address) as client,
    ):
        there = judged_on(client)
        next(there)
        local.close()
        with pytest.raises(Failed, match="the same command goes on from what is done"):
            list(there)


def test_a_cluster_that_grows_is_used(client, address):
    _, workers = cluster.judges(client, "auto")
    assert workers() == 2
    with joined(client):
        workers._valid_until = 0.0  # do not wait for the next count
        assert workers() == 3


def test_judge_spreads_its_file_by_one_option(address, tmp_path, capsys):
    with write_jsonl(tmp_path / "samples.jsonl") as write:
        for number in range(20):
            write({"task_id": f"HumanEval/{number}", "completion": "    return 1\n"})
    words = ["judge", str(tmp_path / "samples.jsonl"), "--tasks", "humaneval", "--no-cache"]
    for name, more in (("here", []), ("there", ["--dask", address])):
        assert main([*words, "--out", str(tmp_path / name), *more]) == 0
    assert (tmp_path / "here").read_text() == (tmp_path / "there").read_text()
    assert f"cluster    {address}, 2 programs at a time" in capsys.readouterr().out


def test_an_address_where_no_scheduler_answers_is_named(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(cluster, "CONNECT_SECONDS", 2)
    nowhere = "tcp://127.0.0.1:9"  # the port of `discard`
    (tmp_path / "samples.jsonl").write_text('{"task_id": "HumanEval/0", "completion": ""}')
    for words in (
        ["judge", str(tmp_path / "samples.jsonl"), "--tasks", "humaneval", "--out", "o"],
        ["run", "--profile", "smoke", "-p", f"outputs={tmp_path / 'outputs'}"],
    ):
        assert main([*words, "--dask", nowhere]) == 2
        assert f"--dask {nowhere}: no scheduler answers there" in capsys.readouterr().err
    assert not (tmp_path / "outputs").exists()
    for wrong in ("nonsense://x:1", "host", ""):
        assert main([*words, "--dask", wrong]) == 2
        assert f"--dask {wrong!r}: is not an address" in capsys.readouterr().err


def test_a_scheduler_without_workers_is_named(monkeypatch):
    monkeypatch.setattr(cluster, "FIRST_WORKER_SECONDS", 2)
    with (
        LocalCluster(n_workers=0, dashboard_address=None) as local,
        pytest.raises(BadInput, match="the scheduler has no workers"),
        cluster.connected(local.scheduler_address),
    ):
        pass


@contextlib.contextmanager
def joined(client, **environment):
    """One more worker, started by hand as on another machine."""
    before = len(client.nthreads())
    address = client.scheduler.address
    command = [sys.executable, "-m", "dask", "worker", address, "--nthreads", "1"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    more = {"env": os.environ | environment, "cwd": environment.get("PYTHONPATH")}
    worker = subprocess.Popen([*command, "--no-dashboard", "--no-nanny"], **quiet, **more)
    try:
        client.wait_for_workers(before + 1, timeout=300)
        yield
    finally:
        worker.terminate()
        worker.wait()
        while len(client.nthreads()) > before:
            time.sleep(0.1)


@pytest.fixture
def other_code(tmp_path):
    """A folder with another version of the package."""
    package = tmp_path / "elsewhere" / "eta_utils"
    shutil.copytree(ROOT / "eta_utils", package)
    changed = (package / "__init__.py").read_text().replace("0.1.0", "0.0.9")
    (package / "__init__.py").write_text(changed)
    return str(package.parent)


def test_a_worker_with_another_version_is_named(client, address, other_code):
    with (
        joined(client, PYTHONPATH=other_code),
        pytest.raises(BadInput, match=r"worker tcp://.* has eta_utils 0\.0\.9 .* here is"),
        cluster.connected(address),
    ):
        pass


def test_a_worker_with_another_version_that_joins_later_judges_nothing(client, other_code):
    executor, _ = cluster.judges(client, "auto")
    with joined(client, PYTHONPATH=other_code):
        futures = [executor.submit(abs, -number) for number in range(40)]
        errors = [future.exception() for future in futures]
    refused = [str(error) for error in errors if error is not None]
    assert all("joined with eta_utils 0.0.9" in message for message in refused)
    assert refused and len(refused) < 40


def test_a_worker_without_the_package_is_named(client, address, tmp_path):
    (tmp_path / "eta_utils.py").write_text("raise ModuleNotFoundError('No eta_utils')\n")
    with (
        joined(client, PYTHONPATH=str(tmp_path)),
        pytest.raises(BadInput, match="has no eta_utils to import"),
        cluster.connected(address),
    ):
        pass


def test_a_worker_that_cannot_isolate_is_named(client):
    if shutil.which("bwrap") is None:
        pytest.skip("no bubblewrap here, so its absence elsewhere makes no difference")
    with (
        joined(client, PATH="/nowhere"),
        pytest.raises(BadInput, match="isolation jail does not hold on worker tcp://"),
    ):
        cluster.judges(client, "jail")


def test_a_folder_that_a_worker_does_not_see_is_named(client, tmp_path):
    cluster.check_folder(client, tmp_path)
    with pytest.raises(BadInput, match=r"worker tcp://.* does not see .*/gone"):
        cluster.check_folder(client, tmp_path / "gone")
