"""Sampling: our decoding against transformers' generate, in turns (make bench).

Both write `n` completions for each of the same prompts with the same model; what counts is
tokens of completions per second, up to the end of each text.  The model is that of a run:

    python -m tests.training.bench_sampling outputs/small/seed0/sft/model
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from eta_utils.study import ROOT
from eta_utils.tasks import at_token_boundary, pipelines
from eta_utils.training import models, sampling

PROMPTS, SAMPLES, LONGEST, TURNS = 128, 8, 96, 3


def main() -> None:
    """Print tokens per second of both, and their ratio, turn by turn."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else _default())
    if not folder.exists():
        sys.exit(f"{folder}: no model here; make study PROFILE=smoke makes one")
    model, tokenizer = models.load_model(folder)
    tasks = pipelines.generate("tune", PROMPTS)
    prompts = [task.prompt for task in tasks.values()]
    for turn in range(TURNS):
        ours = _rate(_ours, model, tokenizer, prompts, turn)
        theirs = _rate(_theirs, model, tokenizer, prompts)
        print(f"decoding {ours:7,.0f}  generate {theirs:7,.0f}  ratio {ours / theirs:.2f}")


def _default() -> Path:
    return ROOT / "outputs" / "small" / "seed0" / "sft" / "model"


def _rate(write, *arguments) -> float:
    start = time.monotonic()
    tokens = write(*arguments)
    return tokens / (time.monotonic() - start)


def _ours(model, tokenizer, prompts, turn) -> int:
    groups = sampling.sample_completions(
        model, tokenizer, prompts, SAMPLES, max_new_tokens=LONGEST, seed=turn
    )
    return sum(len(sample.ids) for group in groups for sample in group)


def _theirs(model, tokenizer, prompts) -> int:
    ids = tokenizer([at_token_boundary(text, "")[0] for text in prompts])["input_ids"]
    ids.sort(key=len)
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
