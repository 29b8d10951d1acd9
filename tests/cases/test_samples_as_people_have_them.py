"""Samples in other people's shapes are judged, or refused in one sentence."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import os
import subprocess
import sys
import zipfile

import pytest

from eta_utils.cli import main
from eta_utils.execution import SampleFile, line_span
from eta_utils.tasks import load_tasks
from eta_utils.tasks.task import CLEANED
from tests.conftest import ROOT


def task_row(task_id, name):
    return {
        "task_id": task_id,
        "prompt": f"def {name}(a, b):\n",
        "entry_point": name,
        "test": "def check(c):\n    assert c(1, 2) == 3\n    assert c(0, 4) == 4\n",
        "canonical_solution": "    return a + b\n",
    }


TASKS = [task_row("HumanEval/0", "add"), task_row("HumanEval/7", "plus")]
BODY = "    return a + b\n"
WHOLE = f"def plus(a, b):\n{BODY}"
WRONG = "    return a * b\n"
SEVEN = {"task_id": "HumanEval/7", "completion": BODY}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A folder to work in that has the tasks."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tasks.jsonl").write_text("".join(json.dumps(row) + "\n" for row in TASKS))
    return tmp_path


def judge(source, *words, out="out.jsonl"):
    return main(["judge", source, "--tasks", "tasks.jsonl", "--out", out, *words])


def judged(content, *words, name="samples.jsonl"):
    """The outcomes of a file with this content."""
    put(content, name)
    assert judge(name, *words) == 0
    return outcomes()


def put(content, name="samples.jsonl"):
    if not isinstance(content, (str, bytes)):
        content = json.dumps(content)
    with open(name, "wb") as file:
        file.write(content if isinstance(content, bytes) else content.encode())


def outcomes(path="out.jsonl"):
    with open(path) as file:
        return [json.loads(line) for line in file]


def statuses(*arguments, **named):
    return [row["status"] for row in judged(*arguments, **named)]


def refused(capsys, content, *words, name="samples.jsonl"):
    """The one sentence with which a file is refused."""
    put(content, name)
    assert judge(name, *words) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert name in error
    assert not os.path.exists("out.jsonl")
    return error


# --- Shapes of files


LINE = json.dumps(SEVEN)


@pytest.mark.parametrize(
    "content",
    [
        [SEVEN, SEVEN],
        json.dumps([SEVEN, SEVEN], indent=2),
        f"{json.dumps(SEVEN, indent=2)}\n{json.dumps(SEVEN, indent=2)}",
        f"\n{LINE}\r\n\r\n{LINE}",
        f"\ufeff{LINE}\n{LINE}\n",
        f"\ufeff{LINE}\r\n{LINE}\r\n".encode("utf-16-le"),
        gzip.compress(f"{LINE}\n{LINE}".encode(), mtime=0),
        bz2.compress(f"\ufeff[{LINE}, {LINE}]".encode()),
        lzma.compress(f"{LINE}\n{LINE}".encode()),
        SEVEN | {"completion": [BODY, BODY]},
        [[], [WHOLE, WHOLE]],  # bigcode's generations.json
        {"date": "x", "hash": "x", "eval": {"HumanEval/7": 2 * [{"solution": WHOLE}]}},
    ],
    ids=(
        "list array objects blanks mark utf-16 gzip bzip2 xz texts generations evalplus"
    ).split(),
)
def test_every_shape_gives_the_same_two_samples(content):
    rows = judged(content)
    assert [(row["task_id"], row["status"]) for row in rows] == 2 * [
        ("HumanEval/7", "passed")
    ]
    assert all(row.get("completion") == BODY or row["solution"] == WHOLE for row in rows)


def test_a_folder_has_one_program_in_each_file(folder):
    for number in (0, 7):
        (folder / "samples" / f"HumanEval_{number}").mkdir(parents=True)
    for number, body in ((10, WRONG), (9, BODY)):
        path = folder / "samples" / "HumanEval_7" / f"{number}.py"
        path.write_text(f"def plus(a, b):\n{body}")
    assert judge("samples") == 0
    assert [row["status"] for row in outcomes()] == ["passed", "assertion"]
    assert judge(str(folder / "samples" / "HumanEval_0")) == 2


@pytest.mark.parametrize("source", ["samples.parquet", "hub:me/mine", "hub:me/mine:train"])
def test_parquet_and_data_sets_of_the_hub_are_read(folder, source):
    datasets = pytest.importorskip("datasets")
    (folder / "me" / "mine").mkdir(parents=True)
    rows = datasets.Dataset.from_list([SEVEN | {"solution": None}, SEVEN])
    for path in ("samples.parquet", "me/mine/train.parquet"):
        rows.to_parquet(path)  # a data set that lies here is found before the Hub
    assert judge(source) == 0
    assert [row["status"] for row in outcomes()] == ["passed", "passed"]


def test_a_data_set_that_cannot_be_read_is_named(folder, capsys, monkeypatch):
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", True)
    assert judge("hub:no/such") == 2
    assert "hub:no/such: cannot be fetched" in capsys.readouterr().err
    assert judge("hub:nothing") == 2
    assert "hub:owner/name" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (f"{LINE},\n{LINE},\n", "line 1: is not JSON (something follows its end, column"),
        (f'{LINE}\n{{"task_id": "Hum', "line 2: is not JSON"),
        (f'{LINE}\n{{"task_id": ', "line 2: is not JSON (it ends too early)"),
        (f"[{LINE},\n{LINE}\n", "line 2: is not JSON (it ends too early)"),
        (f"[{LINE},\n{LINE},]", "line 2: is not JSON"),
        (f"[{LINE}, 3]", "item 2: a JSON object is needed, not a int"),
        (LINE.replace("{", '{"seed": ' + "9" * 5000 + ", ", 1), "too many digits"),
        (f"{LINE}\n" + "[" * 99_999, "nested too deeply"),
        (LINE.encode("utf-16-le"), "is not"),
        (b'{"task_id": "\xe9"}', "is not UTF-8 text, near line 1"),
        (lzma.compress(LINE.encode() * 99)[:-20], "the compressed data ends or breaks"),
        ([[WHOLE]], "has lists of programs for 1 tasks, and there are 2"),
        ([[WHOLE], WHOLE], "item 2: a list of programs is needed, not a str"),
        ([[WHOLE], [3]], "item 2: 'completion' and 'solution' must be text"),
        ({"eval": []}, "'eval': a JSON object is needed"),
        ({"eval": {"HumanEval/7": {"base": []}}}, "HumanEval/7: a list of samples"),
        ({"eval": {}}, "holds no samples"),
        ([], "holds no samples"),
        ("\n\n", "holds no samples"),
    ],
)  # fmt: skip
def test_what_is_no_file_of_samples_is_refused_in_one_sentence(capsys, content, words):
    assert words in refused(capsys, content)


def test_an_archive_is_refused(capsys, folder):
    with zipfile.ZipFile("samples.zip", "w") as archive:
        archive.writestr("samples.jsonl", LINE)
    content = (folder / "samples.zip").read_bytes()
    assert "is a zip archive; unpack it first" in refused(capsys, content)


# --- Pipes


@pytest.mark.parametrize("name", ["-", "/dev/stdin"])
@pytest.mark.parametrize("piped", [True, False])
def test_stdin_is_read_as_often_as_is_needed(folder, name, piped):
    put(f"{LINE}\n{LINE}\n")
    words = [name, "--tasks", "tasks.jsonl", "--out", "-"]
    with open("samples.jsonl", "rb") as file:
        given = {"input": file.read()} if piped else {"stdin": file}
        done = subprocess.run(
            [sys.executable, "-m", "eta_utils", "judge", *words],
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            capture_output=True,
            **given,
        )
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row["status"] for row in rows] == ["passed", "passed"]
    assert b"pass@1     1.0000" in done.stderr  # the summary stands beside the rows


def test_a_device_is_no_file_of_samples(capsys):
    assert judge("/dev/zero") == 2
    assert "/dev/zero: is a device" in capsys.readouterr().err


# --- Names of tasks and fields


@pytest.mark.parametrize(
    "task_id",
    [7, "7", 7.0, "humaneval/7", "HumanEval_7", "HUMANEVAL-7", "Python/7"],
)
def test_a_task_is_found_by_its_number_and_in_other_spellings(task_id):
    assert judged(SEVEN | {"task_id": task_id})[0]["task_id"] == "HumanEval/7"


@pytest.mark.parametrize(
    "task_id", [8, "Mbpp/7", "7/HumanEval", "CPP/7", True, None, "", 7.5, -7, "x" * 10**6]
)
def test_what_names_no_task_is_refused(capsys, task_id):
    error = refused(capsys, SEVEN | {"task_id": task_id})
    assert "line 1: unknown task_id" in error
    assert len(error) < 200


def test_a_number_of_two_tasks_names_none(capsys):
    rows = [*TASKS, task_row("Mine/7", "plus")]
    put("".join(json.dumps(row) + "\n" for row in rows), "tasks.jsonl")
    assert "unknown task_id 7" in refused(capsys, SEVEN | {"task_id": 7})
    assert statuses(SEVEN | {"task_id": "mine_7"}) == ["passed"]


@pytest.mark.parametrize(
    "fields",
    [
        {"completion": None, "solution": WHOLE},
        {"completion": BODY, "solution": None},
        {"completion": WRONG, "solution": WHOLE},
        {"completion": None, "solution": [WHOLE]},
    ],
)
def test_a_field_that_is_null_is_no_text(fields):
    assert statuses(SEVEN | fields) == ["passed"]


@pytest.mark.parametrize("name", ["response", "output", "generation"])
@pytest.mark.parametrize("text", [BODY, WHOLE, [WHOLE]])
def test_an_answer_of_unknown_kind_is_read_where_it_may_be_cleaned(capsys, name, text):
    row = {"task_id": 7, name: text}
    error = refused(capsys, row)
    assert "neither 'completion' nor 'solution'" in error and f"'{name}'" in error
    assert statuses(row, "--clean", "auto") == ["passed"]
    assert "must be text" in refused_anew(capsys, row | {name: [3]}, "--clean", "auto")


def refused_anew(capsys, *arguments):
    os.unlink("out.jsonl")
    capsys.readouterr()
    return refused(capsys, *arguments)


OWN = {"trace": "mine", "status": "done", "steps": 3, "line": "x", "prefix": [1]}


def test_a_samples_own_fields_are_kept_and_pairs_are_made(capsys):
    rows = [SEVEN | OWN, SEVEN | {"completion": WRONG, "trace": {"mine": 1}}]
    first, second = judged("\n".join(map(json.dumps, rows)))
    assert {name: first[f"sample_{name}"] for name in OWN} == OWN
    assert first["status"] == "passed" and "trace" not in first
    assert second["sample_trace"] == {"mine": 1}
    assert "'line', 'prefix', 'status', 'steps', 'trace'" in capsys.readouterr().out
    words = ["pairs", "out.jsonl", "--tasks", "tasks.jsonl", "--out", "pairs.jsonl"]
    assert main(words) == 0
    assert len(outcomes("pairs.jsonl")) == 1


def test_a_file_of_outcomes_can_be_judged_again(capsys):
    first = judged(SEVEN | OWN | {"completion": f"```\n{WHOLE}```"}, "--clean", "auto")
    os.rename("out.jsonl", "again.jsonl")
    assert judge("again.jsonl", "--clean", "auto") == 0
    assert outcomes() == first
    assert capsys.readouterr().out.count("own 'line'") == 1  # they are kept already


@pytest.mark.parametrize(
    "field",
    [
        ("note", "\ud83d"),
        ("logprob", float("nan")),
        ("\ud83d", "\0"),
        ("eval", {}),
        ("", 0),
    ],
)
def test_any_other_field_is_kept_as_it_is(field):
    name, value = field
    [row] = judged(SEVEN | {name: value})
    assert row["status"] == "passed"
    assert repr(row[name]) == repr(value)


@pytest.mark.parametrize("text", ["    # \ud83d\n" + BODY, BODY + "\0"])
def test_a_text_that_is_no_program_is_judged_as_one(text):
    assert statuses(SEVEN | {"completion": text}, "--clean", "auto") == ["syntax"]


# --- What stands around the program


def test_cleaning_is_counted_and_leaves_the_sample_as_it_was(capsys):
    fenced = f"Sure:\n```python\n{WHOLE}```\nIt adds.\n"
    rows = [SEVEN | {"completion": fenced}, SEVEN, SEVEN | {"solution": fenced}]
    found = judged("\n".join(map(json.dumps, rows)), "--clean", "auto")
    assert [row["status"] for row in found] == 3 * ["passed"]
    assert [CLEANED in row for row in found] == [True, False, True]
    assert found[0]["completion"] == found[2]["solution"] == fenced
    printed = capsys.readouterr().out
    assert "cleaned    2 of 3 samples" in printed
    assert "hint" not in printed


def test_without_cleaning_the_summary_hints_at_it(capsys):
    rows = [SEVEN | {"completion": text} for text in (f"```\n{WHOLE}```", "    (", BODY)]
    put("\n".join(map(json.dumps, rows)))
    assert judge("samples.jsonl") == 0
    assert outcomes()[0]["status"] == "syntax" and CLEANED not in outcomes()[0]
    printed = capsys.readouterr().out
    assert "1 of 2 syntax failures contain ```: try --clean auto" in printed


def test_lines_and_pairs_are_about_the_program_that_was_judged():
    texts = [f"Sure!\n\n```\ndef plus(a, b):\n{body}```" for body in (BODY, "    a.x\n")]
    _, wrong = judged([SEVEN | {"completion": texts}], "--clean", "auto")
    assert wrong["line"] == wrong["departure"] == 2
    task = load_tasks("tasks.jsonl")["HumanEval/7"]
    assert wrong[CLEANED][slice(*line_span(task, wrong, wrong["line"]))] == "    a.x\n"
    words = ["pairs", "out.jsonl", "--tasks", "tasks.jsonl", "--out", "pairs.jsonl"]
    assert main(words) == 0
    [pair] = outcomes("pairs.jsonl")
    assert pair["prompt"] + pair["chosen"] == f"def plus(a, b):\n{BODY}"
    assert "```" not in pair["rejected"]


# --- Tasks


SANITIZED = {
    "source_file": "x.ipynb",
    "task_id": 2,
    "prompt": "Add two numbers.",
    "code": "def plus(a, b):\r\n  return a + b\r\n",
    "test_imports": ["import math"],
    "test_list": ["assert plus(1, 2) == math.floor(3.5)"],
}
PLAIN = {name: SANITIZED[name] for name in ("task_id", "code")} | {
    "text": "Add two numbers.",
    "test_list": ["assert plus(1, 2) == 3"],
}


@pytest.mark.parametrize(
    "row",
    [
        SANITIZED,
        SANITIZED | {"task_id": "Mbpp/2"},
        SANITIZED | {"task_id": "2"},
        PLAIN,
        PLAIN | {"test_setup_code": None, "task_id": "Mbpp/2"},
        PLAIN | {"test_setup_code": "zero = 0"},
    ],
)
@pytest.mark.parametrize("indent", [None, 1])
def test_mbpp_comes_in_two_forms_and_its_names_in_three(folder, row, indent):
    put(json.dumps([row], indent=indent), "tasks.jsonl")
    assert load_tasks("tasks.jsonl").keys() == {"Mbpp/2"}
    assert load_tasks("tasks.jsonl")["Mbpp/2"].split == "prompt"
    assert statuses([{"task_id": 2, "solution": WHOLE}]) == ["passed"]
    assert statuses([{"task_id": "mbpp/2", "solution": "plus = max"}]) == ["assertion"]


# --- Memory


def test_samples_that_grow_while_they_are_judged_stay_those_that_were_counted():
    put(f"{LINE}\n")
    samples = SampleFile("samples.jsonl", load_tasks("tasks.jsonl"))
    with open("samples.jsonl", "a") as file:
        file.write(f"{LINE}\n" + '{"task_id": ')
    assert len(list(samples)) == len(samples) == 1


@pytest.mark.parametrize("cleaning", [False, True])
def test_a_file_of_many_samples_is_never_held(cleaning):
    put(f"{json.dumps(SEVEN | {'note': 'x' * 1000})}\n" * 50_000)  # 53 MB
    code = (
        "from eta_utils.execution import SampleFile\n"
        "from eta_utils.tasks import load_tasks\n"
        f"s = SampleFile('samples.jsonl', load_tasks('tasks.jsonl'), {cleaning});"
        "assert sum(1 for _ in s) == 50_000;"
        "print(open('/proc/self/status').read().split('VmHWM:')[1].split()[0])"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert int(ran.stdout) < 45_000, ran.stderr  # KiB
