"""One run of the study: its settings, and the stages that they lead to.

>>> from eta_utils.study import Study, pretrain, finetune, align, evaluate
>>> study = Study.begin(profile="smoke")
>>> sft = finetune(study, pretrain(study))
>>> rounds = align(study, sft, "dpo-eta")
>>> evaluate(study, rounds[-1]).metrics["pass@1"]

`study` composes the settings, `stages` says what may be reused, `supervised`, `alignment`
and `reward_model` make the models, `rollouts` has them sampled and judged, and `results`
reads back what a run has kept.
"""

from eta_utils.common.faces import lazy

_NAMES = {
    "Study": "study",
    "ROOT": "study",
    "tasks_of": "tasks",
    "corpus_of": "tasks",
    "pretrain": "supervised",
    "finetune": "supervised",
    "align": "alignment",
    "pairs_of": "alignment",
    "train_eta_rm": "reward_model",
    "judge_eta_rm": "reward_model",
    "draw": "rollouts",
    "evaluate": "rollouts",
    "evaluate_rounds": "rollouts",
    "evaluate_on_humaneval": "rollouts",
    "hidden_programs": "rollouts",
    "read_scores": "results",
    "read_statuses": "results",
    "all_scores": "results",
    "missing_arms": "results",
    "of_seeds": "results",
    "examples": "results",
    "training_history": "results",
}
__all__ = list(_NAMES)
__getattr__ = lazy(__name__, _NAMES)
