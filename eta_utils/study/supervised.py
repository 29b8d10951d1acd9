"""What learns from solutions alone: the base model, SFT of it, and two supervised rivals.

>>> base = pretrain(study)
>>> sft = finetune(study, base)            # a few solutions without misconceived operations
>>> reach_ceiling(study, base)             # many solutions, of all operations
>>> imitate_references(study, sft)         # the solutions of the alignment tasks themselves

The ceiling says how well this model could do these tasks.  `sft-references` is what a user
should do who has the solutions that some uses of a trace need.
"""

from __future__ import annotations

from collections.abc import Mapping

from eta_utils.common.processes import from_first
from eta_utils.execution import JudgeSettings
from eta_utils.study.models import learner_of
from eta_utils.study.settings import (
    CorpusSettings,
    FamilySettings,
    RoundSettings,
    SetSettings,
    SFTTaskSettings,
    TaskSettings,
)
from eta_utils.study.stages import Stage, made
from eta_utils.study.study import Study
from eta_utils.study.tasks import alignment_tasks, ceiling_tasks, corpus_of, sft_tasks
from eta_utils.tasks import Task
from eta_utils.training.models import build_tiny, load_model, parameter_count, save_model
from eta_utils.training.settings import (
    BaseSettings,
    CeilingSettings,
    EpochSettings,
    LearnerSettings,
    ModelSettings,
    ReferenceSettings,
    SFTSettings,
)
from eta_utils.training.sft import train_base, train_sft

TOKENIZER_TEXTS = 4_000  # enough to fill the vocabulary
# Tokens that the tiny model can see; a repair task shows a program, too.
CONTEXT, REPAIR_CONTEXT = 256, 512


def pretrain(study: Study) -> Stage:
    """The base model: the tiny one learns the corpus, any other is taken as it is."""
    if study.model.model != "tiny":
        model = study.model.narrowed(ModelSettings)
        return made(study.folder, "base", study.seed, _take, [model])
    settings = [
        study.family.narrowed(FamilySettings),
        study.corpus,
        study.judging if study.family.executes else None,
        study.model.narrowed(ModelSettings),
        study.base,
    ]
    return made(study.folder, "base", study.seed, _pretrain, settings)


def _take(stage: Stage, model: ModelSettings) -> dict:
    with stage.clock("base"):
        loaded, _ = load_model(model.model, model.weights, model.prompt_format)
    return {"model": model.model, "parameters": parameter_count(loaded)}


def _pretrain(
    stage: Stage,
    family: FamilySettings,
    corpus: CorpusSettings,
    judging: JudgeSettings | None,
    model: ModelSettings,
    base: BaseSettings,
) -> dict:
    with stage.clock("base"):
        rows = corpus_of(family, corpus, judging, stage.seed)
        texts = [row["prompt"] + row["completion"] for row in rows[:TOKENIZER_TEXTS]]
        context = REPAIR_CONTEXT if family.tasks == "repair" else CONTEXT
        start = stage.folder / "untrained"
        from_first(lambda: build_tiny(start, texts, stage.seed, context))
        learner, tokenizer = load_model(start)
        history = train_base(
            learner, tokenizer, rows, base, stage.folder, seed=stage.seed, bf16=model.bf16
        )
        save_model(learner, tokenizer, stage.folder / "model")
    return {
        "parameters": parameter_count(learner),
        "clean programs": sum(not row["bugs"] for row in rows) / len(rows),
        "loss": float(history[-1]["loss"]),
    }


def finetune(study: Study, base: Stage) -> Stage:
    """SFT: one epoch over a small subset of tasks with their clean solutions."""
    settings = [
        study.family.narrowed(SetSettings),
        study.sft_tasks,
        study.judging if study.family.executes else None,
        study.model,
        study.sft,
    ]
    return made(study.folder, "sft", study.seed, _finetune, settings, [base])


def _finetune(
    stage: Stage,
    family: SetSettings,
    wanted: SFTTaskSettings,
    judging: JudgeSettings | None,
    model: LearnerSettings,
    sft: SFTSettings,
    base: Stage,
) -> dict:
    tasks = sft_tasks(family, wanted, judging, stage.seed)
    return _imitate(stage, tasks, model, sft, base)


def reach_ceiling(study: Study, base: Stage) -> Stage:
    """SFT of the base on many clean solutions of all operations."""
    settings = [study.family, study.ceiling, study.judging, study.model]
    return made(study.folder, "ceiling", study.seed, _reach_ceiling, settings, [base])


def _reach_ceiling(
    stage: Stage,
    family: TaskSettings,
    ceiling: CeilingSettings,
    judging: JudgeSettings,
    model: LearnerSettings,
    base: Stage,
) -> dict:
    tasks = ceiling_tasks(family, ceiling, judging, stage.seed)
    return _imitate(stage, tasks, model, ceiling, base)


def imitate_references(study: Study, sft: Stage) -> Stage:
    """SFT on the reference solutions of all alignment tasks; it executes no program."""
    settings = [study.family, study.rounds, study.judging, study.model, study.references]
    return made(
        study.folder, "sft-references", study.seed, _imitate_references, settings, [sft]
    )


def _imitate_references(
    stage: Stage,
    family: TaskSettings,
    rounds: RoundSettings,
    judging: JudgeSettings,
    model: LearnerSettings,
    references: ReferenceSettings,
    sft: Stage,
) -> dict:
    tasks = alignment_tasks(family, rounds, judging, stage.seed)
    return _imitate(stage, tasks, model, references, sft)


def _imitate(
    stage: Stage,
    tasks: Mapping[str, Task],
    model: LearnerSettings,
    settings: EpochSettings,
    start: Stage,
) -> dict:
    """Train on the solutions of the tasks, from the model of `start`."""
    learner, tokenizer = learner_of(start, model, stage.seed)
    examples = [
        {"prompt": task.prompt, "completion": task.canonical_solution}
        for task in tasks.values()
    ]
    with stage.clock("training"):
        history = train_sft(
            learner,
            tokenizer,
            examples,
            settings,
            stage.folder,
            seed=stage.seed,
            bf16=model.bf16,
        )
    save_model(learner, tokenizer, stage.folder / "model")
    return {"loss": float(history[-1]["loss"]), "solutions": len(examples)}
