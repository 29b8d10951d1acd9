"""What a model writes, judged: samples for training, and evaluations, as stages.

>>> drawn = draw(study, sft, number=1)       # on alignment prompts, by visible tests
>>> evaluate(study, sft).metrics["pass@1"]   # on held-out tasks, by hidden tests
>>> outcomes = read_outcomes(drawn)

Leaves out: making models (see `arms`) and comparing them (see `results`).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from eta_utils.analysis.statistics import pass_at_k
from eta_utils.common.files import read_jsonl, write_jsonl
from eta_utils.common.processes import from_first
from eta_utils.execution.judge import judge
from eta_utils.execution.records import Outcome
from eta_utils.study.models import SAMPLING, writer_of
from eta_utils.study.stages import Stage
from eta_utils.study.study import Study
from eta_utils.study.tasks import FAMILY, tasks_of
from eta_utils.tasks import Task, load_tasks
from eta_utils.training.sampling import sample_completions
from eta_utils.training.vllm import Engine

OUTCOMES, EXAMPLES = "outcomes.jsonl.gz", "examples.jsonl.gz"
EXAMPLES_EACH = 3  # of each status


def draw(study: Study, policy: Stage, number: int) -> Stage:
    """Samples of a policy on the alignment prompts of one round, judged by visible tests.

    The SFT model's samples of the first round are the same for all orderings.
    """
    names = "rounds prompts_per_round samples_per_prompt align_min_steps max_steps".split()
    name = f"{policy.name}/samples{number}"
    asked = study.only(*FAMILY, *names, *SAMPLING)
    stage = Stage(study.folder, name, asked, [policy])
    if stage.must_run():
        tasks = round_tasks(study, number)
        with stage.clock("sampling"), writer_of(study, policy) as writer:
            samples = sampled(study, writer, tasks, study.samples_per_prompt, number)
        with stage.clock("judging"):
            outcomes = from_first(lambda: judged(study, samples, tasks))
        write_outcomes(stage, outcomes)
        stage.finish({"programs": len(outcomes), **summary(outcomes)})
    return stage


def round_tasks(study: Study, number: int) -> dict[str, Task]:
    """The alignment tasks of one round, counted from 1; a set that has fewer than all
    rounds want is gone through again."""
    tasks = list(tasks_of(study, "align").items())
    start, size = (number - 1) * study.prompts_per_round, study.prompts_per_round
    return dict(tasks[place % len(tasks)] for place in range(start, start + size))


def evaluate(
    study: Study, stage: Stage, samples: int | None = None, split: str = "test"
) -> Stage:
    """A model on held-out tasks, judged by their hidden tests: sampled, and greedy once."""
    samples = study.test_samples if samples is None else samples
    names = ("test_tasks", "align_min_steps", "max_steps", *SAMPLING)
    asked = study.only(*FAMILY, *names) | {"samples": samples}
    test = Stage(study.folder, f"{stage.name}/{split}", asked, [stage])
    if test.must_run():
        tasks = {name: task.hidden() for name, task in tasks_of(study, split).items()}
        _evaluate_on(study, test, stage, tasks, samples)
    return test


def evaluate_on_humaneval(study: Study, stage: Stage) -> Stage:
    """A model on HumanEval, by the same path as the built-in tasks.  The tiny model cannot
    see all of the longest prompts: these lose their beginning."""
    tasks = load_tasks("humaneval")
    tasks = dict(list(tasks.items())[: study.limit or None])
    asked = study.only("limit", "humaneval_samples", *SAMPLING)
    test = Stage(study.folder, f"{stage.name}/humaneval", asked, [stage])
    if test.must_run():
        wide = replace(study, step_budget=0)  # HumanEval's own references set the budget
        _evaluate_on(wide, test, stage, tasks, study.humaneval_samples, cut_prompts=True)
    return test


def evaluate_rounds(study: Study, rounds: Sequence[Stage]) -> None:
    """The models of an arm, in their order, for the learning curve: with few samples until
    the last."""
    for stage in rounds[:-1]:
        evaluate(study, stage, study.curve_samples)
    evaluate(study, rounds[-1])


def _evaluate_on(
    study: Study,
    test: Stage,
    stage: Stage,
    tasks: Mapping[str, Task],
    samples: int,
    cut_prompts: bool = False,
) -> None:
    with test.clock("evaluation"):
        with writer_of(study, stage) as writer:
            asked = {"writer": writer, "tasks": tasks, "cut_prompts": cut_prompts}
            greedy = sampled(replace(study, temperature=0.0), n=1, salt=0, **asked)
            drawn = sampled(study, n=samples, salt=0, **asked)
        rows = [
            row | {"mode": mode, "difficulty": tasks[row["task_id"]].difficulty}
            for mode, written in (("greedy", greedy), ("sampled", drawn))
            for row in written
        ]
        outcomes = from_first(lambda: judged(study, rows, tasks))
    write_outcomes(test, outcomes)
    traced = from_first(lambda: _traced(study, outcomes, tasks))
    write_outcomes(test, traced, EXAMPLES)
    by_mode = {
        mode: [each for each in outcomes if each.sample["mode"] == mode]
        for mode in ("greedy", "sampled")
    }
    greedy_rate = summary(by_mode["greedy"])["pass@1"]
    test.finish(summary(by_mode["sampled"]) | {"greedy": greedy_rate})


def sampled(
    study: Study,
    writer: tuple[PreTrainedModel | Engine, PreTrainedTokenizerBase],
    tasks: Mapping[str, Task],
    n: int,
    salt: int,
    cut_prompts: bool = False,
) -> list[dict]:
    """`n` samples of a writer for each task, as records for `judge`."""
    model, tokenizer = writer
    prompts = [task.prompt for task in tasks.values()]
    written = sample_completions(
        model,
        tokenizer,
        prompts,
        n,
        temperature=study.temperature,
        max_new_tokens=study.max_new_tokens,
        seed=1_000 * study.seed + salt,
        cut_prompts=cut_prompts,
        share_out=True,
    )
    return [
        {"task_id": name, "completion": each.text}
        for name, row in zip(tasks, written, strict=True)
        for each in row
    ]


def judged(
    study: Study,
    samples: Sequence[dict],
    tasks: Mapping[str, Task],
    keep_trace: bool = False,
) -> list[Outcome]:
    """The outcomes of samples, within the study's step budget; judged by this process."""
    settings = {
        "workers": study.workers or None,
        "step_budget": study.step_budget or None,
        "keep_trace": keep_trace,
    }
    return list(judge(samples, tasks, **settings))


def _traced(
    study: Study, outcomes: Sequence[Outcome], tasks: Mapping[str, Task]
) -> list[Outcome]:
    """The first outcomes of each status, executed once more to keep their traces."""
    chosen: dict[str, list[dict]] = defaultdict(list)
    for outcome in outcomes:
        if len(chosen[outcome.status]) < EXAMPLES_EACH:
            chosen[outcome.status].append(outcome.sample)
    samples = [sample for found in chosen.values() for sample in found]
    return judged(study, samples, tasks, keep_trace=True)


def write_outcomes(stage: Stage, outcomes: Iterable[Outcome], file: str = OUTCOMES) -> None:
    """Keep the outcomes in the stage's folder."""
    with write_jsonl(stage.folder / file) as write:
        for outcome in outcomes:
            write(outcome.record())


def read_outcomes(stage: Stage, file: str = OUTCOMES) -> list[Outcome]:
    """What `write_outcomes` kept."""
    return [Outcome.from_record(row) for _, row in read_jsonl(stage.folder / file)]


def summary(outcomes: Sequence[Outcome]) -> dict:
    """pass@k, the share of prompts where all samples fail, and counts of statuses.

    Programs that the judge itself failed at are left out, and tasks that have no others.
    Raises RuntimeError where that leaves none.
    """
    totals: Counter[str] = Counter()
    passes: Counter[str] = Counter()
    for outcome in outcomes:
        if outcome.passed is not None:
            totals[outcome.task_id] += 1
            passes[outcome.task_id] += outcome.passed
    if not totals:
        raise RuntimeError(f"the judge failed at every program: {outcomes[0].result}")
    rates = pass_at_k([(n, passes[name]) for name, n in totals.items()], ks=(1, 2, 4, 8))
    silent = sum(passes[name] == 0 for name in totals) / len(totals)
    statuses = Counter(outcome.status for outcome in outcomes)
    return {
        **{f"pass@{k}": rate for k, rate in rates.items()},
        "all fail": silent,
        "statuses": dict(statuses.most_common()),
    }
