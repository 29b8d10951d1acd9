"""Reinforcement learning: PPO and its controls, over as many programs as each DPO arm."""

from __future__ import annotations

from collections.abc import Callable

from eta_utils.study.models import SAMPLING, TRAINING, learner_of, model_of
from eta_utils.study.reward_model import train_eta_rm
from eta_utils.study.stages import Stage
from eta_utils.study.study import Study
from eta_utils.study.tasks import FAMILY, tasks_of
from eta_utils.training.models import save_model
from eta_utils.training.ppo import PPOSettings, train_ppo
from eta_utils.training.rewards import EtaReward, ModelReward, PassReward
from eta_utils.training.rloo import train_rloo

_SHARED = (
    "rounds prompts_per_round samples_per_prompt ppo_prompts ppo_learning_rate "
    "ppo_epochs ppo_minibatch ppo_clip ppo_kl align_min_steps max_steps"
).split()
_HOW = sorted({*SAMPLING, *TRAINING} - {"sampler"})  # it samples by transformers


def align(study: Study, sft: Stage, arm: str) -> Stage:
    """The arm of that name: `ppo`, `ppo-eta`, `ppo-rm` or `rloo`."""
    return align_by_rloo(study, sft) if arm == "rloo" else align_by_ppo(study, sft, arm)


def align_by_ppo(study: Study, sft: Stage, arm: str = "ppo") -> Stage:
    """PPO on passing, for `ppo-eta` on the gated ETA score, for `ppo-rm` on ETA-RM."""
    made_from = [sft, train_eta_rm(study, sft)] if arm == "ppo-rm" else [sft]
    stage = Stage(study.folder, arm, study.only(*FAMILY, *_SHARED, *_HOW), made_from)
    if stage.must_run():
        policy, tokenizer = learner_of(study, sft)
        reference, _ = model_of(study, sft)
        history = train_ppo(
            policy,
            reference,
            tokenizer,
            _rows(study),
            _reward(study, arm),
            _settings(study),
            stage.folder,
            snapshots=_ppo_snapshots(study),
        )
        for kind in ("sampling", "reward", "training"):
            spent = sum(row[f"seconds/{kind}"] for row in history)
            stage.seconds["judging" if kind == "reward" else kind] = spent
        save_model(policy, tokenizer, stage.folder / "model")
        stage.finish({"programs": study.programs, "kl": history[-1]["objective/kl"]})
    return stage


def align_by_rloo(study: Study, sft: Stage) -> Stage:
    """RLOO by TRL on the binary reward, with PPO's settings where it has them."""
    stage = Stage(study.folder, "rloo", study.only(*FAMILY, *_SHARED, *_HOW), [sft])
    if stage.must_run():
        policy, tokenizer = learner_of(study, sft)
        reward = PassReward(study, tasks_of(study, "align"))
        with stage.clock("training"):  # TRL samples and judges within it
            train_rloo(
                policy, tokenizer, _rows(study), reward, _settings(study), stage.folder
            )
        save_model(policy, tokenizer, stage.folder / "model")
        stage.finish({"programs": study.programs})
    return stage


def _settings(study: Study) -> PPOSettings:
    return PPOSettings(
        updates=study.ppo_updates,
        prompts_per_update=study.ppo_prompts,
        samples_per_prompt=study.samples_per_prompt,
        learning_rate=study.ppo_learning_rate,
        epochs=study.ppo_epochs,
        minibatch_size=study.ppo_minibatch,
        clip=study.ppo_clip,
        value_clip=study.ppo_clip,
        kl_coefficient=study.ppo_kl,
        temperature=study.temperature,
        max_new_tokens=study.max_new_tokens,
        seed=study.seed,
        bf16=study.precision == "bf16",
    )


def _reward(study: Study, arm: str) -> Callable:
    if arm == "ppo-rm":
        return ModelReward(study.folder / "rm" / "model")
    kind = EtaReward if arm == "ppo-eta" else PassReward
    return kind(study, tasks_of(study, "align"))


def _rows(study: Study) -> list[dict]:
    tasks = tasks_of(study, "align")
    return [{"prompt": task.prompt, "task_id": name} for name, task in tasks.items()]


def _ppo_snapshots(study: Study) -> list[int]:
    """Updates of PPO at which as many programs were executed as in a round of DPO."""
    each, rest = divmod(study.ppo_updates, study.rounds)
    return [] if rest else [each * number for number in range(1, study.rounds)]


def rounds_of_rl(study: Study, ppo: Stage) -> list[Stage]:
    """A policy at the programs where DPO's rounds end, for the learning curve; of RLOO the
    end alone."""
    rounds = []
    snapshots = [] if ppo.name == "rloo" else _ppo_snapshots(study)
    for number, update in enumerate(snapshots, 1):
        stage = Stage(study.folder, f"{ppo.name}/round{number}", {"update": update}, [ppo])
        if stage.must_run():
            programs = update * study.ppo_prompts * study.samples_per_prompt
            stage.finish({"programs": programs, "model": f"../update{update}"})
        rounds.append(stage)
    return [*rounds, ppo]
