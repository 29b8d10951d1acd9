"""Every parameter of a study: its name, its default, and what it means.

`python -m eta_utils run --help` prints them.  Leaves out: what values are possible (see
`ranges`), named sets of them (see `profiles`), and what is made of them (see `study`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DEFAULT_PROFILE = "small"


def _about(default: object, text: str):
    """A field with its one-line explanation, shown by `Study.table`."""
    return field(default=default, metadata={"about": text})


@dataclass(frozen=True)
class Parameters:
    """All parameters of one seed of a run; the defaults are profile `small`."""

    run: str = _about("", "name of the folder under outputs/; default: the profile's name")
    profile: str = _about(DEFAULT_PROFILE, "named set of parameters")
    seed: int = _about(0, "of everything that is drawn")
    outputs: str = _about(str(ROOT / "outputs"), "where run folders lie")

    tasks: str = _about("pipelines", "pipelines, repair, a named set or a file of tasks")
    model: str = _about("tiny", "tiny (built here), a Hub name or a local folder")
    device: str = _about("auto", "auto: a GPU where there is one; cuda: not without one")
    precision: str = _about("fp32", "fp32, or bf16: less exact, faster on a GPU")
    lora_rank: int = _about(0, "of adapters that are trained, merged after; 0: all weights")
    sampler: str = _about("transformers", "or vllm, or auto: vllm where it is installed")
    limit: int = _about(0, "use at most this many problems of a named set; 0: all")
    test_set: str = _about("", "named set to evaluate on instead of the family's own tasks")
    hidden_set: str = _about("", "named set whose tests are the hidden ones: humaneval+")
    repair_trace: int = _about(1, "1: a task to repair tells what the program did; 0: not")

    corpus_tasks: int = _about(26_000, "programs that the tiny base model is trained on")
    corpus_noise: float = _about(0.35, "share of the steps in the corpus that carry a bug")
    min_steps: int = _about(1, "least difficulty (steps) of programs in the corpus")
    sft_min_steps: int = _about(2, "least difficulty of SFT tasks")
    max_steps: int = _about(5, "greatest difficulty in all splits")
    align_min_steps: int = _about(3, "least difficulty of alignment, tuning, test tasks")
    base_batch: int = _about(16, "programs per step of the base training")
    base_learning_rate: float = _about(3e-3, "peak of the one-cycle schedule")

    sft_tasks: int = _about(192, "tasks with a clean solution: the small subset")
    sft_batch: int = _about(32, "programs per step of SFT")
    sft_learning_rate: float = _about(1.5e-4, "peak")

    temperature: float = _about(1.0, "of sampling, in training and in evaluation")
    max_new_tokens: int = _about(96, "longest completion, in tokens")
    step_budget: int = _about(20_000, "steps one assert may take before it is stopped")
    workers: int = _about(0, "sandboxes at work; 0: one per core")

    rounds: int = _about(3, "on-policy rounds of each DPO arm")
    prompts_per_round: int = _about(256, "alignment prompts sampled in a round")
    samples_per_prompt: int = _about(8, "completions per alignment prompt")

    rl_arms: str = _about("ppo", "of reinforcement learning: ppo, ppo-eta, ppo-rm, rloo")
    ppo_prompts: int = _about(32, "prompts per PPO update")
    ppo_learning_rate: float = _about(2e-4, "constant")
    ppo_epochs: int = _about(2, "passes over each batch of episodes")
    ppo_minibatch: int = _about(64, "episodes per optimiser step")
    ppo_clip: float = _about(0.2, "of the policy's and the value's change")
    ppo_kl: float = _about(0.02, "weight of the KL to the SFT model")

    eta_rm: int = _about(1, "1: train and judge ETA-RM; 0: leave it out")
    rm_pairs_per_prompt: int = _about(8, "most pairs of one prompt for ETA-RM")
    rm_batch: int = _about(16, "pairs per step of the ETA reward model")
    rm_learning_rate: float = _about(2e-4, "peak, of the ETA reward model")

    dpo_arms: str = _about("eta binary steps", "arms of DPO, see eta_utils/recipes.py")
    pairs_per_prompt: int = _about(2, "most pairs made of one prompt's samples")
    pair_margin: float = _about(
        0.0, "least lead of a failing winner, in its ordering's key"
    )
    dpo_beta: float = _about(0.1, "inverse temperature of DPO")
    dpo_learning_rate: float = _about(1e-4, "peak")
    dpo_batch: int = _about(8, "pairs per step")
    dpo_nll_weight: float = _about(1.0, "weight of the NLL of winners that pass")

    test_tasks: int = _about(240, "held-out tasks that every model is evaluated on")
    test_samples: int = _about(8, "samples per held-out task at the end of an arm")
    curve_samples: int = _about(4, "samples per held-out task between rounds")
    humaneval_samples: int = _about(1, "samples per HumanEval problem, for the SFT model")
    beside: str = _about("", "other runs, that the crossover figure compares this one with")
