"""Executing the notebooks: small ones, written here, take the place of the study's."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time

import nbformat
import pytest
from nbformat import v4

from eta_utils.cli import _parser, main
from eta_utils.cli.study import parse_parameters
from eta_utils.common.machine import cores
from eta_utils.report.notebook import ThisPython
from eta_utils.report.page import EACH_SEED, LAST
from eta_utils.report.run import _duration, command_for
from eta_utils.study.study import Study
from tests.conftest import ROOT

BEGIN = "from eta_utils.study import Study\nstudy = Study.begin(run=run, outputs=outputs)\n"


def write_notebook(path, source, parameters):
    cells = [
        v4.new_markdown_cell(f"# Notebook {path.stem}"),
        v4.new_code_cell(
            "\n".join(f"{name} = None" for name in parameters),
            metadata={"tags": ["parameters"]},
        ),
        v4.new_code_cell(source),
        v4.new_code_cell("print('the end')"),
    ]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    notebook = v4.new_notebook(cells=cells, metadata={"kernelspec": kernel})
    nbformat.write(notebook, path)


@pytest.fixture
def study(tmp_path):
    """A function that runs the command on small notebooks, given the sources of some."""
    notebooks, outputs = tmp_path / "notebooks", tmp_path / "outputs"
    notebooks.mkdir()
    outputs.mkdir()

    def arguments(*options, **sources):
        for name in EACH_SEED:
            source = sources.get(name[3:], "print('seed', seed)")
            write_notebook(notebooks / f"{name}.ipynb", source, ("run", "seed", "outputs"))
        last = notebooks / f"{LAST}.ipynb"
        write_notebook(last, sources.get("analysis", "1"), ("run", "outputs"))
        folders = ["--notebooks", str(notebooks), "-p", f"outputs={outputs}"]
        return ["run", *folders, *options]

    arguments.outputs, arguments.notebooks = outputs, notebooks
    return arguments


def read(path):
    return json.loads(path.read_text())


@pytest.mark.slow
def test_a_failed_run_is_resumed_and_recorded(study, capfd, monkeypatch, tmp_path):
    # A kernel of the same name that does not start: ours must be used all the same.
    foreign = tmp_path / "share" / "kernels" / "python3"
    foreign.mkdir(parents=True)
    (foreign / "kernel.json").write_text(
        '{"argv": ["false"], "display_name": "other", "language": "python"}'
    )
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "share"))
    monkeypatch.setenv("MPLBACKEND", "agg")
    sft = (
        f"{BEGIN}import os, sys\nprint(sys.executable, study.sft_tasks.tasks, seed)\n"
        "print(os.environ['MPLBACKEND'], os.getcwd())\n"
        "print('chatter', file=sys.stderr)\nassert os.path.exists('ready'), 'not ready'"
    )
    begin = study("--run", "r", "--seeds", "3", "-p", "sft_tasks=7", sft=sft)
    assert main(begin) == 1
    folder = study.outputs / "r"
    assert (folder / "seed3" / "01_sft.html").exists()
    assert read(folder / "run.json")["seconds"] == {}
    capfd.readouterr()

    (study.notebooks / "ready").touch()
    assert main(study("--resume", "r", sft=sft)) == 0
    printed, errors = capfd.readouterr()
    assert f"{sys.executable} 7 3\n" in printed
    assert f"module://matplotlib_inline.backend_inline {study.notebooks}\n" in printed
    assert "01_sft, seed 3: " in printed
    assert "04_analysis: " in printed
    assert "chatter" not in printed
    assert errors == ""
    record = read(folder / "run.json")
    assert list(record["seconds"]) == [
        "seed3/01_sft",
        "seed3/02_ppo",
        "seed3/03_eta_dpo",
        "04_analysis",
    ]
    assert record["seeds"] == [3]
    assert "--seeds 3 -p" in record["command"]
    assert "sft_tasks=7" in record["command"]
    assert "packages" in read(folder / "environment.json")
    assert not (folder / "seed3" / "01_sft.html").exists()
    assert "Notebook 04_analysis" in (folder / "report.html").read_text()


@pytest.mark.slow
def test_a_second_run_has_nothing_to_make_until_something_has_changed(study, capfd):
    """It once executed all notebooks again, which took two minutes, and did not say why."""
    begin = study("--run", "r", analysis="print('all seeds')")
    assert main(begin) == 0
    printed = capfd.readouterr().out
    assert "\n4 notebooks, " in printed and "\n[2/4 02_ppo] seed 0\n" in printed
    first = (study.outputs / "r" / "report.html").read_text()

    start = time.monotonic()
    assert main(begin) == 0
    printed = capfd.readouterr().out
    assert "nothing to make" in printed and "[1/4" not in printed
    assert time.monotonic() - start < 20
    assert (study.outputs / "r" / "report.html").read_text() == first

    assert main(study("--run", "r", ppo="print('other')")) == 0
    printed = capfd.readouterr().out
    assert "\n3 notebooks, " in printed and "\n[1/3 02_ppo] other\n" in printed

    made = study.outputs / "r" / "seed0" / "sft" / "done.json"
    made.parent.mkdir()
    made.write_text(
        '{"made": "2030-01-02 03:04:05", "seconds": {}}'
    )  # another stage, of which a notebook might speak
    assert main(study("--run", "r", ppo="print('other')")) == 0
    assert "\n4 notebooks, " in capfd.readouterr().out


@pytest.mark.parametrize(
    ("source", "options", "reason"),
    [
        ("raise KeyError('a\\nb')", [], "KeyError: 'a\\nb';"),
        ("raise ValueError('first\\nlast')", [], "ValueError: last;"),
        # The pause: what a kernel prints just before its sudden death does not arrive.
        (
            "import os, time; time.sleep(2); os._exit(137)",
            [],
            "its kernel died, most likely for want of memory",
        ),
        ("import sys; sys.exit()", [], "a cell called sys.exit"),
        pytest.param(
            "import time; time.sleep(60)",
            ["--cell-timeout", "5"],
            "a cell took longer than 5 s",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_a_notebook_that_stops_is_kept_and_rendered(study, capfd, source, options, reason):
    assert main(study("--run", "r", *options, sft=f"print('so far')\n{source}")) == 1
    partial = study.outputs / "r" / "seed0" / "01_sft.ipynb"
    outputs = nbformat.read(partial, as_version=4).cells
    assert any("so far" in str(cell.get("outputs")) for cell in outputs)
    page = partial.with_suffix(".html").read_text()
    assert "so far" in page
    assert "did not reach the end" in page
    # A kernel that is told to end may abort in libzmq, with a line of its own.
    said = capfd.readouterr().err.splitlines()
    [errors] = [line for line in said if "src/signaler.cpp" not in line]
    assert errors.startswith("eta_utils run: 01_sft, seed 0 stopped: " + reason)
    assert str(partial) in errors
    assert "01_sft.html" in errors
    assert "python -m eta_utils run --resume r " in errors
    assert not (study.outputs / "r" / "seed0" / "02_ppo.ipynb").exists()


@pytest.mark.slow
def test_ctrl_c_ends_the_kernel_and_keeps_the_notebook(study, tmp_path):
    number = tmp_path / "kernel"
    source = (
        "import os, pathlib, time\n"
        f"pathlib.Path({str(number)!r}).write_text(str(os.getpid()))\ntime.sleep(600)"
    )
    command = [sys.executable, "-m", "eta_utils", *study("--run", "r", sft=source)]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A shell that runs the tests in the background has them ignore Ctrl-C.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
    )
    while process.poll() is None and not (number.exists() and number.read_text()):
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 130
    assert errors.startswith("eta_utils run: 01_sft, seed 0 stopped: interrupted;")
    assert errors.count("\n") == 1, errors
    assert "pathlib" in (study.outputs / "r" / "seed0" / "01_sft.html").read_text()
    with pytest.raises(ProcessLookupError):
        os.kill(int(number.read_text()), 0)


@pytest.mark.slow
def test_parallel_seeds_share_the_cores_and_label_their_lines(study, capfd):
    source = "import os\nprint(seed, os.environ['OMP_NUM_THREADS'])"
    options = ("--run", "r", "--seeds", "0", "1", "2", "--jobs", "2")
    assert main(study(*options, sft=source)) == 0
    printed = capfd.readouterr().out
    share = max(1, cores() // 2)
    for seed in range(3):
        assert f"\n[seed {seed} 01_sft] {seed} {share}\n" in printed
    record = read(study.outputs / "r" / "run.json")
    assert len(record["seconds"]) == 3 * 3 + 1
    assert "--jobs 2" in record["command"]


@pytest.mark.slow
def test_a_seed_that_fails_beside_another_is_one_sentence(study, capfd):
    source = "assert seed == 0, 'only seed 0 goes well'"
    options = ("--run", "r", "--seeds", "0", "1", "--jobs", "2")
    assert main(study(*options, sft=source)) == 1
    errors = capfd.readouterr().err
    assert "01_sft, seed 1 stopped: AssertionError: only seed 0 goes well;" in errors
    assert errors.count("\n") == 1, errors


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["-p", "sft_task=3"], "parameter sft_task: there is no such parameter; did you "),
        (["-p", "sft_tasks=many"], "parameter sft_tasks: 'many' is not a whole number"),
        (["-p", "sft_tasks=1.5"], "parameter sft_tasks: '1.5' is not a whole number"),
        (["-p", "sft_tasks=0"], "parameter sft_tasks: 0 is not at least 1"),
        (["-p", "sft_tasks"], "-p sft_tasks: is not name=value"),
        (["-p", "rounds=1", "-p", "rounds=2"], "-p rounds=2: rounds is given twice"),
        (["-p", "seed=2"], "-p seed=2: is given with --seeds"),
        (["-p", "profile=full"], "-p profile=full: is given with --profile"),
        (["--profile", "tiny"], "parameter profile: there is no tiny; there are smoke"),
        (["-p", "eta_rm=2"], "parameter eta_rm: 2 is not 0 or 1"),
        (["-p", "arms=grpo rloo"], "parameter arms: there is no rloo; there are rft, "),
        (["-p", "gate=skip"], "parameter gate: 'skip' is not stop or print"),
        (["--seeds", "0", "-1"], "seeds: -1 is negative"),
        (["--seeds", "1", "2", "1"], "seeds: 1 2 1 names one twice"),
        (["--resume", "x", "--run", "y"], "--resume names the run; leave out --run"),
        (["--resume", "nowhere"], "run nowhere: there is no such run in "),
        (["--notebooks", "nowhere"], "nowhere/01_sft.ipynb: no such notebook"),
    ],
)
def test_bad_input_is_refused_before_anything_is_written(study, capsys, options, message):
    assert main(study(*options)) == 2
    errors = capsys.readouterr().err
    assert message in errors
    assert errors.count("\n") == 1
    assert list(study.outputs.iterdir()) == []


def test_an_unknown_run_is_refused_with_the_known_ones(study, capsys):
    for run in ("warm", "cold"):
        Study.begin(run=run, outputs=str(study.outputs))
    assert main(study("--resume", "hot")) == 2
    assert "there are cold, warm" in capsys.readouterr().err
    assert main(["report", "no such run"]) == 2
    assert "run no such run: there is no such run" in capsys.readouterr().err


def test_a_resumed_run_keeps_its_profile(study, capsys):
    Study.begin(run="r", profile="smoke", outputs=str(study.outputs))
    for name in ("r", str(study.outputs / "r")):
        assert main(study("--resume", name, "--profile", "full")) == 2
        assert "run r was begun with smoke, not full" in capsys.readouterr().err


def test_the_recorded_command_makes_the_same_study(tmp_path):
    outputs = str(tmp_path / "with space")
    given = {"sft_learning_rate": 3e-5, "arms": "dpo-eta dpo-steps", "test_tasks": 240}
    study = Study.begin("a-run", "full", outputs=outputs, **given)
    words = shlex.split(command_for(study, [4, 5]))
    options = _parser().parse_args(words[words.index("run") :])
    assert options.seeds == [4, 5]
    assert "test_tasks" not in command_for(study, [4, 5])  # as in the profile
    again = parse_parameters(options.parameters)
    assert Study.begin(options.run, options.profile, **again) == study


def test_a_duration_has_at_most_two_units():
    assert [_duration(seconds) for seconds in (4.24, 192, 59.96, 3 * 3600 + 61)] == [
        "4.2 s",
        "3 min 12 s",
        "1 min 0 s",
        "3 h 1 min",
    ]


def test_a_kernel_imports_the_package_that_runs_it(tmp_path, monkeypatch):
    """Also where another copy is installed and found first in the notebooks' folder."""
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    paths = ThisPython().kernel_spec.env["PYTHONPATH"].split(os.pathsep)
    assert paths == [str(ROOT), str(tmp_path)]
