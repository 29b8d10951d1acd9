"""A stage is made once, reused while current, and says in one line what it does."""

from __future__ import annotations

import errno
import fcntl
import json
import multiprocessing
import os
import time
from dataclasses import dataclass

import pytest

from eta_utils.common.settings import Settings, setting
from eta_utils.execution import JudgeSettings
from eta_utils.study.settings import SFTTaskSettings
from eta_utils.study.stages import Stage, made

PARAMETERS = {"rate": 0.1, "tasks": 64}


@pytest.fixture
def stage_of(tmp_path):
    """A new Stage object, as another process would make it."""

    def make(name="sft", parameters=PARAMETERS, inputs=()):
        return Stage(tmp_path, name, 0, (), inputs, parameters)

    return make


def run(stage, metrics=None):
    """Make the stage if it must be made; says whether it was."""
    if not stage.must_run():
        return False
    (stage.folder / "weights").write_text("learnt")
    stage.finish(metrics or {})
    return True


@pytest.fixture
def line(capsys):
    """The single line that was printed since the last call; None where none was."""

    def take():
        lines = capsys.readouterr().out.splitlines()
        assert len(lines) <= 1
        return lines[0] if lines else None

    return take


# --- Made, reused, made anew


def test_a_stage_is_made_once_and_then_reused(stage_of, line):
    assert run(stage_of(), {"loss": 0.5})
    assert line() is None
    again = stage_of()
    assert not run(again)
    assert line().startswith("reuse sft: ")
    assert again.metrics == {"loss": 0.5}
    assert (again.folder / "weights").read_text() == "learnt"
    assert not run(stage_of())


def test_a_changed_parameter_makes_it_anew_and_is_named_with_old_and_new(stage_of, line):
    run(stage_of(), {"loss": 0.5})
    (stage_of().folder / "leftover").write_text("of the old parameters")
    changed = stage_of(parameters=PARAMETERS | {"rate": 0.2})
    assert run(changed, {"loss": 0.4})
    assert line() == "recompute sft: rate 0.1 -> 0.2"
    assert not (changed.folder / "leftover").exists()
    assert changed.metrics == {"loss": 0.4}
    # Back to what it was: the first result is gone, so it is made a third time.
    assert run(stage_of())
    assert line() == "recompute sft: rate 0.2 -> 0.1"


def test_a_parameter_that_came_or_went_makes_it_anew(stage_of, line):
    run(stage_of())
    assert run(stage_of(parameters=PARAMETERS | {"beta": 1}))
    assert line() == "recompute sft: beta None -> 1"
    assert run(stage_of(parameters={"rate": 0.1, "beta": 1}))
    assert line() == "recompute sft: tasks 64 -> None"


def test_a_changed_input_makes_it_anew_and_so_what_is_made_from_it(stage_of, line):
    def chain(rate):
        base = stage_of("base", {"rate": rate})
        sft = stage_of("sft", {}, [base])
        return base, sft, stage_of("dpo", {}, [sft])

    assert [run(each) for each in chain(1)] == [True, True, True]
    assert [run(each) for each in chain(1)[:1]] == [False]
    line()
    base, sft, dpo = chain(2)
    assert run(dpo)
    assert line() == "recompute dpo: sft was made again"
    assert run(sft)
    assert line() == "recompute sft: base was made again"
    assert run(base)
    assert line() == "recompute base: rate 1 -> 2"


def test_stages_of_other_names_and_roots_do_not_touch_each_other(stage_of, tmp_path):
    run(stage_of("sft"))
    assert run(stage_of("dpo"))
    assert run(Stage(tmp_path / "seed1", "sft", 0, details=PARAMETERS))
    assert not run(stage_of("sft"))


def test_lists_small_numbers_and_none_are_recognised_when_read_back(stage_of):
    plain = {"names": ["eta", "steps"], "rate": 1e-4, "limit": None, "on": True}
    assert run(stage_of(parameters=plain))
    assert not run(stage_of(parameters=plain))


# --- Interrupted


def test_a_stage_that_was_not_finished_is_gone_on_with(stage_of, line):
    first = stage_of()
    assert first.must_run()
    (first.folder / "checkpoint").write_text("half way")
    assert line() is None
    again = stage_of()
    assert again.must_run()
    assert line() == "go on with sft: it was interrupted"
    assert (again.folder / "checkpoint").read_text() == "half way"
    again.finish({})
    assert not stage_of().must_run()


def test_what_other_parameters_left_half_done_is_not_gone_on_with(stage_of, line):
    first = stage_of()
    first.must_run()
    (first.folder / "checkpoint").write_text("half way")
    again = stage_of(parameters=PARAMETERS | {"tasks": 8})
    assert again.must_run()
    assert line() == "recompute sft: tasks 64 -> 8"
    assert not (again.folder / "checkpoint").exists()


def test_a_stage_interrupted_while_made_anew_is_gone_on_with(stage_of, line):
    run(stage_of())
    changed = PARAMETERS | {"tasks": 8}
    stage = stage_of(parameters=changed)
    stage.must_run()
    (stage.folder / "checkpoint").write_text("half way")
    line()
    again = stage_of(parameters=changed)
    assert again.must_run()
    assert line() == "go on with sft: it was interrupted"
    assert (again.folder / "checkpoint").exists()


def test_a_stage_that_finished_just_before_it_was_killed_is_reused(stage_of, line):
    # The last step is to remove started.json; being killed before it harms nothing.
    stage = stage_of()
    stage.must_run()
    started = (stage.folder / "started.json").read_text()
    stage.finish({"loss": 1})
    (stage.folder / "started.json").write_text(started)
    assert not stage_of().must_run()
    assert line().startswith("reuse sft: ")


def test_files_without_a_record_of_whose_they_are_do_not_stay(stage_of):
    stage = stage_of()
    stage.folder.mkdir()
    (stage.folder / "checkpoint.safetensors").write_text("of who knows which parameters")
    assert stage.must_run()
    assert not (stage.folder / "checkpoint.safetensors").exists()


def test_a_stage_without_metrics_yet_has_none_to_give(stage_of):
    stage = stage_of()
    stage.must_run()
    with pytest.raises(ValueError, match=r"done\.json"):
        _ = stage.metrics


# --- Content


def test_a_stage_that_executes_programs_notices_another_judge(tmp_path, line, monkeypatch):
    def stage(name, settings):
        return Stage(tmp_path, name, 0, settings)

    executes, trains = [JudgeSettings()], [SFTTaskSettings()]
    assert run(stage("test", executes)) and run(stage("sft", trains))
    monkeypatch.setattr("eta_utils.study.stages.judge_digest", lambda: "another")
    assert not run(stage("sft", trains))
    assert line().startswith("reuse sft: ")
    assert run(stage("test", executes))
    assert line().startswith("recompute test: judge ")


def test_the_files_of_a_stage_have_the_mode_of_any_new_file(stage_of):
    stage = stage_of()
    assert stage.must_run()
    for name, mode in (("weights", 0o600), ("log", 0o644)):
        (stage.folder / name).write_text("learnt")
        (stage.folder / name).chmod(mode)
    mask = os.umask(0o027)
    try:
        stage.finish({})
    finally:
        os.umask(mask)
    modes = {path.name: path.stat().st_mode & 0o777 for path in stage.folder.iterdir()}
    assert set(modes.values()) == {0o640}


@pytest.mark.parametrize("how", ["cut", "flipped", "removed"])
def test_a_damaged_file_is_named_and_the_stage_made_again(stage_of, line, how):
    stage = stage_of()
    run(stage)
    weights = stage.folder / "weights"
    if how == "removed":
        weights.unlink()
    else:
        weights.write_text("lear" if how == "cut" else "learnT")
    assert run(stage_of())
    assert line() == "recompute sft: weights is damaged"
    assert weights.read_text() == "learnt"
    assert not run(stage_of())


@pytest.mark.parametrize("text", ["{}", "{", "", "[]"])
def test_a_record_that_is_none_makes_the_stage_again(stage_of, line, text):
    stage = stage_of()
    run(stage)
    (stage.folder / "done.json").write_text(text)
    assert run(stage_of())
    assert line() == "recompute sft: done.json is damaged"


def test_files_of_stages_within_its_folder_are_not_its_own(stage_of):
    stage = stage_of()
    run(stage)
    inner = stage_of("sft/test")
    run(inner)
    (inner.folder / "weights").write_text("damaged")
    assert not run(stage_of())
    assert run(stage_of("sft/test"))


@dataclass(frozen=True)
class Named(Settings):
    tasks: str = setting("", "a file", names_path=True)


def test_a_folder_beside_us_that_has_a_built_in_name_decides_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = Stage(tmp_path, "sft", 0, [Named("pipelines")]).digest
    (tmp_path / "pipelines").mkdir()
    assert Stage(tmp_path, "sft", 0, [Named("pipelines")]).digest == before


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_what_a_named_file_or_folder_holds_decides(tmp_path, kind):
    place = tmp_path / "named"
    inside = place if kind == "file" else place / "weights"
    inside.parent.mkdir(exist_ok=True)
    inside.write_text("one")
    settings = [Named(str(place))]
    before = Stage(tmp_path, "sft", 0, settings).digest
    assert Stage(tmp_path, "sft", 0, settings).digest == before
    inside.write_text("two")
    assert Stage(tmp_path, "sft", 0, settings).digest != before


# --- Time


def test_the_clock_adds_up_by_kind_and_is_written(stage_of):
    stage = stage_of()
    stage.must_run()
    for kind, seconds in (("judging", 0.02), ("training", 0.05), ("judging", 0.02)):
        with stage.clock(kind):
            time.sleep(seconds)
    assert 0.04 <= stage.seconds["judging"] < 2
    assert 0.05 <= stage.seconds["training"] < 2
    stage.finish({})
    written = json.loads((stage.folder / "done.json").read_text())["seconds"]
    assert written == {kind: round(spent, 2) for kind, spent in stage.seconds.items()}


def test_time_counts_although_the_block_raises(stage_of):
    stage = stage_of()
    with pytest.raises(KeyError), stage.clock("sampling"):
        time.sleep(0.02)
        raise KeyError
    assert stage.seconds["sampling"] >= 0.02


# --- Digest


def test_the_digest_depends_on_values_not_on_the_order_of_keys(stage_of):
    digest = stage_of().digest
    assert stage_of(parameters={"tasks": 64, "rate": 0.1}).digest == digest
    assert stage_of(parameters={"tasks": 64, "rate": 0.2}).digest != digest
    assert stage_of(parameters={"tasks": 64}).digest != digest


def test_the_digest_depends_on_the_inputs_digests_not_on_their_order(stage_of):
    one, two = stage_of("one", {"a": 1}), stage_of("two", {"a": 2})
    changed = stage_of("two", {"a": 3})
    digest = stage_of(inputs=[one, two]).digest
    assert stage_of(inputs=[two, one]).digest == digest
    assert stage_of(inputs=[one, changed]).digest != digest
    assert stage_of(inputs=[one]).digest != digest
    assert stage_of().digest != digest


def make_slowly(root, ends):
    """Begin the stage in this process; finish it, or die before that."""
    stage = Stage(root, "sft", 0, details=PARAMETERS)
    assert stage.must_run()
    (root / "begun").touch()
    time.sleep(0.5)
    if ends == "dies":
        os._exit(1)
    stage.finish({})


@pytest.mark.parametrize(("ends", "must"), [("finishes", False), ("dies", True)])
def test_of_two_processes_that_want_a_stage_one_waits(tmp_path, capsys, ends, must):
    other = multiprocessing.get_context("fork").Process(
        target=make_slowly, args=(tmp_path, ends)
    )
    other.start()
    while not (tmp_path / "begun").exists():
        time.sleep(0.01)
    assert Stage(tmp_path, "sft", 0, details=PARAMETERS).must_run() is must
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("wait for sft: another process makes it")
    assert said[1].startswith("go on with sft" if must else "reuse sft")
    other.join()


def test_a_stage_that_was_interrupted_here_does_not_wait_for_itself(stage_of):
    assert stage_of().must_run()
    assert stage_of().must_run()  # the notebook's cell is run again


# --- Made from settings and inputs, and from nothing else


@dataclass(frozen=True)
class Rates(Settings):
    prefix = "toy_"
    rate: float = setting(0.1, "of learning")
    workers: int = setting(1, "at work", decides=False)


def test_a_maker_gets_just_the_settings_inputs_and_details_of_its_stage(tmp_path):
    base = made(tmp_path, "base", 3, lambda stage: {"seed": stage.seed})
    given = []

    def make(stage, rates, base, number):
        given.append((stage.name, stage.seed, rates, base, number))
        return {"loss": rates.rate}

    arguments = tmp_path, "sft", 3, make, [Rates(0.5)], [base]
    stage = made(*arguments, number=2)
    assert given == [("sft", 3, Rates(0.5), base, 2)]
    assert stage.metrics == {"loss": 0.5} and base.metrics == {"seed": 3}
    made(*arguments, number=2)
    assert len(given) == 1  # it was reused


def test_a_stage_depends_on_the_settings_that_decide_results_by_their_names(tmp_path, line):
    def make(stage, rates):
        return {}

    made(tmp_path, "sft", 0, make, [Rates(0.5, workers=1)])
    made(tmp_path, "sft", 0, make, [Rates(0.5, workers=8)])
    assert line().startswith("reuse sft")
    made(tmp_path, "sft", 0, make, [Rates(0.25)])
    assert line() == "recompute sft: toy_rate 0.5 -> 0.25"


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_where_the_file_system_has_no_locks_nobody_waits(stage_of, monkeypatch, number):
    def no_locks(*_):
        raise OSError(number, "no locks here")

    monkeypatch.setattr(fcntl, "flock", no_locks)
    assert run(stage_of())
    assert not run(stage_of())
