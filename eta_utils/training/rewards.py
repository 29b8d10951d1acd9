"""Rewards of TRL's shape: prompts, completions and the rows' other columns to numbers.

>>> reward = PassReward(study, tasks)
>>> reward(prompts, completions, task_id=names)
[1.0, 0.0, None]

None: the judge itself failed, and the completion is left out.
Leaves out: how the reward model is trained (see `reward_model`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from eta_utils.execution.records import Outcome
from eta_utils.preferences.orderings import STOPPED, eta
from eta_utils.study.rollouts import judged
from eta_utils.study.study import Study
from eta_utils.tasks import Task
from eta_utils.training.reward_model import load_reward_model, score

# Where `eta` can lie for a program that fails.
_LEAST, _MOST = -1.6, 2.6


class PassReward:
    """1.0 for a completion whose program passes its visible tests, else 0.0."""

    __name__ = "passes"  # TRL's trainers name their metrics after it

    def __init__(self, study: Study, tasks: Mapping[str, Task]) -> None:
        self.study, self.tasks = study, tasks

    def __call__(
        self, prompts: list[str], completions: list[str], task_id: list[str], **_: object
    ) -> list[float | None]:
        samples = [
            {"task_id": name, "completion": text}
            for name, text in zip(task_id, completions, strict=True)
        ]
        outcomes = judged(self.study, samples, self.tasks)
        return self.score(outcomes)

    def score(self, outcomes: Sequence[Outcome]) -> list[float | None]:
        """A reward for each outcome."""
        return [None if each.passed is None else float(each.passed) for each in outcomes]


class EtaReward(PassReward):
    """The binary reward; but on prompts where no sample passes, up to `most` by `eta`.

    Gated, because a dense reward beside passing programs pays for what nearly passes
    (G-RA, arXiv 2508.10548: ungated it collapsed the model).  A program that had to be
    stopped or tampered gets nothing.
    """

    __name__ = "eta"
    most = 0.5

    def score(self, outcomes: Sequence[Outcome]) -> list[float | None]:
        """A reward for each outcome; those of one task are the samples of one prompt."""
        passing: dict[str, bool] = defaultdict(bool)
        for each in outcomes:
            passing[each.task_id] |= bool(each.passed)
        binary = super().score(outcomes)
        return [
            score if passing[each.task_id] or score is None else self.most * progress(each)
            for each, score in zip(outcomes, binary, strict=True)
        ]


class ModelReward:
    """The score of ETA-RM, which has seen no test of the prompt: what can be bought with it
    beyond passing is bought."""

    __name__ = "eta_rm"

    def __init__(self, folder: Path) -> None:
        self.model, self.tokenizer = load_reward_model(folder)

    def __call__(
        self, prompts: list[str], completions: list[str], **_: object
    ) -> list[float | None]:
        return score(self.model, self.tokenizer, prompts, completions).tolist()


def progress(outcome: Outcome) -> float:
    """`eta` of a failing program, from 0 to 1; 0 where it had to be stopped."""
    if outcome.status in (*STOPPED, "tampered"):
        return 0.0
    return (eta(outcome) - _LEAST) / (_MOST - _LEAST)
