"""Credit by lines: the advantage of a failing program falls on the line that went wrong.

>>> history = train_credit(
...     policy, tokenizer, rows, GRPOSettings(), folder, updates=24, samples_per_prompt=8,
...     tasks=tasks, judging=JudgeSettings(), credit="sibling",
...     credit_settings=CreditSettings(),
... )

GRPO (see `grpo`) gives all tokens of a program i its advantage A_i.  So the right lines of
a failing program are blamed with the one that is wrong.  An execution trace tells which it
is: the line of the *departure*, where the program's recorded states first differ from those
of one that passes (`tracing.departure`).  Here this line's tokens alone carry A_i.

    credit      beside passing programs                where the whole group fails
    sibling     A_i on the line where it departs       -penalty on the line that raised, did
                from the passing sibling that it       not end or does not compile; nothing
                follows longest                        for other failures
    mask        the same                               nothing
    penalty     A_i on all tokens                      as sibling, but on all tokens
    both        A_i on all tokens, and once more on    as sibling
                the line of sibling
    reference   A_i on the line where it departs       -penalty on that line, whatever the
                from the task's solution               failure

A program that does not compile departs at the line of the error.  Where no line is found,
or it lies in the prompt, all tokens carry A_i, and none carries a penalty.  Programs that
pass have A_i on all tokens, programs that could not be judged have none.  The penalty is in
units of the reward, and like the rewards it is divided by the deviation of the update's
rewards.  The loss stays a mean over all tokens, those without advantage among them.

"reference" is EGCA (arXiv 2603.16158), which aligns a failing program with a solution of
its task.  It differs from the paper in what is compared (the values that variables take,
names ignored) and in the loss, which is that of `grpo`.  It needs what pass/fail feedback
does not: solutions.  "sibling" is ours and needs tests alone.  "mask" and "penalty" are its
halves, the controls that tell which of them does it.  StepCoder (2402.01391) leaves out
lines that were not executed; the first departing line is narrower.
"""

from __future__ import annotations

import codecs
import functools
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from tokenizers.pre_tokenizers import ByteLevel
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from eta_utils.common.errors import BadInput
from eta_utils.execution import JudgeSettings, Outcome, departure_from, line_span
from eta_utils.preferences.orderings import STOPPED
from eta_utils.tasks import Task
from eta_utils.training import grpo, ppo
from eta_utils.training.rewards import PassReward
from eta_utils.training.settings import CreditSettings, GRPOSettings, SamplingSettings

CREDITS = ("sibling", "mask", "penalty", "both", "reference")

Span = tuple[int, int]  # characters [start, end) of a completion

# ------------------------------------------------------------------------------------------
# 1. Which line is to blame


def sibling_line(outcome: Outcome, passing: Sequence[Outcome]) -> int | None:
    """Where a failing program departs from the passing sibling that it follows longest.

    Of siblings followed equally long, the one that it leaves at the latest line: two right
    programs may differ, and the nearer one tells more.
    """
    if outcome.status == "syntax":
        return outcome.line
    if outcome.trace is None:
        return None  # the program took its trace along: a crash
    departures = [
        departure
        for sibling in passing
        if sibling.trace and (departure := departure_from(outcome, sibling))
    ]
    if not departures:
        return None
    return max(departures, key=lambda found: (found.followed, found.line)).line


def reference_line(outcome: Outcome) -> int | None:
    """Where a failing program departs from the task's canonical solution."""
    return outcome.line if outcome.status == "syntax" else outcome.departure


def stopping_line(outcome: Outcome) -> int | None:
    """The line at which a program ended by itself, without any other to compare with.

    That of an exception or of a syntax error.  For a program that was stopped, the line
    that ran most often, and the last of those: the inside of its endless loop.  None for a
    program that ran to its end and answered wrongly.
    """
    if outcome.status in STOPPED:
        hits = outcome.trace["hits"] if outcome.trace else {}
        return max(hits, key=lambda line: (hits[line], line), default=None)
    return outcome.line if outcome.status in ("syntax", "exception", "exit") else None


# ------------------------------------------------------------------------------------------
# 2. What its tokens get


class Share(NamedTuple):
    """The advantage of a program's tokens: on each of them, and more on those of `span`."""

    everywhere: float = 0.0
    on_span: float = 0.0
    span: Span | None = None


def shares(
    group: Sequence[Outcome],
    advantages: Sequence[float],
    task: Task,
    credit: str,
    penalty: float,
) -> list[Share]:
    """The shares of the programs of one prompt.

    `advantages` are those of GRPO.  `penalty` has their scale: it was divided, too.
    """
    passing = [outcome for outcome in group if outcome.passed]
    return [
        Share()
        if outcome.passed is None
        else Share(advantage)
        if outcome.passed
        else _beside_passing(outcome, advantage, passing, task, credit)
        if passing
        else _all_fail(outcome, task, credit, penalty)
        for outcome, advantage in zip(group, advantages, strict=True)
    ]


def _beside_passing(
    outcome: Outcome,
    advantage: float,
    passing: Sequence[Outcome],
    task: Task,
    credit: str,
) -> Share:
    """The share of a failing program where another one passes."""
    if credit == "penalty":
        return Share(advantage)
    by_reference = credit == "reference"
    line = reference_line(outcome) if by_reference else sibling_line(outcome, passing)
    span = _span(task, outcome, line)
    if span is None:
        return Share(advantage)
    return Share(advantage if credit == "both" else 0.0, advantage, span)


def _all_fail(outcome: Outcome, task: Task, credit: str, penalty: float) -> Share:
    """The share of a program where none passes, so that GRPO gives it none."""
    if credit == "mask":
        return Share()
    line = reference_line(outcome) if credit == "reference" else stopping_line(outcome)
    span = _span(task, outcome, line)
    if span is None:
        return Share()
    return Share(-penalty) if credit == "penalty" else Share(0.0, -penalty, span)


def _span(task: Task, outcome: Outcome, line: int | None) -> Span | None:
    return line_span(task, outcome.sample, line) if line else None


def spread(share: Share, starts: Sequence[int]) -> Tensor:
    """The advantages of a program's tokens, (T,), whose first characters are `starts`.

    A token belongs to the line in which it begins.  So the token of a line's end belongs to
    it also where it holds the next line's indentation.
    """
    where = torch.tensor(starts)
    advantages = torch.full((len(starts),), share.everywhere)
    if share.span is not None:
        first, end = share.span
        inside = (where >= first) & (where < end)
        if not inside.any():  # one token holds the whole line and more
            inside = where == where[where <= first].max()
        advantages[inside] += share.on_span
    return advantages


# ------------------------------------------------------------------------------------------
# 3. Where tokens begin

# Byte-level BPE writes each byte as a character that can be seen: those of Latin-1 that can
# be seen stand for themselves, the other bytes, in order, for the characters from 256 on.
_VISIBLE = {*range(33, 127), *range(161, 173), *range(174, 256)}
_BYTES = {chr(byte): byte for byte in _VISIBLE} | {
    chr(256 + number): byte for number, byte in enumerate(sorted({*range(256)} - _VISIBLE))
}
if set(_BYTES) != set(ByteLevel.alphabet()):
    raise AssertionError("not the alphabet of byte-level BPE")


def token_starts(tokenizer: PreTrainedTokenizerBase, ids: Sequence[int]) -> list[int]:
    """For each token the number of the character of the decoded text in which it begins.

    Several tokens may begin in one character of several bytes.  Special tokens, which are
    decoded to nothing, begin where the text goes on.  Raises BadInput for a tokenizer that
    is not a byte-level BPE.
    """
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    starts, characters = [], 0
    for token in ids:
        starts.append(characters)
        characters += len(decoder.decode(_token_bytes(tokenizer, token)))
    return starts


@functools.lru_cache(maxsize=1 << 18)
def _token_bytes(tokenizer: PreTrainedTokenizerBase, token: int) -> bytes:
    if token in tokenizer.all_special_ids:
        return b""
    text = tokenizer.convert_ids_to_tokens(token)
    try:
        return bytes(_BYTES[character] for character in text)
    except KeyError:
        name = type(tokenizer).__name__
        raise BadInput(
            f"credit by lines: {name} writes {text!r}, so it is not a byte-level BPE, the "
            "one kind of tokenizer whose tokens are found in the text"
        ) from None


# ------------------------------------------------------------------------------------------
# 4. The training


def train_credit(
    policy: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    rows: Sequence[dict],
    settings: GRPOSettings,
    folder: Path,
    *,
    tasks: Mapping[str, Task],
    judging: JudgeSettings,
    credit: str,
    credit_settings: CreditSettings,
    updates: int,
    samples_per_prompt: int,
    sampling: SamplingSettings = SamplingSettings(),
    seed: int = 0,
    bf16: bool = False,
    snapshots: Collection[int] = (),
) -> list[dict]:
    """As `grpo.train_grpo` with the pass reward, and credit by lines (CREDITS).

    Each of `rows` has a "prompt" and a "task_id" of `tasks`.  The history has two columns
    more.  Raises BadInput for an unknown `credit`.
    """
    if credit not in CREDITS:
        raise BadInput(f"credit: {credit!r} is not {' or '.join(CREDITS)}")
    run = ppo.Run(settings, updates, samples_per_prompt, sampling, seed, bf16)
    reward = PassReward(tasks, judging, keep_trace=True)
    trainer = Trainer(policy, tokenizer, rows, reward, run, folder, snapshots)
    trainer.credit, trainer.penalty = credit, credit_settings.penalty
    return trainer.run_all()


class Trainer(grpo.Trainer):
    """GRPO's, with other advantages."""

    columns = grpo.COLUMNS | {
        "credit/line": "fraction of failing programs with an advantage on one line",
        "credit/penalised": "fraction of failing programs that were given the penalty",
    }

    def advantages(self, output: dict[str, Tensor]) -> Tensor:
        """One advantage per token, (B, T), of this process's episodes."""
        outcomes = self.reward_funcs[0].outcomes
        tasks, size = self.reward_funcs[0].tasks, self.run.samples_per_prompt
        penalty = self.penalty / self.deviation()
        plain = output["advantages"].tolist()
        given: list[Share] = []
        for start in range(0, len(outcomes), size):
            group = outcomes[start : start + size]
            task = tasks[group[0].task_id]
            own = plain[start : start + size]
            given += shares(group, own, task, self.credit, penalty)
        advantages = torch.zeros(output["completion_ids"].shape)
        masks = output["completion_mask"].bool()
        for row, ids, mask, share in zip(
            advantages, output["completion_ids"], masks, given, strict=True
        ):
            starts = token_starts(self.processing_class, ids[mask].tolist())
            row[: len(starts)] = spread(share, starts)

        failing = [
            (share, advantage)
            for share, advantage, outcome in zip(given, plain, outcomes, strict=True)
            if outcome.passed is False
        ]
        on_line = [share.span is not None for share, _ in failing]
        # Where the whole group fails, GRPO's own advantage is 0.
        penalised = [advantage == 0 and any(share[:2]) for share, advantage in failing]
        self.measured |= {
            "credit/line": _mean(on_line),
            "credit/penalised": _mean(penalised),
        }
        return advantages.to(output["advantages"].device)

    def deviation(self) -> float:
        """At least that of a single pass among all programs of the update.

        Where none passes it would be 0, and the penalty without bound.
        """
        single = torch.zeros(len(self.rewards))
        single[0] = 1.0
        return max(super().deviation(), single.std().item() + 1e-4)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0
