"""SFT learns completions, DPO ranks pairs; first losses equal values by hand."""

from __future__ import annotations

import copy
import csv
import math
import random

import pytest
import torch
from torch.nn.functional import cross_entropy

from eta_utils.tasks import at_token_boundary
from eta_utils.tasks import pipelines as family
from eta_utils.tasks.bugs import corrupt
from eta_utils.training.dpo import train_dpo
from eta_utils.training.models import load_model
from eta_utils.training.settings import DPOSettings, SFTSettings
from eta_utils.training.sft import train_base, train_sft

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def loaded(tiny_folder):
    return load_model(tiny_folder)


@pytest.fixture
def model(loaded):
    return copy.deepcopy(loaded[0])


@pytest.fixture(scope="module")
def tokenizer(loaded):
    return loaded[1]


TASKS = list(family.generate("sft", 24, steps=(1, 4)).values())
EXAMPLES = [
    {"prompt": task.prompt, "completion": task.canonical_solution} for task in TASKS
]


def make_pair(number, task):
    """The reference against the same with a bug in its first line; every third winner
    counts as failing."""
    first, rest = task.canonical_solution.split("\n", 1)
    broken, _ = corrupt(first.strip(), random.Random(number))
    indented = "".join(f"    {line}\n" for line in broken.split("\n"))
    prompt, chosen = at_token_boundary(task.prompt, task.canonical_solution)
    _, rejected = at_token_boundary(task.prompt, indented + rest)
    return {
        "prompt": prompt,
        "chosen": chosen,
        "rejected": rejected,
        "task_id": task.task_id,
        "winner_passes": number % 3 != 0,
    }


# One line for each step and the return, so that the first line is a whole step.
SIMPLE = [t for t in TASKS if t.canonical_solution.count("\n") == t.difficulty + 1]
PAIRS = [make_pair(number, task) for number, task in enumerate(SIMPLE)]


@torch.inference_mode()
def token_losses(model, tokenizer, prompt, completion):
    """NLL of each of the completion's tokens and of the end of text after it."""
    head, tail = at_token_boundary(prompt, completion)
    given = tokenizer(head)["input_ids"]
    answer = [*tokenizer(tail)["input_ids"], tokenizer.eos_token_id]
    logits = model(torch.tensor([given + answer])).logits[0, len(given) - 1 : -1]
    return cross_entropy(logits, torch.tensor(answer), reduction="none")


def mean_loss(model, tokenizer, rows, completion="completion"):
    """Over tokens, not over rows: long completions count for more."""
    losses = [token_losses(model, tokenizer, r["prompt"], r[completion]) for r in rows]
    return torch.cat(losses).mean().item()


def weights(model):
    return torch.nn.utils.parameters_to_vector(model.parameters()).detach().clone()


def sft(model, tokenizer, folder, rows=EXAMPLES, train=train_sft, seed=0, **changed):
    settings = SFTSettings(**{"batch": 4, "learning_rate": 1e-3} | changed)
    return train(model, tokenizer, rows, settings, folder, seed=seed)


def dpo(model, tokenizer, folder, rows=PAIRS, reference=None, seed=0, **changed):
    settings = DPOSettings(**{"batch": 4, "learning_rate": 3e-4} | changed)
    reference = reference or copy.deepcopy(model)
    return train_dpo(model, reference, tokenizer, rows, settings, folder, seed=seed)


# --- Base training and SFT


@pytest.mark.parametrize("train", [train_base, train_sft])
def test_the_first_loss_is_the_mean_nll_of_the_completions_alone(
    model, tokenizer, tmp_path, train
):
    completions = mean_loss(model, tokenizer, EXAMPLES)
    whole = [{"prompt": "x", "completion": r["prompt"] + r["completion"]} for r in EXAMPLES]
    everything = mean_loss(model, tokenizer, whole)
    [row] = sft(model, tokenizer, tmp_path, train=train, batch=len(EXAMPLES))
    assert float(row["loss"]) == pytest.approx(completions, abs=1e-3)
    assert abs(everything - completions) > 0.01  # the prompts' loss would show


@pytest.mark.parametrize("train", [train_base, train_sft])
def test_training_lowers_the_loss_on_its_examples(model, tokenizer, tmp_path, train):
    before = mean_loss(model, tokenizer, EXAMPLES)
    history = sft(model, tokenizer, tmp_path, train=train)
    after = mean_loss(model, tokenizer, EXAMPLES)
    assert after < before - 1
    assert float(history[-1]["loss"]) < float(history[0]["loss"]) - 1


def test_the_end_of_a_completion_is_learnt(model, tokenizer, tmp_path):
    def of_the_end():
        ends = [token_losses(model, tokenizer, **row)[-1] for row in EXAMPLES]
        return torch.stack(ends).mean().item()

    before = of_the_end()
    sft(model, tokenizer, tmp_path)
    assert of_the_end() < before - 1


def test_examples_of_all_lengths_are_trained_on_once(model, tokenizer, tmp_path):
    history = sft(model, tokenizer, tmp_path)
    assert len(history) == len(EXAMPLES) / 4  # steps, all logged when there are so few
    tokens = sum(
        len(tokenizer(part)["input_ids"])
        for row in EXAMPLES
        for part in at_token_boundary(row["prompt"], row["completion"])
    )
    # what TRL counts: all ids but padding, an end of text for each
    assert history[-1]["num_tokens"] == tokens + len(EXAMPLES)


# --- DPO


def test_the_pairs_of_these_tests_are_of_both_sorts():
    passing = [pair["winner_passes"] for pair in PAIRS]
    assert len(PAIRS) >= 12
    assert 0 < sum(passing) < len(passing)
    assert all(pair["chosen"] != pair["rejected"] for pair in PAIRS)


@pytest.mark.parametrize("weight", [0.0, 1.0, 0.3])
def test_the_first_loss_is_log_2_and_the_weighted_nll_of_winners_that_pass(
    model, tokenizer, tmp_path, weight
):
    passing = [pair for pair in PAIRS if pair["winner_passes"]]
    nll = mean_loss(model, tokenizer, passing, "chosen")
    [row] = dpo(model, tokenizer, tmp_path, nll_weight=weight, batch=len(PAIRS), beta=0.3)
    # Policy and reference are the same: sigmoid(0) = 1/2, whatever beta.
    assert row["loss"] == pytest.approx(math.log(2) + weight * nll, abs=1e-3)
    assert abs(mean_loss(model, tokenizer, PAIRS, "chosen") - nll) > 2e-3


def test_without_winners_that_pass_the_nll_weight_does_not_matter(
    loaded, tokenizer, tmp_path
):
    failing = [pair | {"winner_passes": False} for pair in PAIRS]
    trained = []
    for weight in (0.0, 5.0):
        policy = copy.deepcopy(loaded[0])
        history = dpo(policy, tokenizer, tmp_path, rows=failing, nll_weight=weight)
        assert history[0]["loss"] == pytest.approx(math.log(2), abs=1e-3)
        trained.append(weights(policy))
    assert torch.equal(*trained)
    assert not torch.equal(trained[0], weights(loaded[0]))


def test_the_loss_is_dpos_on_all_tokens_and_the_nll_of_winners_that_pass(
    loaded, model, tokenizer, tmp_path
):
    sft(model, tokenizer, tmp_path / "sft")
    reference = copy.deepcopy(loaded[0])

    def margin(pair):
        """log pi(w) - log ref(w) - (log pi(l) - log ref(l)), from losses, its negatives."""
        ratios = [
            token_losses(reference, tokenizer, pair["prompt"], pair[side]).sum()
            - token_losses(model, tokenizer, pair["prompt"], pair[side]).sum()
            for side in ("chosen", "rejected")
        ]
        return ratios[0] - ratios[1]

    beta = 0.2
    margins = torch.stack([margin(pair) for pair in PAIRS])
    passing = [pair for pair in PAIRS if pair["winner_passes"]]
    nll = mean_loss(model, tokenizer, passing, "chosen")
    expected = nll - torch.nn.functional.logsigmoid(beta * margins).mean().item()
    settings = {"beta": beta, "batch": len(PAIRS)}
    [row] = dpo(model, tokenizer, tmp_path / "dpo", reference=reference, **settings)
    assert row["loss"] == pytest.approx(expected, abs=1e-3)
    assert abs(expected - nll - math.log(2)) > 0.003


def ranked_right(model, tokenizer, pairs=PAIRS):
    """Share of pairs whose winner is the likelier of the two."""
    losses = [
        [
            token_losses(model, tokenizer, pair["prompt"], pair[side]).sum()
            for side in ("chosen", "rejected")
        ]
        for pair in pairs
    ]
    return sum((winner < loser).item() for winner, loser in losses) / len(losses)


@pytest.mark.parametrize("weight", [0.0, 1.0])
def test_trained_pairs_are_ranked_right_more_often(model, tokenizer, tmp_path, weight):
    before = ranked_right(model, tokenizer)
    settings = {"nll_weight": weight, "learning_rate": 1e-3}
    dpo(model, tokenizer, tmp_path, rows=PAIRS * 2, **settings)
    assert ranked_right(model, tokenizer) >= before + 0.25


def test_the_reference_stays_as_it_was(model, tokenizer, tmp_path):
    reference = copy.deepcopy(model)
    before = weights(reference)
    dpo(model, tokenizer, tmp_path, reference=reference)
    assert torch.equal(weights(reference), before)
    assert not torch.equal(weights(model), before)


# --- Both


EACH = [(sft, EXAMPLES[:12]), (dpo, PAIRS[:12])]
TRAININGS = pytest.mark.parametrize(("train", "rows"), EACH, ids=["sft", "dpo"])


@TRAININGS
def test_the_history_that_is_written_is_the_one_returned(
    model, tokenizer, tmp_path, train, rows
):
    history = train(model, tokenizer, tmp_path, rows)
    written = list(csv.DictReader((tmp_path / "history.csv").open()))
    as_text = [{name: str(value) for name, value in row.items()} for row in history]
    assert written == as_text
    assert all(float(row["loss"]) > 0 for row in written)
    assert [path.name for path in tmp_path.iterdir()] == ["history.csv"]


@TRAININGS
def test_a_seed_gives_the_same_weights_twice_and_another_others(
    loaded, tokenizer, tmp_path, train, rows
):
    def trained(seed):
        policy = copy.deepcopy(loaded[0])
        train(policy, tokenizer, tmp_path, rows, seed=seed)
        return weights(policy)

    first = trained(1)
    assert torch.equal(first, trained(1))
    assert not torch.equal(first, trained(2))


@TRAININGS
def test_a_trained_model_is_ready_to_sample(model, tokenizer, tmp_path, train, rows):
    train(model, tokenizer, tmp_path, rows)
    assert model.config.use_cache is True
    assert not model.training


@TRAININGS
def test_progress_tells_steps_rate_and_time_left(
    model, tokenizer, tmp_path, train, rows, capsys
):
    train(model, tokenizer, tmp_path, rows)
    lines = [line for line in capsys.readouterr().out.splitlines() if " step " in line]
    assert 1 <= len(lines) <= 20
    name = train.__name__.upper()
    steps = lines[-1].split(",")[0].removeprefix(f"{name}: step ").split("/")
    assert steps[0] == steps[1]
    assert lines[-1].endswith(", 0:00 left")


def test_bf16_learns_what_fp32_learns(loaded, tokenizer, tmp_path):
    losses = []
    for bf16 in (False, True):
        model = copy.deepcopy(loaded[0])
        settings = SFTSettings(learning_rate=1e-3, batch=4)
        history = train_sft(model, tokenizer, EXAMPLES, settings, tmp_path, bf16=bf16)
        assert {weight.dtype for weight in model.parameters()} == {torch.float32}
        losses.append([float(row["loss"]) for row in history])
    exact, rounded = losses
    assert rounded == pytest.approx(exact, rel=0.02)  # measured: 0.002
    assert rounded != exact


def test_where_the_vocabulary_is_large_the_loss_is_the_same_without_trls_metrics(
    loaded, tokenizer, tmp_path, monkeypatch
):
    whole = sft(copy.deepcopy(loaded[0]), tokenizer, tmp_path / "whole")
    monkeypatch.setattr("eta_utils.training.sft.LARGE_VOCABULARY", 1)
    lean_model = copy.deepcopy(loaded[0])
    lean = sft(lean_model, tokenizer, tmp_path / "lean")
    assert [row["loss"] for row in lean] == pytest.approx(
        [row["loss"] for row in whole], abs=1e-4
    )
    assert "entropy" in whole[0]
    assert "entropy" not in lean[0]
    ids = torch.tensor([[1, 2, 3]])
    assert lean_model(ids).logits.shape == (1, 3, len(tokenizer))  # its own pass is back
