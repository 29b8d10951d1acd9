"""The base model, and SFT of it."""

from __future__ import annotations

from eta_utils.common.processes import from_first
from eta_utils.study.models import TRAINING, learner_of, settings_of
from eta_utils.study.stages import Stage
from eta_utils.study.study import Study
from eta_utils.study.tasks import FAMILY, corpus_of, tasks_of
from eta_utils.training.models import build_tiny, load_model, parameters, save_model
from eta_utils.training.sft import train_base, train_sft

_TOKENIZER_TEXTS = 4_000  # enough to fill the vocabulary
_CORPUS = (
    "tasks",
    "repair_trace",
    "corpus_tasks",
    "corpus_noise",
    "min_steps",
    "max_steps",
)


def pretrain(study: Study) -> Stage:
    """The base model: the tiny one learns a noisy corpus, any other is taken as it is."""
    if study.model != "tiny":
        stage = Stage(study.folder, "base", {"model": study.model})
        if stage.must_run():
            with stage.clock("base"):
                model, _ = load_model(study.model)
            stage.finish({"model": study.model, "parameters": parameters(model)})
        return stage
    settings = settings_of(study, study.base_learning_rate, study.base_batch)
    names = (*_CORPUS, "base_batch", "base_learning_rate")
    stage = Stage(study.folder, "base", study.only("model", "precision", *names))
    if stage.must_run():
        with stage.clock("base"):
            corpus = corpus_of(study)
            texts = (each["prompt"] + each["completion"] for each in corpus)
            start = stage.folder / "untrained"
            some = list(texts)[:_TOKENIZER_TEXTS]
            from_first(lambda: build_tiny(start, some, study.seed, study.context))
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


def finetune(study: Study, base: Stage) -> Stage:
    """SFT: one epoch over a small subset of tasks with their clean solutions."""
    names = ("sft_tasks", "sft_batch", "sft_learning_rate", "sft_min_steps", "max_steps")
    stage = Stage(study.folder, "sft", study.only(*FAMILY, *names, *TRAINING), [base])
    if stage.must_run():
        settings = settings_of(study, study.sft_learning_rate, study.sft_batch)
        model, tokenizer = learner_of(study, base)
        examples = [
            {"prompt": task.prompt, "completion": task.canonical_solution}
            for task in tasks_of(study, "sft").values()
        ]
        with stage.clock("training"):
            history = train_sft(model, tokenizer, examples, settings, stage.folder)
        save_model(model, tokenizer, stage.folder / "model")
        stage.finish({"loss": float(history[-1]["loss"])})
    return stage
