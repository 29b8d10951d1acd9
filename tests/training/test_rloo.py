"""RLOO by TRL trains on our rewards, prompts and completions."""

from __future__ import annotations

import copy

import pytest
import torch
from torch.nn.utils import parameters_to_vector

from eta_utils.tasks import pipelines
from eta_utils.training.models import load_model
from eta_utils.training.rloo import train_rloo
from eta_utils.training.settings import PPOSettings, SamplingSettings

pytestmark = pytest.mark.usefixtures("one_thread")

TASKS = list(pipelines.generate("align", 8, steps=(1, 2)).values())
ROWS = [
    {"prompt": task.prompt, "task_id": task.task_id, "split": task.split} for task in TASKS
]
SETTINGS = PPOSettings(prompts=4, minibatch=8, learning_rate=1e-3)
UPDATES = 2


def trained(folder, tmp_path, reward):
    policy, tokenizer = load_model(folder)
    before = copy.deepcopy(policy)
    history = train_rloo(
        policy,
        tokenizer,
        ROWS,
        reward,
        SETTINGS,
        tmp_path,
        updates=UPDATES,
        samples_per_prompt=4,
        sampling=SamplingSettings(max_new_tokens=8),
    )
    return before, policy, history


def test_the_reward_is_given_each_prompts_raw_samples_once_with_all_columns(
    tiny_folder, tmp_path
):
    calls = []

    def reward(prompts, completions, **columns):
        calls.append((prompts, completions, columns))
        return [float(len(text) % 3) for text in completions]

    before, policy, _ = trained(tiny_folder, tmp_path, reward)
    assert len(calls) == UPDATES
    for name in ("task_id", "split"):
        given = [value for _, _, columns in calls for value in columns[name]]
        assert given == [row[name] for row in ROWS for _ in range(4)]
    _, tokenizer = load_model(tiny_folder)
    for prompts, completions, columns in calls:
        assert not any(prompt.endswith("\n") for prompt in prompts)
        texts = tokenizer.batch_decode(columns["completion_ids"], skip_special_tokens=True)
        assert completions == texts
    weights = [parameters_to_vector(model.parameters()) for model in (before, policy)]
    assert not torch.equal(*weights)


def test_equal_rewards_teach_nothing_but_the_way_back(tiny_folder, tmp_path):
    def reward(prompts, completions, **columns):
        return [1.0] * len(prompts)

    before, policy, _ = trained(tiny_folder, tmp_path, reward)
    weights = [parameters_to_vector(model.parameters()) for model in (before, policy)]
    # No advantage anywhere and the policy is the reference: the gradient is 0.
    assert torch.allclose(*weights, atol=1e-5)
