"""The KL between two models, against its definition."""

from __future__ import annotations

import copy

import pytest
import torch

from eta_utils.training.divergence import kl_to
from eta_utils.training.models import load_model
from eta_utils.training.sampling import Sampled, sample_completions

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def models(tiny_folder):
    """(A model, one that is slightly different, the tokenizer)."""
    model, tokenizer = load_model(tiny_folder)
    other = copy.deepcopy(model)
    torch.manual_seed(0)
    with torch.no_grad():
        for weight in other.parameters():
            weight.add_(0.02 * torch.randn_like(weight))
    return model, other, tokenizer


def test_it_is_the_mean_over_programs_of_the_sum_over_completion_tokens(models):
    model, other, _ = models
    samples = [Sampled([5, 6, 7], [8, 9], ""), Sampled([5], [10, 11, 12, 13], "")]
    expected = 0.0
    for prompt, completion, _ in samples:
        ids = torch.tensor([prompt + completion])
        places = range(len(prompt) - 1, ids.shape[1] - 1)  # each predicts the next token
        for sign, one in ((1, model), (-1, other)):
            with torch.no_grad():
                logprobs = one(ids).logits[0].log_softmax(-1)
            expected += sign * sum(logprobs[k, ids[0, k + 1]].item() for k in places)
    assert kl_to(model, other, samples) == pytest.approx(expected / 2, abs=1e-4)


def test_of_one_token_it_estimates_the_divergence_of_the_two_distributions(models):
    model, other, tokenizer = models
    prompt = "def add(a, b):"
    [group] = sample_completions(model, tokenizer, [prompt], n=4000, max_new_tokens=1)
    ids = torch.tensor([tokenizer(prompt)["input_ids"]])
    with torch.no_grad():
        ours, theirs = (one(ids).logits[0, -1].log_softmax(-1) for one in (model, other))
    exact = (ours.exp() * (ours - theirs)).sum().item()
    spread = ((ours.exp() * (ours - theirs) ** 2).sum() - exact**2).sqrt().item()
    assert exact > 0.01
    assert kl_to(model, other, group) == pytest.approx(exact, abs=4 * spread / 4000**0.5)


def test_a_model_does_not_diverge_from_itself(models):
    model, _, tokenizer = models
    groups = sample_completions(model, tokenizer, ["x =", "y"], n=2, max_new_tokens=4)
    assert kl_to(model, model, [sample for group in groups for sample in group]) == 0
    assert kl_to(model, model, []) == 0
