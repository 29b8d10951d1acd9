"""A study's parameters, its profiles, and where its files lie.

>>> study = Study.begin(profile="smoke", seed=0, sft_learning_rate=5e-4)
>>> study.folder            # outputs/smoke/seed0
>>> study.table()           # every parameter, its value and what it means

A run is a folder `outputs/<run>`; its `study.json` remembers the parameters, so that the
second notebook of a run need not be told again what the first was told.

Leaves out: doing anything (see `arms`), and when a stage may be reused (see `stages`).
"""

from __future__ import annotations

import difflib
import re
import typing
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path

from eta_utils.files import BadInput, read_json, write_json
from eta_utils.profiles import PROFILES, cost
from eta_utils.ranges import GENERATED, check_ranges, fitted, resolved

ROOT = Path(__file__).resolve().parents[1]
DEFAULT_PROFILE = "small"


def _about(default: object, text: str):
    """A field with its one-line explanation, shown by `Study.table`."""
    return field(default=default, metadata={"about": text})


@dataclass(frozen=True)
class Study:
    """All parameters of one seed of a run; the defaults are profile `small`."""

    run: str = _about("", "name of the folder under outputs/; default: the profile's name")
    profile: str = _about(DEFAULT_PROFILE, "named set of parameters")
    seed: int = _about(0, "of everything that is drawn")
    outputs: str = _about(str(ROOT / "outputs"), "where run folders lie")

    tasks: str = _about("pipelines", "pipelines, repair, a named set or a file of tasks")
    model: str = _about("tiny", "tiny (built here), a Hub name or a local folder")
    limit: int = _about(0, "use at most this many problems of a named set; 0: all")
    test_set: str = _about("", "named set to evaluate on instead of the family's own tasks")
    hidden_set: str = _about("", "named set whose tests are the hidden ones: humaneval+")
    repair_trace: int = _about(1, "1: a task to repair tells what the program did; 0: not")

    corpus_tasks: int = _about(26_000, "programs that the tiny base model is trained on")
    corpus_noise: float = _about(0.35, "share of the steps in the corpus that carry a bug")
    min_steps: int = _about(1, "least difficulty (steps) of programs in the corpus")
    sft_min_steps: int = _about(2, "least difficulty of SFT tasks")
    max_steps: int = _about(5, "greatest difficulty in all splits")
    align_min_steps: int = _about(3, "least difficulty of alignment, tuning, test tasks")
    base_batch: int = _about(16, "programs per step of the base training")
    base_learning_rate: float = _about(3e-3, "peak of the one-cycle schedule")

    sft_tasks: int = _about(192, "tasks with a clean solution: the small subset")
    sft_batch: int = _about(32, "programs per step of SFT")
    sft_learning_rate: float = _about(1.5e-4, "peak")

    temperature: float = _about(1.0, "of sampling, in training and in evaluation")
    max_new_tokens: int = _about(96, "longest completion, in tokens")
    step_budget: int = _about(20_000, "steps one assert may take before it is stopped")
    workers: int = _about(0, "sandboxes at work; 0: one per core")

    rounds: int = _about(3, "on-policy rounds of each DPO arm")
    prompts_per_round: int = _about(256, "alignment prompts sampled in a round")
    samples_per_prompt: int = _about(8, "completions per alignment prompt")

    rl_arms: str = _about("ppo", "of reinforcement learning: ppo, ppo-eta, ppo-rm, rloo")
    ppo_prompts: int = _about(32, "prompts per PPO update")
    ppo_learning_rate: float = _about(2e-4, "constant")
    ppo_epochs: int = _about(2, "passes over each batch of episodes")
    ppo_minibatch: int = _about(64, "episodes per optimiser step")
    ppo_clip: float = _about(0.2, "of the policy's and the value's change")
    ppo_kl: float = _about(0.02, "weight of the KL to the SFT model")

    eta_rm: int = _about(1, "1: train and judge ETA-RM; 0: leave it out")
    rm_pairs_per_prompt: int = _about(8, "most pairs of one prompt for ETA-RM")
    rm_batch: int = _about(16, "pairs per step of the ETA reward model")
    rm_learning_rate: float = _about(2e-4, "peak, of the ETA reward model")

    dpo_arms: str = _about("eta binary steps", "arms of DPO, see eta_utils/recipes.py")
    pairs_per_prompt: int = _about(2, "most pairs made of one prompt's samples")
    pair_margin: float = _about(
        0.0, "least lead of a failing winner, in its ordering's key"
    )
    dpo_beta: float = _about(0.1, "inverse temperature of DPO")
    dpo_learning_rate: float = _about(1e-4, "peak")
    dpo_batch: int = _about(8, "pairs per step")
    dpo_nll_weight: float = _about(1.0, "weight of the NLL of winners that pass")

    test_tasks: int = _about(240, "held-out tasks that every model is evaluated on")
    test_samples: int = _about(8, "samples per held-out task at the end of an arm")
    curve_samples: int = _about(4, "samples per held-out task between rounds")
    humaneval_samples: int = _about(1, "samples per HumanEval problem, for the SFT model")
    beside: str = _about("", "other runs, that the crossover figure compares this one with")

    @classmethod
    def begin(
        cls,
        run: str | None = None,
        profile: str | None = None,
        seed: int = 0,
        **overrides: object,
    ) -> Study:
        """The study of a run, new or begun earlier; writes the run's `study.json`.

        Values come from `overrides` (those that are not None), else from what the run was
        begun with, else from the profile, else from the defaults.  Raises BadInput, naming
        the parameter, for an unknown name (with the closest known one), a value of the
        wrong type or out of range, or a profile other than the run's.
        """
        study = cls.planned(run, profile, seed, **overrides)
        study.remember()
        return study

    @classmethod
    def planned(
        cls, run: str | None, profile: str | None, seed: int = 0, **overrides: object
    ) -> Study:
        """As `begin`, but nothing is written."""
        given = {name: value for name, value in overrides.items() if value is not None}
        for name in given:
            check_name(name)
        outputs = Path(str(given.get("outputs", cls.outputs)))
        name = run or profile or DEFAULT_PROFILE
        if not re.fullmatch(r"\w[\w.+-]*", name):
            raise BadInput(f"parameter run: {name!r} is not the name of a folder")
        begun = read_study(outputs / name)
        profile = _profile_of(name, profile, begun)
        values = PROFILES[profile] | begun | given
        values |= {"run": name, "profile": profile, "seed": seed, "outputs": str(outputs)}
        values |= resolved(values)
        study = cls(**{name: _typed(name, value) for name, value in values.items()})
        check_ranges(study)
        return fitted(study)

    def remember(self) -> None:
        """Write the run's `study.json`, if it says something else."""
        values = {
            name: value
            for name, value in asdict(self).items()
            if name not in ("run", "seed", "outputs")
        }
        if values != read_study(self.run_folder):
            self.run_folder.mkdir(parents=True, exist_ok=True)
            write_json(self.run_folder / "study.json", values)

    @property
    def run_folder(self) -> Path:
        return Path(self.outputs) / self.run

    @property
    def folder(self) -> Path:
        """Where this seed's stages lie."""
        return self.run_folder / f"seed{self.seed}"

    @property
    def generated(self) -> bool:
        """Whether the tasks are made here, as many as are wanted."""
        return self.tasks in GENERATED

    @property
    def context(self) -> int:
        """Tokens that the tiny model can see: a task to repair shows a program, too."""
        return 512 if self.tasks == "repair" else 256

    @property
    def programs(self) -> int:
        """Programs executed for training by each arm: the same for all."""
        return self.rounds * self.prompts_per_round * self.samples_per_prompt

    @property
    def ppo_updates(self) -> int:
        """Updates of PPO that execute as many programs as the DPO arms do."""
        return self.programs // (self.ppo_prompts * self.samples_per_prompt)

    @property
    def arms_of_rl(self) -> tuple[str, ...]:
        return tuple(self.rl_arms.split())

    @property
    def arms_of_dpo(self) -> tuple[str, ...]:
        return tuple(self.dpo_arms.split())

    def only(self, *names: str) -> dict:
        """The named parameters and the seed: what a stage depends on."""
        return {name: getattr(self, name) for name in ("seed", *names)}

    def with_seed(self, seed: int) -> Study:
        return replace(self, seed=seed)

    def cost(self, notebook: str) -> str:
        """What to expect of a notebook before it costs it, in one sentence."""
        return cost(self.profile, notebook)

    def table(self) -> list[dict]:
        """Each parameter, its value, and what it means: rows for a data frame."""
        return [
            {
                "parameter": each.name,
                "value": getattr(self, each.name),
                "meaning": each.metadata["about"],
            }
            for each in fields(self)
        ]


_TYPES = typing.get_type_hints(Study)


def read_study(run_folder: Path) -> dict:
    """The parameters that a run was begun with; empty when there is no such run.

    Raises BadInput, naming the file, for one that is not a study's.
    """
    path = run_folder / "study.json"
    found = read_json(path) if path.exists() else {}
    if found and "profile" not in found:
        raise BadInput(f"{path}: has no field 'profile'; is it a study's?")
    return found


def check_name(name: str) -> None:
    """Raise BadInput when no parameter has this name, suggesting the closest."""
    if name not in _TYPES:
        close = difflib.get_close_matches(name, _TYPES, n=1, cutoff=0.5)
        hint = f"did you mean {close[0]}?" if close else "see Study in eta_utils/study.py"
        raise BadInput(f"parameter {name}: there is no such parameter; {hint}")


def parse(name: str, text: str) -> object:
    """A parameter's value from the command line's text.  Raises BadInput."""
    check_name(name)
    wanted = _TYPES[name]
    try:
        return wanted(text)
    except ValueError:
        raise BadInput(f"parameter {name}: {text!r} is not {_KINDS[wanted]}") from None


_KINDS = {int: "a whole number", float: "a number", str: "text"}


def _typed(name: str, value: object) -> object:
    check_name(name)
    wanted = _TYPES[name]
    if wanted is float and type(value) is int:
        return float(value)
    if type(value) is not wanted:
        raise BadInput(f"parameter {name}: {value!r} is not {_KINDS[wanted]}")
    return value


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
