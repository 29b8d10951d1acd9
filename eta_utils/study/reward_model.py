"""ETA-RM as stages: trained on trace pairs of the SFT model's samples, judged on others."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from eta_utils.analysis.ranking import reliability
from eta_utils.analysis.tables import write_results
from eta_utils.execution import JudgeSettings, Outcome
from eta_utils.preferences import PairSettings, make_pairs
from eta_utils.preferences.orderings import tier
from eta_utils.study.rollouts import WARM, draw, evaluate, judged_once, read_outcomes
from eta_utils.study.settings import HeldOutSettings, RoundSettings, TaskSettings
from eta_utils.study.stages import Stage, made
from eta_utils.study.study import Study
from eta_utils.study.tasks import held_out_tasks, round_tasks
from eta_utils.tasks import Task
from eta_utils.training.models import save_model
from eta_utils.training.reward_model import load_reward_model, score, train_reward_model
from eta_utils.training.settings import LearnerSettings, RewardModelSettings

NAME = "rm"  # of its stage


def train_eta_rm(study: Study, sft: Stage) -> Stage:
    """ETA-RM, from as many executed programs of the SFT model as each arm's training."""
    drawn = [draw(study, sft, number) for number in range(1, study.rounds.rounds + 1)]
    parts = [
        study.family,
        study.rounds,
        study.judging,
        study.model,
        study.reward_model,
    ]
    margin = study.pairs.pair_margin
    inputs = [sft, *drawn]
    return made(study.folder, NAME, study.seed, _train, parts, inputs, pair_margin=margin)


def _train(
    stage: Stage,
    family: TaskSettings,
    rounds: RoundSettings,
    judging: JudgeSettings,
    model: LearnerSettings,
    settings: RewardModelSettings,
    sft: Stage,
    *drawn: Stage,
    pair_margin: float,
) -> dict:
    pairing = PairSettings(settings.pairs_per_prompt, pair_margin)
    pairs = []
    for number, samples in enumerate(drawn, 1):
        tasks = round_tasks(family, rounds, judging, stage.seed, number)
        outcomes = read_outcomes(samples)
        pairs += make_pairs(outcomes, tasks, "eta", pairing, seed=stage.seed)
    with stage.clock("training"):
        learner, tokenizer = train_reward_model(
            sft.folder / "model",
            pairs,
            settings,
            stage.folder,
            lora_rank=model.lora_rank,
            seed=stage.seed,
            bf16=model.bf16,
        )
    save_model(learner, tokenizer, stage.folder / "model")
    return {"programs": rounds.programs, "pairs": len(pairs)}


def judge_eta_rm(study: Study, sft: Stage, reward_model: Stage) -> Stage:
    """ETA-RM's scores of the SFT model's samples of the held-out tasks.

    The stage leaves `ranked.csv`, with baselines beside that need no model, for
    `analysis.ranking`.
    """
    return made(
        study.folder,
        f"{NAME}/judged",
        study.seed,
        _judge,
        [study.family, study.held_out, study.judging],
        [reward_model, evaluate(study, sft)],
    )


def _judge(
    stage: Stage,
    family: TaskSettings,
    held_out: HeldOutSettings,
    judging: JudgeSettings,
    reward_model: Stage,
    test: Stage,
) -> dict:
    tasks = held_out_tasks(family, held_out, judging)
    outcomes = [o for o in read_outcomes(test) if o.sample["temperature"] == WARM]
    with stage.clock("evaluation"):
        samples = [outcome.sample for outcome in outcomes]
        visible = judged_once(samples, tasks, judging)
        ranked = _ranked(reward_model, outcomes, visible, tasks)
    write_results(stage.folder, ranked=ranked)
    _, error = reliability(ranked.assign(seed=stage.seed), "ETA-RM")
    return {"calibration error": error, "samples": len(ranked)}


def _ranked(
    reward_model: Stage,
    outcomes: list[Outcome],
    visible: list[Outcome],
    tasks: Mapping[str, Task],
) -> pd.DataFrame:
    """Each sample's outcome by its hidden tests, and its score by each way to rank.

    `visible` are the same programs by their visible tests, which `error class` sees.
    """
    model, tokenizer = load_reward_model(reward_model.folder / "model")
    texts = [outcome.sample["completion"] for outcome in outcomes]
    prompts = [tasks[outcome.task_id].prompt for outcome in outcomes]
    rows = pd.DataFrame(
        {
            "task_id": [outcome.task_id for outcome in outcomes],
            "passed": [outcome.passed for outcome in outcomes],
            "fraction": [outcome.fraction for outcome in outcomes],
            "ETA-RM": score(model, tokenizer, prompts, texts),
            "shortest": [-len(text) for text in texts],
            "error class": [tier(outcome) for outcome in visible],
        }
    )
    judged = rows[rows["passed"].notna()]  # the judge itself failed on the others
    return judged.astype({"passed": int})
