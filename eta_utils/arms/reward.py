"""ETA-RM as stages: trained on trace pairs of the SFT model's samples, judged on others."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

import numpy as np

from eta_utils.arms.preference import pairs_of
from eta_utils.evaluation import mean_interval, ratio_interval
from eta_utils.files import write_json
from eta_utils.models import save_model
from eta_utils.orderings import tier
from eta_utils.outcomes import Outcome
from eta_utils.reward_model import (
    best_of_n,
    calibration,
    load_reward_model,
    score,
    train_reward_model,
)
from eta_utils.rollouts import draw, evaluate, judged, read_outcomes, tasks_of
from eta_utils.stages import Stage
from eta_utils.study import Study
from eta_utils.tasks import Task
from eta_utils.training import SFTSettings

JUDGEMENT = "judgement.json"
Ranked = Mapping[str, tuple[np.ndarray, np.ndarray, np.ndarray]]  # by task


def train_eta_rm(study: Study, sft: Stage) -> Stage:
    """ETA-RM, from as many executed programs of the SFT model as each arm's training."""
    drawn = [draw(study, sft, number) for number in range(1, study.rounds + 1)]
    asked = study.only("rm_learning_rate", "rm_batch", "rm_pairs_per_prompt")
    stage = Stage(study.folder, "rm", asked, [sft, *drawn])
    if stage.must_run():
        pairs = [
            pair
            for number, each in enumerate(drawn, 1)
            for pair in pairs_of(study, each, "eta", number, study.rm_pairs_per_prompt)
        ]
        settings = SFTSettings(study.rm_learning_rate, study.rm_batch, seed=study.seed)
        with stage.clock("training"):
            model, tokenizer = train_reward_model(
                sft.folder / "model", pairs, settings, stage.folder
            )
        save_model(model, tokenizer, stage.folder / "model")
        stage.finish({"programs": study.programs, "pairs": len(pairs)})
    return stage


def judge_eta_rm(study: Study, sft: Stage, rm: Stage) -> Stage:
    """ETA-RM as a reward model, on the SFT model's samples of the held-out tasks, by their
    hidden tests; beside it baselines that need no model.  Leaves `judgement.json`."""
    test = evaluate(study, sft)
    stage = Stage(study.folder, "rm/judged", {}, [rm, test])
    if stage.must_run():
        tasks = tasks_of(study, "test")
        outcomes = [o for o in read_outcomes(test) if o.sample["mode"] == "sampled"]
        with stage.clock("evaluation"):
            samples = [each.sample for each in outcomes]
            visible = judged(study, samples, tasks)
            ranked = _ranked(_scores(rm, outcomes, visible, tasks), outcomes)
        margins = _margins(ranked["ETA-RM"])
        curve, error = calibration(margins)
        judgement = {
            "accuracy": [_accuracy(name, each) for name, each in ranked.items()],
            "best of n": [
                row
                for name, each in ranked.items()
                for row in _best(name, each, study.test_samples)
            ],
            "reliability": curve,
        }
        write_json(stage.folder / JUDGEMENT, judgement)
        stage.finish({"calibration error": error, "pairs": len(margins)})
    return stage


def _scores(
    rm: Stage, outcomes: list[Outcome], visible: list[Outcome], tasks: Mapping[str, Task]
) -> dict[str, np.ndarray]:
    """What each way to rank says of each outcome (N,): more is better.  `visible` are the
    same programs by their visible tests."""
    model, tokenizer = load_reward_model(rm.folder / "model")
    texts = [each.sample["completion"] for each in outcomes]
    prompts = [tasks[each.task_id].prompt for each in outcomes]
    return {
        "ETA-RM": score(model, tokenizer, prompts, texts),
        "shortest": np.array([-float(len(text)) for text in texts]),
        "error class": np.array([float(tier(each)) for each in visible]),
        "random": np.zeros(len(outcomes)),
        "oracle": np.array([each.fraction for each in outcomes]),
    }


def _ranked(scores: Mapping[str, np.ndarray], outcomes: list[Outcome]) -> dict[str, Ranked]:
    """By way to rank and task: scores, share of hidden tests, passed; (n,) each."""
    places: dict[str, list[int]] = defaultdict(list)
    for place, outcome in enumerate(outcomes):
        if outcome.passed is not None:
            places[outcome.task_id].append(place)
    fraction = np.array([each.fraction for each in outcomes])
    passed = np.array([bool(each.passed) for each in outcomes])
    return {
        name: {task: (values[at], fraction[at], passed[at]) for task, at in places.items()}
        for name, values in scores.items()
    }


def _margins(ranked: Ranked) -> np.ndarray:
    """Score of the better program minus that of the worse, for each pair of one task that
    the hidden tests tell apart."""
    found = [
        (scores[:, None] - scores)[fraction[:, None] > fraction]
        for scores, fraction, _ in ranked.values()
    ]
    return np.concatenate(found)


def _accuracy(name: str, ranked: Ranked) -> dict[str, object]:
    """How often the better program has the higher score, ties counted half."""
    row: dict[str, object] = {"ranked by": name}
    for kind in ("pass/fail", "fail/fail"):
        right, pairs = [], []
        for scores, fraction, passed in ranked.values():
            winner_passes = passed[:, None] & ~passed
            both_fail = ~passed[:, None] & ~passed & (fraction[:, None] > fraction)
            asked = winner_passes if kind == "pass/fail" else both_fail
            margin = (scores[:, None] - scores)[asked]
            right.append((margin > 0).sum() + 0.5 * (margin == 0).sum())
            pairs.append(asked.sum())
        row |= ratio_interval(right, pairs).named(kind)
    return row


def _best(name: str, ranked: Ranked, most: int) -> list[dict[str, object]]:
    """Pass rate of the best of n samples, n = 1, 2, 4, ... as far as they go."""
    return [
        {"ranked by": name, "n": n}
        | mean_interval(
            [best_of_n(s, passed, n) for s, _, passed in ranked.values()]
        ).named("passes")
        for n in (1, 2, 4, 8, 16)
        if n <= most
    ]
