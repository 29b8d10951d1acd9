"""Sampling: our decoding against transformers' generate, in turns (make bench).

Both write `n` completions for each of the same prompts with the same model; what counts is
tokens of completions per second, up to the end of each text.  The model is that of a run,
or any other, in bf16 where the machine multiplies in it:

    python -m tests.training.bench_sampling outputs/small/seed0/sft/model
    python -m tests.training.bench_sampling smollm2

Seconds are those of the clock, and those that the processor spent on us: these count where
other work runs beside.  Neither sampler stops here where a function ends.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import torch
from transformers import GPT2LMHeadModel

from eta_utils.study import ROOT
from eta_utils.tasks import load_tasks, pipelines
from eta_utils.training import models, sampling
from eta_utils.training.gguf import PACKAGED
from eta_utils.training.ragged import decode
from eta_utils.training.settings import ModelSettings
from eta_utils.training.tokens import tokenize

PROMPTS, SAMPLES, LONGEST, TURNS = 128, 8, 96, 3
FEWER = 16  # prompts, of HumanEval, for models other than GPT-2
CLOCKS = {"clock": time.monotonic, "processor": time.process_time}


def main() -> None:
    """Print tokens per second of both, and their ratio, turn by turn."""
    name = sys.argv[1] if len(sys.argv) > 1 else str(_default())
    if name == str(_default()) and not Path(name).exists():
        sys.exit(f"{name}: no model here; make study PROFILE=smoke makes one")
    settings = ModelSettings(name, precision="auto" if name in PACKAGED else "fp32")
    chat = "chat" if name in PACKAGED else "complete"
    model, tokenizer = models.load_model(name, settings.weights, chat)
    if isinstance(model, GPT2LMHeadModel):
        tasks = pipelines.generate("tune", PROMPTS)
    else:
        tasks = dict(list(load_tasks("humaneval").items())[:FEWER])
    prompts = [task.prompt for task in tasks.values()]
    for turn in range(TURNS):
        ours = _rates(_ours, model, tokenizer, prompts, turn)
        theirs = _rates(_theirs, model, tokenizer, prompts)
        for clock, one, other in zip(CLOCKS, ours, theirs, strict=True):
            print(
                f"{clock:9} decoding {one:7,.0f}  generate {other:7,.0f}  "
                f"ratio {one / other:.2f}",
                flush=True,
            )


def _default() -> Path:
    return ROOT / "outputs" / "small" / "seed0" / "sft" / "model"


def _rates(write, *arguments) -> list[float]:
    """Tokens per second of each of CLOCKS."""
    starts = [clock() for clock in CLOCKS.values()]
    tokens = write(*arguments)
    return [
        tokens / (clock() - start)
        for clock, start in zip(CLOCKS.values(), starts, strict=True)
    ]


def _ours(model, tokenizer, prompts, turn) -> int:
    if isinstance(model, GPT2LMHeadModel):
        groups = sampling.sample_completions(
            model, tokenizer, prompts, SAMPLES, max_new_tokens=LONGEST, seed=turn
        )
        return sum(len(sample.ids) for group in groups for sample in group)
    ids = sorted((tokens.prompt for tokens in tokenize(tokenizer, prompts)), key=len)
    generator = torch.Generator().manual_seed(turn)
    settings = {"temperature": 1.0, "max_new_tokens": LONGEST, "generator": generator}
    groups = decode(model, ids, SAMPLES, **settings)
    return sum(len(row) for group in groups for row in group)


def _theirs(model, tokenizer, prompts) -> int:
    ids = sorted((tokens.prompt for tokens in tokenize(tokenizer, prompts)), key=len)
    tokens = 0
    for start in range(0, len(ids), 256 // SAMPLES):
        batch = ids[start : start + 256 // SAMPLES]
        rows = sampling.generate(
            model, tokenizer, batch, SAMPLES, temperature=1.0, max_new_tokens=LONGEST
        )
        tokens += sum(len(ids) for row in rows for ids in row)
    return tokens


if __name__ == "__main__":
    main()
