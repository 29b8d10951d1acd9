"""PPO: its formulas against values by hand, then whole runs of a tiny model."""

from __future__ import annotations

import copy
import csv
import itertools
import os
import random
import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import torch
from accelerate import Accelerator, PartialState
from safetensors.torch import save_file
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    PreTrainedTokenizerFast,
    Trainer,
    TrainingArguments,
)

from eta_utils.common.errors import BadInput
from eta_utils.common.processes import leave
from eta_utils.training import ppo
from eta_utils.training.models import load_model
from eta_utils.training.ppo import train_ppo
from eta_utils.training.sampling import Sampled
from eta_utils.training.settings import PPOSettings, SamplingSettings
from tests.conftest import ROOT, tiny_qwen

WORDS = "end a b c d e f g h x".split()
SHORT = {
    "prompts": 4,
    "learning_rate": 1e-3,
    "minibatch": 8,
    "checkpoint_every": 2,
    "max_new_tokens": 5,
    "updates": 4,
    "samples_per_prompt": 4,
}
PROMPTS = ["a", "b a", "c d e f", "d", "e b", "f f f"]
ROWS = [{"prompt": prompt, "number": k} for k, prompt in enumerate(PROMPTS)]


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Models this small gain nothing from a second thread, and wait for it long on a
    machine that does other work too."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def word_tokenizer():
    words = Tokenizer(models.WordLevel({w: k for k, w in enumerate(WORDS)}, unk_token="a"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=words, eos_token="end", pad_token="end", padding_side="left"
    )


@pytest.fixture(scope="module")
def tokenizer():
    return word_tokenizer()


def tiny_model():
    torch.manual_seed(0)
    sizes = {"n_positions": 32, "n_embd": 32, "n_layer": 2, "n_head": 2}
    ends = {"bos_token_id": 0, "eos_token_id": 0}
    return GPT2LMHeadModel(GPT2Config(vocab_size=len(WORDS), **sizes, **ends)).eval()


def fraction_of_x(prompts, completions, **columns):
    """The fraction of words that are x: 1 at the optimum, near 0.1 for a random model."""
    texts = [text.split() for text in completions]
    return [words.count("x") / max(1, len(words)) for words in texts]


def run(
    folder, tokenizer, reward=fraction_of_x, rows=ROWS, log=lambda line: None, **changed
):
    """(The policy after training, its history); `changed` are settings of any kind."""
    arguments = SHORT | changed
    settings, sampling = (
        kind(**{f.name: arguments.pop(f.name) for f in fields(kind) if f.name in arguments})
        for kind in (PPOSettings, SamplingSettings)
    )
    policy = tiny_model()
    history = train_ppo(
        policy,
        copy.deepcopy(policy),
        tokenizer,
        rows,
        reward,
        settings,
        folder,
        sampling=sampling,
        log=log,
        **arguments,
    )
    return policy, history


def weights(model):
    return torch.cat([weight.detach().flatten() for weight in model.parameters()])


def without_seconds(history):
    return [{k: v for k, v in row.items() if "seconds" not in k} for row in history]


def tensor(*rows):
    return torch.tensor(rows, dtype=torch.float64)


# --- The formulas


def test_gae_is_as_computed_by_hand():
    # gamma = lam = 1/2.  From the back: delta_3 = 3 - 4 = -1, A_3 = -1;
    # delta_2 = 0 + 4/2 - 2 = 0, A_2 = 0 - 1/4; delta_1 = 1 + 2/2 - 1 = 1, A_1 = 1 - 1/16.
    rewards, values = tensor([1, 0, 3]), tensor([1, 2, 4])
    advantages, returns = ppo.gae(rewards, values, torch.ones(1, 3).bool(), 0.5, 0.5)
    assert advantages.tolist() == [[0.9375, -0.25, -1]]
    assert returns.tolist() == [[1.9375, 1.75, 3]]


def test_gae_agrees_with_a_plain_loop_over_each_episode_whatever_the_padding_holds():
    rng = np.random.default_rng(0)
    lengths = [1, 4, 7, 3]
    rewards, values = rng.normal(size=(2, 4, 7))
    mask = np.arange(7) < np.array(lengths)[:, None]
    found, returns = ppo.gae(*map(torch.tensor, (rewards, values, mask)), 0.97, 0.9)
    for k, length in enumerate(lengths):
        running = 0.0
        for t in reversed(range(length)):
            following = values[k, t + 1] if t + 1 < length else 0.0
            running = rewards[k, t] + 0.97 * following - values[k, t] + 0.97 * 0.9 * running
            assert found[k, t].item() == pytest.approx(running)
            assert returns[k, t].item() == pytest.approx(running + values[k, t])
    assert not found[~torch.tensor(mask)].any()


@pytest.mark.parametrize(
    ("ratio", "advantage", "loss", "clipped"),
    [
        (1.5, 1.0, -1.2, 1.0),  # a good token, already likelier: no more than 1.2 A
        (1.5, -1.0, 1.5, 0.0),  # a bad token, likelier: the whole price
        (0.5, 1.0, -0.5, 0.0),  # a good token, less likely
        (0.5, -1.0, 0.8, 1.0),  # a bad token, already less likely: -0.8 A
        (1.1, 2.0, -2.2, 0.0),  # inside the clip
    ],
)
def test_the_policy_loss_is_clipped_where_the_policy_has_moved_enough(
    ratio, advantage, loss, clipped
):
    [new] = tensor([ratio]).log()
    new.requires_grad_()
    found, fraction = ppo.policy_loss(new, torch.zeros(1), torch.tensor([advantage]), 0.2)
    assert (found.item(), fraction.item()) == (pytest.approx(loss), clipped)
    found.backward()
    assert (new.grad[0] == 0) == bool(clipped)


@pytest.mark.parametrize(
    ("new", "old", "target", "loss", "clipped"),
    [
        (1.0, 0.0, 1.0, 0.32, 1.0),  # right, but too far from 0: (0.2 - 1)^2 / 2
        (1.0, 0.0, -1.0, 2.0, 0.0),  # moved the wrong way: (1 + 1)^2 / 2
        (-1.0, 0.0, -1.0, 0.32, 1.0),
        (0.1, 0.0, 1.0, 0.405, 0.0),  # inside the clip: 0.9^2 / 2
    ],
)
def test_the_value_loss_takes_the_larger_of_both_errors(new, old, target, loss, clipped):
    found, fraction = ppo.value_loss(*map(torch.tensor, ([new], [old], [target])), 0.2)
    assert (found.item(), fraction.item()) == (pytest.approx(loss), clipped)


def test_losses_are_means_over_tokens():
    # Ratios 1.5, 0.5 and 1.1 with the advantages 1, -1 and 2: see the losses above.
    [new] = tensor([1.5, 0.5, 1.1]).log()
    found = ppo.policy_loss(new, torch.zeros(3), torch.tensor([1.0, -1.0, 2.0]), 0.2)
    assert torch.stack(found).tolist() == pytest.approx([(-1.2 + 0.8 - 2.2) / 3, 2 / 3])
    # Values 1, 1 and 0.1 that were 0, with the returns 1, -1 and 1.
    given = map(torch.tensor, ([1.0, 1.0, 0.1], [0.0] * 3, [1.0, -1.0, 1.0]))
    found = ppo.value_loss(*given, 0.2)
    assert torch.stack(found).tolist() == pytest.approx([(0.32 + 2 + 0.405) / 3, 1 / 3])


def test_values_inside_the_clip_do_not_count_as_clipped():
    torch.manual_seed(0)
    old, moved, returns = torch.randn(3, 1000)
    assert ppo.value_loss(old + moved.clamp(-0.19, 0.19), old, returns, 0.2)[1] == 0


def test_rewards_are_the_penalty_on_each_token_and_the_score_on_the_last():
    # -0.1 * (log probability under the policy - under the reference)
    mask = torch.tensor([[True, True, True], [True, False, False]])
    logprobs, ref = tensor([-1, -2, -3], [-1, 0, 0]), tensor([-2, -2, -1], [-4, 0, 0])
    found = ppo.token_rewards(torch.tensor([5.0, 7.0]), logprobs, ref, mask, 0.1)
    expected = tensor([-0.1, 0, 5.2], [6.7, 0, 0])
    assert torch.allclose(found, expected)


def test_both_estimates_of_kl_have_the_exact_value_as_their_mean():
    p, q = tensor([0.5, 0.3, 0.2])[0], tensor([0.2, 0.2, 0.6])[0]
    exact = (p * (p / q).log()).sum().item()
    assert (p * ppo.kl_k3(p.log(), q.log())).sum().item() == pytest.approx(exact)
    drawn = torch.multinomial(p, 200_000, True, generator=torch.Generator().manual_seed(0))
    k1, k3 = (p / q).log()[drawn], ppo.kl_k3(p.log(), q.log())[drawn]
    assert k1.mean().item() == pytest.approx(exact, abs=0.01)
    assert k3.mean().item() == pytest.approx(exact, abs=0.01)
    assert k3.min() >= 0
    assert k1.min() < 0


def test_whitened_values_have_mean_0_and_variance_1_over_the_mask_alone():
    # The mean of 1, 3, 5, 7 is 4 and their variance 5.
    values, mask = tensor([1, 3, 99], [5, 7, -99]), torch.tensor([[True, True, False]] * 2)
    expected = tensor([-3, -1, 0], [1, 3, 0]) / 5**0.5
    assert torch.allclose(ppo.whiten(values, mask), expected)


def test_whitening_equal_values_gives_zeros():
    assert ppo.whiten(tensor([2, 2]), torch.ones(1, 2).bool()).tolist() == [[0, 0]]


# --- Batches


def some_pairs(count=6):
    rng = random.Random(0)
    sizes = [(rng.randint(1, 8), rng.randint(1, 9)) for _ in range(count)]
    return [tuple([rng.randrange(10) for _ in range(n)] for n in both) for both in sizes]


@pytest.mark.parametrize("together", [1, 2, 6])
def test_logprobs_and_entropies_are_those_of_a_plain_softmax_whatever_the_padding(together):
    model, pairs, temperature = tiny_model(), some_pairs(), 0.7
    model.lm_head.weight.data *= 20  # far from uniform
    with torch.no_grad():
        batches = [pairs[k : k + together] for k in range(0, 6, together)]
        found = [
            ppo.completion_logprobs(model, ppo.collate(batch), temperature)
            for batch in batches
        ]
        plain = []
        for prompt, ids in pairs:
            logits = model(torch.tensor([prompt + ids])).logits[0] / temperature
            plain.append(logits.log_softmax(-1)[len(prompt) - 1 : -1])
    _, logprobs, entropies = map(torch.cat, zip(*found, strict=True))
    tokens = torch.tensor([token for _, ids in pairs for token in ids])
    expected = torch.cat(plain)
    chosen = expected.gather(1, tokens[:, None])[:, 0]
    assert torch.allclose(logprobs, chosen, atol=1e-5)
    assert torch.allclose(entropies, -(expected.exp() * expected).sum(1), atol=1e-5)


def test_completions_that_share_a_prompt_have_the_logprobs_and_gradients_of_each_alone(
    tiny_folder,
):
    _, tokenizer = load_model(tiny_folder)
    model, rng = tiny_qwen(tokenizer), random.Random(1)
    prompts = [[rng.randrange(500) for _ in range(size)] for size in (7, 3, 11)]
    pairs = [
        (prompt, [rng.randrange(500) for _ in range(rng.randint(1, 6))])
        for prompt in (*prompts, *prompts, prompts[0])
    ]
    found = []
    for batches in ([pairs], [[pair] for pair in pairs]):
        model.zero_grad()
        parts = [
            ppo.completion_logprobs(model, ppo.collate(batch), 0.7) for batch in batches
        ]
        states, logprobs = (torch.cat(rows) for rows in list(zip(*parts, strict=True))[:2])
        (logprobs * torch.arange(1.0, len(logprobs) + 1)).mean().backward()
        gradients = [value.grad for value in model.parameters() if value.grad is not None]
        found.append([states, logprobs, *gradients])
    assert len(found[0]) == len(found[1]) > 10
    for shared, alone in zip(*found, strict=True):
        assert torch.allclose(shared, alone, atol=1e-4)


def test_rows_that_share_a_prompt_come_together_and_it_counts_once(tiny_folder):
    _, tokenizer = load_model(tiny_folder)
    model = tiny_qwen(tokenizer)
    pairs = [([number] * 20, [1] * 5) for number in (1, 2, 3, 1, 2, 3, 1, 2, 3)]
    parts = ppo.parts_of(model, ppo.collate(pairs), limit=40)
    assert parts == [[0, 3, 6], [1, 4, 7], [2, 5, 8]]  # 20 + 3 * 5 tokens each
    assert ppo.parts_of(model, ppo.collate(pairs), limit=70) == [
        [0, 3, 6, 1, 4, 7],  # 2 * 20 + 6 * 5
        [2, 5, 8],
    ]


def test_values_are_zero_before_training():
    actor = ppo.ActorCritic(tiny_model())
    _, values, _ = actor(ppo.collate(some_pairs()), temperature=1.0)
    assert not values.any()


def test_rows_are_drawn_without_repetition_until_all_were_used():
    rows = [{"prompt": k} for k in range(6)]
    draws = [ppo.prompts_of_update(rows, 4, update, seed=0) for update in range(3)]
    flat = [row["prompt"] for draw in draws for row in draw]
    assert sorted(flat[:6]) == sorted(flat[6:]) == list(range(6))
    assert flat[:6] != flat[6:]
    assert draws != [ppo.prompts_of_update(rows, 4, k, seed=1) for k in range(3)]


def test_minibatches_hold_every_episode_once_and_are_of_similar_size():
    found = ppo.minibatches(65, 64, random.Random(0))
    assert sorted(itertools.chain(*found)) == list(range(65))
    assert [len(minibatch) for minibatch in found] == [32, 33]


def test_micro_batches_hold_every_sequence_once_and_keep_within_the_limit():
    lengths = [len(prompt) + len(completion) for prompt, completion in some_pairs(50)]
    found = ppo.micro_batches(lengths, 60)
    assert sorted(itertools.chain(*found)) == list(range(50))
    assert all(len(batch) * max(lengths[k] for k in batch) <= 60 for batch in found)
    assert ppo.micro_batches([5], limit=1) == [[0]]  # one that is too long goes alone
    assert ppo.micro_batches([], limit=1) == []


def test_every_implementation_detail_is_marked_where_the_list_says():
    text = Path(ppo.__file__).read_text()
    docstring, code = ppo.__doc__, text.split('"""', 2)[2]
    blocks = re.split(r"\n(?= ?\d+\. )", docstring.split("\n\n[37]")[0])[1:]
    assert [int(block.split(".")[0]) for block in blocks] == list(range(1, len(blocks) + 1))
    marked = {}
    place = ""
    for line in code.splitlines():
        if found := re.match(r"(class|def) (\w+)", line):
            place = found[2]
        elif found := re.match(r"    def (\w+)", line):
            place = f"{place.split('.')[0]}.{found[1]}"
        if found := re.search(r"# .*Details? (\d+)(?: and (\d+))?", line):
            marked |= {int(number): place for number in found.groups() if number}
    for number, block in enumerate(blocks, 1):
        named = re.findall(r"`([\w.]+)`", block)[-1]
        assert marked[number] in (named, f"{named}.__init__"), number
    assert len(marked) == len(blocks)


# --- Whole runs


def test_it_learns_a_task_with_a_known_optimum(tmp_path, tokenizer):
    # The optimum is a score of 1; a policy that ignores rewards stays near 0.1.
    _, history = run(
        tmp_path,
        tokenizer,
        updates=25,
        samples_per_prompt=16,
        learning_rate=3e-3,
        minibatch=32,
        kl=0.001,
    )
    scores = [row["objective/scores"] for row in history]
    assert scores[0] < 0.25
    assert np.mean(scores[-3:]) > 0.9


def test_a_large_kl_coefficient_keeps_the_policy_near_the_reference(tmp_path, tokenizer):
    changed = {"updates": 12, "samples_per_prompt": 8}
    found = {}
    for coefficient in (0.0, 10.0):
        _, history = run(tmp_path / str(coefficient), tokenizer, kl=coefficient, **changed)
        found[coefficient] = np.mean([row["objective/kl"] for row in history[-4:]])
    # Nats per episode of 5 tokens; whitened advantages keep even the held policy moving.
    assert found[0.0] > 2
    assert abs(found[10.0]) < 0.3


def test_the_reward_is_called_as_trl_calls_it(tmp_path, tokenizer):
    seen = []

    def reward(prompts, completions, number):
        seen.append(number)
        assert prompts == [PROMPTS[k] for k in number]
        assert all(isinstance(text, str) for text in completions)
        return [0.0] * len(prompts)

    run(tmp_path, tokenizer, reward, updates=2)
    drawn = [ppo.prompts_of_update(ROWS, 4, update, seed=0) for update in range(2)]
    assert seen == [[row["number"] for row in rows for _ in range(4)] for rows in drawn]


def test_an_unjudged_episode_changes_the_update_no_more_than_an_absent_one(
    tmp_path, tokenizer, monkeypatch
):
    def every_third(prompts, completions, **columns):
        scores = fraction_of_x(prompts, completions)
        return [None if k % 3 == 0 else score for k, score in enumerate(scores)]

    with_none, history = run(tmp_path / "none", tokenizer, every_third, updates=1)
    sample = ppo.sample_completions

    def fewer(*args, **named):
        groups = sample(*args, **named)
        return [
            [sample for n, sample in enumerate(group) if (4 * k + n) % 3]
            for k, group in enumerate(groups)
        ]

    monkeypatch.setattr(ppo, "sample_completions", fewer)
    absent, without = run(tmp_path / "absent", tokenizer, updates=1)
    assert torch.equal(weights(with_none), weights(absent))
    assert (history[0]["unjudged"], history[0]["episodes"]) == (6, 10)
    assert without_seconds(history) == [without_seconds(without)[0] | {"unjudged": 6}]


def test_none_is_not_a_zero(tmp_path, tokenizer):
    def judged_or(default):
        def reward(prompts, completions, number):
            return [1.0 if k % 2 else default for k in number]

        return reward

    none, history = run(tmp_path / "none", tokenizer, judged_or(None), updates=1)
    zero, _ = run(tmp_path / "zero", tokenizer, judged_or(0.0), updates=1)
    assert history[0]["objective/scores"] == 1.0
    assert not torch.equal(weights(none), weights(zero))


def test_an_update_without_any_judged_episode_is_skipped(tmp_path, tokenizer):
    lines = []
    policy, history = run(
        tmp_path,
        tokenizer,
        lambda prompts, *_, **__: [None] * len(prompts),
        log=lines.append,
    )
    assert torch.equal(weights(policy), weights(tiny_model()))
    assert [row["unjudged"] for row in history] == [16] * 4
    assert history[0]["objective/scores"] is None
    assert all("skipped" in line for line in lines)


def test_the_fraction_of_prompts_with_equal_rewards_is_counted(tmp_path, tokenizer):
    def reward(prompts, completions, number):
        # Prompts 0 and 1 get the same reward for all samples, the others do not.
        return [float(k if row > 1 else row) for k, row in enumerate(number)]

    _, [row] = run(tmp_path, tokenizer, reward, rows=ROWS[:4], updates=1)
    assert row["groups/same_reward"] == 0.5


def test_small_micro_batches_make_the_same_update_as_large_ones(
    tmp_path, tokenizer, monkeypatch
):
    whole, _ = run(tmp_path / "whole", tokenizer, updates=1)
    monkeypatch.setattr(ppo, "TOKENS_AT_ONCE", {"cpu": 12, "cuda": 12})
    parts, _ = run(tmp_path / "parts", tokenizer, updates=1)
    assert torch.allclose(weights(whole), weights(parts), atol=1e-5)
    assert not torch.allclose(weights(whole), weights(tiny_model()), atol=1e-4)


class Killed(Exception):
    pass


@pytest.mark.parametrize("fatal", [0, 2, 3])
def test_a_killed_run_goes_on_to_the_same_history_and_weights(tmp_path, tokenizer, fatal):
    def restless(deadly):
        calls = []

        def reward(prompts, completions, **columns):
            calls.append(1)
            if len(calls) - 1 == deadly:
                raise Killed
            noise = [random.random(), np.random.rand(), torch.rand(1).item()]
            return [score + sum(noise) for score in fraction_of_x(prompts, completions)]

        return reward

    whole, history = run(tmp_path / "whole", tokenizer, restless(None))
    with pytest.raises(Killed):
        run(tmp_path / "killed", tokenizer, restless(fatal))
    [torch.rand(1), random.random(), np.random.rand()]
    assert (tmp_path / "killed" / "checkpoint.safetensors").exists() == (fatal >= 2)
    resumed, again = run(tmp_path / "killed", tokenizer, restless(None))
    assert without_seconds(again) == without_seconds(history)
    assert torch.equal(weights(resumed), weights(whole))


def test_a_finished_folder_has_the_history_and_no_checkpoint(tmp_path, tokenizer):
    _, history = run(tmp_path, tokenizer)
    assert [path.name for path in tmp_path.iterdir()] == ["history.csv"]
    rows = list(csv.DictReader((tmp_path / "history.csv").open()))
    assert list(rows[0]) == list(ppo.COLUMNS)
    assert [row["update"] for row in rows] == ["0", "1", "2", "3"]
    assert [float(row["objective/kl"]) for row in rows] == [
        row["objective/kl"] for row in history
    ]


def killed_with_a_checkpoint(folder, tokenizer):
    def deadly(prompts, completions, **columns):
        if (folder / "checkpoint.safetensors").exists():
            raise Killed
        return [0.0] * len(prompts)

    with pytest.raises(Killed):
        run(folder, tokenizer, deadly)


class Bomb:
    def __reduce__(self):
        return Path.touch, (Path("exploded").resolve(),)


@pytest.mark.parametrize("how", ["pickle", "cut", "empty", "another file"])
def test_a_checkpoint_that_is_none_is_named_and_none_of_its_code_runs(
    tmp_path, tokenizer, how, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "run"
    killed_with_a_checkpoint(folder, tokenizer)
    path = folder / "checkpoint.safetensors"
    if how == "pickle":
        torch.save({"model": Bomb()}, path)
    elif how == "another file":
        save_file({"x": torch.zeros(1)}, path)
    else:
        path.write_bytes(path.read_bytes()[:-100] if how == "cut" else b"")
    with pytest.raises(BadInput, match=r"checkpoint.safetensors: is damaged .* remove it"):
        run(folder, tokenizer)
    assert not (tmp_path / "exploded").exists()


def test_a_checkpoint_of_other_settings_that_decide_the_result_is_refused(
    tmp_path, tokenizer
):
    killed_with_a_checkpoint(tmp_path, tokenizer)
    others = {
        "prompts": 3,
        "learning_rate": 2e-3,
        "epochs": 1,
        "minibatch": 4,
        "clip": 0.1,
        "kl": 0.1,
        "value_coefficient": 0.2,
        "gamma": 0.9,
        "lam": 0.9,
        "max_grad_norm": 0.5,
        "temperature": 0.9,
        "max_new_tokens": 6,
        "updates": 5,
        "samples_per_prompt": 2,
        "seed": 1,
        "bf16": True,
    }
    known = {f.name for kind in (PPOSettings, SamplingSettings) for f in fields(kind)}
    assert known - set(others) == {"checkpoint_every"}
    for name, value in others.items():
        with pytest.raises(BadInput, match="other settings"):
            run(tmp_path, tokenizer, **{name: value})


def test_a_checkpoint_of_settings_that_decide_nothing_here_is_taken(tmp_path, tokenizer):
    killed_with_a_checkpoint(tmp_path, tokenizer)
    seen = []

    def reward(prompts, completions, **columns):
        seen.append(1)
        return [0.0] * len(prompts)

    run(tmp_path, tokenizer, reward, checkpoint_every=3)
    assert len(seen) == 2  # of 4 updates: the others are the checkpoint's


def test_greedy_sampling_is_refused(tmp_path, tokenizer):
    with pytest.raises(BadInput, match="parameter temperature"):
        run(tmp_path, tokenizer, temperature=0.0)


def test_the_log_has_at_most_twenty_lines(tmp_path, tokenizer):
    lines = []
    run(tmp_path, tokenizer, updates=41, samples_per_prompt=1, log=lines.append)
    assert 10 <= len(lines) <= 20
    assert lines[-1].startswith("update 41/41: score ")
    assert "episodes/s, 0:00 left" in lines[-1]


def test_bf16_makes_nearly_the_updates_of_fp32(tmp_path, tokenizer):
    (_, exact), (policy, rounded) = (
        run(tmp_path / str(bf16), tokenizer, bf16=bf16) for bf16 in (False, True)
    )
    assert {weight.dtype for weight in policy.parameters()} == {torch.float32}
    # The first batch is sampled in fp32 from the same weights; only its evaluation differs.
    first, nearly = exact[0], rounded[0]
    assert nearly["objective/scores"] == first["objective/scores"]
    assert nearly["objective/entropy"] == pytest.approx(
        first["objective/entropy"], rel=0.02
    )
    assert nearly["loss/value"] == pytest.approx(first["loss/value"], rel=0.05)
    assert nearly["objective/entropy"] != first["objective/entropy"]


def train_a_step(folder, bf16):
    """One step of transformers' own trainer, which leaves its precision to accelerate."""
    arguments = TrainingArguments(
        output_dir=str(folder),
        max_steps=1,
        bf16=bf16,
        use_cpu=True,
        report_to="none",
        save_strategy="no",
        disable_tqdm=True,
    )
    example = {"input_ids": [1, 2, 3], "labels": [1, 2, 3]}
    Trainer(tiny_model(), arguments, train_dataset=[example] * 8).train()
    assert Accelerator().mixed_precision == ("bf16" if bf16 else "no")


def test_the_precision_of_an_earlier_trainer_changes_nothing(tmp_path, tokenizer):
    found = {}
    for before, bf16 in itertools.product((False, True), repeat=2):
        train_a_step(tmp_path / "trainer", before)
        folder = tmp_path / f"{before} {bf16}"
        policy, history = run(folder, tokenizer, bf16=bf16)
        found[before, bf16] = weights(policy), without_seconds(history)
    for bf16 in (False, True):
        (after_fp32, history), (after_bf16, again) = found[False, bf16], found[True, bf16]
        assert torch.equal(after_fp32, after_bf16)
        assert history == again
    assert not torch.equal(found[False, False][0], found[False, True][0])


def test_a_trainer_of_another_precision_runs_after_it(tmp_path, tokenizer):
    for bf16 in (False, True):
        run(tmp_path / str(bf16), tokenizer, bf16=bf16, updates=1)
        train_a_step(tmp_path / "trainer", not bf16)


def by_prompt(model, tokenizer, prompts, n, **settings):
    """Completions that depend on the prompt alone, not on which process draws them."""
    found = []
    for prompt in prompts:
        rng = random.Random(prompt)
        wrote = [[rng.randrange(1, 10) for _ in range(rng.randint(1, 5))] for _ in range(n)]
        given = tokenizer(prompt)["input_ids"]
        found.append([Sampled(given, ids, tokenizer.decode(ids)) for ids in wrote])
    return found


def run_by_prompt(folder, words):
    """Three updates with unequal minibatches, small micro-batches and unjudged episodes."""

    def reward(prompts, completions, number):
        scores = fraction_of_x(prompts, completions)
        return [None if k == 0 else score for k, score in zip(number, scores, strict=True)]

    ppo.sample_completions, ppo.TOKENS_AT_ONCE = by_prompt, {"cpu": 12}
    policy, history = run(folder, words, reward, updates=3, minibatch=7)
    assert PartialState().num_processes == int(os.environ["WORLD_SIZE"])
    if os.environ.get("RANK", "0") == "0":
        torch.save((weights(policy), without_seconds(history)), folder / "found.pt")


@pytest.mark.slow
def test_two_processes_make_the_same_updates_as_one(tmp_path):
    found = []
    for count in ("1", "2"):
        folder = tmp_path / count
        command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
        command += ["--nproc_per_node", count, "-m", "tests.training.test_ppo", str(folder)]
        environment = os.environ | {"ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"}
        subprocess.run(command, check=True, env=environment, cwd=ROOT, timeout=120)
        found.append(torch.load(folder / "found.pt"))
    (one, history), (two, history_of_two) = found
    assert torch.allclose(one, two, atol=1e-5)
    for row, row_of_two in zip(history, history_of_two, strict=True):
        assert row_of_two == pytest.approx(row, abs=1e-5)


if __name__ == "__main__":
    run_by_prompt(Path(sys.argv[1]), word_tokenizer())
    leave()
