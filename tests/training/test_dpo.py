"""Which tokens carry the preference, and the NLL of winners that pass, by hand."""

from __future__ import annotations

import pytest
import torch

from eta_utils.training.dpo import gated_nll, line_breaks, preference_tokens
from eta_utils.training.models import load_model

BREAK = 0  # the token that ends a line
#         a line,   the line that differs,  and a line that differs again
CHOSEN = [1, 2, BREAK, 3, 4, 5, BREAK, 6, 7, BREAK]
REJECTED = [1, 2, BREAK, 3, 9, BREAK, 6, 8, BREAK]


def kept(ids, where, side):
    chosen = preference_tokens(CHOSEN, REJECTED, where, {BREAK})[side]
    return [each for each, some in zip(ids, chosen, strict=True) if some]


def test_all_tokens_or_those_that_differ_or_the_first_line_that_differs():
    assert kept(CHOSEN, "all", 0) == CHOSEN
    assert kept(CHOSEN, "differing", 0) == [4, 5, 7]
    assert kept(REJECTED, "differing", 1) == [9, 8]
    assert kept(CHOSEN, "line", 0) == [3, 4, 5, BREAK]
    assert kept(REJECTED, "line", 1) == [3, 9, BREAK]


def test_a_program_that_ends_where_the_other_goes_on_differs_in_its_end():
    ends, goes_on = [1, BREAK, 2], [1, BREAK, 3, 4, BREAK, 2]
    assert preference_tokens(ends, goes_on, "line", {BREAK}) == (
        [False, False, True],
        [False, False, True, True, True, False],
    )


def test_line_breaks_are_the_tokens_with_a_newline(tiny_folder):
    _, tokenizer = load_model(tiny_folder)
    breaks = line_breaks(tokenizer)
    ids = tokenizer("    x = 1\n    return x\n")["input_ids"]
    assert sum(each in breaks for each in ids) == 2
    assert not breaks & set(tokenizer("x = [n for n in nums]")["input_ids"])


# --- The gated NLL


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
