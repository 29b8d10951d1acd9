"""The settings of a study that belong to no single room below: tasks, rounds, arms.

Together with those of `training.settings`, `execution.judge` and `preferences.pairs` they
make a `Study`.  Nothing here loads torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from eta_utils.analysis.arms import ARMS, Arm, parse_arm
from eta_utils.common.errors import BadInput
from eta_utils.common.settings import Settings, setting
from eta_utils.tasks import SETS

GENERATED = ("pipelines", "repair")
HARDEST = 5  # steps: the programs have up to 95 tokens, near `max_new_tokens`


@dataclass(frozen=True)
class TaskSettings(Settings):
    """The family of tasks (`study.tasks`)."""

    tasks: str = setting("pipelines", "pipelines, repair, a named set or a file of tasks")
    limit: int = setting(0, "most problems taken of a named set; 0: all", at_least=0)
    test_set: str = setting(
        "", "named set to evaluate on instead of the family's own tasks"
    )
    hidden_set: str = setting("", "named set whose tests are the hidden ones: humaneval+")
    repair_trace: int = setting(
        1, "1: a repair task says what the program did; 0: it does not", choices=(0, 1)
    )
    max_steps: int = setting(
        5, "greatest difficulty (steps) of built-in tasks", at_least=1, at_most=HARDEST
    )
    align_min_steps: int = setting(
        3, "least difficulty of alignment, tuning and test tasks", at_least=1
    )

    @property
    def generated(self) -> bool:
        """Whether the tasks are generated here, as many as are wanted."""
        return self.tasks in GENERATED

    def check(self) -> None:
        """As `Settings.check`; sets and files that are named must be there."""
        super().check()
        for name, known in (
            ("tasks", (*GENERATED, *SETS)),
            ("test_set", ("", *SETS)),
            ("hidden_set", ("", *SETS)),
        ):
            value = getattr(self, name)
            if value not in known and not Path(value).is_file():
                there = ", ".join(filter(None, known))
                raise BadInput(
                    f"parameter {name}: {value!r} is no file, and none of {there}"
                )
            if self.generated and value and name != "tasks":
                raise BadInput(
                    f"parameter {name}: the family {self.tasks} has tests of its own"
                )
        self.check_steps("align_min_steps", self.align_min_steps)

    def check_steps(self, name: str, least: int) -> None:
        """Raise BadInput for a least difficulty above the greatest."""
        if least > self.max_steps:
            raise BadInput(
                f"parameter {name}: {least} is above max_steps, which is {self.max_steps}"
            )


@dataclass(frozen=True)
class CorpusSettings(Settings):
    """The buggy corpus of the tiny base model (`study.tasks.corpus_of`)."""

    prefix = "corpus_"
    tasks: int = setting(26_000, "programs in the corpus", at_least=1)
    noise: float = setting(
        0.35, "probability that a step in the corpus has a bug", at_least=0, at_most=1
    )
    min_steps: int = setting(1, "least difficulty (steps) of its programs", at_least=1)


@dataclass(frozen=True)
class SFTTaskSettings(Settings):
    """The tasks of SFT (`study.tasks.sft_tasks`)."""

    prefix = "sft_"
    tasks: int = setting(192, "number of tasks, each with a correct solution", at_least=1)
    min_steps: int = setting(2, "least difficulty (steps) of these tasks", at_least=1)


@dataclass(frozen=True)
class RoundSettings(Settings):
    """How many programs each arm executes in training (`study.alignment`)."""

    rounds: int = setting(3, "on-policy rounds of each arm", at_least=0)
    prompts_per_round: int = setting(256, "alignment prompts of a round", at_least=1)
    samples_per_prompt: int = setting(8, "completions per alignment prompt", at_least=1)

    @property
    def prompts(self) -> int:
        """Prompts of all rounds."""
        return self.rounds * self.prompts_per_round

    @property
    def programs(self) -> int:
        """Programs that each arm executes in training: the same for all arms."""
        return self.prompts * self.samples_per_prompt


@dataclass(frozen=True)
class ArmSettings(Settings):
    """Which arms a study has (`analysis.arms`)."""

    rl_arms: str = setting(
        "ppo", "arms of reinforcement learning: ppo, ppo-eta, ppo-rm, rloo"
    )
    dpo_arms: str = setting(
        "eta binary steps", "arms of DPO: orderings, with options, as in eta+matched"
    )
    eta_rm: int = setting(1, "1: train and judge ETA-RM; 0: leave it out", choices=(0, 1))
    beside: str = setting(
        "", "other runs that the crossover figure compares this one with", decides=False
    )

    @property
    def rl(self) -> tuple[Arm, ...]:
        """The arms of reinforcement learning."""
        return tuple(parse_arm(name) for name in self.rl_arms.split())

    @property
    def dpo(self) -> tuple[Arm, ...]:
        """The arms of DPO."""
        return tuple(parse_arm(f"dpo-{text}") for text in self.dpo_arms.split())

    @property
    def all(self) -> tuple[Arm, ...]:
        """All arms that are aligned."""
        return (*self.rl, *self.dpo)

    def check(self) -> None:
        """As `Settings.check`; every arm must exist."""
        super().check()
        known = [name for name, arm in ARMS.items() if arm.method in ("ppo", "rloo")]
        for name in self.rl_arms.split():
            if name not in known:
                raise BadInput(
                    f"parameter rl_arms: there is no {name}; there are {', '.join(known)}"
                )
        orderings = [arm.ordering for arm in ARMS.values() if arm.ordering]
        for text in self.dpo_arms.split():
            if text.partition("+")[0] not in orderings:
                raise BadInput(
                    f"parameter dpo_arms: there is no {text}; there are "
                    f"{', '.join(orderings)}"
                )
            try:
                parse_arm(f"dpo-{text}")
            except BadInput as error:
                raise BadInput(f"parameter dpo_arms: {error}") from None


@dataclass(frozen=True)
class HeldOutSettings(Settings):
    """The tasks that every model is evaluated on (`study.tasks.held_out_tasks`)."""

    prefix = "test_"
    tasks: int = setting(240, "held-out tasks", at_least=1)


@dataclass(frozen=True)
class EvaluationSettings(Settings):
    """Samples per held-out task (`study.rollouts.evaluate`)."""

    test_samples: int = setting(
        8, "samples per held-out task at the end of an arm", at_least=1
    )
    curve_samples: int = setting(4, "samples per held-out task between rounds", at_least=1)
    humaneval_samples: int = setting(
        1, "samples per HumanEval problem, for the SFT model", at_least=0
    )
