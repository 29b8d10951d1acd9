"""The NLL of winners that pass, by hand; and a batch in parts."""

from __future__ import annotations

import pytest
import torch

from eta_utils.tasks import pipelines
from eta_utils.training import models
from eta_utils.training.dpo import gated_nll, train_dpo
from eta_utils.training.settings import DPOSettings


def test_the_gated_nll_is_the_mean_over_tokens_of_open_completions():
    logprobs = torch.tensor([[-1.0, -2.0, -9.0], [-4.0, -9.0, -9.0], [-7.0, -7.0, -7.0]])
    mask = torch.tensor([[1, 1, 0], [1, 0, 0], [1, 1, 1]])
    # Rows 0 and 1 are open: (1 + 2 + 4) / 3 tokens.
    assert gated_nll(logprobs, mask, torch.tensor([1.0, 1.0, 0.0])).item() == (
        pytest.approx(7 / 3)
    )
    # All open: (1 + 2 + 4 + 21) / 6.
    assert gated_nll(logprobs, mask, torch.ones(3)).item() == pytest.approx(28 / 6)


def test_the_gated_nll_without_an_open_gate_is_0_and_teaches_nothing():
    logprobs = torch.full((2, 3), -5.0, requires_grad=True)
    loss = gated_nll(logprobs, torch.ones(2, 3), torch.zeros(2))
    assert loss.item() == 0
    loss.backward()
    assert not logprobs.grad.any()


def test_the_gated_nll_teaches_open_completions_alone():
    logprobs = torch.full((2, 2), -5.0, requires_grad=True)
    gated_nll(logprobs, torch.ones(2, 2), torch.tensor([0.0, 1.0])).backward()
    assert logprobs.grad.tolist() == [[0, 0], [-0.5, -0.5]]


@pytest.mark.usefixtures("one_thread")
def test_pairs_one_at_a_time_give_the_losses_and_weights_of_the_whole_batch(
    tiny_folder, tmp_path, monkeypatch
):
    """Also where some winners fail, and where lengths differ."""
    tasks = list(pipelines.generate("sft", 8, steps=(1, 4)).values())
    pairs = [
        {
            "prompt": task.prompt,
            "chosen": task.canonical_solution,
            "rejected": "    return None\n" * (1 + number % 3),
            "winner_passes": number % 4 != 1,
        }
        for number, task in enumerate(tasks)
    ]
    ends = []
    for large in (10**9, 1):
        monkeypatch.setattr(models, "LARGE", large)
        model, tokenizer = models.load_model(tiny_folder)
        reference, _ = models.load_model(tiny_folder)
        settings = DPOSettings(batch=4, learning_rate=1e-3, nll_weight=0.5)
        folder = tmp_path / str(large)
        history = train_dpo(model, reference, tokenizer, pairs, settings, folder)
        ends.append(([row["loss"] for row in history], list(model.parameters())))
    (losses, weights), (by_pair, others) = ends
    assert by_pair == pytest.approx(losses, abs=1e-5)
    assert losses[-1] < losses[0]
    assert all(
        torch.allclose(a, b, atol=2e-5) for a, b in zip(weights, others, strict=True)
    )
