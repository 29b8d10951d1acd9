"""Credit by lines: whom it blames, on which tokens, with which advantage; then a run."""

from __future__ import annotations

import dataclasses
import statistics

import pytest
import torch
from torch.nn.utils import parameters_to_vector

from eta_utils.common.errors import BadInput
from eta_utils.execution import JudgeSettings, judge
from eta_utils.tasks import Task, pipelines
from eta_utils.training import credit, grpo, ppo
from eta_utils.training.credit import (
    Share,
    reference_line,
    shares,
    sibling_line,
    spread,
    stopping_line,
    token_starts,
    train_credit,
)
from eta_utils.training.models import load_model, load_tokenizer
from eta_utils.training.sampling import Sampled
from eta_utils.training.settings import CreditSettings, GRPOSettings, SamplingSettings

pytestmark = pytest.mark.usefixtures("one_thread")

# Sort, drop the least, times 4.  The completion begins with line 2.
TASK = Task(
    task_id="steps",
    prompt="def steps(xs):\n",
    entry_point="steps",
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
RIGHT = TASK.canonical_solution
OTHER = (  # right, too, by another way
    "    xs = [x * 4 for x in xs]\n    xs = sorted(xs)\n    xs = xs[1:]\n    return xs\n"
)
WRONG_3 = RIGHT.replace("xs[1:]", "xs[:1]")  # departs from RIGHT at line 3
WRONG_OTHER = OTHER.replace("xs[1:]", "xs[:1]")  # at 4 from OTHER, at 2 from RIGHT
RAISES = RIGHT.replace("xs[1:]", "xs[0]")  # departs at line 3; line 4 then raises
ENDLESS = "    while True:\n        xs = sorted(xs)\n    return xs\n"
BROKEN = RIGHT.replace("sorted(xs)", "sorted(xs")  # not closed


def judged(*completions, task=TASK):
    samples = [{"task_id": task.task_id, "completion": text} for text in completions]
    settings = JudgeSettings(workers=1)
    return list(judge(samples, {task.task_id: task}, settings, keep_trace=True))


# --- Which line


def test_the_blamed_line_is_where_it_leaves_the_sibling_that_it_follows_longest():
    right, other, wrong, wrong_other = judged(RIGHT, OTHER, WRONG_3, WRONG_OTHER)
    assert right.passed and other.passed
    assert sibling_line(wrong, [right, other]) == 3
    assert sibling_line(wrong, [other]) == 2
    assert sibling_line(wrong_other, [right, other]) == 4
    assert sibling_line(wrong_other, [right]) == 2
    assert reference_line(wrong) == 3
    assert reference_line(wrong_other) == 2


def test_a_program_that_does_not_compile_is_blamed_where_python_says():
    right, broken = judged(RIGHT, BROKEN)
    assert broken.status == "syntax"
    assert sibling_line(broken, [right]) == broken.line == 2
    assert reference_line(broken) == stopping_line(broken) == 2


def test_alone_a_program_tells_the_line_that_raised_or_did_not_end():
    raises, endless, wrong = judged(RAISES, ENDLESS, WRONG_3)
    assert raises.status == "exception" and stopping_line(raises) == 4
    assert endless.status == "budget" and stopping_line(endless) == 3
    assert wrong.status == "assertion" and stopping_line(wrong) is None


# --- Which share

A = [0.75, -0.25, -0.25, -0.25]


def read(share, completion):
    """A share with the text of its span."""
    text = None if share.span is None else completion[slice(*share.span)]
    return share.everywhere, share.on_span, text


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("sibling", (0, -0.25, "    xs = xs[:1]\n")),
        ("mask", (0, -0.25, "    xs = xs[:1]\n")),
        ("reference", (0, -0.25, "    xs = xs[:1]\n")),
        ("both", (-0.25, -0.25, "    xs = xs[:1]\n")),
        ("penalty", (-0.25, 0, None)),
    ],
)
def test_beside_a_passing_program_a_failing_one_is_blamed_on_its_line(name, expected):
    group = judged(RIGHT, WRONG_3, WRONG_3, BROKEN)
    given = shares(group, A, TASK, name, penalty=9.0)
    assert given[0] == Share(0.75)
    assert read(given[1], WRONG_3) == read(given[2], WRONG_3) == expected
    assert read(given[3], BROKEN)[2] == (
        None if name == "penalty" else "    xs = sorted(xs\n"
    )


ON_4 = (0, -2, "    xs = [x * 4 for x in xs]\n")  # the line that raised
NOTHING = (0, 0, None)


@pytest.mark.parametrize(
    ("name", "raises", "endless", "wrong"),
    [
        ("sibling", ON_4, (0, -2, "        xs = sorted(xs)\n"), NOTHING),
        ("both", ON_4, (0, -2, "        xs = sorted(xs)\n"), NOTHING),
        ("penalty", (-2, 0, None), (-2, 0, None), NOTHING),
        ("mask", NOTHING, NOTHING, NOTHING),
    ],
)
def test_where_the_whole_group_fails_only_what_stopped_by_itself_is_penalised(
    name, raises, endless, wrong
):
    group = judged(RAISES, ENDLESS, WRONG_3)
    given = shares(group, [0.0] * 3, TASK, name, penalty=2.0)
    assert read(given[0], RAISES) == raises
    assert read(given[1], ENDLESS) == endless
    assert read(given[2], WRONG_3) == wrong


def test_with_a_reference_every_failure_of_an_all_fail_group_is_penalised_on_its_line():
    group = judged(RAISES, WRONG_3, BROKEN)
    given = shares(group, [0.0] * 3, TASK, "reference", penalty=2.0)
    texts = ["    xs = xs[0]\n", "    xs = xs[:1]\n", "    xs = sorted(xs\n"]
    for share, outcome, text in zip(given, group, texts, strict=True):
        assert read(share, outcome.sample["completion"]) == (0, -2, text)


def test_what_could_not_be_judged_has_no_advantage():
    right, wrong = judged(RIGHT, WRONG_3)
    unjudged = dataclasses.replace(wrong, status="judge_error", passed=None)
    given = shares([right, wrong, unjudged], [0.5, -0.5, 0.0], TASK, "sibling", 1.0)
    assert given[2] == Share()
    assert given[1].span is not None


def test_where_no_line_is_found_all_tokens_carry_the_advantage():
    # Without its trace a program cannot be compared: so does a crash end.
    right, wrong = judged(RIGHT, WRONG_3)
    wrong = dataclasses.replace(wrong, trace=None)
    assert shares([right, wrong], [0.5, -0.5], TASK, "both", 1.0)[1] == Share(-0.5)
    assert shares([wrong], [0.0], TASK, "sibling", 1.0) == [Share()]


# --- On which tokens


def test_tokens_begin_where_the_text_of_those_before_them_ends(tiny_folder):
    tokenizer = load_tokenizer(tiny_folder)
    ids = tokenizer(RIGHT)["input_ids"]
    starts = token_starts(tokenizer, ids)
    assert starts == [len(tokenizer.decode(ids[:k])) for k in range(len(ids))]


def test_bytes_of_one_character_begin_in_that_character(tiny_folder):
    tokenizer = load_tokenizer(tiny_folder)
    text = "x = 'a€𝄞é'\n    y\n"
    ids = tokenizer(text)["input_ids"]
    starts = token_starts(tokenizer, [*ids, tokenizer.eos_token_id])
    assert starts[-1] == len(text)
    # This tokenizer knows no such character: 3, 4 and 2 tokens of one byte.
    assert [starts.count(text.index(letter)) for letter in "€𝄞é"] == [3, 4, 2]
    span = text.index("\n") + 1, len(text)
    given = spread(Share(0.0, 1.0, span), starts)
    on_line = [token for token, value in zip(ids, given[:-1], strict=True) if value]
    assert tokenizer.decode(on_line).strip() == "y"
    assert given[-1] == 0  # the end of text is no part of the last line


def test_broken_characters_shift_nothing(tiny_folder):
    tokenizer = load_tokenizer(tiny_folder)
    whole = tokenizer("'€'")["input_ids"]
    ids = [*whole[:2], *tokenizer("x = 1\n")["input_ids"]]  # the first byte of three
    starts = token_starts(tokenizer, ids)
    text = tokenizer.decode(ids)
    assert "\ufffd" in text
    assert starts[-1] == len(text) - 1  # the newline


def test_a_share_is_spread_over_the_tokens_of_its_line_alone(tiny_folder):
    tokenizer = load_tokenizer(tiny_folder)
    ids = tokenizer(WRONG_3)["input_ids"]
    starts = token_starts(tokenizer, ids)
    line = WRONG_3.splitlines(keepends=True)[1]
    first = WRONG_3.index(line)
    given = spread(Share(-0.25, -2.0, (first, first + len(line))), starts)
    assert set(given.tolist()) == {-0.25, -2.25}
    on_line = tokenizer.decode(
        [token for token, value in zip(ids, given, strict=True) if value < -1]
    )
    assert on_line.strip() == line.strip()


def test_a_line_inside_a_single_token_is_that_token():
    # Three tokens of 4, 6 and 2 characters; the line is the middle of the second.
    given = spread(Share(0.0, -1.0, (6, 8)), [0, 4, 10])
    assert given.tolist() == [0, -1, 0]


# --- The training

TASKS = pipelines.generate("align", 4, steps=(1, 2))
ROWS = [{"prompt": task.prompt, "task_id": name} for name, task in TASKS.items()]
SETTINGS = GRPOSettings(prompts=4, minibatch=16, learning_rate=1e-3, epochs=1)


def trained(folder, tmp_path, **more):
    policy, tokenizer = load_model(folder)
    arguments = {
        "tasks": TASKS,
        "judging": JudgeSettings(workers=1),
        "credit": "sibling",
        "credit_settings": CreditSettings(),
        "updates": 1,
        "samples_per_prompt": 4,
        "sampling": SamplingSettings(max_new_tokens=32),
    }
    history = train_credit(policy, tokenizer, ROWS, SETTINGS, tmp_path, **arguments | more)
    return policy, tokenizer, history


@pytest.fixture
def written(monkeypatch):
    """A function that makes the sampler write given completions, by task."""

    def write(completions):
        by_prompt = {
            TASKS[name].prompt.rstrip("\n"): texts for name, texts in completions.items()
        }

        def sample(model, tokenizer, prompts, n, **_settings):
            end = [tokenizer.eos_token_id]
            return [
                [
                    Sampled(
                        tokenizer(prompt)["input_ids"],
                        tokenizer("\n" + text)["input_ids"] + end,
                        text,
                    )
                    for text in by_prompt[prompt]
                ]
                for prompt in prompts
            ]

        monkeypatch.setattr(grpo, "sample_completions", sample)

    return write


def test_the_trainers_advantages_are_as_computed_by_hand(
    tiny_folder, tmp_path, written, monkeypatch
):
    """One passing program of 16.  Its siblings fail at a line, or do not compile."""
    name, *others = TASKS
    right = TASKS[name].canonical_solution
    nothing = "    return None\n"
    texts = {name: [right, "    x = (\n" + right, nothing, nothing]}
    texts |= {other: ["    return 1 / 0\n", nothing, nothing, nothing] for other in others}
    written(texts)
    seen = []
    original = credit.Trainer.advantages

    def advantages(self, output):
        seen.append((output, original(self, output)))
        return seen[-1][1]

    monkeypatch.setattr(credit.Trainer, "advantages", advantages)
    _, tokenizer, history = trained(tiny_folder, tmp_path)
    deviation = statistics.stdev([1.0] + [0.0] * 15) + 1e-4
    output, given = seen[0]
    assert given.shape == output["completion_ids"].shape
    masks = output["completion_mask"].bool()
    in_order = [row["task_id"] for row in ppo.prompts_of_update(ROWS, 4, 0, 0)]
    rows = dict(zip(in_order, given.split(4), strict=True))
    rows_ids = dict(zip(in_order, output["completion_ids"].split(4), strict=True))
    rows_masks = dict(zip(in_order, masks.split(4), strict=True))

    def spread_of(task, number):
        """(Value, text of the tokens that have it), in order of the text."""
        ids, values = rows_ids[task][number], rows[task][number]
        parts = {}
        for token, value in zip(
            ids[rows_masks[task][number]], values[rows_masks[task][number]], strict=True
        ):
            parts.setdefault(round(float(value), 4), []).append(int(token))
        return {
            value: tokenizer.decode(tokens, skip_special_tokens=True)
            for value, tokens in parts.items()
        }

    high, low = round(0.75 / deviation, 4), round(-0.25 / deviation, 4)
    assert spread_of(name, 0) == {high: "\n" + right}
    assert spread_of(name, 1)[low].strip() == "x = ("
    assert spread_of(name, 2)[low].strip() == "return None"
    penalty = round(-0.15 / deviation, 4)
    for other in others:
        assert spread_of(other, 0)[penalty].strip() == "return 1 / 0"
        assert spread_of(other, 1) == {0.0: "\n" + nothing}
    assert not given[~masks].any()
    # 15 fail: 3 beside the passing program and 3 that raised have a line.
    assert history[0]["credit/line"] == pytest.approx(6 / 15)
    assert history[0]["credit/penalised"] == pytest.approx(3 / 15)


def test_where_nothing_passes_the_penalty_is_bounded(tiny_folder, tmp_path, written):
    raises = "    return 1 / 0\n"
    written({name: [raises] * 4 for name in TASKS})
    before, _ = load_model(tiny_folder)
    policy, _, history = trained(tiny_folder, tmp_path)
    assert history[0]["objective/scores"] == 0
    assert history[0]["credit/penalised"] == 1
    # Deviation of one pass among 16: 1/4.  At ratio 1 the loss is the penalty over it, on
    # the share of tokens that the line has: at most 0.6.
    assert 0 < history[0]["loss/policy"] <= 0.15 / 0.25 + 1e-3
    ends = [parameters_to_vector(model.parameters()) for model in (before, policy)]
    assert not torch.equal(*ends)


def test_a_run_of_own_samples_has_a_history_with_the_credit(tiny_folder, tmp_path):
    _, _, history = trained(tiny_folder, tmp_path, updates=2)
    assert [row["update"] for row in history] == [0, 1]
    assert all(0 <= row["credit/line"] <= 1 for row in history)
    assert (tmp_path / "history.csv").read_text().count("credit/line") == 1


def test_an_unknown_credit_is_refused(tiny_folder, tmp_path):
    with pytest.raises(BadInput, match="sibling or mask"):
        trained(tiny_folder, tmp_path, credit="all")
