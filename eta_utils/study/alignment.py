"""The arms that are aligned: each makes one model per round, from the SFT model.

>>> rounds = align(study, sft, "dpo-eta")       # its stages, the end last
>>> rounds = align(study, sft, "ppo")

Every arm executes the same number of programs.  `METHODS` says which function makes an
arm; `analysis.arms` says which arms there are.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from eta_utils.analysis.arms import Arm, parse_arm
from eta_utils.common.files import write_jsonl
from eta_utils.execution import JudgeSettings
from eta_utils.preferences import PairSettings, make_pairs
from eta_utils.study.models import learner_of, model_of
from eta_utils.study.reward_model import train_eta_rm
from eta_utils.study.rollouts import draw, read_outcomes
from eta_utils.study.settings import RoundSettings, TaskSettings
from eta_utils.study.stages import Stage, made
from eta_utils.study.study import Study
from eta_utils.study.tasks import alignment_tasks, round_tasks
from eta_utils.training.dpo import train_dpo
from eta_utils.training.models import save_model
from eta_utils.training.ppo import train_ppo
from eta_utils.training.rewards import EtaReward, ModelReward, PassReward
from eta_utils.training.rloo import train_rloo
from eta_utils.training.settings import (
    DPOSettings,
    LearnerSettings,
    PPOSettings,
    SamplingSettings,
)


def align(study: Study, sft: Stage, arm: Arm | str) -> list[Stage]:
    """The models of an arm, one after each round's programs; the last is its end."""
    arm = parse_arm(arm) if isinstance(arm, str) else arm
    return METHODS[arm.method](study, sft, arm)


# --- DPO: sample, judge, make pairs, train; once per round


def align_by_dpo(study: Study, sft: Stage, arm: Arm) -> list[Stage]:
    """On-policy rounds of DPO on pairs by the arm's ordering."""
    parts = [
        study.family,
        study.rounds,
        study.judging,
        study.pairs,
        study.model,
        study.dpo,
    ]
    policy, stages = sft, []
    for number in range(1, study.rounds.rounds + 1):
        policy = made(
            study.folder,
            f"{arm}/round{number}",
            study.seed,
            _dpo_round,
            parts,
            [policy, draw(study, policy, number)],
            arm=arm,
            number=number,
        )
        stages.append(policy)
    return stages


def _dpo_round(
    stage: Stage,
    family: TaskSettings,
    rounds: RoundSettings,
    judging: JudgeSettings,
    pairing: PairSettings,
    model: LearnerSettings,
    dpo: DPOSettings,
    policy: Stage,
    drawn: Stage,
    arm: Arm,
    number: int,
) -> dict:
    tasks = round_tasks(family, rounds, judging, stage.seed, number)
    outcomes = read_outcomes(drawn)
    pairs = arm_pairs(outcomes, tasks, arm, pairing, stage.seed, number)
    with write_jsonl(stage.folder / "pairs.jsonl.gz") as write:
        for pair in pairs:
            write(pair)
    learner, tokenizer = learner_of(policy, model, stage.seed)
    reference, _ = model_of(policy, model)
    if pairs:
        with stage.clock("training"):
            train_dpo(
                learner,
                reference,
                tokenizer,
                pairs,
                dpo,
                stage.folder,
                seed=stage.seed,
                bf16=model.bf16,
            )
    else:
        print(f"{stage.name}: no pairs, so the model stays as it is", flush=True)
    save_model(learner, tokenizer, stage.folder / "model")
    return {
        "programs": number * rounds.prompts_per_round * rounds.samples_per_prompt,
        "pairs": len(pairs),
        "by passing": sum(pair["winner_passes"] for pair in pairs),
    }


def arm_pairs(
    outcomes: list,
    tasks: dict,
    arm: Arm,
    settings: PairSettings,
    seed: int,
    number: int,
) -> list[dict]:
    """The preference pairs that an arm makes of the outcomes of round `number`.

    With the option `matched` a random part is kept: as many as `binary` would make.
    """
    gated = not arm.has("ungated")
    pairs = make_pairs(outcomes, tasks, arm.ordering, settings, seed=seed, gated=gated)
    if arm.has("matched"):
        most = len(make_pairs(outcomes, tasks, "binary", settings, seed=seed))
        rng = random.Random(f"{seed} {number}")
        kept = sorted(rng.sample(range(len(pairs)), min(most, len(pairs))))
        pairs = [pairs[index] for index in kept]
    return pairs


def pairs_of(study: Study, drawn: Stage, arm: Arm | str, number: int) -> list[dict]:
    """The preference pairs that an arm makes of the samples drawn for round `number`."""
    arm = parse_arm(arm) if isinstance(arm, str) else arm
    tasks = round_tasks(study.family, study.rounds, study.judging, study.seed, number)
    return arm_pairs(read_outcomes(drawn), tasks, arm, study.pairs, study.seed, number)


# --- Reinforcement learning: PPO, and RLOO as its control without a critic


def align_by_rl(study: Study, sft: Stage, arm: Arm) -> list[Stage]:
    """One training by PPO or RLOO, over as many programs as each arm of DPO.

    PPO's models at the ends of DPO's rounds come first, for the learning curve.
    """
    parts = [
        study.family,
        study.rounds,
        study.judging,
        study.model,
        study.sampling.narrowed(SamplingSettings),
        study.ppo,
    ]
    inputs = [sft]
    if arm.reward == "eta_rm":
        inputs.append(train_eta_rm(study, sft))
    make = _ppo if arm.method == "ppo" else _rloo
    end = made(study.folder, arm.name, study.seed, make, parts, inputs, arm=arm)
    if arm.method == "rloo":
        return [end]
    snapshots = [
        made(
            study.folder,
            f"{arm}/round{number}",
            study.seed,
            _snapshot,
            [study.rounds, study.ppo],
            [end],
            update=update,
        )
        for number, update in enumerate(_snapshot_updates(study.rounds, study.ppo), 1)
    ]
    return [*snapshots, end]


def _ppo(
    stage: Stage,
    family: TaskSettings,
    rounds: RoundSettings,
    judging: JudgeSettings,
    model: LearnerSettings,
    sampling: SamplingSettings,
    ppo: PPOSettings,
    sft: Stage,
    reward_model: Stage | None = None,
    *,
    arm: Arm,
) -> dict:
    tasks = alignment_tasks(family, rounds, judging, stage.seed)
    policy, tokenizer = learner_of(sft, model, stage.seed)
    reference, _ = model_of(sft, model)
    history = train_ppo(
        policy,
        reference,
        tokenizer,
        _rows(tasks),
        _reward(arm, tasks, judging, reward_model),
        ppo,
        stage.folder,
        updates=ppo_updates(rounds, ppo),
        samples_per_prompt=rounds.samples_per_prompt,
        sampling=sampling,
        seed=stage.seed,
        bf16=model.bf16,
        snapshots=_snapshot_updates(rounds, ppo),
    )
    columns = {"sampling": "sampling", "judging": "reward", "training": "training"}
    for kind, column in columns.items():
        stage.seconds[kind] = sum(row[f"seconds/{column}"] for row in history)
    save_model(policy, tokenizer, stage.folder / "model")
    return {"programs": rounds.programs, "kl": history[-1]["objective/kl"]}


def _rloo(
    stage: Stage,
    family: TaskSettings,
    rounds: RoundSettings,
    judging: JudgeSettings,
    model: LearnerSettings,
    sampling: SamplingSettings,
    ppo: PPOSettings,
    sft: Stage,
    reward_model: Stage | None = None,
    *,
    arm: Arm,
) -> dict:
    tasks = alignment_tasks(family, rounds, judging, stage.seed)
    policy, tokenizer = learner_of(sft, model, stage.seed)
    with stage.clock("training"):  # TRL samples and judges within it
        train_rloo(
            policy,
            tokenizer,
            _rows(tasks),
            _reward(arm, tasks, judging, reward_model),
            ppo,
            stage.folder,
            updates=ppo_updates(rounds, ppo),
            samples_per_prompt=rounds.samples_per_prompt,
            sampling=sampling,
            seed=stage.seed,
            bf16=model.bf16,
        )
    save_model(policy, tokenizer, stage.folder / "model")
    return {"programs": rounds.programs}


def _snapshot(
    _stage: Stage, rounds: RoundSettings, ppo: PPOSettings, _end: Stage, update: int
) -> dict:
    """A model that `train_ppo` saved on its way, in the folder of the end."""
    programs = update * ppo.prompts * rounds.samples_per_prompt
    return {"programs": programs, "model": f"../update{update}"}


def _reward(
    arm: Arm, tasks: dict, judging: JudgeSettings, reward_model: Stage | None
) -> Callable:
    """What the arm's programs are paid."""
    if arm.reward == "eta_rm":
        return ModelReward(reward_model.folder / "model")
    return {"passes": PassReward, "eta": EtaReward}[arm.reward](tasks, judging)


def _rows(tasks: dict) -> list[dict]:
    return [{"prompt": task.prompt, "task_id": name} for name, task in tasks.items()]


def ppo_updates(rounds: RoundSettings, ppo: PPOSettings) -> int:
    """Updates that execute as many programs as the rounds of DPO."""
    return rounds.prompts // ppo.prompts


def _snapshot_updates(rounds: RoundSettings, ppo: PPOSettings) -> list[int]:
    """Updates after which as many programs were executed as in a whole round of DPO."""
    per_round, rest = divmod(ppo_updates(rounds, ppo), rounds.rounds)
    if rest:
        return []
    return [per_round * number for number in range(1, rounds.rounds)]


METHODS: dict[str, Callable[[Study, Stage, Arm], list[Stage]]] = {
    "dpo": align_by_dpo,
    "ppo": align_by_rl,
    "rloo": align_by_rl,
}
