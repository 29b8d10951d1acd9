"""Rewards in TRL's shape, for our PPO and for TRL's own trainers.

>>> reward = PassReward(load_tasks("humaneval"))
>>> reward(prompts, completions, task_id=names)
[1.0, 0.0, None]
>>> GRPOTrainer(model, reward_funcs=reward, train_dataset=rows, ...)

The rows of the data set need the columns `prompt` and `task_id`; other columns are
ignored.  A prompt is text or a list of messages.  A completion is what the model wrote
after it, raw: each reward cuts it where its function ends (see `answer_of`).

A reward is None where the judge itself failed.  TRL leaves such a completion out of the
group's mean and gives it no advantage.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from eta_utils.execution import JudgeSettings, Outcome, judge
from eta_utils.preferences.orderings import STOPPED, eta
from eta_utils.tasks import Task
from eta_utils.tasks.cleaning import cut_at_function_end
from eta_utils.training.reward_model import load_reward_model, score

Completion = str | Sequence[Mapping[str, str]]  # text, or the messages of a conversation

# The range of `eta` over programs that fail.
LEAST_FAILING_ETA, MOST_FAILING_ETA = -1.6, 2.6


class PassReward:
    """1.0 for a completion whose program passes the task's tests, else 0.0.

    The program is the task's own prompt and the completion.  It runs in the sandbox.  The
    outcomes of the last call stay in `outcomes`, with their traces if `keep_trace`.
    """

    __name__ = "passes"  # TRL's trainers name their metrics after it

    def __init__(
        self,
        tasks: Mapping[str, Task],
        settings: JudgeSettings = JudgeSettings(),
        keep_trace: bool = False,
    ) -> None:
        self.tasks, self.settings, self.keep_trace = tasks, settings, keep_trace
        self.outcomes: list[Outcome] = []

    def __call__(
        self,
        prompts: Sequence[Completion],
        completions: Sequence[Completion],
        task_id: Sequence[str],
        **_columns: object,
    ) -> list[float | None]:
        """One reward per completion; `task_id` has one entry per completion, too.

        Raises what `execution.judge` raises, KeyError for an unknown task among it.
        """
        samples = [
            {"task_id": name, "completion": answer_of(completion)}
            for name, completion in zip(task_id, completions, strict=True)
        ]
        self.outcomes = list(
            judge(samples, self.tasks, self.settings, keep_trace=self.keep_trace)
        )
        return self.score(self.outcomes)

    def score(self, outcomes: Sequence[Outcome]) -> list[float | None]:
        """One reward per outcome."""
        return [
            None if outcome.passed is None else float(outcome.passed)
            for outcome in outcomes
        ]


class EtaReward(PassReward):
    """The dense reward: that for passing, and on all-fail prompts up to `most` by `eta`.

    All completions of a task in one call count as the samples of one prompt.  Where none of
    them passes, the pass reward teaches GRPO nothing; then how far a program got is paid
    (VeRPO, arXiv 2601.03525, and RL-ZVP, 2509.21880, too, give such groups a signal).
    Beside passing programs it would pay for nearly passing.  (G-RA, 2508.10548, and P-GRPO,
    2508.05170, gate the other way round: they pay for the process only where the outcome is
    right.)  A program that was stopped or that tampered with its test gets nothing.
    """

    __name__ = "dense"
    most = 0.5  # half of a pass: failing well must never pay as much as passing

    def score(self, outcomes: Sequence[Outcome]) -> list[float | None]:
        """One reward per outcome."""
        some_pass: dict[str, bool] = defaultdict(bool)
        for outcome in outcomes:
            some_pass[outcome.task_id] |= bool(outcome.passed)
        return [
            passes
            if some_pass[outcome.task_id] or passes is None
            else self.most * failing_progress(outcome)
            for outcome, passes in zip(outcomes, super().score(outcomes), strict=True)
        ]


def failing_progress(outcome: Outcome) -> float:
    """`eta` of a failing program, scaled to 0 to 1; 0 where it was stopped or tampered."""
    if outcome.status in (*STOPPED, "tampered"):
        return 0.0
    return (eta(outcome) - LEAST_FAILING_ETA) / (MOST_FAILING_ETA - LEAST_FAILING_ETA)


class ModelReward:
    """The score of a reward model, which sees no test of the prompt.

    A policy can raise it without passing more tests: that is the drift the study shows.
    """

    __name__ = "eta_rm"  # TRL's trainers name their metrics after it

    def __init__(self, folder: Path) -> None:
        self.model, self.tokenizer = load_reward_model(folder)

    def __call__(
        self,
        prompts: Sequence[str],
        completions: Sequence[str],
        **_columns: object,
    ) -> list[float]:
        """One score per completion, in nats; prompts are text, as in its training."""
        answers = [answer_of(completion) for completion in completions]
        return score(self.model, self.tokenizer, prompts, answers).tolist()


def answer_of(completion: Completion) -> str:
    """The function body in a raw completion: what follows it does not count.

    In a conversation it is in the last message.  Newlines at the beginning stay: where
    the prompt ended before them they belong to the program, elsewhere they are empty lines.
    """
    text = completion if isinstance(completion, str) else completion[-1]["content"]
    body = text.lstrip("\n")
    # A body that is not indented must fail as it stands.  With its newlines before it,
    # the cut would take it for the next function and leave an empty answer.
    return text[: len(text) - len(body)] + cut_at_function_end(body)
