"""How much does training lose when another process wants a core?

    python -m tests.training.bench_threads

Trains, samples and aligns the tiny model in a process of its own, with one thread of torch
and with two, and several ways for threads to wait: on the machine as it is, then beside a
process that never rests.  Prints seconds, and how many times longer the second took.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SETTINGS = {
    "two threads, as torch has it": {"OMP_NUM_THREADS": "2"},
    "two threads, 10,000 spins": {"OMP_NUM_THREADS": "2", "GOMP_SPINCOUNT": "10000"},
    "two threads, 1,000 spins": {"OMP_NUM_THREADS": "2", "GOMP_SPINCOUNT": "1000"},
    "two threads, 500 spins": {"OMP_NUM_THREADS": "2", "GOMP_SPINCOUNT": "500"},
    "two threads, none (OMP_WAIT_POLICY=PASSIVE)": {
        "OMP_NUM_THREADS": "2",
        "OMP_WAIT_POLICY": "PASSIVE",
    },
    "one thread": {"OMP_NUM_THREADS": "1"},
}
KINDS = ("base", "sampling", "ppo")
PROGRAMS, PROMPTS, UPDATES = 3_200, 256, 2


def work() -> None:
    """One process' share: seconds for each of KINDS, on one line."""
    from eta_utils.tasks import pipelines
    from eta_utils.training.models import build_tiny, load_model
    from eta_utils.training.ppo import train_ppo
    from eta_utils.training.sampling import sample_completions
    from eta_utils.training.settings import BaseSettings, PPOSettings
    from eta_utils.training.sft import train_base

    seconds = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        corpus = list(pipelines.noisy_corpus(PROGRAMS, 0.35, steps=(1, 5)))
        texts = [row["prompt"] + row["completion"] for row in corpus[:2_000]]
        build_tiny(folder / "start", texts)
        model, tokenizer = load_model(folder / "start")
        start = time.perf_counter()
        train_base(model, tokenizer, corpus, BaseSettings(), folder)
        seconds.append(time.perf_counter() - start)
        rows = [{"prompt": row["prompt"]} for row in corpus[:PROMPTS]]
        start = time.perf_counter()
        sample_completions(model, tokenizer, [row["prompt"] for row in rows], 8)
        seconds.append(time.perf_counter() - start)
        reference, _ = load_model(folder / "start")
        start = time.perf_counter()
        train_ppo(
            model,
            reference,
            tokenizer,
            rows,
            lambda prompts, completions: [float(len(text) % 2) for text in completions],
            PPOSettings(),
            folder / "ppo",
            updates=UPDATES,
            samples_per_prompt=8,
            log=lambda line: None,
        )
        seconds.append(time.perf_counter() - start)
    print("seconds", *seconds)


def measure(environment: dict[str, str]) -> list[float]:
    """Seconds for each of KINDS under these variables."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.training.bench_threads", "--work"],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    line = done.stdout.strip().splitlines()[-1]
    return [float(word) for word in line.split()[1:]]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", action="store_true", help=argparse.SUPPRESS)
    if parser.parse_args().work:
        work()
        return
    print(f"{'':44}" + "".join(f"{kind:>24}" for kind in KINDS))
    for name, environment in SETTINGS.items():
        alone = measure(environment)
        burner = subprocess.Popen([sys.executable, "-c", "while True: pass"])
        try:
            beside = measure(environment)
        finally:
            burner.kill()
        pairs = zip(alone, beside, strict=True)
        cells = [
            f"{one:6.1f} -> {other:5.1f} s {other / one:5.2f}x" for one, other in pairs
        ]
        print(f"{name:44}" + "".join(f"{cell:>24}" for cell in cells), flush=True)


if __name__ == "__main__":
    main()
