"""ETA-RM as stages: trained on trace pairs of the SFT model's samples, judged on others."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from eta_utils.analysis.ranking import reliability
from eta_utils.analysis.tables import write_results
from eta_utils.common.processes import from_first
from eta_utils.execution.records import Outcome
from eta_utils.preferences.orderings import tier
from eta_utils.study.models import TRAINING, settings_of
from eta_utils.study.preference import pairs_of
from eta_utils.study.rollouts import draw, evaluate, judged, read_outcomes
from eta_utils.study.stages import Stage
from eta_utils.study.study import Study
from eta_utils.study.tasks import tasks_of
from eta_utils.tasks import Task
from eta_utils.training.models import save_model
from eta_utils.training.reward_model import load_reward_model, score, train_reward_model


def train_eta_rm(study: Study, sft: Stage) -> Stage:
    """ETA-RM, from as many executed programs of the SFT model as each arm's training."""
    drawn = [draw(study, sft, number) for number in range(1, study.rounds + 1)]
    names = ("rm_learning_rate", "rm_batch", "rm_pairs_per_prompt", "pair_margin")
    asked = study.only(*names, *TRAINING)
    stage = Stage(study.folder, "rm", asked, [sft, *drawn])
    if stage.must_run():
        pairs = [
            pair
            for number, each in enumerate(drawn, 1)
            for pair in pairs_of(study, each, "eta", number, study.rm_pairs_per_prompt)
        ]
        settings = settings_of(study, study.rm_learning_rate, study.rm_batch)
        with stage.clock("training"):
            model, tokenizer = train_reward_model(
                sft.folder / "model", pairs, settings, stage.folder, study.lora_rank
            )
        save_model(model, tokenizer, stage.folder / "model")
        stage.finish({"programs": study.programs, "pairs": len(pairs)})
    return stage


def judge_eta_rm(study: Study, sft: Stage, rm: Stage) -> Stage:
    """ETA-RM's scores of the SFT model's samples of the held-out tasks, beside baselines
    that need no model, for `ranking`.  Leaves `ranked.csv`."""
    test = evaluate(study, sft)
    stage = Stage(study.folder, "rm/judged", {}, [rm, test])
    if stage.must_run():
        tasks = tasks_of(study, "test")
        outcomes = [o for o in read_outcomes(test) if o.sample["mode"] == "sampled"]
        with stage.clock("evaluation"):
            samples = [each.sample for each in outcomes]
            visible = from_first(lambda: judged(study, samples, tasks))
            ranked = _ranked(rm, outcomes, visible, tasks)
        write_results(stage.folder, ranked=ranked)
        _, error = reliability(ranked.assign(seed=study.seed), "ETA-RM")
        stage.finish({"calibration error": error, "samples": len(ranked)})
    return stage


def _ranked(
    rm: Stage, outcomes: list[Outcome], visible: list[Outcome], tasks: Mapping[str, Task]
) -> pd.DataFrame:
    """What became of each sample by its hidden tests, and what each way to rank says of it.
    `visible` are the same programs by their visible tests, which `error class` has seen."""
    model, tokenizer = load_reward_model(rm.folder / "model")
    texts = [each.sample["completion"] for each in outcomes]
    prompts = [tasks[each.task_id].prompt for each in outcomes]
    rows = pd.DataFrame(
        {
            "task_id": [each.task_id for each in outcomes],
            "passed": [each.passed for each in outcomes],
            "fraction": [each.fraction for each in outcomes],
            "ETA-RM": score(model, tokenizer, prompts, texts),
            "shortest": [-len(text) for text in texts],
            "error class": [tier(each) for each in visible],
        }
    )
    judged_ones = rows[rows["passed"].notna()]  # by a judge that did not fail itself
    return judged_ones.astype({"passed": int})
