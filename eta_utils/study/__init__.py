"""One run of the study: its settings, and the stages that they lead to.

>>> from eta_utils.study import Study, pretrain, finetune, align, evaluate
>>> study = Study.begin(profile="smoke")
>>> sft = finetune(study, pretrain(study))
>>> rounds = align(study, sft, "dpo-eta")
>>> evaluate(study, rounds[-1]).metrics["pass@1 at 0.3"]

`study` composes the settings, `stages` says what may be reused, `supervised`, `alignment`
and `reward_model` make the models, `rollouts` has them sampled and judged, `near` finds the
held-out tasks that resemble one trained on, and `results` reads back what a run has kept.
"""

from eta_utils.common.faces import lazy
from eta_utils.common.libraries import settle

settle()  # before torch is loaded, which reads some of it
_NAMES = {
    "Study": "study",
    "ROOT": "study",
    "tasks_of": "tasks",
    "corpus_of": "tasks",
    "pretrain": "supervised",
    "finetune": "supervised",
    "reach_ceiling": "supervised",
    "imitate_references": "supervised",
    "align": "alignment",
    "pairs_of": "alignment",
    "train_eta_rm": "reward_model",
    "judge_eta_rm": "reward_model",
    "draw": "rollouts",
    "measure_gate": "rollouts",
    "SPLITS": "rollouts",
    "evaluate": "rollouts",
    "evaluate_rounds": "rollouts",
    "evaluate_on_humaneval": "rollouts",
    "hidden_programs": "rollouts",
    "read_outcomes": "rollouts",
    "near_duplicates": "near",
    "read_near": "near",
    "read_results": "results",
    "read_statuses": "results",
    "copy_runs_beside": "results",
    "missing_arms": "results",
    "examples": "results",
    "training_history": "results",
}
__all__ = list(_NAMES)
__getattr__ = lazy(__name__, _NAMES)
