"""Which settings each stage depends on: what a change makes anew, and what stays."""

from __future__ import annotations

import pytest

from eta_utils.study import alignment, reward_model, rollouts, supervised
from eta_utils.study.stages import Stage
from eta_utils.study.study import Study, all_parameters
from tests.study.test_study import NUMBERS

ARMS = {"rl_arms": "ppo ppo-rm rloo", "dpo_arms": "eta"}


@pytest.fixture
def identities(tmp_path, monkeypatch):
    """A function from parameters to the digest of every stage of such a study."""

    def planned(root, name, seed, make, settings=(), inputs=(), **details):
        return Stage(root, name, seed, settings, inputs, details)

    for module in (alignment, reward_model, rollouts, supervised):
        monkeypatch.setattr(module, "made", planned)

    def of(**changed):
        study = Study.of(ARMS | changed | {"outputs": str(tmp_path)})
        base = supervised.pretrain(study)
        sft = supervised.finetune(study, base)
        rm = reward_model.train_eta_rm(study, sft)
        arms = [alignment.align(study, sft, arm) for arm in study.arms.all]
        stages = [
            base,
            sft,
            rm,
            *(stage for rounds in arms for stage in rounds),
            reward_model.judge_eta_rm(study, sft, rm),
        ]
        stages += [rollouts.draw(study, sft, 1), rollouts.evaluate(study, sft)]
        stages += [rollouts.evaluate_on_humaneval(study, sft)]
        return {stage.name: stage.digest for stage in stages}

    return of


def changed_stages(identities, common=(), **changed):
    before, after = identities(**dict(common)), identities(**dict(common), **changed)
    return {name for name, digest in after.items() if before.get(name) != digest}


def test_a_change_that_concerns_alignment_keeps_base_and_sft(identities):
    for change in ({"align_min_steps": 2}, {"rounds": 2}, {"temperature": 0.5}):
        stages = changed_stages(identities, **change)
        assert {"ppo", "dpo-eta/round1", "sft/samples1"} <= stages
        assert not {"base", "sft"} & stages


def test_adapters_and_limits_of_named_sets_keep_the_base(identities):
    for change in ({"lora_rank": 4}, {"limit": 5}):
        stages = changed_stages(identities, **change)
        assert "sft" in stages and "base" not in stages


@pytest.mark.parametrize(
    "change", [{"step_budget": 50}, {"processor_seconds": 2}, {"wall_seconds": 3.0}]
)
def test_limits_of_execution_concern_tasks_only_where_making_them_executes(
    identities, change
):
    assert not {"base", "sft"} & changed_stages(identities, **change)
    repair = {"tasks": "repair"}
    assert {"base", "sft"} <= changed_stages(identities, repair, **change)


def test_an_algorithms_own_settings_concern_that_algorithm(identities):
    dpo = {f"dpo-eta/round{number}" for number in (1, 2, 3)}
    ppo_rm = {"ppo-rm", "ppo-rm/round1", "ppo-rm/round2"}
    ppo = {"ppo", "ppo/round1", "ppo/round2", "rloo"} | ppo_rm
    assert changed_stages(identities, ppo_clip=0.1) == ppo
    assert changed_stages(identities, dpo_beta=0.2) == dpo
    assert changed_stages(identities, pairs_per_prompt=3) == dpo
    assert changed_stages(identities, rm_batch=8) == {"rm", "rm/judged"} | ppo_rm
    assert {"rm", *dpo} <= changed_stages(identities, pair_margin=0.1)


def test_the_sampler_concerns_what_is_sampled_by_it_which_ppo_is_not(identities):
    stages = changed_stages(identities, sampler="auto")
    assert {"sft/samples1", "sft/test", "dpo-eta/round1", "rm"} <= stages
    assert not {"ppo", "rloo"} & stages


def test_settings_of_the_machine_concern_nothing(identities):
    for change in ({"workers": 7}, {"device": "cuda"}, {"isolation": "process"}):
        assert changed_stages(identities, **change) == set()


IN_NO_STAGE = {"curve_samples", "eta_rm"}  # which stages there are, not what is in them


@pytest.mark.parametrize("name", sorted(set(NUMBERS) - IN_NO_STAGE))
def test_every_number_that_decides_results_is_in_the_identity_of_some_stage(
    identities, name
):
    known = all_parameters()[name]
    value = Study.of(ARMS).flat()[name]
    stages = changed_stages(identities, **{name: value + 1})
    assert bool(stages) == known.metadata["decides"]
