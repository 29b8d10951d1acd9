"""DPO in on-policy rounds, on pairs made by an arm's recipe."""

from __future__ import annotations

import random

from eta_utils.analysis.audit import Programs, by_prompt, hidden_fractions
from eta_utils.analysis.recipes import recipe
from eta_utils.common.files import write_jsonl
from eta_utils.common.processes import from_first
from eta_utils.preferences.pairs import make_pairs
from eta_utils.study.models import TRAINING, learner_of, model_of
from eta_utils.study.rollouts import draw, judged, read_outcomes, round_tasks
from eta_utils.study.stages import Stage
from eta_utils.study.study import Study
from eta_utils.training.dpo import DPOSettings, train_dpo
from eta_utils.training.models import save_model


def align_by_dpo(study: Study, sft: Stage, arm: str) -> list[Stage]:
    """On-policy rounds of DPO: sample, judge, make pairs by the arm's recipe, train."""
    stages: list[Stage] = []
    for number in range(1, study.rounds + 1):
        policy = stages[-1] if stages else sft
        drawn = draw(study, policy, number)
        stages.append(_dpo_round(study, arm, number, policy, drawn))
    return stages


def _dpo_round(study: Study, arm: str, number: int, policy: Stage, drawn: Stage) -> Stage:
    names = (
        "pairs_per_prompt pair_margin dpo_beta dpo_learning_rate dpo_batch dpo_nll_weight"
    ).split()
    name = f"dpo-{arm}/round{number}"
    stage = Stage(study.folder, name, study.only(*names, *TRAINING), [policy, drawn])
    if stage.must_run():
        settings = DPOSettings(
            study.dpo_learning_rate,
            study.dpo_batch,
            study.dpo_beta,
            study.dpo_nll_weight * recipe(arm).nll,
            recipe(arm).loss_on,
            seed=study.seed,
            bf16=study.precision == "bf16",
        )
        pairs = pairs_of(study, drawn, arm, number)
        with write_jsonl(stage.folder / "pairs.jsonl.gz") as write:
            for pair in pairs:
                write(pair)
        model, tokenizer = learner_of(study, policy)
        reference, _ = model_of(study, policy)
        if pairs:
            with stage.clock("training"):
                train_dpo(model, reference, tokenizer, pairs, settings, stage.folder)
        else:
            print(f"{name}: no pairs, so the model stays as it is", flush=True)
        save_model(model, tokenizer, stage.folder / "model")
        programs = number * study.prompts_per_round * study.samples_per_prompt
        passing = sum(pair["winner_passes"] for pair in pairs)
        stage.finish({"programs": programs, "pairs": len(pairs), "by passing": passing})
    return stage


def pairs_of(
    study: Study, drawn: Stage, arm: str, number: int, per_prompt: int | None = None
) -> list[dict]:
    """The preference pairs that an arm's recipe makes of a round's samples, at most
    `per_prompt` of each prompt (the study's `pairs_per_prompt`)."""
    wanted, most = recipe(arm), per_prompt or study.pairs_per_prompt
    pairs = _made(study, drawn, number, wanted.ordering, most, wanted.gated)
    if wanted.matched:
        fewer = len(_made(study, drawn, number, "binary", most))
        rng = random.Random(f"{study.seed} {number}")
        kept = sorted(rng.sample(range(len(pairs)), min(fewer, len(pairs))))
        pairs = [pairs[index] for index in kept]
    return pairs


def _made(
    study: Study, drawn: Stage, number: int, ordering: str, most: int, gated: bool = True
) -> list[dict]:
    return make_pairs(
        read_outcomes(drawn),
        round_tasks(study, number),
        ordering,
        per_task=most,
        margin=study.pair_margin,
        seed=study.seed,
        gated=gated,
    )


def programs_of(study: Study, drawn: Stage) -> dict[str, Programs]:
    """The programs of the first round with what the hidden tests say, for `audit`.

    The hidden tests serve that table alone; no training sees them.
    """
    tasks = round_tasks(study, 1)
    outcomes = read_outcomes(drawn)
    hidden = {name: task.hidden() for name, task in tasks.items() if task.hidden_test}
    checked = [each.sample for each in outcomes if each.task_id in hidden]
    again = from_first(lambda: judged(study, checked, hidden))
    return by_prompt(outcomes, hidden_fractions(again, tasks), tasks)
