"""GRPO by TRL: its log-probs, advantages and loss by hand, then runs on our rewards."""

from __future__ import annotations

import copy
import csv
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.nn.utils import parameters_to_vector

from eta_utils.common.errors import BadInput
from eta_utils.common.processes import leave
from eta_utils.tasks import pipelines
from eta_utils.training import grpo, ppo
from eta_utils.training.grpo import train_grpo
from eta_utils.training.models import load_model
from eta_utils.training.settings import GRPOSettings, SamplingSettings
from tests.conftest import ROOT
from tests.training import test_ppo

pytestmark = pytest.mark.usefixtures("one_thread")

TASKS = list(pipelines.generate("align", 8, steps=(1, 2)).values())
ROWS = [
    {"prompt": task.prompt, "task_id": task.task_id, "split": task.split} for task in TASKS
]
SETTINGS = GRPOSettings(prompts=4, minibatch=8, learning_rate=1e-3)
SAMPLING = SamplingSettings(max_new_tokens=8)
UPDATES = 2


def length_mod_3(prompts, completions, **columns):
    return [float(len(text) % 3) for text in completions]


def trained(folder, tmp_path, reward=length_mod_3, settings=SETTINGS, **more):
    """(The policy before, after, and the history)."""
    policy, tokenizer = load_model(folder)
    before = copy.deepcopy(policy)
    arguments = {"updates": UPDATES, "samples_per_prompt": 4, "sampling": SAMPLING} | more
    history = train_grpo(policy, tokenizer, ROWS, reward, settings, tmp_path, **arguments)
    return before, policy, history


def weights(model):
    return parameters_to_vector(model.parameters()).detach()


def test_the_reward_is_given_each_prompts_raw_samples_once_with_all_columns(
    tiny_folder, tmp_path
):
    calls = []

    def reward(prompts, completions, **columns):
        calls.append((prompts, completions, columns))
        return length_mod_3(prompts, completions)

    before, policy, _ = trained(tiny_folder, tmp_path, reward)
    assert len(calls) == UPDATES
    chosen = [ppo.prompts_of_update(ROWS, 4, number, 0) for number in range(UPDATES)]
    for name in ("task_id", "split"):
        given = [value for _, _, columns in calls for value in columns[name]]
        assert given == [row[name] for rows in chosen for row in rows for _ in range(4)]
    _, tokenizer = load_model(tiny_folder)
    for prompts, completions, columns in calls:
        assert not any(prompt.endswith("\n") for prompt in prompts)
        texts = tokenizer.batch_decode(columns["completion_ids"], skip_special_tokens=True)
        assert completions == texts
    assert not torch.equal(weights(before), weights(policy))


def test_prompts_whose_samples_are_paid_the_same_can_be_left_out_without_a_kl(
    tiny_folder, tmp_path, monkeypatch
):
    def reward(prompts, completions, **columns):  # only the second prompt teaches
        lengths = length_mod_3(prompts, completions)
        return [paid if 4 <= row < 8 else 0.0 for row, paid in enumerate(lengths)]

    settings = replace(SETTINGS, kl=0.0)
    computed, parts_of = [], ppo.parts_of

    def counted(model, batch, limit):
        computed.append(len(batch.ids))
        return parts_of(model, batch, limit)

    monkeypatch.setattr(ppo, "parts_of", counted)
    _, some, history = trained(tiny_folder, tmp_path, reward, settings)
    few, computed[:] = sum(computed), []
    monkeypatch.setattr(
        grpo.Trainer,
        "teaches",
        lambda self, inputs: torch.arange(len(inputs["advantages"])),
    )
    _, every, history_of_every = trained(tiny_folder, tmp_path, reward, settings)
    assert few < sum(computed)
    assert torch.allclose(weights(some), weights(every), atol=1e-5)
    for row, other in zip(history, history_of_every, strict=True):
        for name in ("loss/policy", "policy/clipfrac", "objective/kl"):
            assert row[name] == pytest.approx(other[name], abs=1e-6)


@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_logprobs_are_those_of_the_policy_that_sampled_whatever_the_padding(
    tiny_folder, tmp_path, temperature, monkeypatch
):
    """So the ratio of the first optimiser step is 1."""
    evaluated, losses = [], []

    def scored(self, inputs):
        output = original(self, inputs)
        sampled = [
            (prompt[kept].tolist(), ids[written].tolist())
            for prompt, kept, ids, written in zip(
                *(output["prompt_ids"], output["prompt_mask"].bool()),
                *(output["completion_ids"], output["completion_mask"].bool()),
                strict=True,
            )
        ]
        with torch.no_grad():
            _, expected, _ = ppo.completion_logprobs(
                self.model, ppo.collate(sampled), temperature
            )
        mask = output["completion_mask"].bool()
        evaluated.append((output["old_per_token_logps"][mask], expected))
        assert (output["old_per_token_logps"][~mask] == 0).all()
        assert not output["prompt_mask"].bool().all()  # there was padding on the left
        return output

    def loss_of(self, model, inputs):
        new, _, _ = self._get_per_token_logps_and_entropies(
            model,
            torch.cat([inputs["prompt_ids"], inputs["completion_ids"]], 1),
            torch.cat([inputs["prompt_mask"], inputs["completion_mask"]], 1),
            inputs["completion_ids"].shape[1],
        )
        losses.append((new.detach(), inputs["old_per_token_logps"]))
        return original_loss(self, model, inputs)

    original = grpo.Trainer._generate_and_score_completions
    original_loss = grpo.Trainer._compute_loss
    monkeypatch.setattr(grpo.Trainer, "_generate_and_score_completions", scored)
    monkeypatch.setattr(grpo.Trainer, "_compute_loss", loss_of)
    sampling = SamplingSettings(max_new_tokens=8, temperature=temperature)
    trained(tiny_folder, tmp_path, sampling=sampling)
    assert len(evaluated) == UPDATES
    for old, expected in evaluated:
        assert torch.allclose(old, expected, atol=1e-5)
    torch.testing.assert_close(*losses[0], atol=1e-5, rtol=0)
    assert (losses[1][0] - losses[1][1]).abs().max() > 1e-4  # then the policy has moved


def test_the_first_update_has_the_samples_of_ppo(tiny_folder, tmp_path):
    seen = []

    def reward(prompts, completions, **columns):
        seen.append(completions)
        return length_mod_3(prompts, completions)

    policy, tokenizer = load_model(tiny_folder)
    trained(tiny_folder, tmp_path, reward, seed=3)
    ppo_seen = []

    def same(prompts, completions, **columns):
        ppo_seen.append(completions)
        return length_mod_3(prompts, completions)

    settings = ppo.PPOSettings(prompts=4, minibatch=8)
    ppo.train_ppo(
        *(policy, copy.deepcopy(policy), tokenizer, ROWS, same, settings, tmp_path / "ppo"),
        updates=1,
        samples_per_prompt=4,
        sampling=SAMPLING,
        seed=3,
    )
    # PPO's are cut and without the newlines that stand in the prompt.
    for raw, cut in zip(seen[0], ppo_seen[0], strict=True):
        assert raw.lstrip("\n").startswith(cut.lstrip("\n"))


def test_advantages_and_loss_are_as_computed_by_hand(tiny_folder, tmp_path, monkeypatch):
    kept = []

    def scored(self, inputs):
        kept.append(original(self, inputs))
        return kept[-1]

    original = grpo.Trainer._generate_and_score_completions
    monkeypatch.setattr(grpo.Trainer, "_generate_and_score_completions", scored)
    # One prompt of four samples with one pass, one that is not judged, two all-fail.
    rewards = [1.0, 0, 0, 0] + [1.0, 0, None, None] + [0.0] * 8

    def reward(prompts, completions, **columns):
        return rewards

    settings = GRPOSettings(prompts=4, minibatch=16, epochs=1, kl=0.0)
    _, _, history = trained(tiny_folder, tmp_path, reward, settings, updates=1)
    # 14 judged rewards, 2 of them 1: mean 1/7; variance (2 * 36/49 + 12 / 49) / 13 = 12/91.
    deviation = (12 / 91) ** 0.5 + 1e-4
    raw = [0.75, -0.25, -0.25, -0.25, 0.5, -0.5, 0, 0] + [0] * 8
    expected = torch.tensor(raw) / deviation
    torch.testing.assert_close(kept[0]["advantages"], expected)
    # One step, at ratio 1: the loss is minus the mean over tokens of the advantage.
    lengths = kept[0]["completion_mask"].sum(1)
    loss = -(expected * lengths).sum() / lengths.sum()
    assert history[0]["loss/policy"] == pytest.approx(float(loss), abs=1e-4)
    assert history[0]["objective/scores"] == pytest.approx(1 / 7)
    assert history[0]["episodes"] == 14 and history[0]["unjudged"] == 2
    assert history[0]["groups/same_reward"] == 0.5
    assert history[0]["programs"] == 16


def test_equal_rewards_teach_nothing_but_the_way_back(tiny_folder, tmp_path):
    def reward(prompts, completions, **columns):
        return [1.0] * len(prompts)

    before, policy, history = trained(tiny_folder, tmp_path, reward)
    # No advantage anywhere and the policy is the reference: the gradient is 0.
    assert torch.allclose(weights(before), weights(policy), atol=1e-5)
    assert [row["groups/same_reward"] for row in history] == [1, 1]


def letters(prompts, completions, **columns):
    return [text.count("a") / 8 for text in completions]


def trained_on_letters(folder, tmp_path, kl):
    settings = GRPOSettings(prompts=8, minibatch=32, learning_rate=5e-3, kl=kl)
    _, _, history = trained(
        folder, tmp_path, letters, settings, updates=12, samples_per_prompt=8
    )
    return history


def test_a_reward_for_a_letter_is_learnt_and_the_kl_holds_it_back(tiny_folder, tmp_path):
    free, held = (trained_on_letters(tiny_folder, tmp_path, kl) for kl in (1e-6, 2.0))
    assert free[-1]["objective/scores"] > free[0]["objective/scores"] + 0.2
    assert free[0]["objective/kl"] == pytest.approx(0, abs=1e-4)
    assert free[-1]["objective/kl"] > 2 * held[-1]["objective/kl"]


def test_without_a_kl_in_the_loss_there_is_no_reference_to_measure_it(
    tiny_folder, tmp_path
):
    history = trained_on_letters(tiny_folder, tmp_path, 0.0)
    assert {row["objective/kl"] for row in history} == {None}
    assert history[-1]["objective/scores"] > history[0]["objective/scores"] + 0.2


def test_history_has_one_row_per_update_and_snapshots_are_models(tiny_folder, tmp_path):
    _, policy, history = trained(tiny_folder, tmp_path, snapshots=(1, 2))
    with open(tmp_path / "history.csv") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["update"]) for row in rows] == [0, 1]
    assert [int(row["programs"]) for row in rows] == [16, 32]
    assert set(rows[0]) == set(grpo.COLUMNS)
    assert all(value not in (None, "") for row in history for value in row.values())
    first, second = (load_model(tmp_path / f"update{number}")[0] for number in (1, 2))
    assert torch.equal(weights(second), weights(policy))
    assert not torch.equal(weights(first), weights(policy))
    assert first.config.use_cache and not policy.training
    # Its own forward pass is back: a copy does not call the original.
    assert "forward" not in vars(policy)


def test_the_same_seed_gives_the_same_weights(tiny_folder, tmp_path):
    ends = [trained(tiny_folder, tmp_path, seed=seed)[1] for seed in (1, 1, 2)]
    assert torch.equal(weights(ends[0]), weights(ends[1]))
    assert not torch.equal(weights(ends[0]), weights(ends[2]))


@pytest.mark.parametrize(
    ("settings", "sampling", "named"),
    [
        (GRPOSettings(prompts=3, minibatch=8), SAMPLING, "grpo_minibatch"),
        (SETTINGS, SamplingSettings(temperature=0.0), "temperature"),
    ],
)
def test_settings_that_cannot_work_are_refused_by_name(
    tiny_folder, tmp_path, settings, sampling, named
):
    with pytest.raises(BadInput, match=named):
        trained(tiny_folder, tmp_path, settings=settings, sampling=sampling)


def run_by_prompt(folder):
    """Three updates of one minibatch each, in small micro-batches, some unjudged."""

    def reward(prompts, completions, number, **columns):
        scores = test_ppo.fraction_of_x(prompts, completions)
        return [None if k == 0 else score for k, score in zip(number, scores, strict=True)]

    grpo.sample_completions, ppo.TOKENS_AT_ONCE = test_ppo.by_prompt, {"cpu": 12}
    policy = test_ppo.tiny_model()
    history = train_grpo(
        *(policy, test_ppo.word_tokenizer(), test_ppo.ROWS, reward),
        *(GRPOSettings(prompts=4, minibatch=16, learning_rate=1e-3, kl=0.1), folder),
        updates=3,
        samples_per_prompt=4,
        sampling=SamplingSettings(max_new_tokens=5),
    )
    if os.environ.get("RANK", "0") == "0":
        kept = [{k: v for k, v in row.items() if "seconds" not in k} for row in history]
        torch.save((weights(policy), kept), folder / "found.pt")


@pytest.mark.slow
def test_two_processes_make_the_same_updates_as_one(tmp_path):
    found = []
    for count in ("1", "2"):
        folder = tmp_path / count
        command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
        command += [
            "--nproc_per_node",
            count,
            "-m",
            "tests.training.test_grpo",
            str(folder),
        ]
        environment = os.environ | {"ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"}
        subprocess.run(command, check=True, env=environment, cwd=ROOT, timeout=120)
        found.append(torch.load(folder / "found.pt"))
    (one, history), (two, history_of_two) = found
    assert torch.allclose(one, two, atol=1e-5)
    differing = {"loss/policy", "policy/clipfrac"}  # TRL logs the mean of the processes
    for row, row_of_two in zip(history, history_of_two, strict=True):
        for name in row.keys() - differing:
            assert row_of_two[name] == pytest.approx(row[name], abs=1e-5), name


if __name__ == "__main__":
    run_by_prompt(Path(sys.argv[1]))
    leave()
