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
TRAINED_ARMS = tuple(name for name in ARMS if name not in ("base", "sft"))
HARDEST = 5  # steps: the programs have up to 95 tokens, near `max_new_tokens`
MOST_MISCONCEPTIONS = 30  # `tasks.misconceptions` has so many
# At which every model is evaluated.  The best one on tuning tasks is the model's own.
TEMPERATURES = (1.0, 0.7, 0.5, 0.3, 0.0)


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
    misconceptions: int = setting(
        20,
        "operations that the corpus mostly gets wrong",
        at_least=0,
        at_most=MOST_MISCONCEPTIONS,
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
    align_min_misconceptions: int = setting(
        0, "least misconceived steps of alignment, tuning and test tasks", at_least=0
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
        self.check_steps("align_min_misconceptions", self.align_min_misconceptions)
        if self.align_min_misconceptions > self.misconceptions:
            raise BadInput(
                f"parameter align_min_misconceptions: {self.align_min_misconceptions} is "
                f"above misconceptions, which is {self.misconceptions}"
            )


@dataclass(frozen=True)
class CorpusSettings(Settings):
    """The buggy corpus of the tiny base model (`study.tasks.corpus_of`)."""

    prefix = "corpus_"
    tasks: int = setting(26_000, "number of programs in the corpus", at_least=1)
    noise: float = setting(
        0.06,
        "probability that a corpus step has a random bug",
        at_least=0,
        at_most=1,
    )
    misconception_rate: float = setting(
        0.7,
        "fraction of a misconceived operation's uses that are wrong",
        at_least=0,
        at_most=1,
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
    prompts_per_round: int = setting(64, "alignment prompts of a round", at_least=1)
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

    arms: str = setting(
        "grpo credit branching dpo-binary+filled dpo-eta ceiling",
        "arms beside base and sft, as in grpo dpo-binary+filled",
    )
    eta_rm: int = setting(1, "1: train and judge ETA-RM; 0: leave it out", choices=(0, 1))
    beside: str = setting(
        "", "other runs that the figure of rarity compares this one with", decides=False
    )

    @property
    def all(self) -> tuple[Arm, ...]:
        """All arms that are trained from the SFT model or beside it, in their order."""
        given = [parse_arm(name) for name in self.arms.split()]
        places = list(ARMS)
        return tuple(sorted(given, key=lambda arm: (places.index(arm.plain), arm.name)))

    def by(self, *methods: str) -> tuple[Arm, ...]:
        """The arms of these methods."""
        return tuple(arm for arm in self.all if arm.method in methods)

    def has(self, name: str) -> bool:
        """Whether the study has the arm of that name."""
        return any(arm.name == name for arm in self.all)

    def check(self) -> None:
        """As `Settings.check`; every arm must exist, once."""
        super().check()
        names = self.arms.split()
        for name in names:
            if name in ("base", "sft"):
                raise BadInput(f"parameter arms: every study has {name}; leave it out")
            if name.partition("+")[0] not in TRAINED_ARMS:
                there = ", ".join(TRAINED_ARMS)
                raise BadInput(f"parameter arms: there is no {name}; there are {there}")
            try:
                parse_arm(name)
            except BadInput as error:
                typed = str(error).removeprefix("arm ")
                raise BadInput(f"parameter arms: {typed}") from None
        if twice := [name for name in names if names.count(name) > 1]:
            raise BadInput(f"parameter arms: {twice[0]} is named twice")


@dataclass(frozen=True)
class HeldOutSettings(Settings):
    """The tasks that every model is evaluated on (`study.tasks.held_out_tasks`)."""

    test_tasks: int = setting(120, "number of held-out tasks", at_least=1)
    tune_tasks: int = setting(
        60, "number of held-out tasks that choose a model's temperature", at_least=1
    )

    def count(self, split: str) -> int:
        """The number of tasks of a split, test or tune."""
        return self.tune_tasks if split == "tune" else self.test_tasks


@dataclass(frozen=True)
class EvaluationSettings(Settings):
    """Samples per held-out task (`study.rollouts.evaluate`)."""

    test_samples: int = setting(
        8, "samples at T = 1 per held-out task at the end of an arm", at_least=1
    )
    curve_samples: int = setting(
        4, "samples at T = 1 per held-out task between rounds", at_least=1
    )
    cool_samples: int = setting(
        2, "samples per held-out task at temperatures 0.7, 0.5, 0.3", at_least=1
    )
    gate_samples: int = setting(
        64, "samples per tuning task of the SFT model, for its pass@64", at_least=1
    )
    gate: str = setting(
        "stop",
        "where the regime is not what the study needs: stop, or print that and go on",
        choices=("stop", "print"),
        decides=False,
    )
    humaneval_samples: int = setting(
        1, "samples per HumanEval problem, for the SFT model", at_least=1
    )
