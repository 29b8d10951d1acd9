"""Rewards: 1 for a pass, a gated fraction where nothing passes; TRL takes them as is."""

from __future__ import annotations

import math
from statistics import fmean

import pytest
import torch
from datasets import Dataset
from trl import GRPOConfig, GRPOTrainer

from eta_utils.execution import judge
from eta_utils.execution.records import Outcome
from eta_utils.tasks import Task, at_token_boundary, pipelines
from eta_utils.training import PassReward
from eta_utils.training.models import load_model
from eta_utils.training.rewards import (
    EtaReward,
    ModelReward,
    answer_of,
    failing_progress,
)

pytestmark = pytest.mark.usefixtures("one_thread")

TASKS = pipelines.generate("align", 2, steps=(2, 3))
NAMES = list(TASKS)
RIGHT = [task.canonical_solution for task in TASKS.values()]
NOTHING, BROKEN = "    return None\n", "    return (\n"
# What a model may write after its answer.  In the program it would fail every assert.
AFTER = "raise ValueError\n"


def rewards(kind, names, completions):
    return kind(TASKS)([""] * len(names), completions, task_id=names)


def test_the_binary_reward_is_1_for_a_pass_and_0_for_anything_else():
    paid = rewards(PassReward, [NAMES[0]] * 3, [RIGHT[0], NOTHING, BROKEN])
    assert paid == [1.0, 0.0, 0.0]


def test_where_something_passes_the_eta_reward_is_binary():
    paid = rewards(EtaReward, [NAMES[0]] * 3, [RIGHT[0], NOTHING, BROKEN])
    assert paid == [1.0, 0.0, 0.0]


def test_where_nothing_passes_the_eta_reward_is_a_fraction_of_a_pass():
    source = TASKS[NAMES[0]].prompt.split("(")[1].split(")")[0]
    same = f"    return {source}\n"  # an answer to each call, seldom the right one
    names = [NAMES[0], NAMES[0], NAMES[1]]
    paid = rewards(EtaReward, names, [same, BROKEN, RIGHT[1]])
    assert paid[2] == 1.0  # the gate is one prompt's, not the batch's
    assert 0 <= paid[1] < paid[0] <= EtaReward.most < 1


def outcome(status, **fields):
    sample = {"task_id": NAMES[0], "completion": ""}
    return Outcome(sample, status, status == "passed", "", asserts_total=5, **fields)


def test_a_judges_error_is_no_reward_at_all():
    missing = Outcome({"task_id": NAMES[0], "completion": ""}, "judge_error", None, "")
    for kind in (PassReward, EtaReward):
        assert kind(TASKS).score([missing, outcome("assertion")])[0] is None


def test_endless_and_tampering_programs_get_nothing_for_their_progress():
    near = {"asserts_passed": 4, "closeness": 0.95, "first_failed_assert": 4}
    assert (
        failing_progress(outcome("budget", **near))
        == failing_progress(outcome("tampered", **near))
        == 0
    )
    assert 0.8 < failing_progress(outcome("assertion", **near)) < 1
    worst = outcome("syntax", closeness=0.0, constant=True)
    assert failing_progress(worst) == pytest.approx(0)


# --- Raw completions


@pytest.mark.parametrize(
    ("completion", "answer"),
    [
        ("    return 1\n", "    return 1\n"),
        ("    return 1\nprint(f(2))\n", "    return 1"),
        # the newlines that the prompt left off
        ("\n    return 1\nprint(f(2))\n", "\n    return 1"),
        ("\n\n    return 1", "\n\n    return 1"),
        # a body at the margin is wrong, not absent
        ("\nreturn 1\n", "\nreturn 1\n"),
        ("\nreturn 1\nprint(f(2))\n", "\nreturn 1"),
        ("", ""),
        ("\n", "\n"),
        # of a conversation the last message
        ([{"role": "assistant", "content": "    return 1\nx\n"}], "    return 1"),
        (
            [
                {"role": "assistant", "content": "a plan"},
                {"role": "assistant", "content": "\n    return 1\n"},
            ],
            "\n    return 1\n",
        ),
    ],
)
def test_the_answer_is_what_stands_before_the_functions_end(completion, answer):
    assert answer_of(completion) == answer


@pytest.mark.parametrize("kind", [PassReward, EtaReward])
def test_raw_completions_pass_with_and_without_newlines_and_what_follows(kind):
    raw = [RIGHT[0], "\n" + RIGHT[0], RIGHT[0] + AFTER, "\n" + RIGHT[0] + AFTER]
    messages = [[{"role": "assistant", "content": text}] for text in raw]
    for completions in (raw, messages):
        assert rewards(kind, [NAMES[0]] * 4, completions) == [1.0] * 4


def test_a_reward_model_scores_the_answer_alone(tiny_folder):
    reward = ModelReward(tiny_folder)
    prompt = TASKS[NAMES[0]].prompt
    stem, completion = at_token_boundary(prompt, RIGHT[0])
    expected = reward([prompt], [RIGHT[0].rstrip("\n")])
    assert reward([prompt], [RIGHT[0] + AFTER]) == pytest.approx(expected, abs=1e-6)
    assert reward([stem], [completion + AFTER]) == pytest.approx(expected, abs=1e-6)
    assert reward([prompt], [RIGHT[1]]) != pytest.approx(expected, abs=1e-3)


# --- TRL's own trainer, outside the study


class SpyReward(PassReward):
    """A PassReward that remembers what it was given and what it paid."""

    def __init__(self, tasks):
        super().__init__(tasks)
        self.calls = []

    def __call__(self, prompts, completions, **columns):
        paid = super().__call__(prompts, completions, **columns)
        self.calls.append((completions, columns, paid))
        return paid


def text_of(part):
    """Of a prompt or a completion, which TRL has as text or as messages."""
    return part if isinstance(part, str) else part[-1]["content"]


def with_its_newline(task):
    return task.prompt, task.canonical_solution


def without_its_newline(task):
    return at_token_boundary(task.prompt, task.canonical_solution)


def as_a_conversation(task):
    return [{"role": "user", "content": task.prompt}], task.canonical_solution


def taught(folder, tasks, form):
    """The tiny model, which now mostly writes the reference of each task and AFTER."""
    model, tokenizer = load_model(folder)
    # The text of the messages one after another, without marks of who speaks.
    tokenizer.chat_template = "{% for m in messages %}{{ m['content'] }}{% endfor %}"
    optimizer = torch.optim.AdamW(model.parameters(), 3e-3)
    for step in range(40 * len(tasks)):
        prompt, completion = form(tasks[step % len(tasks)])
        ids = [
            *tokenizer(text_of(prompt))["input_ids"],
            *tokenizer(completion + AFTER)["input_ids"],
            tokenizer.eos_token_id,
        ]
        row = torch.tensor([ids])
        model(input_ids=row, labels=row).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    return model, tokenizer


def grpo(folder, tmp_path, tasks, form):
    """Three steps of TRL's GRPO; (the spy, what was logged, the model)."""
    model, tokenizer = taught(folder, list(tasks.values()), form)
    rows = [
        {"prompt": form(task)[0], "task_id": name, "difficulty": task.difficulty}
        for name, task in tasks.items()
    ]
    reward = SpyReward(tasks)
    trainer = GRPOTrainer(
        model,
        reward_funcs=reward,
        args=GRPOConfig(
            output_dir=str(tmp_path),
            max_steps=3,
            num_generations=4,
            per_device_train_batch_size=4 * len(tasks),
            max_completion_length=64,
            logging_steps=1,
            bf16=False,
            use_cpu=True,
            disable_tqdm=True,
            report_to="none",
            save_strategy="no",
        ),
        train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer,
    )
    trainer.train()
    return reward, trainer.state.log_history, model


@pytest.mark.parametrize("form", [with_its_newline, without_its_newline, as_a_conversation])
def test_trls_grpo_is_paid_by_our_judge_for_the_answers_alone(tiny_folder, tmp_path, form):
    reward, history, _ = grpo(tiny_folder, tmp_path, TASKS, form)
    logged = [row["rewards/passes/mean"] for row in history if "rewards/passes/mean" in row]
    assert len(logged) == len(reward.calls) == 3
    assert logged == pytest.approx([fmean(paid) for _, _, paid in reward.calls])
    raw = []  # completions that were paid for
    for completions, columns, paid in reward.calls:
        difficulties = [TASKS[name].difficulty for name in columns["task_id"]]
        assert columns["difficulty"] == difficulties
        named = zip(columns["task_id"], completions, paid, strict=True)
        raw += [(name, text_of(text)) for name, text, score in named if score == 1.0]
    # TRL hands over what the model wrote after its answers, which alone would fail ...
    ending = [(name, text) for name, text in raw if AFTER.strip() in text]
    assert ending
    samples = [{"task_id": name, "completion": text} for name, text in ending]
    assert not any(outcome.passed for outcome in judge(samples, TASKS))
    # ... and a program that passes is paid, whatever else its completion holds.
    assert set(NAMES) == {name for name, _ in raw}


def test_trls_grpo_goes_on_where_the_judge_itself_fails(tiny_folder, tmp_path):
    # A function cannot be sent to the program, which is not the program's fault.
    unjudged = Task(
        "unjudged",
        "def call(given):\n",
        "call",
        "def check(candidate):\n    assert candidate(lambda: 1) == 1\n",
        canonical_solution="    return given()\n",
    )
    tasks = {NAMES[0]: TASKS[NAMES[0]], "unjudged": unjudged}
    reward, history, model = grpo(tiny_folder, tmp_path, tasks, without_its_newline)
    logged = [row["rewards/passes/mean"] for row in history if "rewards/passes/mean" in row]
    for mean_paid, (_, _, paid) in zip(logged, reward.calls, strict=True):
        assert None in paid
        assert mean_paid == pytest.approx(fmean(p for p in paid if p is not None))
    assert all(math.isfinite(row["loss"]) for row in history if "loss" in row)
    assert all(weight.isfinite().all() for weight in model.parameters())
