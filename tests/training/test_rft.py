"""RFT: which programs are imitated, and that imitating them makes them likelier."""

from __future__ import annotations

import copy

import pytest
import torch
from torch.nn.utils import parameters_to_vector

from eta_utils.execution import JudgeSettings, judge
from eta_utils.tasks import pipelines
from eta_utils.training.divergence import kl_to
from eta_utils.training.models import load_model
from eta_utils.training.rft import passing_examples, train_rft
from eta_utils.training.sampling import Sampled
from eta_utils.training.settings import RFTSettings

pytestmark = pytest.mark.usefixtures("one_thread")

TASKS = pipelines.generate("align", 2, steps=(1, 2))
NAMES = list(TASKS)
RIGHT = [TASKS[name].canonical_solution for name in NAMES]
NOTHING = "    return None\n"


def judged(*written):
    samples = [{"task_id": name, "completion": text} for name, text in written]
    return list(judge(samples, TASKS, JudgeSettings(workers=1)))


def test_each_distinct_passing_program_is_imitated_once_and_no_failing_one():
    again = "    # the same by another text\n" + RIGHT[0]
    outcomes = judged(
        (NAMES[0], RIGHT[0]),
        (NAMES[0], NOTHING),
        (NAMES[0], RIGHT[0]),
        (NAMES[1], RIGHT[1]),
        (NAMES[0], again),
        (NAMES[1], RIGHT[0]),
    )
    expected = [(NAMES[0], RIGHT[0]), (NAMES[1], RIGHT[1]), (NAMES[0], again)]
    assert passing_examples(outcomes, TASKS) == [
        {"prompt": TASKS[name].prompt, "completion": text} for name, text in expected
    ]


def test_the_programs_become_likelier_over_all_epochs(tiny_folder, tmp_path):
    policy, tokenizer = load_model(tiny_folder)
    before = copy.deepcopy(policy)
    outcomes = judged(*zip(NAMES, RIGHT, strict=True), (NAMES[0], NOTHING))
    settings = RFTSettings(batch=2, epochs=3, learning_rate=1e-3)
    assert train_rft(policy, tokenizer, outcomes, TASKS, settings, tmp_path) == 2
    samples = [
        Sampled(
            tokenizer(TASKS[name].prompt.rstrip("\n"))["input_ids"],
            tokenizer("\n" + text)["input_ids"],
            text,
        )
        for name, text in zip(NAMES, RIGHT, strict=True)
    ]
    # Not a divergence here, for the samples are given: the mean gain in log-prob.
    assert kl_to(policy, before, samples) > 1
    # 2 programs in batches of 2, three times.
    history = (tmp_path / "history.csv").read_text().splitlines()
    assert len(history) == 1 + 3


def test_without_a_passing_program_nothing_changes(tiny_folder, tmp_path, capsys):
    policy, tokenizer = load_model(tiny_folder)
    before = parameters_to_vector(policy.parameters()).clone()
    outcomes = judged((NAMES[0], NOTHING))
    assert train_rft(policy, tokenizer, outcomes, TASKS, RFTSettings(), tmp_path) == 0
    assert torch.equal(before, parameters_to_vector(policy.parameters()))
    assert "no program passes" in capsys.readouterr().out
