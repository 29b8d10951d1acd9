"""Branching: the prefix that is kept, what restarts, and what is learnt from it."""

from __future__ import annotations

import copy

import pytest
import torch

from eta_utils.common.errors import BadInput
from eta_utils.execution import JudgeSettings, judge
from eta_utils.tasks import Task
from eta_utils.training import branching
from eta_utils.training.branching import (
    Branch,
    best_prefix,
    branches,
    completion_of,
    own_baselines,
    restarted,
    train_branching,
)
from eta_utils.training.models import load_model
from eta_utils.training.sampling import Sampled, sample_completions
from eta_utils.training.settings import BranchSettings, GRPOSettings, SamplingSettings

pytestmark = pytest.mark.usefixtures("one_thread")

JUDGING = JudgeSettings(workers=1)
SAMPLING = SamplingSettings(max_new_tokens=40)


def task_named(name):
    return Task(
        task_id=name,
        prompt=f'def {name}(xs):\n    """Sort, drop the least, times 4."""\n',
        entry_point=name,
        test=(
            "def check(candidate):\n"
            "    assert candidate([3, 1, 2]) == [8, 12]\n"
            "    assert candidate([5, 4]) == [20]\n"
        ),
        canonical_solution=(
            "    xs = sorted(xs)\n"
            "    xs = xs[1:]\n"
            "    xs = [x * 4 for x in xs]\n"
            "    return xs\n"
        ),
    )


TASK = task_named("steps")
RIGHT = TASK.canonical_solution
WRONG_1 = RIGHT.replace("sorted(xs)", "xs[::-1]")  # departs at the first line
WRONG_2 = RIGHT.replace("xs[1:]", "xs[:1]")
WRONG_3 = RIGHT.replace("* 4", "* 3")


def as_roots(tokenizer, task, completions):
    """Branches that say `completions`, and their outcomes."""
    ids = [tokenizer("\n" + text)["input_ids"] for text in completions]
    roots = [
        Branch(Sampled([], own, ""), completion_of(tokenizer, task.prompt, own))
        for own in ids
    ]
    samples = [{"task_id": task.task_id, "completion": root.completion} for root in roots]
    return roots, list(judge(samples, {task.task_id: task}, JUDGING))


@pytest.mark.parametrize(
    ("completions", "expected"),
    [
        ([WRONG_1, WRONG_2], "\n    xs = sorted(xs)"),
        ([WRONG_3, WRONG_2], "\n    xs = sorted(xs)\n    xs = xs[1:]"),
        ([WRONG_2, WRONG_3], "\n    xs = sorted(xs)\n    xs = xs[1:]"),
        ([WRONG_1, WRONG_1], ""),  # no line is verified
        ([WRONG_3, RIGHT], ""),  # something passes
        (["    return (\n", "    )\n"], ""),  # nothing compiles
    ],
)
def test_the_lines_before_the_latest_departure_are_kept(tiny_folder, completions, expected):
    _, tokenizer = load_model(tiny_folder)
    roots, outcomes = as_roots(tokenizer, TASK, completions)
    assert [root.completion for root in roots] == completions
    assert tokenizer.decode(best_prefix(tokenizer, TASK, roots, outcomes)) == expected


def test_a_prompt_that_keeps_its_newlines_has_the_same_prefix(tiny_folder):
    _, tokenizer = load_model(tiny_folder)
    ids = tokenizer("\n" + WRONG_3)["input_ids"]
    stem = TASK.prompt.rstrip("\n")
    assert completion_of(tokenizer, stem, ids) == "\n" + WRONG_3
    assert completion_of(tokenizer, TASK.prompt, ids) == WRONG_3


def test_each_part_has_its_own_baseline():
    # Roots 0 and 0: mean 0.  The others 1, 1, 0, unknown: mean 2/3.
    rewards = torch.tensor([0.0, 0.0, 1.0, 1.0, 0.0, torch.nan])
    expected = torch.tensor([0, 0, 1 / 3, 1 / 3, -2 / 3, 0])
    torch.testing.assert_close(own_baselines(rewards, 2), expected)


# --- Samples

TASKS = {name: task_named(name) for name in ("steps", "other", "third", "fourth")}


@pytest.fixture
def written(monkeypatch):
    """A function that makes the first call of the sampler write given completions, by
    prompt; the others sample.  It returns the list of what each call was told to begin."""

    def write(texts):
        begun = []

        def sample(model, tokenizer, prompts, n, **settings):
            begun.append(settings.get("begun"))
            if begun[-1] is not None:
                return sample_completions(model, tokenizer, prompts, n, **settings)
            end = [tokenizer.eos_token_id]
            return [
                [
                    Sampled(
                        tokenizer(prompt.rstrip("\n"))["input_ids"],
                        tokenizer("\n" + text)["input_ids"] + end,
                        text,
                    )
                    for text in texts[k]
                ]
                for k, prompt in enumerate(prompts)
            ]

        monkeypatch.setattr(branching, "sample_completions", sample)
        return begun

    return write


def drawn(folder, n=5, roots=2, seed=0):
    model, tokenizer = load_model(folder)
    return tokenizer, branches(
        model,
        tokenizer,
        [task.prompt for task in TASKS.values()],
        list(TASKS.values()),
        n,
        roots=roots,
        judging=JUDGING,
        sampling=SAMPLING,
        seed=seed,
    )


def test_where_no_root_passes_the_others_begin_with_its_verified_lines(
    tiny_folder, written
):
    written([[WRONG_2, WRONG_3], [RIGHT, WRONG_3], [WRONG_1] * 2, [WRONG_2] * 2])
    _, groups = drawn(tiny_folder)
    kept = ["    xs = sorted(xs)\n    xs = xs[1:]", "", "", "    xs = sorted(xs)"]
    for group, prefix in zip(groups, kept, strict=True):
        assert len(group) == 5
        assert [branch.given for branch in group[:2]] == [0, 0]
        for branch in group[2:]:
            assert branch.completion.startswith(prefix)
            assert branch.given_text == len(prefix)
            assert (branch.given > 0) == bool(prefix)
            assert len(branch.sample.ids) <= SAMPLING.max_new_tokens
            assert len(branch.sample.ids) > branch.given


def test_records_tell_how_much_of_each_completion_was_given(tiny_folder, written):
    written([[WRONG_3] * 2, [RIGHT] * 2, [WRONG_1] * 2, [WRONG_2] * 2])
    model, tokenizer = load_model(tiny_folder)
    samples = restarted(
        model,
        tokenizer,
        TASKS,
        4,
        roots=2,
        judging=JUDGING,
        sampling=SAMPLING,
        seed=1,
    )
    assert [sample["task_id"] for sample in samples] == [
        name for name in TASKS for _ in range(4)
    ]
    assert [sample["prefix"] for sample in samples] == (
        [0, 0]
        + [len("    xs = sorted(xs)\n    xs = xs[1:]")] * 2
        + [0] * 8
        + [0, 0]
        + [len("    xs = sorted(xs)")] * 2
    )
    for sample in samples:
        prefix = sample["completion"][: sample["prefix"]]
        assert RIGHT.startswith(prefix)


def test_roots_are_fresh_samples_and_the_others_differ_from_them(tiny_folder):
    tokenizer, groups = drawn(tiny_folder)
    model, _ = load_model(tiny_folder)
    prompts = [task.prompt for task in TASKS.values()]
    fresh = sample_completions(model, tokenizer, prompts, 2, seed=0, max_new_tokens=40)
    for group, own in zip(groups, fresh, strict=True):
        assert [branch.sample for branch in group[:2]] == own
        assert len({branch.completion for branch in group}) > 2


def test_without_a_sample_to_restart_it_is_refused(tiny_folder):
    for roots in (0, 5):
        with pytest.raises(BadInput, match="branch_roots"):
            drawn(tiny_folder, roots=roots)


# --- The sampler


def test_begun_completions_continue_what_was_given_within_the_limit(tiny_folder):
    model, tokenizer = load_model(tiny_folder)
    prompts, begun = ["def f(x):\n", "def g(xs, k):\n"], [[40, 41, 42], []]
    groups = sample_completions(
        model, tokenizer, prompts, 3, max_new_tokens=9, temperature=0, begun=begun
    )
    for prompt, first, group in zip(prompts, begun, groups, strict=True):
        for sample in group:
            assert sample.ids[: len(first)] == first
            assert len(first) < len(sample.ids) <= 9
            given = tokenizer(prompt.rstrip("\n"))["input_ids"] + first
            # Greedy: each token is the likeliest after all before it.
            ids = torch.tensor([given + sample.ids[len(first) :]])
            with torch.no_grad():
                best = model(ids).logits[0].argmax(-1)
            assert best[len(given) - 1 : -1].tolist() == sample.ids[len(first) :]


def test_a_begun_completion_may_end_at_the_end_of_the_context(tiny_folder):
    model, tokenizer = load_model(tiny_folder)
    long, short = "x" * 200, "def f(x):\n"
    room = model.config.n_positions - len(tokenizer(long)["input_ids"])
    [[late], [early]] = sample_completions(
        *(model, tokenizer, [long, short], 1),
        max_new_tokens=room,
        begun=[[40] * (room - 1), []],
    )
    assert len(late.ids) == room
    assert early.ids


# --- The training

ROWS = [{"prompt": task.prompt, "task_id": name} for name, task in TASKS.items()]
SETTINGS = GRPOSettings(prompts=4, minibatch=16, learning_rate=1e-3, epochs=1, kl=0.0)


def trained(folder, tmp_path, **more):
    policy, tokenizer = load_model(folder)
    before = copy.deepcopy(policy)
    arguments = {
        "tasks": TASKS,
        "judging": JUDGING,
        "branch": BranchSettings(roots=2),
        "updates": 1,
        "samples_per_prompt": 4,
        "sampling": SAMPLING,
    }
    history = train_branching(
        policy, tokenizer, ROWS, SETTINGS, tmp_path, **arguments | more
    )
    return before, policy, history


def test_given_tokens_are_not_learnt_and_parts_that_restarted_have_their_own_baseline(
    tiny_folder, tmp_path, written, monkeypatch
):
    begun = written([[WRONG_3] * 2, [RIGHT, WRONG_3], [WRONG_1] * 2, [WRONG_2] * 2])
    seen = []
    original = branching.Trainer.advantages

    def advantages(self, output):
        # As if the sampler's first restarted program and first fresh one passed.
        self.rewards[:, 0] = torch.tensor([0, 0, 1, 0] + [1, 0, 0, 0] + [0] * 8)
        output["advantages"] = torch.zeros(16)
        seen.append((output, original(self, output), self.deviation()))
        return seen[-1][1]

    monkeypatch.setattr(branching.Trainer, "advantages", advantages)
    _, _, history = trained(tiny_folder, tmp_path)
    [(output, given, deviation)] = seen
    expected = torch.tensor([0, 0, 0.5, -0.5] + [0.0] * 12) / deviation
    torch.testing.assert_close(given, expected)
    mask = output["tool_mask"] * output["completion_mask"]
    lengths = [len(ids) for ids in begun[1]]
    assert [bool(length) for length in lengths] == [True, False, False, True]
    left_out = (output["completion_mask"] - mask).sum(1).view(4, 4)
    assert left_out.tolist() == [[0, 0, length, length] for length in lengths]
    # The tokens left out are the first.
    assert not mask[2, : lengths[0]].any() and mask[2, lengths[0]]
    assert history[0]["branch/restarted"] == 0.5


def test_a_run_of_own_samples_executes_as_many_programs_as_grpo(tiny_folder, tmp_path):
    _, _, history = trained(tiny_folder, tmp_path, updates=2)
    assert [row["programs"] for row in history] == [16, 32]
    assert [row["episodes"] for row in history] == [16, 16]
    assert "branch/restarted" in history[0]
