"""The arms of the study as stages: what each model is made from.

>>> base = pretrain(study)
>>> sft = finetune(study, base)
>>> ppo = align_by_ppo(study, sft)
>>> rounds = align_by_dpo(study, sft, "eta")

Every function returns a `Stage`: its folder holds the model, what was sampled, and how the
training went; it is made once and reused while its parameters stand (see `stages`).

Leaves out: how training works (`training`, `ppo`) and what models write (`rollouts`).
"""

from __future__ import annotations

import random
from collections.abc import Mapping

from eta_utils.audit import Programs, by_prompt, hidden_fractions
from eta_utils.dpo import DPOSettings, train_dpo
from eta_utils.files import write_jsonl
from eta_utils.models import build_tiny, load_model, parameters, save_model
from eta_utils.ppo import PPOSettings, train_ppo
from eta_utils.preferences import make_pairs
from eta_utils.recipes import recipe
from eta_utils.rollouts import (
    SAMPLING,
    draw,
    judged,
    model_of,
    read_outcomes,
    round_tasks,
    tasks_of,
)
from eta_utils.stages import Stage
from eta_utils.study import Study
from eta_utils.tasks import Task, pipelines
from eta_utils.training import SFTSettings, train_base, train_sft

_TOKENIZER_TEXTS = 4_000  # enough to fill the vocabulary
_CORPUS = ("corpus_tasks", "corpus_noise", "min_steps", "max_steps")


def pretrain(study: Study) -> Stage:
    """The base model: the tiny one learns a noisy corpus, any other is taken as it is."""
    if study.model != "tiny":
        stage = Stage(study.folder, "base", {"model": study.model})
        if stage.must_run():
            with stage.clock("base"):
                model, _ = load_model(study.model)
            stage.finish({"model": study.model, "parameters": parameters(model)})
        return stage
    settings = SFTSettings(study.base_learning_rate, study.base_batch, seed=study.seed)
    names = (*_CORPUS, "base_batch", "base_learning_rate")
    stage = Stage(study.folder, "base", study.only("model", *names))
    if stage.must_run():
        with stage.clock("base"):
            corpus = noisy_corpus(study)
            texts = (each["prompt"] + each["completion"] for each in corpus)
            start = stage.folder / "untrained"
            build_tiny(start, list(texts)[:_TOKENIZER_TEXTS], study.seed)
            model, tokenizer = load_model(start)
            history = train_base(model, tokenizer, corpus, settings, stage.folder)
            save_model(model, tokenizer, stage.folder / "model")
        clean = sum(not each["bugs"] for each in corpus) / len(corpus)
        stage.finish(
            {
                "parameters": parameters(model),
                "clean programs": clean,
                "loss": float(history[-1]["loss"]),
            }
        )
    return stage


def noisy_corpus(study: Study) -> list[dict]:
    """What the tiny base model is trained on."""
    steps = (study.min_steps, study.max_steps)
    corpus = pipelines.noisy_corpus(
        study.corpus_tasks, study.corpus_noise, steps=steps, seed=study.seed
    )
    return list(corpus)


def finetune(study: Study, base: Stage) -> Stage:
    """SFT: one epoch over a small subset of tasks with their clean solutions."""
    names = ("sft_tasks", "sft_batch", "sft_learning_rate", "sft_min_steps", "max_steps")
    stage = Stage(study.folder, "sft", study.only(*names), [base])
    if stage.must_run():
        settings = SFTSettings(study.sft_learning_rate, study.sft_batch, seed=study.seed)
        model, tokenizer = model_of(base)
        examples = [
            {"prompt": task.prompt, "completion": task.canonical_solution}
            for task in tasks_of(study, "sft").values()
        ]
        with stage.clock("training"):
            history = train_sft(model, tokenizer, examples, settings, stage.folder)
        save_model(model, tokenizer, stage.folder / "model")
        stage.finish({"loss": float(history[-1]["loss"])})
    return stage


def align_by_ppo(study: Study, sft: Stage) -> Stage:
    """PPO on a binary reward, over as many programs as each DPO arm executes."""
    names = (
        "rounds prompts_per_round samples_per_prompt ppo_prompts ppo_learning_rate "
        "ppo_epochs ppo_minibatch ppo_clip ppo_kl align_min_steps max_steps"
    ).split()
    stage = Stage(study.folder, "ppo", study.only(*names, *SAMPLING), [sft])
    if stage.must_run():
        settings = PPOSettings(
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
        )
        tasks = tasks_of(study, "align")
        rows = [{"prompt": task.prompt, "task_id": name} for name, task in tasks.items()]
        (policy, tokenizer), (reference, _) = model_of(sft), model_of(sft)
        history = train_ppo(
            policy,
            reference,
            tokenizer,
            rows,
            PassReward(study, tasks),
            settings,
            stage.folder,
            snapshots=_ppo_snapshots(study),
        )
        for kind in ("sampling", "reward", "training"):
            spent = sum(row[f"seconds/{kind}"] for row in history)
            stage.seconds["judging" if kind == "reward" else kind] = spent
        save_model(policy, tokenizer, stage.folder / "model")
        stage.finish({"programs": study.programs, "kl": history[-1]["objective/kl"]})
    return stage


def _ppo_snapshots(study: Study) -> list[int]:
    """Updates of PPO at which as many programs were executed as in a round of DPO."""
    each, rest = divmod(study.ppo_updates, study.rounds)
    return [] if rest else [each * number for number in range(1, study.rounds)]


def rounds_of_ppo(study: Study, ppo: Stage) -> list[Stage]:
    """PPO's policy at the programs where DPO's rounds end, for the learning curve."""
    rounds = []
    for number, update in enumerate(_ppo_snapshots(study), 1):
        stage = Stage(study.folder, f"ppo/round{number}", {"update": update}, [ppo])
        if stage.must_run():
            programs = update * study.ppo_prompts * study.samples_per_prompt
            stage.finish({"programs": programs, "model": f"../update{update}"})
        rounds.append(stage)
    return [*rounds, ppo]


class PassReward:
    """1.0 for a completion whose program passes its visible tests, else 0.0; None where
    the judge itself failed.  A reward callable of TRL's shape."""

    __name__ = "passes"  # TRL's trainers name their metrics after it

    def __init__(self, study: Study, tasks: Mapping[str, Task]) -> None:
        self.study, self.tasks = study, tasks

    def __call__(
        self, prompts: list[str], completions: list[str], task_id: list[str], **_: object
    ) -> list[float | None]:
        samples = [
            {"task_id": name, "completion": text}
            for name, text in zip(task_id, completions, strict=True)
        ]
        outcomes = judged(self.study, samples, self.tasks)
        return [None if each.passed is None else float(each.passed) for each in outcomes]


def align_by_dpo(study: Study, sft: Stage, arm: str) -> list[Stage]:
    """On-policy rounds of DPO: sample, judge, make pairs by the arm's recipe, train."""
    stages: list[Stage] = []
    for number in range(1, study.rounds + 1):
        policy = stages[-1] if stages else sft
        drawn = draw(study, policy, number)
        stages.append(_dpo_round(study, arm, number, policy, drawn))
    return stages


def _dpo_round(study: Study, arm: str, number: int, policy: Stage, drawn: Stage) -> Stage:
    names = "pairs_per_prompt dpo_beta dpo_learning_rate dpo_batch dpo_nll_weight".split()
    name = f"dpo-{arm}/round{number}"
    stage = Stage(study.folder, name, study.only(*names), [policy, drawn])
    if stage.must_run():
        settings = DPOSettings(
            study.dpo_learning_rate,
            study.dpo_batch,
            study.dpo_beta,
            study.dpo_nll_weight * recipe(arm).nll,
            recipe(arm).loss_on,
            seed=study.seed,
        )
        pairs = pairs_of(study, drawn, arm, number)
        with write_jsonl(stage.folder / "pairs.jsonl.gz") as write:
            for pair in pairs:
                write(pair)
        (model, tokenizer), (reference, _) = model_of(policy), model_of(policy)
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


def pairs_of(study: Study, drawn: Stage, arm: str, number: int) -> list[dict]:
    """The preference pairs that an arm's recipe makes of a round's samples."""
    wanted = recipe(arm)
    pairs = _made(study, drawn, number, wanted.ordering, gated=wanted.gated)
    if wanted.matched:
        fewer = len(_made(study, drawn, number, "binary"))
        rng = random.Random(f"{study.seed} {number}")
        kept = sorted(rng.sample(range(len(pairs)), min(fewer, len(pairs))))
        pairs = [pairs[index] for index in kept]
    return pairs


def _made(
    study: Study, drawn: Stage, number: int, ordering: str, gated: bool = True
) -> list[dict]:
    return make_pairs(
        read_outcomes(drawn),
        round_tasks(study, number),
        ordering,
        per_task=study.pairs_per_prompt,
        seed=study.seed,
        gated=gated,
    )


def programs_of(study: Study, drawn: Stage) -> dict[str, Programs]:
    """The programs of the first round with what the hidden tests say, for `audit`.

    The hidden tests serve that table alone; no training sees them.
    """
    tasks = round_tasks(study, 1)
    outcomes = read_outcomes(drawn)
    hidden_tasks = {name: task.hidden() for name, task in tasks.items()}
    again = judged(study, [each.sample for each in outcomes], hidden_tasks)
    return by_prompt(outcomes, hidden_fractions(again, tasks), tasks)
