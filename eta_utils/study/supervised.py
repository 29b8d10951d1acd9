"""The first two stages: the base model, and SFT of it."""

from __future__ import annotations

from eta_utils.common.processes import from_first
from eta_utils.execution import JudgeSettings
from eta_utils.study.models import learner_of
from eta_utils.study.settings import (
    CorpusSettings,
    FamilySettings,
    SetSettings,
    SFTTaskSettings,
)
from eta_utils.study.stages import Stage, made
from eta_utils.study.study import Study
from eta_utils.study.tasks import corpus_of, sft_tasks
from eta_utils.training.models import build_tiny, load_model, parameter_count, save_model
from eta_utils.training.settings import (
    BaseSettings,
    LearnerSettings,
    ModelSettings,
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
        loaded, _ = load_model(model.model)
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
    learner, tokenizer = learner_of(base, model, stage.seed)
    examples = [
        {"prompt": task.prompt, "completion": task.canonical_solution}
        for task in sft_tasks(family, wanted, judging, stage.seed).values()
    ]
    with stage.clock("training"):
        history = train_sft(
            learner,
            tokenizer,
            examples,
            sft,
            stage.folder,
            seed=stage.seed,
            bf16=model.bf16,
        )
    save_model(learner, tokenizer, stage.folder / "model")
    return {"loss": float(history[-1]["loss"])}
