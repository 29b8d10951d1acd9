"""What a model writes, judged: samples for training, and evaluations, as stages.

>>> drawn = draw(study, sft, number=1)       # on alignment prompts, by visible tests
>>> evaluate(study, sft).metrics["pass@1"]   # on held-out tasks, by hidden tests
>>> outcomes = read_outcomes(drawn)
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from eta_utils.analysis.audit import Programs, by_prompt, hidden_fractions
from eta_utils.analysis.statistics import pass_at_k
from eta_utils.common.files import read_jsonl, write_jsonl
from eta_utils.common.processes import from_first
from eta_utils.execution import JudgeSettings, Outcome, judge
from eta_utils.study.models import writer_of
from eta_utils.study.settings import HeldOutSettings, RoundSettings, TaskSettings
from eta_utils.study.stages import Stage, made
from eta_utils.study.study import Study
from eta_utils.study.tasks import held_out_tasks, round_tasks
from eta_utils.tasks import Task, load_tasks
from eta_utils.training.sampling import sample_completions
from eta_utils.training.settings import ModelSettings, SamplerSettings, SamplingSettings
from eta_utils.training.vllm import Engine

OUTCOMES, EXAMPLES = "outcomes.jsonl.gz", "examples.jsonl.gz"
EXAMPLES_PER_STATUS = 3
GREEDY, SAMPLED = "greedy", "sampled"


def draw(study: Study, policy: Stage, number: int) -> Stage:
    """Samples of a policy on the alignment prompts of one round, judged by visible tests.

    The SFT model's samples of the first round are the same for all arms.
    """
    parts = [
        study.family,
        study.rounds,
        study.judging,
        study.model.narrowed(ModelSettings),
        study.sampling,
    ]
    name = f"{policy.name}/samples{number}"
    return made(study.folder, name, study.seed, _draw, parts, [policy], number=number)


def _draw(
    stage: Stage,
    family: TaskSettings,
    rounds: RoundSettings,
    judging: JudgeSettings,
    model: ModelSettings,
    sampling: SamplerSettings,
    policy: Stage,
    number: int,
) -> dict:
    tasks = round_tasks(family, rounds, judging, stage.seed, number)
    with stage.clock("sampling"), writer_of(policy, model, sampling) as writer:
        samples = sampled(
            writer, tasks, rounds.samples_per_prompt, sampling, stage.seed, salt=number
        )
    with stage.clock("judging"):
        outcomes = judged_once(samples, tasks, judging)
    write_outcomes(stage, outcomes)
    return {"programs": len(outcomes), **summary(outcomes)}


def evaluate(
    study: Study, stage: Stage, samples: int | None = None, split: str = "test"
) -> Stage:
    """A model on held-out tasks, judged by their hidden tests: sampled, and greedy once.

    `samples` per task are drawn, by default `test_samples`.
    """
    parts = [
        study.family,
        study.held_out,
        study.judging,
        study.model.narrowed(ModelSettings),
        study.sampling,
    ]
    return made(
        study.folder,
        f"{stage.name}/{split}",
        study.seed,
        _evaluate,
        parts,
        [stage],
        samples=study.evaluation.test_samples if samples is None else samples,
        split=split,
    )


def _evaluate(
    test: Stage,
    family: TaskSettings,
    held_out: HeldOutSettings,
    judging: JudgeSettings,
    model: ModelSettings,
    sampling: SamplerSettings,
    stage: Stage,
    samples: int,
    split: str,
) -> dict:
    tasks = {
        name: task.hidden()
        for name, task in held_out_tasks(family, held_out, judging, split).items()
    }
    return _evaluate_on(tasks, test, judging, model, sampling, stage, samples)


def evaluate_on_humaneval(study: Study, stage: Stage) -> Stage:
    """A model on HumanEval, by the same path as the built-in tasks.

    The tiny model cannot see all of the longest prompts: these lose their beginning.
    """
    return made(
        study.folder,
        f"{stage.name}/humaneval",
        study.seed,
        _evaluate_on_humaneval,
        [study.judging, study.model.narrowed(ModelSettings), study.sampling],
        [stage],
        samples=study.evaluation.humaneval_samples,
        limit=study.family.limit,
    )


def _evaluate_on_humaneval(
    test: Stage,
    judging: JudgeSettings,
    model: ModelSettings,
    sampling: SamplerSettings,
    stage: Stage,
    samples: int,
    limit: int,
) -> dict:
    tasks = dict(list(load_tasks("humaneval").items())[: limit or None])
    judging = replace(judging, step_budget=0)  # HumanEval's own references set the budget
    return _evaluate_on(
        tasks, test, judging, model, sampling, stage, samples, cut_prompts=True
    )


def evaluate_rounds(study: Study, rounds: Sequence[Stage]) -> None:
    """The models of an arm, in their order, for its learning curve.

    All but the last are evaluated with fewer samples.
    """
    for stage in rounds[:-1]:
        evaluate(study, stage, study.evaluation.curve_samples)
    evaluate(study, rounds[-1])


def _evaluate_on(
    tasks: Mapping[str, Task],
    test: Stage,
    judging: JudgeSettings,
    model: ModelSettings,
    sampling: SamplerSettings,
    stage: Stage,
    samples: int,
    cut_prompts: bool = False,
) -> dict:
    """Sample, judge and keep the outcomes; the metrics."""
    with test.clock("evaluation"):
        with writer_of(stage, model, sampling) as writer:
            by_mode = {
                mode: sampled(writer, tasks, count, how, test.seed, cut_prompts=cut_prompts)
                for mode, count, how in (
                    (GREEDY, 1, replace(sampling, temperature=0.0)),
                    (SAMPLED, samples, sampling),
                )
            }
        rows = [
            row | {"mode": mode, "difficulty": tasks[row["task_id"]].difficulty}
            for mode, written in by_mode.items()
            for row in written
        ]
        outcomes = judged_once(rows, tasks, judging)
    write_outcomes(test, outcomes)
    write_outcomes(test, _with_traces(outcomes, tasks, judging), EXAMPLES)
    summaries = {
        mode: summary([o for o in outcomes if o.sample["mode"] == mode]) for mode in by_mode
    }
    return summaries[SAMPLED] | {"greedy": summaries[GREEDY]["pass@1"]}


def sampled(
    writer: tuple[PreTrainedModel | Engine, PreTrainedTokenizerBase],
    tasks: Mapping[str, Task],
    count: int,
    sampling: SamplingSettings,
    seed: int,
    salt: int = 0,
    cut_prompts: bool = False,
) -> list[dict]:
    """`count` samples of a model for each task, as records for `judge`.

    `salt`, below 1,000, makes draws of one seed differ.
    """
    model, tokenizer = writer
    by_task = sample_completions(
        model,
        tokenizer,
        [task.prompt for task in tasks.values()],
        count,
        temperature=sampling.temperature,
        max_new_tokens=sampling.max_new_tokens,
        seed=1_000 * seed + salt,
        cut_prompts=cut_prompts,
        share_out=True,
    )
    return [
        {"task_id": name, "completion": completion.text}
        for name, completions in zip(tasks, by_task, strict=True)
        for completion in completions
    ]


def judged_once(
    samples: Sequence[dict],
    tasks: Mapping[str, Task],
    settings: JudgeSettings,
    keep_trace: bool = False,
) -> list[Outcome]:
    """The outcomes of samples; of several processes the first judges for all."""
    return from_first(lambda: list(judge(samples, tasks, settings, keep_trace=keep_trace)))


def _with_traces(
    outcomes: Sequence[Outcome], tasks: Mapping[str, Task], settings: JudgeSettings
) -> list[Outcome]:
    """The first outcomes of each status, executed once more to keep their traces."""
    chosen: dict[str, list[dict]] = defaultdict(list)
    for outcome in outcomes:
        if len(chosen[outcome.status]) < EXAMPLES_PER_STATUS:
            chosen[outcome.status].append(outcome.sample)
    samples = [sample for some in chosen.values() for sample in some]
    return judged_once(samples, tasks, settings, keep_trace=True)


def hidden_programs(study: Study, drawn: Stage) -> dict[str, Programs]:
    """The programs of the first round with what the hidden tests say, for `audit`.

    The hidden tests serve that table alone; no training sees them.
    """
    parts = study.family, study.rounds, study.judging, study.seed
    tasks = round_tasks(*parts, number=1)
    outcomes = read_outcomes(drawn)
    hidden = {name: task.hidden() for name, task in tasks.items() if task.hidden_test}
    checked = [outcome.sample for outcome in outcomes if outcome.task_id in hidden]
    again = judged_once(checked, hidden, study.judging)
    return by_prompt(outcomes, hidden_fractions(again, tasks), tasks)


def write_outcomes(stage: Stage, outcomes: Iterable[Outcome], file: str = OUTCOMES) -> None:
    """Keep the outcomes in the stage's folder."""
    with write_jsonl(stage.folder / file) as write:
        for outcome in outcomes:
            write(outcome.record())


def read_outcomes(stage: Stage, file: str = OUTCOMES) -> list[Outcome]:
    """What `write_outcomes` kept."""
    return [Outcome.from_record(row) for _, row in read_jsonl(stage.folder / file)]


def summary(outcomes: Sequence[Outcome]) -> dict:
    """pass@k, the fraction of all-fail prompts, and counts of statuses.

    Programs on which the judge itself failed are left out, and so are tasks that have no
    others.  Raises RuntimeError where that leaves none.
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
    all_fail = sum(passes[name] == 0 for name in totals) / len(totals)
    statuses = Counter(outcome.status for outcome in outcomes)
    return {
        **{f"pass@{k}": rate for k, rate in rates.items()},
        "all fail": all_fail,
        "statuses": dict(statuses.most_common()),
    }
