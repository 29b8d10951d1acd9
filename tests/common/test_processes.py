"""Several processes of one training do together what one does."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch
from torch.distributed import HashStore

from eta_utils.cli import main
from eta_utils.common import processes
from eta_utils.common.errors import BadInput
from eta_utils.common.files import read_json, read_jsonl, write_json, write_jsonl
from tests.conftest import ROOT

SMALL = (
    "corpus_tasks=1600 sft_tasks=32 rounds=1 prompts_per_round=16 test_tasks=8 "
    "tune_tasks=6 sft_batch=8 dpo_batch=4 limit=4 eta_rm=0"
).split()
SMALL.append("arms=grpo dpo-eta")


LAUNCH = {
    "WORLD_SIZE": "2",
    "RANK": "1",
    "LOCAL_RANK": "1",
    "LOCAL_WORLD_SIZE": "2",
    "MASTER_ADDR": "127.0.0.1",
    "MASTER_PORT": "29500",
}


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    """A function that sets variables of a launcher; at first there are none."""

    def change(**variables):
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

    for name in LAUNCH:
        monkeypatch.delenv(name, raising=False)
    return change


@pytest.fixture
def group(monkeypatch):
    """A function that has this process join a group of two, as far as torch can tell."""

    def join(rank):
        monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
        monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 2)
        monkeypatch.setattr(torch.distributed, "get_rank", lambda: rank)

    return join


def facts():
    return processes.count(), processes.rank(), processes.count_here()


def test_a_process_alone_is_the_first_of_one():
    assert facts() == (1, 0, 1)
    assert processes.is_first()
    assert processes.from_first(lambda: "made") == "made"
    assert processes.gathered({1: 2}) == {1: 2}


def test_a_process_that_has_not_joined_is_alone_whatever_its_environment_says(environment):
    environment(**LAUNCH)
    assert facts() == (1, 0, 1)
    assert processes.is_first()


def test_a_process_that_has_joined_is_what_its_group_says(group, environment):
    group(rank=1)
    environment(WORLD_SIZE="8", RANK="0", LOCAL_WORLD_SIZE="2")
    assert facts() == (2, 1, 2)
    assert not processes.is_first()


def test_a_process_that_leaves_is_in_no_group():
    torch.distributed.init_process_group("gloo", store=HashStore(), rank=0, world_size=1)
    processes.leave()
    assert not torch.distributed.is_initialized()
    processes.leave()  # a bad parameter is found before there is a group


def test_only_the_first_process_of_a_group_writes(group, tmp_path):
    group(rank=1)
    write_json(tmp_path / "second.json", {"a": 1})
    group(rank=0)
    write_json(tmp_path / "first.json", {"a": 1})
    assert [path.name for path in tmp_path.iterdir()] == ["first.json"]


def test_a_batch_that_cannot_be_shared_is_named(group):
    group(rank=0)
    assert processes.share_of(16) == 8
    with pytest.raises(BadInput, match="batches of 9 cannot be shared evenly by 2"):
        processes.share_of(9)


def test_all_batches_are_checked_before_anything_is_made(group, tmp_path, capsys):
    group(rank=0)
    words = ["train", "-p", "dpo_batch=7", "-p", f"outputs={tmp_path / 'o'}"]
    assert main(words) == 2
    assert "of 7 cannot be shared evenly by 2 processes" in capsys.readouterr().err
    assert not (tmp_path / "o").exists()


def test_other_commands_are_not_for_several_processes(environment, capsys):
    environment(WORLD_SIZE="2", RANK="1")
    assert main(["run", "--profile", "smoke"]) == 2
    assert "this is one of 2 processes (WORLD_SIZE)" in capsys.readouterr().err


NONSENSE = [
    ({"WORLD_SIZE": "abc"}, "WORLD_SIZE=abc .* must be a whole number, at least 1"),
    ({"WORLD_SIZE": "0"}, "WORLD_SIZE=0 .* at least 1"),
    (LAUNCH | {"RANK": "abc"}, "RANK=abc .* at least 0"),
    (LAUNCH | {"LOCAL_RANK": "-1"}, "LOCAL_RANK=-1 .* at least 0"),
    (LAUNCH | {"LOCAL_WORLD_SIZE": "0"}, "LOCAL_WORLD_SIZE=0 .* at least 1"),
    (LAUNCH | {"RANK": "2"}, "RANK=2 must be below WORLD_SIZE=2"),
    (LAUNCH | {"RANK": ""}, "one of 2 processes, but there is no RANK;"),
    (
        {"WORLD_SIZE": "2", "RANK": "1"},
        "no LOCAL_RANK and no MASTER_ADDR and no MASTER_PORT",
    ),
]


@pytest.mark.parametrize(("variables", "message"), NONSENSE)
def test_a_launch_that_makes_no_sense_is_named_before_anything_is_made(
    variables, message, environment, tmp_path, capsys
):
    environment(**variables)
    with pytest.raises(BadInput, match=message):
        processes.join()
    words = ["train", "--profile", "smoke", "-p", f"outputs={tmp_path / 'o'}"]
    assert main(words) == 2
    assert re.search(message, capsys.readouterr().err)
    assert not (tmp_path / "o").exists()


ALONE = [
    {"RANK": "1"},
    {"RANK": ""},
    {"RANK": "00"},
    {"RANK": "abc"},
    {"WORLD_SIZE": "1", "RANK": "1"},
    {"WORLD_SIZE": "", "RANK": "1"},
    {"LOCAL_RANK": "0"},
    {"LOCAL_RANK": "abc", "LOCAL_WORLD_SIZE": "0"},
]


@pytest.mark.parametrize("variables", ALONE)
def test_what_a_job_script_left_behind_makes_no_group(variables, environment):
    environment(**variables)
    processes.join()
    processes.join()
    assert facts() == (1, 0, 1)


LONE = """
from eta_utils.common.processes import join
join()
from accelerate import PartialState
print(PartialState(cpu=True).use_distributed)
"""


@pytest.mark.slow
@pytest.mark.parametrize("variables", [{"LOCAL_RANK": "abc"}, {"WORLD_SIZE": ""}])
def test_nor_does_accelerate_make_one_or_stumble_over_it(variables):
    assert said_by("-c", LONE, **variables) == "False\n"


TASK = {
    "task_id": "add",
    "prompt": "def add(a, b):\n",
    "entry_point": "add",
    "test": "def check(c):\n    assert c(1, 2) == 3\n    assert c(0, 0) == 0\n",
    "canonical_solution": "    return a + b\n",
}
BODIES = ("a + b", "a * b")


@pytest.fixture
def files(tmp_path):
    """Paths of a file of tasks and one of samples, a right one and a wrong one."""
    samples = [{"task_id": "add", "completion": f"    return {body}\n"} for body in BODIES]
    for name, rows in {"tasks": [TASK], "samples": samples}.items():
        with write_jsonl(tmp_path / f"{name}.jsonl") as write:
            for row in rows:
                write(row)
    return str(tmp_path / "tasks.jsonl"), str(tmp_path / "samples.jsonl")


def said_by(*words, **variables):
    """What a process prints that has these variables; its exit code must be 0."""
    clean = {name: value for name, value in os.environ.items() if name not in LAUNCH}
    done = subprocess.run(
        [sys.executable, *words],
        cwd=ROOT,
        env=clean | variables,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def names_a_written_file(words, path, **variables):
    """Whether a command says that it wrote `path`."""
    said = said_by("-m", "eta_utils", *words, "--out", str(path), **variables)
    return f"written    {path}" in said.splitlines()


@pytest.mark.parametrize("variables", [*ALONE, {"WORLD_SIZE": "abc"}])
def test_judge_writes_the_file_that_it_names(variables, files, tmp_path):
    tasks, samples = files
    path = tmp_path / "outcomes.jsonl"
    assert names_a_written_file(["judge", samples, "--tasks", tasks], path, **variables)
    assert len(list(read_jsonl(path))) == len(BODIES)


def test_pairs_writes_the_file_that_it_names(files, tmp_path):
    tasks, samples = files
    outcomes, path = str(tmp_path / "outcomes.jsonl"), tmp_path / "pairs.jsonl"
    assert main(["judge", samples, "--tasks", tasks, "--out", outcomes]) == 0
    words = ["pairs", outcomes, "--tasks", tasks, "--ordering", "eta"]
    assert names_a_written_file(words, path, RANK="1")
    assert len(list(read_jsonl(path))) == 1


@pytest.mark.slow
def test_recompute_writes_the_tables_that_it_prints(tmp_path):
    run = ROOT / "outputs" / "reference"
    if not (run / "scores").exists():
        pytest.skip("outputs/reference/scores is not there yet")
    words = ["-m", "eta_utils", "recompute", str(run), "--out", str(tmp_path)]
    said = said_by(*words, RANK="1").splitlines()
    written = {path.stem for path in tmp_path.iterdir()}
    assert "results" in written
    assert written <= set(said)


@pytest.mark.slow
def test_report_writes_the_page_that_it_names(tmp_path):
    run, page = tmp_path / "run", tmp_path / "page.html"
    run.mkdir()
    (run / "study.json").write_text('{"profile": "smoke"}')
    words = ["-m", "eta_utils", "report", str(run), "--out", str(page)]
    assert said_by(*words, RANK="1") == f"report {page}\n"
    assert "<html" in page.read_text()


MEETING = """
import sys
from pathlib import Path
from eta_utils.common import processes
from eta_utils.common.errors import BadInput
from eta_utils.common.files import write_json

def refuse():
    raise BadInput("the first one says no")

processes.join()
processes.join()
own = processes.rank()
facts = processes.count(), processes.count_here(), processes.from_first(lambda: own)
parts = processes.gathered({own: own * 10})
try:
    processes.from_first(refuse)
except BadInput as error:
    parts["refused"] = str(error)
write_json(sys.argv[1], {"rank": own, "facts": facts, "parts": parts})
Path(f"{sys.argv[1]}.{own}").write_text(f"{facts} {parts}")
processes.leave()
"""


@pytest.mark.slow
def test_processes_that_meet_share_what_the_first_made_and_what_each_has(tmp_path):
    script, found = tmp_path / "meeting.py", tmp_path / "found.json"
    script.write_text(MEETING)
    launch = "-m torch.distributed.run --standalone --nproc_per_node 2".split()
    said_by(*launch, str(script), str(found), PYTHONPATH=str(ROOT))
    facts, parts = [2, 2, 0], {"0": 0, "1": 10, "refused": "the first one says no"}
    assert read_json(found) == {"rank": 0, "facts": facts, "parts": parts}
    for own in range(2):  # a file for each: what two print at once is mingled
        text = Path(f"{found}.{own}").read_text()
        assert text == "(2, 2, 0) {0: 0, 1: 10, 'refused': 'the first one says no'}"


def train(outputs, *launcher):
    words = [word for parameter in SMALL for word in ("-p", parameter)]
    command = [*launcher, "-m", "eta_utils", "train", "--profile", "smoke", *words]
    done = subprocess.run(
        [*command, "-p", f"outputs={outputs}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        # Of torch's threads each process has one, so that sums are taken alike.
        env=os.environ | {"OMP_NUM_THREADS": "1", "ETA_CACHE": f"{outputs}.sqlite"},
        timeout=900,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return outputs / "smoke" / "seed0", done.stdout


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """The folders of one study by one process and by two, and what these said."""
    place = tmp_path_factory.mktemp("processes")
    launch = "-m accelerate.commands.launch --multi_gpu --num_processes 2".split()
    launch += ["--main_process_port", "0"]  # a free one: the usual may be a neighbour's
    one, _ = train(place / "one", sys.executable)
    two, said = train(place / "two", sys.executable, *launch)
    assert "2 process(es)" in said
    return one, two, said


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["base", "sft", "dpo-eta/round1"])
def test_two_processes_have_the_loss_curve_of_one(both, stage):
    one, two = (pd.read_csv(folder / stage / "history.csv")["loss"] for folder in both[:2])
    assert len(one) == len(two) > 2
    # The last batch may not be full: accelerate fills it up with the first rows.
    one, two = one[:-1].to_numpy(), two[:-1].to_numpy()
    assert two == pytest.approx(one, abs=1e-4)


@pytest.mark.slow
def test_two_processes_draw_the_samples_of_one_and_judge_them_once(both):
    one, two = (
        [
            row["completion"]
            for _, row in read_jsonl(folder / "sft/samples1/outcomes.jsonl.gz")
        ]
        for folder in both[:2]
    )
    same = sum(a == b for a, b in zip(one, two, strict=True))
    assert same >= 0.9 * len(one)  # a sum rounded otherwise may turn a draw
    said = both[2].splitlines()
    assert said.count("seed 0, sft") == 1  # by the first process alone
