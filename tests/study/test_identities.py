"""Which settings each stage depends on: what a change makes anew, and what stays."""

from __future__ import annotations

import pytest

from eta_utils.study import alignment, near, reward_model, rollouts, supervised
from eta_utils.study.stages import Stage
from eta_utils.study.study import PROFILES, Study, all_parameters
from tests.study.test_study import NUMBERS

# Every arm that there is, and every option.
ARMS = {"arms": PROFILES["full"]["arms"]}
# Of one seed, the arms that learn by each method, as the folders of their stages.
GRPO = {"grpo", "grpo-dense"}
CREDIT = {
    "credit",
    *(f"credit-{kind}" for kind in ("mask", "penalty", "reference", "both")),
}


@pytest.fixture
def identities(tmp_path, monkeypatch):
    """A function from parameters to the digest of every stage of such a study."""
    found = {}

    def planned(root, name, seed, make, settings=(), inputs=(), **details):
        stage = Stage(root, name, seed, settings, inputs, details)
        digest = found.setdefault(name, stage.digest)
        assert digest == stage.digest, f"{name} would be made again and again"
        return stage

    for module in (alignment, near, reward_model, rollouts, supervised):
        monkeypatch.setattr(module, "made", planned)

    def of(**changed):
        """All that notebooks 01 to 03 ask for."""
        found.clear()
        study = Study.of(ARMS | changed | {"outputs": str(tmp_path)})
        base = supervised.pretrain(study)
        sft = supervised.finetune(study, base)
        for model in (base, sft):
            for split in rollouts.SPLITS:
                rollouts.evaluate(study, model, split=split)
        rollouts.measure_gate(study, sft)
        near.near_duplicates(study)
        rollouts.evaluate_on_humaneval(study, sft)
        for arm in study.arms.all:
            rollouts.evaluate_rounds(study, alignment.align(study, sft, arm), sft)
        reward_model.judge_eta_rm(study, sft, reward_model.train_eta_rm(study, sft))
        return dict(found)

    return of


def changed_stages(identities, common=(), **changed):
    before, after = identities(**dict(common)), identities(**dict(common), **changed)
    return {name for name, digest in after.items() if before.get(name) != digest}


def arms_among(stages):
    """The arms, or other first folders, of stages that make a model; samples and
    evaluations of it follow."""
    makers = {
        name
        for name in stages
        if "/" not in name or name.partition("/")[2].startswith("round")
    }
    return {name.partition("/")[0] for name in makers if name.count("/") < 2}


def test_a_change_that_concerns_alignment_keeps_base_and_sft(identities):
    for change in ({"align_min_steps": 2}, {"rounds": 2}, {"temperature": 0.5}):
        stages = changed_stages(identities, **change)
        assert {"grpo", "credit", "dpo-eta/round1", "sft/samples1"} <= stages
        assert not {"base", "sft"} & stages


def test_the_misconceptions_concern_everything_and_their_rate_what_follows_the_corpus(
    identities,
):
    every = set(identities())
    assert changed_stages(identities, misconceptions=14) == every
    stages = changed_stages(identities, corpus_misconception_rate=0.5)
    assert stages == every - {"near"}


def test_several_misconceptions_in_a_task_keep_base_and_sft(identities):
    stages = changed_stages(identities, align_min_misconceptions=2)
    assert {"ceiling", "sft-references", "grpo", "sft/test", "sft/gate", "near"} <= stages
    assert not {"base", "sft"} & stages


def test_adapters_and_limits_of_named_sets_keep_the_base(identities):
    for change in ({"lora_rank": 4}, {"limit": 5}):
        stages = changed_stages(identities, **change)
        assert "sft" in stages and "base" not in stages


@pytest.mark.parametrize(
    "change", [{"step_budget": 50}, {"timeout": 3.0}, {"memory": 600}, {"libraries": "six"}]
)
def test_limits_of_execution_concern_tasks_only_where_making_them_executes(
    identities, change
):
    assert not {"base", "sft"} & changed_stages(identities, **change)
    repair = {"tasks": "repair"}
    assert {"base", "sft"} <= changed_stages(identities, repair, **change)


@pytest.mark.parametrize(
    ("change", "arms"),
    [
        ({"ppo_clip": 0.1}, {"ppo", "ppo-rm"}),
        ({"grpo_clip": 0.1}, GRPO | CREDIT | {"branching"}),
        ({"credit_penalty": 0.3}, CREDIT),
        ({"branch_roots": 2}, {"branching", "dpo-binary+prefix"}),
        ({"rft_epochs": 1}, {"rft"}),
        ({"ceiling_epochs": 1}, {"ceiling"}),
        ({"references_epochs": 1}, {"sft-references"}),
        ({"rm_batch": 8}, {"rm", "ppo-rm"}),
    ],
)
def test_an_algorithms_own_settings_concern_that_algorithm(identities, change, arms):
    assert arms_among(changed_stages(identities, **change)) == arms


def test_settings_of_dpo_and_of_its_pairs_concern_all_arms_of_dpo(identities):
    dpo = {arm.name for arm in Study.of(ARMS).arms.by("dpo")}
    assert len(dpo) == 9
    assert arms_among(changed_stages(identities, dpo_beta=0.2)) == dpo
    assert arms_among(changed_stages(identities, pairs_per_prompt=3)) == dpo
    changed = changed_stages(identities, pair_margin=0.1)
    assert arms_among(changed) == dpo | {"rm", "ppo-rm"}


def test_the_size_of_grpos_updates_concerns_dpo_that_draws_as_often_too(identities):
    changed = arms_among(changed_stages(identities, grpo_prompts=16))
    assert changed == GRPO | CREDIT | {"branching", "dpo-binary+fresh"}


def test_the_sampler_concerns_what_is_sampled_by_it_which_trainers_are_not(identities):
    stages = changed_stages(identities, sampler="auto")
    assert {"sft/samples1", "sft/test", "dpo-eta/round1", "rft/round1", "rm"} <= stages
    trained = {"ppo", "branching", "ceiling", "sft-references", *GRPO, *CREDIT}
    assert not trained & stages


def test_samples_per_task_of_an_evaluation_make_no_model_anew(identities):
    for change in (
        *({"test_samples": 16}, {"curve_samples": 16}, {"cool_samples": 7}),
        *({"test_tasks": 9}, {"tune_tasks": 9}),
    ):
        stages = changed_stages(identities, **change)
        assert stages and arms_among(stages) <= {"near"}
    assert changed_stages(identities, gate_samples=8) == {"sft/gate"}


def test_settings_of_the_machine_concern_nothing(identities):
    for change in (
        *({"workers": 7}, {"device": "cuda"}, {"isolation": "process"}),
        *({"gate": "print"}, {"beside": "rarity"}),
    ):
        assert changed_stages(identities, **change) == set()


IN_NO_STAGE = {"eta_rm"}  # which stages there are, not what is in them


@pytest.mark.parametrize("name", sorted(set(NUMBERS) - IN_NO_STAGE))
def test_every_number_that_decides_results_is_in_the_identity_of_some_stage(
    identities, name
):
    known = all_parameters()[name]
    value = Study.of(ARMS).flat()[name]
    stages = changed_stages(identities, **{name: value + 1})
    assert bool(stages) == known.metadata["decides"]
