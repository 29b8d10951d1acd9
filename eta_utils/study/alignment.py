"""The arms: each makes one model per round of executed programs, from the SFT model.

>>> rounds = align(study, sft, "credit")           # its stages, the end last
>>> rounds = align(study, sft, "dpo-binary+filled")

Every arm that executes programs executes the same number of them.  `METHODS` says which
function makes an arm; `analysis.arms` says which arms there are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from eta_utils.analysis.arms import Arm, parse_arm
from eta_utils.common.files import write_jsonl
from eta_utils.execution import JudgeSettings, Outcome
from eta_utils.preferences import PairSettings, fill, make_pairs, sharing_prefix
from eta_utils.study.models import learner_of, model_of
from eta_utils.study.reward_model import train_eta_rm
from eta_utils.study.rollouts import draw, draw_restarted, read_outcomes
from eta_utils.study.settings import RoundSettings, TaskSettings
from eta_utils.study.stages import Stage, made
from eta_utils.study.study import Study
from eta_utils.study.supervised import imitate_references, pretrain, reach_ceiling
from eta_utils.study.tasks import alignment_tasks, round_tasks
from eta_utils.tasks import Task
from eta_utils.training.branching import train_branching
from eta_utils.training.credit import train_credit
from eta_utils.training.dpo import train_dpo
from eta_utils.training.grpo import train_grpo
from eta_utils.training.models import save_model
from eta_utils.training.ppo import train_ppo
from eta_utils.training.rewards import EtaReward, ModelReward, PassReward
from eta_utils.training.rft import train_rft
from eta_utils.training.settings import (
    BranchSettings,
    CreditSettings,
    DPOSettings,
    GRPOSettings,
    LearnerSettings,
    PPOSettings,
    RFTSettings,
    SamplingSettings,
)

SPARE_PAIRS = 64  # of a prompt, from which an arm is filled up: all that 8 samples make


def align(study: Study, sft: Stage, arm: Arm | str) -> list[Stage]:
    """The models of an arm, one after each round's programs; the last is its end.

    An arm that executes no program has one model.
    """
    arm = parse_arm(arm) if isinstance(arm, str) else arm
    return METHODS[arm.method](study, sft, arm)


def train_on_solutions(study: Study, sft: Stage, arm: Arm) -> list[Stage]:
    """The arms that learn from solutions and execute nothing."""
    if arm.name == "ceiling":
        return [reach_ceiling(study, pretrain(study))]
    return [imitate_references(study, sft)]


# --- DPO: sample, judge, make pairs, train; once per round


def align_by_dpo(study: Study, sft: Stage, arm: Arm) -> list[Stage]:
    """On-policy rounds of DPO on pairs by the arm's ordering.

    With the option `fresh` a round has as many prompts as one update of GRPO.  With
    `prefix` its programs restart from verified prefixes.
    """
    parts = [
        study.family,
        study.rounds,
        study.judging,
        study.pairs,
        study.model,
        study.dpo,
    ]
    prompts = study.grpo.prompts if arm.has("fresh") else None
    rounds = study.rounds.prompts // (prompts or study.rounds.prompts_per_round)
    policy, stages = sft, []
    for number in range(1, rounds + 1):
        written = draw_restarted if arm.has("prefix") else draw
        drawn = written(study, policy, number, prompts)
        policy = made(
            study.folder,
            f"{arm}/round{number}",
            study.seed,
            _dpo_round,
            parts,
            [policy, drawn],
            arm=arm,
            number=number,
            prompts=prompts,
        )
        stages.append(policy)
    # Of many rounds, those after as many programs as the other arms' rounds end with.
    step, rest = divmod(rounds, study.rounds.rounds)
    return stages[-1:] if rest else stages[step - 1 :: step]


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
    prompts: int | None,
) -> dict:
    tasks = round_tasks(family, rounds, judging, stage.seed, number, prompts)
    pairs = arm_pairs(read_outcomes(drawn), tasks, arm, pairing, stage.seed, number)
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
        "programs": number * len(tasks) * rounds.samples_per_prompt,
        "pairs": len(pairs),
        "by passing": sum(pair["winner_passes"] for pair in pairs),
    }


def arm_pairs(
    outcomes: Sequence[Outcome],
    tasks: Mapping[str, Task],
    arm: Arm,
    settings: PairSettings,
    seed: int,
    number: int,
) -> list[dict]:
    """The preference pairs that an arm makes of the outcomes of round `number`."""

    def pairs_by(ordering: str, most: int, some: Sequence[Outcome]) -> list[dict]:
        limits = PairSettings(most, settings.pair_margin)
        return make_pairs(some, tasks, ordering, limits, seed=seed)

    usual = settings.pairs_per_prompt
    kept = sharing_prefix(outcomes) if arm.has("prefix") else outcomes
    pairs = pairs_by(arm.ordering, usual, kept)
    if arm.has("filled"):
        count = len(pairs_by("eta", usual, outcomes))
        spare = pairs_by(arm.ordering, SPARE_PAIRS, kept)
        pairs = fill(pairs, spare, count, f"{seed} {number}")
    return pairs


def pairs_of(study: Study, drawn: Stage, arm: Arm | str, number: int) -> list[dict]:
    """The preference pairs that an arm makes of the samples drawn for round `number`."""
    arm = parse_arm(arm) if isinstance(arm, str) else arm
    tasks = round_tasks(study.family, study.rounds, study.judging, study.seed, number)
    return arm_pairs(read_outcomes(drawn), tasks, arm, study.pairs, study.seed, number)


# --- Rejection sampling: sample, judge, imitate what passes; once per round


def align_by_rft(study: Study, sft: Stage, arm: Arm) -> list[Stage]:
    """On-policy rounds of SFT on the policy's own passing programs."""
    parts = [study.family, study.rounds, study.judging, study.model, study.rft]
    policy, stages = sft, []
    for number in range(1, study.rounds.rounds + 1):
        policy = made(
            study.folder,
            f"{arm}/round{number}",
            study.seed,
            _rft_round,
            parts,
            [policy, draw(study, policy, number)],
            number=number,
        )
        stages.append(policy)
    return stages


def _rft_round(
    stage: Stage,
    family: TaskSettings,
    rounds: RoundSettings,
    judging: JudgeSettings,
    model: LearnerSettings,
    rft: RFTSettings,
    policy: Stage,
    drawn: Stage,
    number: int,
) -> dict:
    tasks = round_tasks(family, rounds, judging, stage.seed, number)
    learner, tokenizer = learner_of(policy, model, stage.seed)
    with stage.clock("training"):
        imitated = train_rft(
            learner,
            tokenizer,
            read_outcomes(drawn),
            tasks,
            rft,
            stage.folder,
            seed=stage.seed,
            bf16=model.bf16,
        )
    save_model(learner, tokenizer, stage.folder / "model")
    programs = number * rounds.prompts_per_round * rounds.samples_per_prompt
    return {"programs": programs, "imitated": imitated}


# --- Reinforcement learning: PPO with its critic; GRPO, with credit or restarts or without


def align_by_ppo(study: Study, sft: Stage, arm: Arm) -> list[Stage]:
    """One training by PPO, over as many programs as each arm of DPO.

    Its models at the ends of DPO's rounds come first, for the learning curve.
    """
    inputs = [sft]
    if arm.reward == "eta_rm":
        inputs.append(train_eta_rm(study, sft))
    return _with_snapshots(study, arm, _ppo, study.ppo, [study.ppo], inputs)


def align_by_grpo(study: Study, sft: Stage, arm: Arm) -> list[Stage]:
    """One training by GRPO, likewise, with the arm's reward and credit if it has one."""
    own = [study.grpo, study.credit] if arm.credit else [study.grpo]
    return _with_snapshots(
        study, arm, _credit if arm.credit else _grpo, study.grpo, own, [sft]
    )


def align_by_branching(study: Study, sft: Stage, arm: Arm) -> list[Stage]:
    """One training by GRPO, likewise, in which programs restart where none passes."""
    own = [study.grpo, study.branch]
    return _with_snapshots(study, arm, _branching, study.grpo, own, [sft])


def _with_snapshots(
    study: Study,
    arm: Arm,
    make: Callable,
    method: PPOSettings | GRPOSettings,
    own: list,
    inputs: list[Stage],
) -> list[Stage]:
    """The stage of one training, after those of its models at the ends of DPO's rounds."""
    parts = [
        study.family,
        study.rounds,
        study.judging,
        study.model,
        study.sampling.narrowed(SamplingSettings),
        *own,
    ]
    end = made(study.folder, arm.name, study.seed, make, parts, inputs, arm=arm)
    snapshots = [
        made(
            study.folder,
            f"{arm}/round{number}",
            study.seed,
            _snapshot,
            [study.rounds],
            [end],
            update=update,
            prompts=method.prompts,
        )
        for number, update in enumerate(snapshot_updates(study.rounds, method), 1)
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
        updates=updates_of(rounds, ppo),
        samples_per_prompt=rounds.samples_per_prompt,
        sampling=sampling,
        seed=stage.seed,
        bf16=model.bf16,
        snapshots=snapshot_updates(rounds, ppo),
    )
    columns = {"sampling": "sampling", "judging": "reward", "training": "training"}
    for kind, column in columns.items():
        stage.seconds[kind] = sum(row[f"seconds/{column}"] for row in history)
    save_model(policy, tokenizer, stage.folder / "model")
    return {"programs": rounds.programs}


def _grpo(
    stage: Stage,
    family: TaskSettings,
    rounds: RoundSettings,
    judging: JudgeSettings,
    model: LearnerSettings,
    sampling: SamplingSettings,
    grpo: GRPOSettings,
    sft: Stage,
    arm: Arm,
) -> dict:
    tasks = alignment_tasks(family, rounds, judging, stage.seed)
    reward, rows = _reward(arm, tasks, judging, None), _rows(tasks)
    return _train(stage, rounds, model, sampling, grpo, sft, rows, train_grpo, reward)


def _credit(
    stage: Stage,
    family: TaskSettings,
    rounds: RoundSettings,
    judging: JudgeSettings,
    model: LearnerSettings,
    sampling: SamplingSettings,
    grpo: GRPOSettings,
    credit: CreditSettings,
    sft: Stage,
    arm: Arm,
) -> dict:
    tasks = alignment_tasks(family, rounds, judging, stage.seed)
    own = {
        "tasks": tasks,
        "judging": judging,
        "credit": arm.credit,
        "credit_settings": credit,
    }
    rows = _rows(tasks)
    return _train(stage, rounds, model, sampling, grpo, sft, rows, train_credit, **own)


def _branching(
    stage: Stage,
    family: TaskSettings,
    rounds: RoundSettings,
    judging: JudgeSettings,
    model: LearnerSettings,
    sampling: SamplingSettings,
    grpo: GRPOSettings,
    branch: BranchSettings,
    sft: Stage,
    arm: Arm,
) -> dict:
    tasks = alignment_tasks(family, rounds, judging, stage.seed)
    own = {"tasks": tasks, "judging": judging, "branch": branch}
    rows = _rows(tasks)
    return _train(stage, rounds, model, sampling, grpo, sft, rows, train_branching, **own)


def _train(
    stage: Stage,
    rounds: RoundSettings,
    model: LearnerSettings,
    sampling: SamplingSettings,
    grpo: GRPOSettings,
    sft: Stage,
    rows: list[dict],
    train: Callable,
    *reward: Callable,
    **own: object,
) -> dict:
    """What the three trainings around GRPO share; `own` goes to the one that is called."""
    policy, tokenizer = learner_of(sft, model, stage.seed)
    with stage.clock("training"):  # TRL samples and judges within it
        train(
            policy,
            tokenizer,
            rows,
            *reward,
            settings=grpo,
            folder=stage.folder,
            updates=updates_of(rounds, grpo),
            samples_per_prompt=rounds.samples_per_prompt,
            sampling=sampling,
            seed=stage.seed,
            bf16=model.bf16,
            snapshots=snapshot_updates(rounds, grpo),
            **own,
        )
    save_model(policy, tokenizer, stage.folder / "model")
    return {"programs": rounds.programs}


def _snapshot(
    _stage: Stage, rounds: RoundSettings, _end: Stage, update: int, prompts: int
) -> dict:
    """A model that the training saved on its way, in the folder of the end."""
    programs = update * prompts * rounds.samples_per_prompt
    return {"programs": programs, "folder": f"../update{update}"}


def _reward(
    arm: Arm,
    tasks: Mapping[str, Task],
    judging: JudgeSettings,
    reward_model: Stage | None,
) -> Callable:
    """What the arm's programs are paid."""
    if arm.reward == "eta_rm":
        return ModelReward(reward_model.folder / "model")
    return {"passes": PassReward, "dense": EtaReward}[arm.reward](tasks, judging)


def _rows(tasks: Mapping[str, Task]) -> list[dict]:
    return [{"prompt": task.prompt, "task_id": name} for name, task in tasks.items()]


def updates_of(rounds: RoundSettings, method: PPOSettings | GRPOSettings) -> int:
    """Updates that execute as many programs as the rounds of DPO."""
    return rounds.prompts // method.prompts


def snapshot_updates(
    rounds: RoundSettings, method: PPOSettings | GRPOSettings
) -> list[int]:
    """Updates after which as many programs were executed as in a whole round of DPO."""
    per_round, rest = divmod(updates_of(rounds, method), rounds.rounds)
    if rest:
        return []
    return [per_round * number for number in range(1, rounds.rounds)]


METHODS: dict[str, Callable[[Study, Stage, Arm], list[Stage]]] = {
    "sft": train_on_solutions,
    "rft": align_by_rft,
    "ppo": align_by_ppo,
    "grpo": align_by_grpo,
    "branching": align_by_branching,
    "dpo": align_by_dpo,
}
