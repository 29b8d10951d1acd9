"""A run's parameters: checked by name, type and range, remembered, never mixed up."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest

from eta_utils.analysis.contrasts import HYPOTHESES, SECONDARY
from eta_utils.common.errors import BadInput
from eta_utils.common.settings import parameters_of
from eta_utils.preferences.orderings import ORDERINGS
from eta_utils.study.settings import GENERATED, TRAINED_ARMS
from eta_utils.study.study import (
    MINUTES,
    PROFILES,
    Study,
    all_parameters,
    parameter,
    parts,
    read_study,
)
from eta_utils.tasks import misconceived
from tests.conftest import ROOT


@pytest.fixture
def begin(tmp_path):
    def begun(run="lab", **given):
        return Study.begin(run, outputs=str(tmp_path), **given)

    return begun


@pytest.fixture(params=sorted(PROFILES))
def profile(request, data, monkeypatch):
    """Each profile; one on a set that has to be fetched needs the file here."""
    tasks = PROFILES[request.param].get("tasks", "pipelines")
    if tasks not in (*GENERATED, "humaneval"):
        monkeypatch.setenv("ETA_DATA", str(data(f"{tasks}.jsonl.gz").parent))
    return request.param


def kept(begin_in, run="lab"):
    return json.loads((begin_in / run / "study.json").read_text())


# --- What is refused


@pytest.mark.parametrize(
    ("name", "close"),
    [
        ("sft_taks", "sft_tasks"),
        ("dpo_learningrate", "dpo_learning_rate"),
        ("dpo_bta", "dpo_beta"),
        ("Rounds", "rounds"),
    ],
)
def test_an_unknown_parameter_is_named_with_the_closest_known_one(begin, name, close):
    with pytest.raises(BadInput, match=rf"parameter {name}: .*did you mean {close}\?"):
        begin(**{name: 1})


def test_a_parameter_like_no_other_is_named_with_where_to_look():
    with pytest.raises(BadInput, match=r"parameter zzz: .*`run --help` lists"):
        parameter("zzz")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("sft_tasks", "64"),
        ("sft_tasks", 64.0),
        ("sft_tasks", True),
        ("dpo_learning_rate", "1e-4"),
        ("dpo_learning_rate", "true"),
        ("dpo_learning_rate", True),
        ("arms", 3),
        ("arms", ["grpo", "credit"]),
        ("temperature", [1.0]),
    ],
)
def test_a_value_of_the_wrong_type_is_refused_by_name(begin, tmp_path, name, value):
    with pytest.raises(BadInput, match=rf"parameter {name}: .* is not (a|text)"):
        begin(**{name: value})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("given", "name"), [(7, "7"), (0, "0"), (1.5, "1.5")])
def test_a_run_may_be_named_by_a_number_as_papermill_gives_one(tmp_path, given, name):
    study = Study.begin(given, "smoke", outputs=str(tmp_path))
    assert study.run == name
    assert study.run_folder == tmp_path / name
    assert Study.begin(name, outputs=str(tmp_path)) == study


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("run", True),
        ("run", ["a"]),
        ("run", "a/b"),
        ("run", -1),
        ("profile", 7),
        ("profile", True),
        ("seed", "first"),
        ("seed", 0.5),
        ("seed", True),
        ("outputs", ["a"]),
    ],
)
def test_a_place_that_is_none_is_refused_by_name(tmp_path, name, value):
    given = {"run": "lab", "profile": "smoke", "outputs": str(tmp_path)} | {name: value}
    with pytest.raises(BadInput, match=rf"^parameter {name}: .* (is not|is no)") as caught:
        Study.begin(**given)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_seed_of_none_is_the_default(begin):
    assert begin(seed=None) == begin()


def test_a_whole_number_does_where_a_number_is_wanted(begin):
    study = begin(temperature=1, dpo_beta=2)
    assert (study.sampling.temperature, study.dpo.beta) == (1.0, 2.0)
    assert type(study.dpo.beta) is float


NUMBERS = [name for name, each in all_parameters().items() if each.kind in (int, float)]
FLOATS = [name for name, each in all_parameters().items() if each.kind is float]


@pytest.mark.parametrize("name", NUMBERS)
def test_a_negative_number_is_refused_by_name(begin, tmp_path, name):
    with pytest.raises(BadInput, match=rf"parameter {name}: -1"):
        begin(**{name: -1})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", FLOATS)
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_nan_and_infinity_are_refused_by_name(begin, name, value):
    with pytest.raises(BadInput, match=rf"parameter {name}: (nan|inf) is not finite"):
        begin(**{name: value})


@pytest.mark.parametrize(
    "name",
    "sft_tasks tune_tasks temperature max_new_tokens dpo_batch ppo_prompts grpo_prompts "
    "ceiling_epochs cool_samples branch_roots".split(),
)
def test_zero_is_refused_where_it_means_nothing(begin, name):
    with pytest.raises(
        BadInput, match=rf"parameter {name}: 0.* is not (above 0|at least 1)"
    ):
        begin(**{name: 0})


def test_zero_is_taken_where_it_means_something(begin):
    study = begin(seed=0, limit=0, workers=0, ppo_kl=0.0, dpo_nll_weight=0, corpus_noise=0)
    assert study.dpo.nll_weight == 0
    study = begin("plain", misconceptions=0, grpo_kl=0.0, credit_penalty=0.0, eta_rm=0)
    assert (study.family.misconceptions, study.credit.penalty) == (0, 0)


def test_more_noise_than_1_is_refused(begin):
    with pytest.raises(BadInput, match=r"parameter corpus_noise: 1\.5 is not at most 1"):
        begin(corpus_noise=1.5)
    assert begin(corpus_noise=1).corpus.noise == 1


def test_more_misconceptions_than_there_are_are_refused(begin):
    with pytest.raises(BadInput, match=r"parameter misconceptions: 31 is not at most 30"):
        begin(misconceptions=31)
    assert misconceived(begin(misconceptions=30).family.misconceptions)
    with pytest.raises(BadInput):
        misconceived(31)  # the limit is where they end


def test_tasks_cannot_have_more_misconceived_steps_than_operations_are_misconceived(begin):
    with pytest.raises(
        BadInput, match=r"parameter align_min_misconceptions: 1 is above mi"
    ):
        begin(misconceptions=0, align_min_misconceptions=1)
    with pytest.raises(BadInput, match=r"parameter align_min_misconceptions: .*max_steps"):
        begin(align_min_misconceptions=6)


@pytest.mark.parametrize("changed", [{"align_min_steps": 6}, {"max_steps": 2}])
def test_difficulties_that_are_no_range_are_refused(begin, changed):
    with pytest.raises(BadInput, match=r"parameter align_min_steps: .*max_steps"):
        begin(**changed)


def test_more_steps_than_the_tiny_models_context_holds_are_refused(begin):
    with pytest.raises(BadInput, match=r"parameter max_steps: 6 is not at most 5"):
        begin(max_steps=6)


@pytest.mark.parametrize("name", ["ppo_prompts", "grpo_prompts"])
def test_settings_with_which_an_arm_could_not_execute_as_much_as_dpo_are_refused(
    begin, name
):
    # 3 rounds x 320 prompts = 960 prompts are no multiple of 50.
    with pytest.raises(BadInput, match=rf"parameter {name}: 50 does not divide .*960"):
        begin(rounds=3, prompts_per_round=320, **{name: 50})


def test_an_update_of_grpo_that_makes_no_whole_minibatches_is_refused(begin):
    # 32 prompts x 3 samples = 96 episodes are no multiple of 64.
    with pytest.raises(BadInput, match=r"parameter grpo_minibatch: 64 does not .* 96 epi"):
        begin(samples_per_prompt=3, arms="grpo")
    assert begin(samples_per_prompt=3, arms="dpo-eta").rounds.samples_per_prompt == 3


def test_updates_fit_a_set_with_few_tasks(begin):
    # 40 % of 10 tasks are for alignment: a round of 4 prompts, at 2 samples 8 episodes.
    study = begin(tasks="humaneval", limit=10, samples_per_prompt=2, arms="grpo")
    assert study.rounds.prompts_per_round == study.grpo.prompts == study.ppo.prompts == 4
    assert study.grpo.minibatch == 8


def test_as_many_roots_as_samples_are_refused_because_none_could_restart(begin):
    with pytest.raises(BadInput, match=r"parameter branch_roots: 8 leaves none of samples"):
        begin(branch_roots=8, samples_per_prompt=8)
    assert begin(branch_roots=7, samples_per_prompt=8).branch.roots == 7
    for arms in ("grpo", "dpo-binary", "dpo-binary+prefix"):
        if "prefix" in arms:
            with pytest.raises(BadInput, match="parameter branch_roots"):
                begin(branch_roots=8, arms=arms)
        else:  # nothing restarts, so roots mean nothing
            assert begin(branch_roots=8, arms=arms).branch.roots == 8


@pytest.mark.parametrize(
    "run", ["a/b", "../up", "/tmp/x", "..", ".", ".hidden", "a b", "-x"]
)
def test_a_run_that_is_not_the_name_of_a_folder_is_refused(begin, tmp_path, run):
    with pytest.raises(BadInput, match=r"parameter run: .*not the name of a folder"):
        begin(run)
    assert list(tmp_path.iterdir()) == []


def test_a_profile_that_does_not_exist_is_refused_with_those_that_do(begin):
    with pytest.raises(BadInput, match="there is no large; there are smoke, small"):
        begin(profile="large")


@pytest.mark.parametrize(
    ("arms", "reason"),
    [
        ("grpo dpo-stesp", "there is no dpo-stesp; there are rft, ppo, "),
        ("grpo sft", "every study has sft; leave it out"),
        ("grpo base", "every study has base; leave it out"),
        ("grpo+filled", "grpo\\+filled: only arms of DPO have options"),
        ("dpo-eta+fulled", "there is no option fulled; there are filled, fresh, prefix"),
        ("dpo-eta+fresh+fresh", "an option is repeated"),
        ("grpo credit grpo", "grpo is named twice"),
    ],
)
def test_an_arm_that_cannot_be_is_refused_at_once(begin, tmp_path, arms, reason):
    with pytest.raises(BadInput, match=f"parameter arms: .*{reason}") as caught:
        begin(arms=arms)
    assert str(caught.value).count("arm ") == 0
    assert list(tmp_path.iterdir()) == []


def test_arms_come_in_the_order_of_all_tables_however_they_are_typed(begin):
    arms = begin(arms="ceiling dpo-eta dpo-binary+filled dpo-binary credit grpo").arms
    assert [arm.name for arm in arms.all] == [
        *("grpo", "credit", "dpo-binary", "dpo-binary+filled", "dpo-eta", "ceiling")
    ]
    assert [arm.name for arm in arms.by("grpo", "sft")] == ["grpo", "credit", "ceiling"]
    assert arms.has("dpo-binary+filled") and not arms.has("dpo-steps")


def test_a_study_without_arms_is_one_of_sft_alone(begin):
    assert begin(arms="").arms.all == ()


# --- What is remembered


def test_a_begun_run_remembers_its_profile_and_refuses_another(begin):
    assert begin(profile="smoke").place.profile == "smoke"
    again = begin()
    assert (again.place.profile, again.sft_tasks.tasks) == (
        "smoke",
        PROFILES["smoke"]["sft_tasks"],
    )
    assert begin(profile="smoke") == again
    with pytest.raises(BadInput, match="run lab was begun with smoke, not full"):
        begin(profile="full")
    assert begin() == again


def test_a_run_is_called_after_its_profile_unless_it_is_named(tmp_path):
    study = Study.begin(profile="smoke", outputs=str(tmp_path))
    assert study.run_folder == tmp_path / "smoke"
    assert Study.begin(outputs=str(tmp_path)).run == "small"


def test_overrides_win_over_what_is_remembered_and_that_over_the_profile(begin):
    default, profile = Study().sft_tasks.tasks, PROFILES["smoke"]["sft_tasks"]
    assert default != profile
    assert begin("other").sft_tasks.tasks == default
    assert begin(profile="smoke").sft_tasks.tasks == profile
    assert begin(sft_tasks=7).sft_tasks.tasks == 7
    assert begin().sft_tasks.tasks == 7
    assert begin(sft_tasks=9).sft_tasks.tasks == 9
    assert begin().sft_tasks.tasks == 9


def test_an_override_that_is_none_is_not_one(begin):
    assert begin(profile="smoke", sft_tasks=None) == begin()


def test_study_json_is_whole_and_what_the_next_begin_gives(begin, tmp_path):
    study = begin(profile="smoke", dpo_beta=0.5, arms="dpo-eta")
    expected = set(all_parameters()) - {"run", "seed", "outputs"}
    assert set(kept(tmp_path)) == expected
    assert kept(tmp_path) == read_study(study.run_folder)
    assert [path.name for path in study.run_folder.iterdir()] == ["study.json"]
    assert begin() == study


def test_a_refused_value_changes_nothing_that_is_remembered(begin, tmp_path):
    begin(profile="smoke", sft_tasks=7)
    before = kept(tmp_path)
    with pytest.raises(BadInput):
        begin(sft_tasks=9, dpo_beta=-1.0)
    assert kept(tmp_path) == before


def test_a_seed_is_not_remembered_and_has_a_folder_of_its_own(begin, tmp_path):
    study = begin(seed=3)
    assert study.folder == tmp_path / "lab" / "seed3"
    assert begin().seed == 0
    assert study.with_seed(4).folder == tmp_path / "lab" / "seed4"
    assert study.with_seed(3) == study


def test_a_run_that_was_not_begun_has_no_parameters(tmp_path):
    assert read_study(tmp_path / "nowhere") == {}


def test_a_study_json_without_its_profile_is_named(begin, tmp_path):
    (tmp_path / "lab").mkdir()
    (tmp_path / "lab" / "study.json").write_text('{"sft_tasks": 3}')
    with pytest.raises(BadInput, match=r"study\.json"):
        begin()


def test_a_run_of_another_version_is_named_with_its_file(begin, tmp_path):
    (tmp_path / "lab").mkdir()
    (tmp_path / "lab" / "study.json").write_text('{"profile": "small", "min_steps": 1}')
    with pytest.raises(BadInput, match=r"lab/study\.json: another version .*min_steps"):
        begin()


# --- Profiles


def test_every_profiles_values_are_good_and_written_as_they_are(begin, profile):
    study = begin(profile=profile)
    study.check()
    values, usual = study.flat(), Study().flat()
    for name, value in PROFILES[profile].items():
        assert values[name] == value
        assert usual[name] != value  # only what differs from small is named
    assert {arm.ordering for arm in study.arms.by("dpo")} <= set(ORDERINGS)


def test_every_profile_has_the_arms_of_the_hypotheses(begin, profile):
    """Tables, figures and the answer are about these; branching is left out on real models
    and in runs on rarity, which ask nothing about it."""
    names = {arm.name for arm in begin(profile=profile).arms.all}
    assert {"grpo", "credit", "dpo-binary+filled", "dpo-eta"} <= names
    if profile in ("smoke", "small", "full"):
        assert {"branching", "ceiling"} <= names


def test_the_published_study_has_every_arm_that_there_is(begin):
    plain = {arm.plain for arm in begin(profile="full").arms.all}
    assert plain == set(TRAINED_ARMS)


def test_the_published_study_has_the_arms_of_all_contrasts(begin):
    names = {"sft", *(arm.name for arm in begin(profile="full").arms.all)}
    for contrast in (*HYPOTHESES, *SECONDARY):
        assert {contrast.arm, contrast.other} <= names


def test_profile_small_is_the_defaults(begin):
    study = begin(profile="small")
    assert replace(study, place=Study().place) == Study()


# --- Text and tables


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("sft_tasks", "64", 64),
        ("dpo_beta", "1e-3", 1e-3),
        ("dpo_beta", "1", 1.0),
        ("arms", "grpo dpo-eta", "grpo dpo-eta"),
        ("gate", "print", "print"),
        ("model", "gpt2", "gpt2"),
    ],
)
def test_text_of_the_command_line_becomes_a_value_of_the_parameters_type(name, text, value):
    found = parameter(name).parsed(text)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("name", "text", "wanted"),
    [
        ("sft_tasks", "many", "a whole number"),
        ("sft_tasks", "6.5", "a whole number"),
        ("sft_tasks", "", "a whole number"),
        ("dpo_beta", "0,1", "a number"),
        ("gate", "go", "stop or print"),
    ],
)
def test_text_that_is_no_such_value_is_refused_by_name(name, text, wanted):
    with pytest.raises(BadInput, match=rf"parameter {name}: '{text}' is not {wanted}"):
        parameter(name).parsed(text)
    with pytest.raises(BadInput, match=r"parameter sft_tusks: .*did you mean sft_tasks"):
        parameter("sft_tusks")


def test_the_table_shows_no_path_of_the_machine_for_what_lies_in_the_project():
    shown = {row["parameter"]: row["value"] for row in Study().table()}
    assert shown["outputs"] == "outputs"


def test_the_table_explains_every_parameter(begin):
    rows = begin(sft_tasks=7).table()
    assert [row["parameter"] for row in rows] == list(all_parameters())
    assert all(row["meaning"] for row in rows)
    assert {"sft_tasks": 7}.items() <= {r["parameter"]: r["value"] for r in rows}.items()


def test_no_two_settings_have_the_same_name_in_a_study():
    names = [name for owner in parts().values() for name in parameters_of(owner)]
    assert len(names) == len(set(names))


def test_the_defaults_are_within_their_own_limits():
    Study().check()


def test_a_study_says_what_it_trains_on_what():
    assert Study().subject == "a small GPT-2 on generated Python tasks"
    real = Study.of({"model": "models/smollm2", "tasks": "mbpp"})
    assert real.subject == "the model smollm2 on the tasks of mbpp"


def test_every_profile_says_what_each_notebook_costs_where_that_was_measured(
    begin, profile
):
    assert {"smoke", "small"} <= set(MINUTES)
    known = "about" if profile in MINUTES else "was not measured"
    for path in sorted((ROOT / "notebooks").glob("0[1-4]_*.py")):
        said = begin(run=profile, profile=profile).cost(path.stem)
        assert profile in said
        assert known in said


def test_every_notebook_of_the_study_says_its_own_cost():
    for path in sorted((ROOT / "notebooks").glob("0[1-4]_*.py")):
        assert f'print(study.cost("{path.stem}"))' in path.read_text()


def test_a_file_or_folder_is_remembered_by_its_whole_path(begin, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    assert begin(model="mine").model.model == str(tmp_path / "mine")
    assert begin(model="gpt2").model.model == "gpt2"
