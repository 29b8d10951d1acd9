"""What a model writes, judged: samples for training, and evaluations, as stages.

>>> drawn = draw(study, sft, number=1)           # on alignment prompts, by visible tests
>>> evaluate(study, sft)                         # on test tasks, by hidden tests
>>> evaluate(study, sft, split="tune")           # on those that choose its temperature
>>> outcomes = read_outcomes(drawn)

A model is evaluated at each of `TEMPERATURES`: a training may only make it surer of what it
would have written anyway, and a lower temperature does that for nothing.
"""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import pandas as pd
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from eta_utils.analysis.audit import Programs, by_prompt, hidden_fractions
from eta_utils.analysis.statistics import pass_at_k
from eta_utils.analysis.tables import write_results
from eta_utils.common.files import read_jsonl, write_jsonl
from eta_utils.common.processes import from_first
from eta_utils.execution import JudgeSettings, Outcome, judge
from eta_utils.study.models import model_of, writer_of
from eta_utils.study.settings import (
    TEMPERATURES,
    HeldOutSettings,
    RoundSettings,
    TaskSettings,
)
from eta_utils.study.stages import Stage, made
from eta_utils.study.study import Study
from eta_utils.study.tasks import held_out_tasks, round_tasks
from eta_utils.tasks import Task, load_tasks
from eta_utils.training.branching import restarted
from eta_utils.training.divergence import kl_to
from eta_utils.training.sampling import Sampled, sample_completions
from eta_utils.training.settings import (
    BranchSettings,
    ModelSettings,
    SamplerSettings,
    SamplingSettings,
)
from eta_utils.training.vllm import Engine

OUTCOMES, EXAMPLES = "outcomes.jsonl.gz", "examples.jsonl.gz"
EXAMPLES_PER_STATUS = 3
SPLITS = ("test", "tune")  # that every model is evaluated on
GREEDY, WARM = TEMPERATURES[-1], TEMPERATURES[0]  # 0 and 1


# --- Samples for training


def draw(study: Study, policy: Stage, number: int, prompts: int | None = None) -> Stage:
    """Samples of a policy on the alignment prompts of one round, judged by visible tests.

    A round has as many prompts as the settings say, or `prompts`.  The SFT model's samples
    of the first round are the same for all arms.
    """
    parts = [
        study.family,
        study.rounds,
        study.judging,
        study.model.narrowed(ModelSettings),
        study.sampling,
    ]
    return made(
        study.folder,
        f"{policy.name}/samples{_of(prompts)}{number}",
        study.seed,
        _draw,
        parts,
        [policy],
        number=number,
        prompts=prompts,
    )


def _draw(
    stage: Stage,
    family: TaskSettings,
    rounds: RoundSettings,
    judging: JudgeSettings,
    model: ModelSettings,
    sampling: SamplerSettings,
    policy: Stage,
    number: int,
    prompts: int | None,
) -> dict:
    tasks = round_tasks(family, rounds, judging, stage.seed, number, prompts)
    with stage.clock("sampling"), writer_of(policy, model, sampling) as writer:
        written = sampled(
            writer, tasks, rounds.samples_per_prompt, sampling, stage.seed, salt=number
        )
    with stage.clock("judging"):
        outcomes = judged_once([sample for sample, _ in written], tasks, judging)
    write_outcomes(stage, outcomes)
    return {"programs": len(outcomes), **summary(outcomes)}


def _of(prompts: int | None) -> str:
    """The part of a stage's name that tells rounds of another size apart."""
    return "" if prompts is None else f"-of-{prompts}-"


def draw_restarted(
    study: Study, policy: Stage, number: int, prompts: int | None = None
) -> Stage:
    """As `draw`, but where no fresh program passes the others restart from the best one."""
    parts = [
        study.family,
        study.rounds,
        study.judging,
        study.model.narrowed(ModelSettings),
        study.sampling,
        study.branch,
    ]
    return made(
        study.folder,
        f"{policy.name}/restarted{_of(prompts)}{number}",
        study.seed,
        _draw_restarted,
        parts,
        [policy],
        number=number,
        prompts=prompts,
    )


def _draw_restarted(
    stage: Stage,
    family: TaskSettings,
    rounds: RoundSettings,
    judging: JudgeSettings,
    model: ModelSettings,
    sampling: SamplerSettings,
    branch: BranchSettings,
    policy: Stage,
    number: int,
    prompts: int | None,
) -> dict:
    tasks = round_tasks(family, rounds, judging, stage.seed, number, prompts)
    learner, tokenizer = model_of(policy, model, model.weights)
    with stage.clock("sampling"):  # the first programs are judged within it
        samples = restarted(
            learner,
            tokenizer,
            tasks,
            rounds.samples_per_prompt,
            roots=branch.roots,
            judging=judging,
            sampling=sampling,
            seed=1_000 * stage.seed + number,
        )
    with stage.clock("judging"):
        outcomes = judged_once(samples, tasks, judging)
    write_outcomes(stage, outcomes)
    again = sum(bool(sample["prefix"]) for sample in samples)
    return {"programs": len(outcomes), "restarted": again, **summary(outcomes)}


# --- Evaluation


def evaluate(
    study: Study,
    stage: Stage,
    samples: int | None = None,
    split: str = "test",
    against: Stage | None = None,
) -> Stage:
    """A model on held-out tasks, judged by their hidden tests, at each temperature.

    `samples` are drawn per task at T = 1, by default `test_samples`; `cool_samples` at
    0.7, 0.5 and 0.3, and on tuning tasks at 1, too; one at 0.  The stage leaves
    `scores.csv`, with the counts of each task and temperature.

    `against` is the model to which the KL is measured, on the programs sampled at T = 1.
    """
    parts = [
        study.family,
        study.held_out,
        study.judging,
        study.model.narrowed(ModelSettings),
        study.sampling,
    ]
    cool = study.evaluation.cool_samples
    warm = study.evaluation.test_samples if samples is None else samples
    return made(
        study.folder,
        f"{stage.name}/{split}",
        study.seed,
        _evaluate,
        parts,
        [stage] if against is None else [stage, against],
        samples=cool if split == "tune" else warm,
        cool=cool,
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
    against: Stage | None = None,
    *,
    samples: int,
    cool: int,
    split: str,
) -> dict:
    tasks = {
        name: task.hidden()
        for name, task in held_out_tasks(family, held_out, judging, split).items()
    }
    counts = dict.fromkeys(TEMPERATURES, cool) | {WARM: samples, GREEDY: 1}
    return _evaluate_on(tasks, test, judging, model, sampling, stage, counts, against)


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
    counts = {WARM: samples, GREEDY: 1}
    return _evaluate_on(
        tasks, test, judging, model, sampling, stage, counts, cut_prompts=True
    )


def evaluate_rounds(study: Study, rounds: Sequence[Stage], sft: Stage) -> None:
    """The models of an arm, in their order, for its learning curve.

    All but the last are evaluated with fewer samples.
    """
    for stage in rounds:
        last = stage is rounds[-1]
        samples = None if last else study.evaluation.curve_samples
        evaluate(study, stage, split="tune")
        evaluate(study, stage, samples, against=sft)


def _evaluate_on(
    tasks: Mapping[str, Task],
    test: Stage,
    judging: JudgeSettings,
    model: ModelSettings,
    sampling: SamplerSettings,
    stage: Stage,
    counts: Mapping[float, int],
    against: Stage | None = None,
    cut_prompts: bool = False,
) -> dict:
    """Sample `counts` programs per task at each temperature, judge them, keep the outcomes;
    the metrics."""
    metrics: dict[str, object] = {}
    with test.clock("evaluation"):
        heats = [heat for heat, count in counts.items() for _ in range(count)]
        with writer_of(stage, model, sampling) as writer:
            pairs = sampled(
                writer, tasks, heats, sampling, test.seed, cut_prompts=cut_prompts
            )
        written = {heat: [] for heat in counts}
        for heat, pair in zip(itertools.cycle(heats), pairs, strict=False):
            written[heat].append(pair)
        if against is not None:
            learner, _ = model_of(stage, model)
            other, _ = model_of(against, model)
            metrics["kl"] = kl_to(learner, other, [ids for _, ids in written[WARM]])
        rows = [
            sample
            | {"temperature": heat, "difficulty": tasks[sample["task_id"]].difficulty}
            for heat, samples in written.items()
            for sample, _ in samples
        ]
        outcomes = judged_once(rows, tasks, judging)
    write_outcomes(test, outcomes)
    write_results(test.folder, scores=_counted(outcomes))
    by_heat = {
        heat: [o for o in outcomes if o.sample["temperature"] == heat] for heat in counts
    }
    traced = _with_traces(by_heat[WARM], tasks, judging)
    write_outcomes(test, traced, EXAMPLES)
    rates = {heat: summary(some)["pass@1"] for heat, some in by_heat.items()}
    metrics |= {f"pass@1 at {heat:g}": rate for heat, rate in rates.items()}
    return summary(by_heat[WARM]) | metrics


def _counted(outcomes: Sequence[Outcome]) -> pd.DataFrame:
    """`temperature, task_id, difficulty, samples, passed`: the judged samples of each task
    at each temperature, and those that pass."""
    rows = pd.DataFrame(
        {
            "temperature": [outcome.sample["temperature"] for outcome in outcomes],
            "task_id": [outcome.task_id for outcome in outcomes],
            "difficulty": [outcome.sample["difficulty"] for outcome in outcomes],
            "samples": [int(outcome.passed is not None) for outcome in outcomes],
            "passed": [int(bool(outcome.passed)) for outcome in outcomes],
        }
    )
    keys = ["temperature", "task_id", "difficulty"]
    return rows.groupby(keys, as_index=False, sort=False).sum()


def measure_gate(study: Study, sft: Stage) -> Stage:
    """What 01 asks before any arm: is the regime one in which execution can teach?

    The stage leaves `gate.csv`, counts by task of two parts: `tune`, many samples of the
    SFT model at T = 1 on tuning tasks, by hidden tests; `align`, its samples of the first
    round's prompts, by visible ones.
    """
    return made(
        study.folder,
        f"{sft.name}/gate",
        study.seed,
        _measure_gate,
        [
            study.family,
            study.held_out,
            study.judging,
            study.model.narrowed(ModelSettings),
            study.sampling,
        ],
        [sft, draw(study, sft, 1)],
        samples=study.evaluation.gate_samples,
    )


def _measure_gate(
    stage: Stage,
    family: TaskSettings,
    held_out: HeldOutSettings,
    judging: JudgeSettings,
    model: ModelSettings,
    sampling: SamplerSettings,
    sft: Stage,
    drawn: Stage,
    samples: int,
) -> dict:
    tasks = {
        name: task.hidden()
        for name, task in held_out_tasks(family, held_out, judging, "tune").items()
    }
    warm = replace(sampling, temperature=WARM)
    with stage.clock("evaluation"):
        with writer_of(sft, model, sampling) as writer:
            written = sampled(writer, tasks, samples, warm, stage.seed, salt=1)
        outcomes = judged_once([sample for sample, _ in written], tasks, judging)
    parts = {"tune": outcomes, "align": read_outcomes(drawn)}
    rows = [
        _by_task(some).assign(part=part)[["part", "task_id", "samples", "passed"]]
        for part, some in parts.items()
    ]
    write_results(stage.folder, gate=pd.concat(rows, ignore_index=True))
    return {part: summary(some)["all fail"] for part, some in parts.items()}


def _by_task(outcomes: Sequence[Outcome]) -> pd.DataFrame:
    judged = [outcome for outcome in outcomes if outcome.passed is not None]
    totals = Counter(outcome.task_id for outcome in judged)
    passes = Counter(outcome.task_id for outcome in judged if outcome.passed)
    return pd.DataFrame(
        {
            "task_id": list(totals),
            "samples": list(totals.values()),
            "passed": [passes[name] for name in totals],
        }
    )


def sampled(
    writer: tuple[PreTrainedModel | Engine, PreTrainedTokenizerBase],
    tasks: Mapping[str, Task],
    count: int | Sequence[float],
    sampling: SamplingSettings,
    seed: int,
    salt: int = 0,
    cut_prompts: bool = False,
) -> list[tuple[dict, Sampled]]:
    """`count` samples of a model for each task: records for `judge`, and their ids.

    Or one sample at each temperature of `count`, in this order.  `salt`, below 1,000, makes
    draws of one seed differ.
    """
    model, tokenizer = writer
    given = isinstance(count, Sequence)
    by_task = sample_completions(
        model,
        tokenizer,
        [task.prompt for task in tasks.values()],
        len(count) if given else count,
        temperature=count if given else sampling.temperature,
        max_new_tokens=sampling.max_new_tokens,
        seed=1_000 * seed + salt,
        cut_prompts=cut_prompts,
        share_out=True,
    )
    return [
        ({"task_id": name, "completion": completion.text}, completion)
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
