"""A study's tasks: what each family gives, for each split."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from eta_utils.execution import judge
from eta_utils.study import tasks as families
from eta_utils.study.settings import CorpusSettings
from eta_utils.study.stages import Stage
from eta_utils.study.study import Study
from eta_utils.study.tasks import SPLITS, ceiling_tasks, corpus_of, round_tasks, tasks_of
from eta_utils.tasks import load_tasks, misconceived
from eta_utils.training.settings import CeilingSettings

FEW = {"sft_tasks": 12, "test_tasks": 12, "tune_tasks": 12}
FEW |= {"prompts_per_round": 6, "rounds": 2}
SMALL = Study.of(FEW)
REPAIR = Study.of(FEW | {"tasks": "repair"})


@pytest.fixture
def here(data, monkeypatch):
    monkeypatch.setenv("ETA_DATA", str(data("quixbugs.jsonl.gz").parent))


def statuses(tasks, which):
    samples = [
        {"task_id": name, "completion": getattr(task, which)}
        for name, task in tasks.items()
    ]
    return [each.status for each in judge(samples, tasks, cache=False)]


@pytest.mark.parametrize("study", [SMALL, REPAIR], ids=["pipelines", "repair"])
@pytest.mark.parametrize("split", SPLITS)
def test_generated_families_give_as_many_as_are_asked_for(study, split):
    tasks = tasks_of(study, split)
    assert len(tasks) == 12
    assert set(statuses(tasks, "canonical_solution")) == {"passed"}


# --- Which tasks have misconceived operations


def misconceived_steps(task, count=Study().family.misconceptions):
    """How many lines of a task's docstring ask for one of the misconceived operations."""
    wanted = [
        re.sub(r"\\\{\w\\\}", ".+", re.escape(step.phrase)) for step in misconceived(count)
    ]
    steps = re.findall(r"^    \d\. (.+)$", task.prompt, re.MULTILINE)
    assert len(steps) == task.difficulty
    return sum(any(re.fullmatch(each, step) for each in wanted) for step in steps)


def test_the_tasks_of_sft_use_no_misconceived_operation_and_those_of_alignment_do():
    study = Study.of(FEW | {"sft_tasks": 40, "prompts_per_round": 20})
    assert {misconceived_steps(task) for task in tasks_of(study, "sft").values()} == {0}
    for split in ("align", "tune", "test"):
        found = [misconceived_steps(task) for task in tasks_of(study, split).values()]
        assert sum(found) >= len(found)  # 20 of 46 operations: more than one of three steps


def test_the_tasks_of_the_ceiling_use_misconceived_operations_as_those_of_alignment_do():
    tasks = ceiling_tasks(SMALL.family, CeilingSettings(tasks=40), SMALL.judging, 0)
    assert len(tasks) == 40
    found = [misconceived_steps(task) for task in tasks.values()]
    assert sum(found) >= 40
    assert all(task.difficulty >= SMALL.family.align_min_steps for task in tasks.values())


def test_alignment_and_held_out_tasks_can_be_made_to_use_several_misconceptions():
    sparse = Study.of(FEW | {"align_min_misconceptions": 2})
    for split in ("align", "tune", "test"):
        found = [misconceived_steps(task) for task in tasks_of(sparse, split).values()]
        assert min(found) >= 2
    assert {misconceived_steps(task) for task in tasks_of(sparse, "sft").values()} == {0}


def test_without_misconceptions_no_operation_is_kept_from_sft():
    study = Study.of(FEW | {"sft_tasks": 40, "misconceptions": 0})
    found = [misconceived_steps(task) for task in tasks_of(study, "sft").values()]
    assert sum(found) > 0


def test_the_corpus_gets_misconceived_operations_wrong_at_the_rate_that_is_asked_for():
    wrong = {}
    for rate in (0.0, 0.7, 1.0):
        corpus = CorpusSettings(tasks=300, noise=0.0, misconception_rate=rate)
        rows = corpus_of(SMALL.family, corpus, None, 0)
        kinds = [kind for row in rows for kind in row["bugs"]]
        assert set(kinds) <= {"misconception"}
        wrong[rate] = len(kinds)
    assert wrong[0.0] == 0
    assert 0.6 < wrong[0.7] / wrong[1.0] < 0.8


# --- Seeds and rounds


def test_held_out_tasks_do_not_depend_on_the_seed_and_those_that_are_trained_on_do():
    other = SMALL.with_seed(1)
    for split in ("tune", "test"):
        assert tasks_of(other, split) == tasks_of(SMALL, split)
    for split in ("sft", "align"):
        assert tasks_of(other, split) != tasks_of(SMALL, split)


def test_rounds_share_no_task_whatever_their_size():
    def names(number, prompts=None):
        parts = SMALL.family, SMALL.rounds, SMALL.judging, SMALL.seed
        return list(round_tasks(*parts, number, prompts))

    whole = list(tasks_of(SMALL, "align"))
    assert names(1) + names(2) == whole
    assert [name for number in (1, 2, 3, 4) for name in names(number, 3)] == whole
    assert names(3) == names(1)  # a family without more tasks is gone through again


def test_what_is_to_be_repaired_fails_and_the_prompt_says_how():
    tasks = tasks_of(REPAIR, "align")
    assert "passed" not in statuses(tasks, "buggy_solution")
    assert all("# wrong: assert solve(" in task.prompt for task in tasks.values())


def test_the_trace_in_the_prompt_is_a_switch():
    with_trace, without = (
        tasks_of(Study.of(FEW | {"tasks": "repair", "repair_trace": on}), "test")
        for on in (1, 0)
    )
    assert with_trace.keys() == without.keys()
    assert any("\n# line " in task.prompt for task in with_trace.values())
    assert not any("\n# line " in task.prompt for task in without.values())


def test_repairs_share_no_prompt_with_what_is_trained_on():
    seen = {
        task.prompt
        for split in ("sft", "align")
        for task in tasks_of(REPAIR, split).values()
    }
    assert not seen & {task.prompt for task in tasks_of(REPAIR, "test").values()}


def test_the_corpus_of_repairs_has_buggy_fixes_as_common_as_the_noise():
    corpus = CorpusSettings(tasks=400, noise=0.35)
    family = replace(REPAIR.family, misconceptions=0)
    rows = corpus_of(family, corpus, REPAIR.judging, REPAIR.seed)
    assert len(rows) > 300  # the others' bugs do not show
    clean = sum(not row["bugs"] for row in rows) / len(rows)
    assert 0.2 < clean < 0.5  # 0.65 to the power of 1 to 5 steps: 0.35 on average
    assert all(row["prompt"].count("def solve(") == 2 for row in rows)


def test_tasks_of_a_set_have_half_of_their_asserts_hidden_in_alignment():
    study = Study.of({"tasks": "humaneval"})
    whole = load_tasks("humaneval")
    for name, task in tasks_of(study, "align").items():
        if task.hidden_test:
            assert task.test != task.hidden_test != whole[name].test
    for name, task in tasks_of(study, "test").items():
        assert task.hidden().test == whole[name].test


def test_hidden_tests_can_come_from_another_set(here):
    study = Study.of({"tasks": "humaneval", "hidden_set": "humaneval+", "limit": 10})
    plus = load_tasks("humaneval+", apart=True)
    for name, task in tasks_of(study, "test").items():
        assert task.hidden().test == plus[name].test


def test_another_set_can_be_evaluated_on(here):
    study = Study.of({"tasks": "mbpp", "test_set": "humaneval", "limit": 10})
    assert all(name.startswith("Mbpp/") for name in tasks_of(study, "align"))
    assert all(name.startswith("HumanEval/") for name in tasks_of(study, "test"))


def test_sets_with_buggy_programs_are_to_be_repaired(here):
    for task in tasks_of(Study.of({"tasks": "quixbugs", "limit": 10}), "test").values():
        assert task.prompt.count(f"def {task.entry_point}(") == 2


def test_tasks_are_the_same_in_another_process():
    families._cached_tasks.cache_clear()
    first = tasks_of(REPAIR, "tune")
    families._cached_tasks.cache_clear()
    assert first == tasks_of(REPAIR, "tune")


def test_the_step_budget_of_repairs_is_part_of_every_stage_that_uses_them(tmp_path):
    """What a buggy program does within the budget stands in the prompt."""
    budgets = [{"tasks": "repair", "step_budget": steps} for steps in (20_000, 50)]
    studies = [Study.of(budget | {"outputs": str(tmp_path)}) for budget in budgets]
    for parts in (("family", "corpus", "judging"), ("family", "sft_tasks", "judging")):
        one, two = (
            Stage(tmp_path, "it", 0, [getattr(study, part) for part in parts])
            for study in studies
        )
        assert one.digest != two.digest
