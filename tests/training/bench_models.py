"""Training and sampling throughput at a model's real size, against TRL's plain trainer.

    python -m tests.training.bench_models --size 0.5b   (a GPU)
    python -m tests.training.bench_models --size tiny --examples 64   (anywhere)
    python -m tests.training.bench_models --size smollm2 --examples 48 --batch 8

Models have Qwen2.5's architecture, its vocabulary and random weights, so nothing has to be
downloaded, and no text ends early: rates are those of full-length work.  The tokenizer is
the built-in one.  Tokens of training are those of prompts and completions, without padding;
of sampling, those that are written.  TRL's row is `SFTTrainer` as its example script
(`trl sft`) sets it up, with the same batches on the same examples.  The plain loop's is
what one would write by hand: all weights and moments in bf16, batches of similar length,
transformers' own loss.

`smollm2` are real weights (`requirements-smollm2.txt`).  Rates are by the clock, and by the
seconds that the processor spent on us, which count where other work runs beside.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from datasets import Dataset
from transformers import AutoModelForCausalLM, Qwen2Config, set_seed
from trl import SFTConfig, SFTTrainer
from trl.trainer.sft_trainer import DataCollatorForLanguageModeling

from eta_utils.tasks import pipelines
from eta_utils.training.dpo import train_dpo
from eta_utils.training.gguf import PACKAGED, resolved
from eta_utils.training.models import adapt, build_tiny, device, load_model, parameter_count
from eta_utils.training.sampling import generate, sample_completions
from eta_utils.training.settings import DPOSettings, SFTSettings
from eta_utils.training.sft import labelled, train_sft
from eta_utils.training.tokens import tokenize
from eta_utils.training.vllm import Engine, uses_vllm

# As in Qwen2.5-Coder's config.json: width, inner width, layers, heads, key-value heads,
# vocabulary.
SIZES = {
    "tiny": (128, 256, 2, 4, 2, 4096),
    "0.5b": (896, 4864, 24, 14, 2, 151_936),
    "7b": (3584, 18_944, 28, 28, 4, 152_064),
}
SAMPLES = 8  # of each prompt
WANTED = "input_ids", "attention_mask", "labels"  # of a batch, by a model
CLOCKS = (time.monotonic, time.process_time)


def main() -> None:
    """Print one row of the table in docs/scaling.md for each kind of work."""
    options = _parser().parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        if options.size in SIZES:
            _write_model(folder / "model", options.size)
        else:
            (folder / "model").symlink_to(resolved(options.size))
        name = torch.cuda.get_device_name() if torch.cuda.is_available() else "processor"
        model, tokenizer = load_model(folder / "model")
        size = f"{options.size}: {parameter_count(model):,} parameters"
        print(f"{size}, {name}, bf16 {options.bf16}")
        examples = _examples(options.examples)
        texts = [row["prompt"] + row["completion"] for row in examples]
        tokens = sum(map(len, tokenizer(texts)["input_ids"]))
        del model
        _report("SFT", tokens, lambda: _sft(folder, examples, options))
        _report("SFT, plain bf16 loop", tokens, lambda: _plain(folder, examples, options))
        _report("SFT, TRL's own", tokens, lambda: _trl(folder, examples, options))
        _report("DPO, both programs", 2 * tokens, lambda: _dpo(folder, examples, options))
        _report("sampling, transformers", None, lambda: _sample(folder, examples, options))
        _report("sampling, generate", None, lambda: _generate(folder, examples, options))
        if uses_vllm("auto") or options.vllm:
            _report(
                "sampling, vLLM", None, lambda: _sample_by_vllm(folder, examples, options)
            )


def _write_model(folder: Path, size: str) -> None:
    wide, inner, layers, heads, kept, vocabulary = SIZES[size]
    build_tiny(folder, [row["prompt"] + row["completion"] for row in _examples(200)])
    set_seed(0)
    config = Qwen2Config(
        vocab_size=vocabulary,
        hidden_size=wide,
        intermediate_size=inner,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=kept,
        max_position_embeddings=2048,
        tie_word_embeddings=size != "7b",
        bos_token_id=0,
        eos_token_id=0,
    )
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)


def _examples(count: int) -> list[dict]:
    tasks = pipelines.generate("sft", count, steps=(3, 5)).values()
    return [{"prompt": t.prompt, "completion": t.canonical_solution} for t in tasks]


def _report(what: str, tokens: int | None, work: Callable[[], int | None]) -> None:
    """Time `work`, which tells its tokens where they are not known before, and its start
    (loading the weights) apart from it."""
    written, (seconds, busy) = work()
    rate, own_rate = ((tokens or written) / spent for spent in (seconds, busy))
    memory = torch.cuda.max_memory_allocated() / 2**30 if torch.cuda.is_available() else 0
    print(
        f"{what:24} {rate:10,.0f} tokens/s  {own_rate:10,.0f} of the processor's  "
        f"{seconds:7.1f} s  {memory:6.1f} GiB",
        flush=True,
    )


def _learner(folder: Path, options: argparse.Namespace):
    model, tokenizer = load_model(folder / "model")
    model.to(device())
    adapt(model, options.lora_rank)
    return model, tokenizer


def _timed(work: Callable[[], object]) -> tuple[object, list[float]]:
    """The result, and the seconds of each of CLOCKS."""
    starts = [clock() for clock in CLOCKS]
    result = work()
    return result, [clock() - start for clock, start in zip(CLOCKS, starts, strict=True)]


def _sft(folder: Path, examples: list[dict], options: argparse.Namespace):
    model, tokenizer = _learner(folder, options)
    settings = SFTSettings(options.batch, 1e-5)
    more = {"bf16": options.bf16}
    return _timed(lambda: train_sft(model, tokenizer, examples, settings, folder, **more))


def _plain(folder: Path, examples: list[dict], options: argparse.Namespace):
    model, tokenizer = load_model(folder / "model", "bf16" if options.bf16 else "fp32")
    model.to(device()).train()
    rows = sorted(labelled(tokenizer, examples), key=lambda row: row["length"])
    optimizer = torch.optim.AdamW(model.parameters(), 1e-5)
    collate = DataCollatorForLanguageModeling(tokenizer.pad_token_id)

    def train() -> None:
        for start in range(0, len(rows), options.batch):
            batch = collate(rows[start : start + options.batch])
            inputs = {name: batch[name].to(device()) for name in WANTED}
            model(**inputs).loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()

    return _timed(train)


def _trl(folder: Path, examples: list[dict], options: argparse.Namespace):
    """With TRL's defaults (activation checkpointing among them) but for batch and logs."""
    config = SFTConfig(
        output_dir=str(folder / "trl"),
        per_device_train_batch_size=options.batch,
        num_train_epochs=1,
        bf16=options.bf16,
        report_to="none",
        save_strategy="no",
        disable_tqdm=True,
        use_cpu=not torch.cuda.is_available(),
    )
    model, tokenizer = _learner(folder, options)
    trainer = SFTTrainer(
        model=model,
        args=config,
        train_dataset=Dataset.from_list(examples),
        processing_class=tokenizer,
    )
    return _timed(trainer.train)


def _dpo(folder: Path, examples: list[dict], options: argparse.Namespace):
    model, tokenizer = _learner(folder, options)
    reference, _ = load_model(folder / "model")
    pairs = [
        {
            "prompt": row["prompt"],
            "chosen": row["completion"],
            "rejected": other["completion"],
            "winner_passes": True,
        }
        for row, other in zip(examples, examples[1:] + examples[:1], strict=True)
    ]
    settings = DPOSettings(options.batch, 1e-6)
    reference.to(device())
    arguments = model, reference, tokenizer, pairs, settings, folder
    return _timed(lambda: train_dpo(*arguments, bf16=options.bf16))


def _generate(folder: Path, examples: list[dict], options: argparse.Namespace):
    """transformers' own sampling of the same prompts, all of them in one batch."""
    model, tokenizer = load_model(folder / "model", "bf16" if options.bf16 else "fp32")
    model.to(device())
    prompts = [row["prompt"] for row in examples[: options.prompts]]
    ids = [tokens.prompt for tokens in tokenize(tokenizer, prompts)]
    settings = {"temperature": 1.0, "max_new_tokens": options.longest}
    groups, seconds = _timed(lambda: generate(model, tokenizer, ids, SAMPLES, **settings))
    return sum(len(row) for group in groups for row in group), seconds


def _sample(folder: Path, examples: list[dict], options: argparse.Namespace):
    model, tokenizer = load_model(folder / "model", "bf16" if options.bf16 else "fp32")
    return _timed_sampling(model.to(device()), tokenizer, examples, options)


def _sample_by_vllm(folder: Path, examples: list[dict], options: argparse.Namespace):
    _, tokenizer = load_model(folder / "model")
    with Engine(folder / "model", "bf16" if options.bf16 else "fp32") as engine:
        return _timed_sampling(engine, tokenizer, examples, options)


def _timed_sampling(
    model, tokenizer, examples: list[dict], options: argparse.Namespace
) -> tuple[int, float]:
    prompts = [row["prompt"] for row in examples[: options.prompts]]
    settings = {"n": SAMPLES, "max_new_tokens": options.longest}
    sample_completions(model, tokenizer, prompts[:2], **settings)  # what is made once
    groups, seconds = _timed(
        lambda: sample_completions(model, tokenizer, prompts, **settings)
    )
    return sum(len(sample.ids) for group in groups for sample in group), seconds


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", choices=(*SIZES, *PACKAGED), default="0.5b")
    parser.add_argument("--examples", type=int, default=1_024)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--prompts", type=int, default=64)
    parser.add_argument("--longest", type=int, default=256, help="tokens of a sample")
    parser.add_argument("--lora-rank", type=int, default=0)
    parser.add_argument("--bf16", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--vllm", action="store_true", help="also without a GPU")
    return parser


if __name__ == "__main__":
    main()
