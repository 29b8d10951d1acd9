"""Named sets of the study's parameters (see `study`); the defaults there are `small`."""

from __future__ import annotations

# Only what differs from `small` is named.  `smoke` runs the same code in seconds per stage;
# its numbers mean nothing, but some programs pass.
PROFILES: dict[str, dict] = {
    "smoke": {
        "corpus_tasks": 4_800,
        "base_batch": 8,
        "max_steps": 2,
        "align_min_steps": 2,
        "sft_tasks": 64,
        "sft_learning_rate": 5e-4,
        "prompts_per_round": 32,
        "ppo_prompts": 16,
        "rounds": 2,
        "samples_per_prompt": 4,
        "test_tasks": 20,
        "test_samples": 2,
        "curve_samples": 2,
        "limit": 8,
    },
    "small": {},
    # One strength of the base: set corpus_noise, and name the run in `beside` of another.
    "crossover": {
        "dpo_arms": "eta binary",
        "eta_rm": 0,
    },
    # The founding experiment as it was meant: GPT-2 on HumanEval, 20 % of it for SFT, 40 %
    # for alignment and 30 % for the test.  `model` may be a folder.
    "gpt2": {
        "tasks": "humaneval",
        "model": "gpt2",
        "sft_batch": 4,
        "sft_learning_rate": 5e-5,
        "temperature": 0.8,
        "max_new_tokens": 256,
        "step_budget": 0,
        "prompts_per_round": 64,
        "ppo_learning_rate": 1e-5,
        "ppo_minibatch": 32,
        "rm_batch": 4,
        "rm_learning_rate": 1e-5,
        "dpo_learning_rate": 1e-5,
        "dpo_batch": 4,
    },
    # One GPU: a current code model, MBPP for training, HumanEval(+) for evaluation.  The
    # learning rates are usual ones for all weights of half a billion (none was tried here);
    # adapters want ten times more.
    "gpu": {
        "tasks": "mbpp",
        "test_set": "humaneval",
        "hidden_set": "humaneval+",
        "model": "Qwen/Qwen2.5-Coder-0.5B",
        "device": "cuda",
        "precision": "bf16",
        "sampler": "auto",
        "sft_batch": 16,
        "sft_learning_rate": 1e-5,
        "temperature": 0.8,
        "max_new_tokens": 256,
        "step_budget": 0,
        "prompts_per_round": 128,
        "ppo_learning_rate": 1e-6,
        "rm_learning_rate": 1e-5,
        "dpo_learning_rate": 2e-6,
    },
    # The published study: the five orderings at a matched number of pairs, and all arms.
    "full": {
        "rl_arms": "ppo ppo-eta ppo-rm rloo",
        "dpo_arms": (
            "eta binary eta+matched fraction+matched tier+matched steps+matched eta+ungated"
        ),
        "test_tasks": 320,
        "beside": "noise15 noise25 noise45 noise55",
    },
}

# Minutes that a notebook took for one seed on two cores, when those before it were done: as
# the tables of time in the reports have it.  Of `full` and `crossover`, two seeds were at
# work side by side, each on one core.
MINUTES: dict[str, dict[str, float]] = {
    "smoke": {"01_sft": 0.3, "02_ppo": 0.2, "03_eta_dpo": 0.25, "04_analysis": 0.1},
    "small": {"01_sft": 1.4, "02_ppo": 1.3, "03_eta_dpo": 2.4, "04_analysis": 0.1},
    "crossover": {"01_sft": 2.5, "02_ppo": 2.7, "03_eta_dpo": 2.5, "04_analysis": 0.3},
    "full": {"01_sft": 2.7, "02_ppo": 9, "03_eta_dpo": 10, "04_analysis": 0.6},
}


def cost(profile: str, notebook: str) -> str:
    """What a notebook took in a profile, in one sentence."""
    if profile not in MINUTES:
        return f"What this notebook takes in profile {profile} depends on the model."
    minutes = MINUTES[profile][notebook]
    took = f"{minutes:g} minutes" if minutes > 1 else f"{60 * minutes:.0f} seconds"
    return (
        f"In profile {profile} this notebook took {took} on two cores, when those before "
        "it were done; other parameters cost more or less, and what is finished is reused."
    )
