"""Branching: where no program of a prompt passes, the others restart from the best of them.

>>> train_branching(
...     policy, tokenizer, rows, GRPOSettings(), folder, updates=24, samples_per_prompt=8,
...     tasks=tasks, judging=JudgeSettings(), branch=BranchSettings(roots=4),
... )
>>> samples = restarted(
...     model, tokenizer, tasks, 8, roots=4, judging=JudgeSettings(),
...     sampling=SamplingSettings(), seed=0,
... )                                              # the same as records, for pairs of DPO

A prompt gets `roots` fresh samples, which are executed.  Where none passes, an execution
trace tells up to where each was right: the lines before its departure from the reference
(`Outcome.departure`) are *verified*.  The other n - roots samples then restart from the
longest verified prefix, that of the root which departs at the latest line.  Where a root
passes, or no line is verified, they are fresh samples, too.  So n programs are executed
either way; that roots are judged before the others takes them from the cache later.

The training is GRPO's (see `grpo`).  Tokens of a given prefix are not learnt: the policy
did not choose them there.  Restarted samples begin from a better place than fresh ones, so
where a group restarted each part has its own baseline, the mean reward of its part.  The
deviation stays that of all rewards of the update.

From DEEP-GRPO (arXiv 2602.14169), Prefix Sampling (2605.05112) and PrefixRL (2601.18795) it
differs in how the prefix is chosen: here the trace chooses it.  Like "reference" in
`credit` this needs a solution of each task.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from eta_utils.common import processes
from eta_utils.common.errors import BadInput
from eta_utils.execution import JudgeSettings, Outcome, judge, line_span
from eta_utils.tasks import Task, at_token_boundary
from eta_utils.training import grpo, ppo
from eta_utils.training.credit import token_starts
from eta_utils.training.rewards import PassReward, answer_of
from eta_utils.training.sampling import Sampled, sample_completions, to_sample_from
from eta_utils.training.settings import BranchSettings, GRPOSettings, SamplingSettings

# ------------------------------------------------------------------------------------------
# 1. Roots and restarts


class Branch(NamedTuple):
    """A sample, how many of its first tokens were given, and its text as it is judged.

    `given_text` is how many characters of the completion the given tokens are.
    """

    sample: Sampled
    completion: str
    given: int = 0
    given_text: int = 0


def branches(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[str],
    tasks: Sequence[Task],
    n: int,
    *,
    roots: int,
    judging: JudgeSettings,
    sampling: SamplingSettings,
    seed: int,
    share_out: bool = False,
) -> list[list[Branch]]:
    """`n` samples of each prompt: first its roots, then those that restart or are fresh.

    `tasks` are those of the prompts.  With `share_out` the processes of a training sample
    different prompts, and the first judges for all.  Raises BadInput where `roots` leaves
    nothing to restart, and what `sample_completions` and `judge` raise.
    """
    if not 0 < roots < n:
        raise BadInput(
            f"parameter branch_roots: {roots} of {n} samples leave none to restart"
        )
    settings = {
        "temperature": sampling.temperature,
        "max_new_tokens": sampling.max_new_tokens,
        "share_out": share_out,
    }
    fresh = sample_completions(model, tokenizer, prompts, roots, seed=seed, **settings)
    first = [
        [Branch(sample, completion_of(tokenizer, prompt, sample.ids)) for sample in group]
        for prompt, group in zip(prompts, fresh, strict=True)
    ]
    outcomes = _judged(first, tasks, judging, share_out)
    begun = [
        best_prefix(tokenizer, task, group, own)
        for task, group, own in zip(tasks, first, outcomes, strict=True)
    ]
    again = sample_completions(
        model,
        tokenizer,
        prompts,
        n - roots,
        seed=random.Random(f"{seed} again").getrandbits(31),
        begun=begun,
        **settings,
    )
    return [
        own
        + [
            Branch(
                sample,
                completion_of(tokenizer, prompt, sample.ids),
                len(given),
                len(completion_of(tokenizer, prompt, given)) if given else 0,
            )
            for sample in group
        ]
        for prompt, own, given, group in zip(prompts, first, begun, again, strict=True)
    ]


def best_prefix(
    tokenizer: PreTrainedTokenizerBase,
    task: Task,
    roots: Sequence[Branch],
    outcomes: Sequence[Outcome],
) -> list[int]:
    """The ids of the longest verified prefix; none where a root passes or there is none.

    They end before the last newline of the verified lines, which a token may hold together
    with the next line's indentation.
    """
    if any(outcome.passed for outcome in outcomes):
        return []
    departed = [
        (outcome.departure, root, outcome)
        for root, outcome in zip(roots, outcomes, strict=True)
        if outcome.departure is not None
    ]
    if not departed:
        return []
    _, root, outcome = max(departed, key=lambda found: found[0])
    span = line_span(task, outcome.sample, outcome.departure)
    verified = root.completion[: span[0]] if span else ""
    if not verified.strip():
        return []
    ids = root.sample.ids
    # What the completion lacks of the text that the ids say: newlines of the prompt.
    raw = tokenizer.decode(ids, skip_special_tokens=True)
    missing = raw.index(root.completion)
    end = missing + len(verified.rstrip("\n"))
    starts = [*token_starts(tokenizer, ids), len(raw)]
    return ids[: sum(stop <= end for stop in starts[1:])]


def completion_of(
    tokenizer: PreTrainedTokenizerBase, prompt: str, ids: Sequence[int]
) -> str:
    """What the ids say, as far as it is judged, without newlines that the prompt has."""
    _, newlines = at_token_boundary(prompt, "")
    text = tokenizer.decode(ids, skip_special_tokens=True)
    return answer_of(text.removeprefix(newlines))


def _judged(
    groups: Sequence[Sequence[Branch]],
    tasks: Sequence[Task],
    judging: JudgeSettings,
    share_out: bool,
) -> list[list[Outcome]]:
    """The outcomes of the branches of each prompt."""
    known = {task.task_id: task for task in tasks}
    samples = [
        {"task_id": task.task_id, "completion": branch.completion}
        for task, group in zip(tasks, groups, strict=True)
        for branch in group
    ]

    def run() -> list[Outcome]:
        return list(judge(samples, known, judging))

    outcomes = iter(processes.from_first(run) if share_out else run())
    return [[next(outcomes) for _ in group] for group in groups]


def restarted(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    tasks: Mapping[str, Task],
    n: int,
    *,
    roots: int,
    judging: JudgeSettings,
    sampling: SamplingSettings,
    seed: int,
) -> list[dict]:
    """`n` samples of each task, some of them restarted: records for `judge`.

    `prefix` of a record is how many characters of its completion were given; 0 for fresh.
    """
    groups = branches(
        model,
        tokenizer,
        [task.prompt for task in tasks.values()],
        list(tasks.values()),
        n,
        roots=roots,
        judging=judging,
        sampling=sampling,
        seed=seed,
        share_out=True,
    )
    return [
        {"task_id": name, "completion": branch.completion, "prefix": branch.given_text}
        for name, group in zip(tasks, groups, strict=True)
        for branch in group
    ]


# ------------------------------------------------------------------------------------------
# 2. The training


def train_branching(
    policy: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    rows: Sequence[dict],
    settings: GRPOSettings,
    folder: Path,
    *,
    tasks: Mapping[str, Task],
    judging: JudgeSettings,
    branch: BranchSettings,
    updates: int,
    samples_per_prompt: int,
    sampling: SamplingSettings = SamplingSettings(),
    seed: int = 0,
    bf16: bool = False,
    snapshots: Collection[int] = (),
) -> list[dict]:
    """As `grpo.train_grpo` with the pass reward, and restarts where no root passes.

    Each of `rows` has a "prompt" and a "task_id" of `tasks`, and no two have the same
    prompt.  The history has a column more.
    """
    run = ppo.Run(settings, updates, samples_per_prompt, sampling, seed, bf16)
    reward = PassReward(tasks, judging)
    trainer = Trainer(policy, tokenizer, rows, reward, run, folder, snapshots)
    trainer.branch = branch
    trainer.task_of = {
        at_token_boundary(row["prompt"], "")[0]: tasks[row["task_id"]] for row in rows
    }
    return trainer.run_all()


class Trainer(grpo.Trainer):
    """GRPO's, with samples that restart and baselines of their own."""

    columns = grpo.COLUMNS | {
        "branch/restarted": "fraction of prompts whose later samples restarted"
    }

    def sample(self, prompts: list[str]) -> dict[str, list]:
        """As GRPO's, with `env_mask`, 0 on given tokens and 1 on those to learn from."""
        groups = branches(
            to_sample_from(self.model, self.run.bf16),
            self.processing_class,
            prompts,
            [self.task_of[prompt] for prompt in prompts],
            self.run.samples_per_prompt,
            roots=self.branch.roots,
            judging=self.reward_funcs[0].settings,
            sampling=self.run.sampling,
            seed=self.sampling_seed(),
        )
        self.restarted = [group[-1].given > 0 for group in groups]
        self.measured["branch/restarted"] = sum(self.restarted) / len(groups)
        every = [branch for group in groups for branch in group]
        return {
            "prompt_ids": [branch.sample.prompt_ids for branch in every],
            "completion_ids": [branch.sample.ids for branch in every],
            "env_mask": [
                [0] * branch.given + [1] * (len(branch.sample.ids) - branch.given)
                for branch in every
            ],
        }

    def advantages(self, output: dict[str, Tensor]) -> Tensor:
        """TRL's, (B,), but for groups that restarted: less the mean of each part."""
        n, rank = self.run.samples_per_prompt, self.accelerator.process_index
        size = len(self.restarted)
        rewards = self.rewards.view(-1, n)[rank * size : (rank + 1) * size]
        advantages = output["advantages"].view(-1, n).clone()
        for row, own, restarted in zip(advantages, rewards, self.restarted, strict=True):
            if restarted:
                row[:] = own_baselines(own, self.branch.roots) / self.deviation()
        return advantages.flatten()


def own_baselines(rewards: Tensor, roots: int) -> Tensor:
    """Rewards (n,) of a group less the mean of their part, the roots or the others.

    A reward of nan, which is not known, counts for no mean and gives 0.
    """
    parts = rewards.split([roots, len(rewards) - roots])
    return torch.cat([part - part.nanmean() for part in parts]).nan_to_num(0.0)
