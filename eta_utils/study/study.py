"""A study: a run's parameters, whole and checked, and where its files lie.

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
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

from eta_utils.common.files import BadInput, read_json, write_json
from eta_utils.study.parameters import DEFAULT_PROFILE, Parameters
from eta_utils.study.profiles import PROFILES, cost
from eta_utils.study.ranges import GENERATED, check_ranges, fitted, resolved


@dataclass(frozen=True)
class Study(Parameters):
    """One seed of a run: its parameters, and what follows from them."""

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
