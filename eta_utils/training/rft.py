"""Rejection-sampling fine-tuning (RFT): a policy imitates its own programs that pass.

>>> train_rft(policy, tokenizer, outcomes, tasks, RFTSettings(), folder)

Sample programs, keep each distinct one that passes its tests, and minimise the mean
negative log-likelihood of its tokens (Yuan et al. 2023, arXiv 2308.01825).  Failing
programs teach nothing.  What differs from the paper: it samples once, from the SFT model,
and trains the base model anew on its data and the samples together.  A round here goes on
from the policy that wrote the samples, on these alone, as the rounds of `dpo` do.

Distinct are programs whose texts differ.  The paper compares the equations of an answer.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from eta_utils.execution import Outcome
from eta_utils.tasks import Task
from eta_utils.training.settings import EpochSettings
from eta_utils.training.sft import train_sft


def passing_examples(
    outcomes: Iterable[Outcome], tasks: Mapping[str, Task]
) -> list[dict[str, str]]:
    """`prompt` and `completion` of each distinct program that passes, in order."""
    passing = {
        (outcome.task_id, outcome.sample["completion"]): None
        for outcome in outcomes
        if outcome.passed
    }
    return [
        {"prompt": tasks[name].prompt, "completion": completion}
        for name, completion in passing
    ]


def train_rft(
    policy: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    outcomes: Iterable[Outcome],
    tasks: Mapping[str, Task],
    settings: EpochSettings,
    folder: Path,
    *,
    seed: int = 0,
    bf16: bool = False,
) -> int:
    """Train `policy` in place on a round's passing programs; how many distinct ones.

    `folder` gets history.csv.  Where nothing passes the policy stays as it is, and a line
    says so.
    """
    examples = passing_examples(outcomes, tasks)
    if examples:
        train_sft(policy, tokenizer, examples, settings, folder, seed=seed, bf16=bf16)
    else:
        print("RFT: no program passes, so the policy stays as it is", flush=True)
    return len(examples)
