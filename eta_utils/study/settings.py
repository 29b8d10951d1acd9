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
RL_ARMS = tuple(name for name, arm in ARMS.items() if arm.reward)
HARDEST = 5  # steps: the programs have up to 95 tokens, near `max_new_tokens`


@dataclass(frozen=True)
class FamilySettings(Settings):
    """The family of tasks (`study.tasks`)."""

    tasks: str = setting(
        "pipelines", "pipelines, repair, a named set or a file of tasks", names_path=True
    )
    repair_trace: int = setting(
        1, "1: a repair task says what the program did; 0: it does not", choices=(0, 1)
    )
    max_steps: int = setting(
        5, "greatest difficulty (steps) of built-in tasks", at_least=1, at_most=HARDEST
    )

    @property
    def generated(self) -> bool:
        """Whether the tasks are generated here, as many as are wanted."""
        return self.tasks in GENERATED

    @property
    def executes(self) -> bool:
        """Whether making the tasks may execute programs, to say what they do."""
        return self.tasks != "pipelines"

    def check_steps(self, name: str, least: int) -> None:
        """Raise BadInput for a least difficulty above the greatest."""
        if least > self.max_steps:
            raise BadInput(
                f"parameter {name}: {least} is above max_steps, which is {self.max_steps}"
            )


@dataclass(frozen=True)
class SetSettings(FamilySettings):
    """The family, and what is taken of named sets."""

    limit: int = setting(0, "most problems taken of a named set; 0: all", at_least=0)
    test_set: str = setting(
        "",
        "named set to evaluate on instead of the family's own tasks",
        names_path=True,
    )
    hidden_set: str = setting(
        "", "named set whose tests are the hidden ones: humaneval+", names_path=True
    )


@dataclass(frozen=True)
class TaskSettings(SetSettings):
    """The tasks of alignment and evaluation, and the family they are of (`study.tasks`)."""

    align_min_steps: int = setting(
        3, "least difficulty of alignment, tuning and test tasks", at_least=1
    )

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


@dataclass(frozen=True)
class CorpusSettings(Settings):
    """The buggy corpus of the tiny base model (`study.tasks.corpus_of`)."""

    prefix = "corpus_"
    tasks: int = setting(26_000, "number of programs in the corpus", at_least=1)
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

    rounds: int = setting(3, "on-policy rounds of each arm", at_least=1)
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

    rl_arms: str = setting("ppo", f"arms of reinforcement learning: {', '.join(RL_ARMS)}")
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
        for name in self.rl_arms.split():
            if name not in RL_ARMS:
                raise BadInput(
                    f"parameter rl_arms: there is no {name}; there are {', '.join(RL_ARMS)}"
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
                typed = str(error).removeprefix("arm dpo-")
                raise BadInput(f"parameter dpo_arms: {typed}") from None


@dataclass(frozen=True)
class HeldOutSettings(Settings):
    """The tasks that every model is evaluated on (`study.tasks.held_out_tasks`)."""

    prefix = "test_"
    tasks: int = setting(240, "number of held-out tasks", at_least=1)


@dataclass(frozen=True)
class EvaluationSettings(Settings):
    """Samples per held-out task (`study.rollouts.evaluate`)."""

    test_samples: int = setting(
        8, "samples per held-out task at the end of an arm", at_least=1
    )
    curve_samples: int = setting(4, "samples per held-out task between rounds", at_least=1)
    humaneval_samples: int = setting(
        1, "samples per HumanEval problem, for the SFT model", at_least=1
    )
