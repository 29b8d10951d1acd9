"""The NLL of winners that pass, by hand."""

from __future__ import annotations

import pytest
import torch

from eta_utils.training.dpo import gated_nll


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
