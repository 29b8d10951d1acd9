"""ETA-RM learns to rank pairs, the same from the same seed."""

from __future__ import annotations

import pytest

from eta_utils.tasks import at_token_boundary, pipelines
from eta_utils.training.reward_model import load_reward_model, score, train_reward_model
from eta_utils.training.settings import RewardModelSettings

pytestmark = pytest.mark.usefixtures("one_thread")

TASKS = list(pipelines.generate("sft", 48, steps=(2, 4)).values())
WRONG = "    return None\n"


def pair(task):
    prompt, chosen = at_token_boundary(task.prompt, task.canonical_solution)
    return {"prompt": prompt, "chosen": chosen, "rejected": "\n" + WRONG}


def test_a_trained_model_scores_the_better_program_higher(tiny_folder, tmp_path):
    settings = RewardModelSettings(batch=8, learning_rate=1e-3)
    pairs = [pair(task) for task in TASKS[:36]]
    model, tokenizer = train_reward_model(tiny_folder, pairs * 2, settings, tmp_path)
    assert (tmp_path / "history.csv").exists()
    held_out = TASKS[36:]
    prompts = [task.prompt for task in held_out]
    right = score(model, tokenizer, prompts, [t.canonical_solution for t in held_out])
    wrong = score(model, tokenizer, prompts, [WRONG] * len(held_out))
    assert (right > wrong).mean() > 0.9


def test_a_seed_gives_the_same_scores_twice_and_another_others(tiny_folder, tmp_path):
    def scores(seed):
        settings = RewardModelSettings(batch=8, learning_rate=1e-3)
        pairs = [pair(task) for task in TASKS[:16]]
        model, tokenizer = train_reward_model(
            tiny_folder, pairs, settings, tmp_path, seed=seed
        )
        return score(model, tokenizer, [TASKS[0].prompt], [WRONG])[0]

    first = scores(1)
    assert first == scores(1)
    assert first != scores(2)


def test_without_pairs_there_is_a_model_all_the_same(tiny_folder, tmp_path):
    model, tokenizer = train_reward_model(tiny_folder, [], RewardModelSettings(), tmp_path)
    assert len(score(model, tokenizer, [TASKS[0].prompt], [WRONG])) == 1


def test_a_score_does_not_depend_on_its_batch(tiny_folder):
    model, tokenizer = load_reward_model(tiny_folder)
    prompts = [task.prompt for task in TASKS]
    texts = [task.canonical_solution for task in TASKS]
    together = score(model, tokenizer, prompts, texts)
    alone = [
        score(model, tokenizer, [p], [t])[0] for p, t in zip(prompts, texts, strict=True)
    ]
    assert together == pytest.approx(alone, abs=1e-4)
