"""What is sampled is what the model says: its own probabilities, order, ends and text."""

from __future__ import annotations

import copy

import pytest
import torch
from scipy.stats import chisquare
from transformers import (
    GPT2TokenizerFast,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
)
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from eta_utils.common.errors import BadInput
from eta_utils.tasks import at_token_boundary, load_tasks
from eta_utils.tasks import pipelines as family
from eta_utils.tasks.cleaning import cut_at_function_end, has_ended
from eta_utils.training import decoding, ragged
from eta_utils.training.models import load_model
from eta_utils.training.sampling import generate, sample_completions

SHORT = "def solve(nums):\n"
PROMPTS = [  # of very different lengths, the longest not last
    "def solve(text):\n",
    'def solve(nums):\n    """\n    1. sum up\n    """\n',
    'def solve(words):\n    """\n    1. sort the words\n    2. reverse each word\n'
    '    3. join with dashes\n    4. write in capitals\n    """\n',
    "x",
    'def solve(nums):\n    """\n    1. add 3 to each number\n    2. sum up\n    """\n',
]


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="session")
def folder(tiny_folder):
    return tiny_folder


@pytest.fixture(scope="session")
def loaded(folder):
    return load_model(folder)


@pytest.fixture
def model(loaded):
    return loaded[0]


@pytest.fixture(scope="session")
def tokenizer(loaded):
    return loaded[1]


@pytest.fixture(scope="session")
def tasks():
    return list(family.generate("test", 300, steps=(2, 5)).values())


@pytest.fixture(scope="session")
def drilled(loaded, tasks):
    """A model that knows four programs of different lengths by heart."""
    model, tokenizer = copy.deepcopy(loaded[0]), loaded[1]
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3)
    for step in range(120):
        task = tasks[step % 4]
        head, tail = at_token_boundary(task.prompt, task.canonical_solution)
        ids = [*tokenizer(head)["input_ids"], *tokenizer(tail)["input_ids"]]
        row = torch.tensor([[*ids, tokenizer.eos_token_id]])
        model(input_ids=row, labels=row).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    return model.eval()


SMALL = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
}


@pytest.fixture(scope="session")
def llama(tokenizer):
    """Another architecture, with random weights and the same tokenizer."""
    end = tokenizer.eos_token_id
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        **SMALL,
        max_position_embeddings=256,
        initializer_range=0.3,
        bos_token_id=end,
        eos_token_id=end,
        pad_token_id=end,
    )
    return LlamaForCausalLM(config).eval()


@pytest.fixture
def restless(model, tokenizer):
    """The random model, made to end after about eight tokens: a step of the last layer's
    bias along the embedding of the end of text adds to that token's logit."""
    model = copy.deepcopy(model)
    with torch.no_grad():
        end = model.transformer.wte.weight[tokenizer.eos_token_id]
        model.transformer.ln_f.bias += 4.4 * end / end.square().sum()
    return model


def ids_of(samples):
    return [[sample.ids for sample in group] for group in samples]


# --- Tokens


def begins_with(ids, head):
    return ids[: len(head)] == head


def share_with_prompt_ids_as_prefix(tokenizer, tasks, boundary):
    kept = []
    for task in tasks:
        head, tail = boundary(task.prompt, task.canonical_solution)
        joint = tokenizer(head + tail)["input_ids"]
        kept.append(begins_with(joint, tokenizer(head)["input_ids"]))
    return sum(kept) / len(kept)


def as_it_stands(prompt, completion):
    return prompt, completion


def test_prompts_cut_at_the_boundary_are_tokenized_as_in_the_whole_program(
    tokenizer, tasks
):
    both = [*tasks, *load_tasks("humaneval").values()]
    assert len(both) == 464
    assert share_with_prompt_ids_as_prefix(tokenizer, both, at_token_boundary) == 1
    # What the boundary is for: with the newline on the prompt's side they are not.
    assert share_with_prompt_ids_as_prefix(tokenizer, tasks, as_it_stands) < 0.1


def test_the_boundary_holds_for_gpt2s_own_tokenizer(data, tasks):
    place = data("gpt2_tokenizer")
    files = str(place / "vocab.json"), str(place / "merges.txt")
    gpt2 = GPT2TokenizerFast(*files)
    assert gpt2("Hello world")["input_ids"] == [15496, 995]  # GPT-2's well-known ids
    both = [*tasks, *load_tasks("humaneval").values()]
    assert share_with_prompt_ids_as_prefix(gpt2, both, at_token_boundary) == 1
    # Its newlines seldom merge with what follows, but in one of these programs they do.
    assert share_with_prompt_ids_as_prefix(gpt2, both, as_it_stands) < 1


def test_the_boundary_leaves_the_ids_of_prompt_and_completion_together_alone(
    tokenizer, tasks
):
    # Training joins the ids of the two parts: that must be how the whole is tokenized.
    for task in tasks:
        head, tail = at_token_boundary(task.prompt, task.canonical_solution)
        apart = tokenizer(head)["input_ids"] + tokenizer(tail)["input_ids"]
        assert apart == tokenizer(head + tail)["input_ids"]


def test_text_survives_the_tokenizer_unchanged(tokenizer):
    for text in ("a , b . c ! x's n't\t é\n\n\n", "    x = [1 , 2]\n", " do not", " 's"):
        assert tokenizer.decode(tokenizer(text)["input_ids"]) == text


# --- Greedy completions


def test_greedy_completions_are_those_of_transformers(model, tokenizer):
    settings = {"temperature": 0.0, "max_new_tokens": 24}
    samples = sample_completions(model, tokenizer, PROMPTS, **settings)
    given = [group[0].prompt_ids for group in samples]
    assert len({len(ids) for ids in given}) == len(PROMPTS)
    assert ids_of(samples) == generate(model, tokenizer, given, 1, **settings)


def test_greedy_completions_that_end_are_those_of_transformers(drilled, tokenizer, tasks):
    prompts = [task.prompt for task in tasks[:12]]
    settings = {"temperature": 0.0, "max_new_tokens": 64}
    samples = sample_completions(drilled, tokenizer, prompts, **settings)
    given = [group[0].prompt_ids for group in samples]
    assert len({len(group[0].ids) for group in samples}) > 4
    assert ids_of(samples) == generate(drilled, tokenizer, given, 1, **settings)


def test_all_greedy_completions_of_a_prompt_are_the_same(model, tokenizer):
    settings = {"temperature": 0.0, "max_new_tokens": 12}
    one = sample_completions(model, tokenizer, PROMPTS, **settings)
    three = sample_completions(model, tokenizer, PROMPTS, n=3, **settings)
    assert three == [group * 3 for group in one]


def test_a_prompt_is_completed_alike_alone_and_among_others(model, tokenizer):
    settings = {"temperature": 0.0, "max_new_tokens": 12}
    together = sample_completions(model, tokenizer, PROMPTS, **settings)
    alone = [sample_completions(model, tokenizer, [p], **settings)[0] for p in PROMPTS]
    small = sample_completions(model, tokenizer, PROMPTS, batch_size=2, **settings)
    assert together == alone == small


# --- Drawn completions


@torch.inference_mode()
def chances(model, ids, temperature=1.0):
    """The model's own probabilities of the next token, by transformers."""
    return (model(torch.tensor([ids])).logits[0, -1] / temperature).softmax(-1)


def agreement(tokens, expected):
    """p-value of chi-square; tokens that are expected fewer than 8 times are one class."""
    counts = torch.bincount(torch.tensor(tokens), minlength=len(expected)).double()
    wanted = expected.double() / expected.double().sum() * len(tokens)
    usual = wanted >= 8
    assert usual.sum() > 3
    seen = [*counts[usual].tolist(), counts[~usual].sum().item()]
    hoped = [*wanted[usual].tolist(), wanted[~usual].sum().item()]
    return chisquare(seen, hoped).pvalue


def drawn_often(model, tokenizer, **settings):
    """6,000 short completions of a prompt, padded among others in its batch."""
    settings |= {"n": 6_000, "batch_size": 12_000, "seed": 3}
    [_, samples] = sample_completions(model, tokenizer, [PROMPTS[2], SHORT], **settings)
    return samples[0].prompt_ids, [sample.ids for sample in samples]


@pytest.mark.parametrize("temperature", [1.0, 0.25])
def test_first_tokens_are_drawn_with_the_models_probabilities(
    model, tokenizer, temperature
):
    settings = {"temperature": temperature, "max_new_tokens": 1}
    given, rows = drawn_often(model, tokenizer, **settings)
    tokens = [row[0] for row in rows]
    assert agreement(tokens, chances(model, given, temperature)) > 1e-3
    # The check has the power to see another temperature.
    assert agreement(tokens, chances(model, given, temperature * 1.6)) < 1e-9


def test_second_tokens_are_drawn_with_the_models_probabilities_given_the_first(
    model, tokenizer
):
    # A low temperature, so that many draws begin with the same token.
    given, rows = drawn_often(model, tokenizer, temperature=0.25, max_new_tokens=2)
    first = chances(model, given, 0.25)
    top = int(first.argmax())
    tokens = [row[1] for row in rows if row[0] == top]
    assert len(tokens) > 500
    assert agreement(tokens, chances(model, [*given, top], 0.25)) > 1e-3
    assert agreement(tokens, first) < 1e-9


def test_half_precision_writes_what_transformers_write_in_it(drilled, tokenizer, tasks):
    model = copy.deepcopy(drilled).bfloat16()
    prompts = [task.prompt for task in tasks[:4]]
    samples = sample_completions(
        model, tokenizer, prompts, temperature=0.0, max_new_tokens=40
    )
    ids = tokenizer([at_token_boundary(text, "")[0] for text in prompts])["input_ids"]
    theirs = generate(model, tokenizer, ids, 1, temperature=0.0, max_new_tokens=40)
    assert [row[0].ids for row in samples] == [row[0] for row in theirs]


def test_half_precision_draws_with_the_models_probabilities(loaded, tokenizer):
    """In bf16 alone, sums of chances would stop at 1/256: rare tokens would be lost."""
    model = copy.deepcopy(loaded[0]).bfloat16()
    ids, rows = drawn_often(model, tokenizer, max_new_tokens=1)
    with torch.inference_mode():
        expected = model(torch.tensor([ids])).logits[0, -1].float().softmax(-1)
    assert agreement([row[0] for row in rows], expected) > 0.001


def test_a_seed_gives_the_same_completions_twice_and_another_others(model, tokenizer):
    def drawn(seed):
        return sample_completions(
            model, tokenizer, PROMPTS, n=2, max_new_tokens=8, seed=seed
        )

    assert drawn(1) == drawn(1)
    assert drawn(1) != drawn(2)


def test_samples_of_a_prompt_and_of_equal_prompts_differ(model, tokenizer):
    samples = sample_completions(model, tokenizer, [SHORT] * 3, n=3, max_new_tokens=8)
    assert len({tuple(sample.ids) for group in samples for sample in group}) == 9


def test_results_come_in_the_order_of_the_prompts_n_for_each(model, tokenizer):
    samples = sample_completions(
        model, tokenizer, PROMPTS, n=3, max_new_tokens=4, batch_size=6
    )
    assert [len(group) for group in samples] == [3] * len(PROMPTS)
    for prompt, group in zip(PROMPTS, samples, strict=True):
        for sample in group:
            assert tokenizer.decode(sample.prompt_ids) == prompt.rstrip("\n")


# --- Ends


def test_a_completion_ends_with_its_first_end_of_text_or_at_the_limit(restless, tokenizer):
    end, limit = tokenizer.eos_token_id, 12
    samples = sample_completions(restless, tokenizer, PROMPTS, n=40, max_new_tokens=limit)
    rows = [sample.ids for group in samples for sample in group]
    ended = [row for row in rows if end in row]
    assert 0.2 < len(ended) / len(rows) < 0.9
    assert len({len(row) for row in ended}) > 4
    assert all(row.index(end) == len(row) - 1 for row in ended)
    assert all(len(row) <= limit for row in rows)
    assert all(len(row) == limit for row in rows if end not in row)


def test_the_end_of_text_is_not_in_the_text(restless, tokenizer):
    samples = sample_completions(restless, tokenizer, PROMPTS, n=20, max_new_tokens=12)
    assert not any("endoftext" in sample.text for group in samples for sample in group)


@pytest.mark.parametrize("every", [1, 3, 10**9])
def test_when_finished_prompts_leave_the_batch_changes_nothing(
    drilled, tokenizer, tasks, monkeypatch, every
):
    prompts = [task.prompt for task in tasks[:8]]
    settings = {"temperature": 0.0, "max_new_tokens": 64}
    expected = sample_completions(drilled, tokenizer, prompts, n=2, **settings)
    assert len({len(group[0].ids) for group in expected}) > 3
    monkeypatch.setattr(decoding, "RETIRE_EVERY", every)
    assert expected == sample_completions(drilled, tokenizer, prompts, n=2, **settings)


def test_prompts_stay_in_the_batch_until_their_last_sample_ends(
    restless, tokenizer, monkeypatch
):
    # 300 samples of one prompt do not all end within 12 tokens, so nothing may leave.
    lengths = []
    for every in (1, 10**9):
        monkeypatch.setattr(decoding, "RETIRE_EVERY", every)
        samples = sample_completions(restless, tokenizer, [SHORT], n=300, max_new_tokens=12)
        lengths.append([len(sample.ids) for sample in samples[0]])
    assert lengths[0] == lengths[1]
    assert len(set(lengths[0])) == 12


# --- Context


def test_a_prompt_longer_than_the_context_is_refused_by_name(model, tokenizer):
    long = "a = 1\n" * 200 + SHORT
    with pytest.raises(BadInput, match=r"max_new_tokens: 96 .* context of 256"):
        sample_completions(model, tokenizer, [SHORT, long], max_new_tokens=96)


def test_where_it_may_be_cut_it_is_cut_at_its_start(model, tokenizer):
    long = "a = 1\n" * 200 + SHORT
    whole = tokenizer(long.rstrip("\n"))["input_ids"]
    assert len(whole) > 256
    settings = {"temperature": 0.0, "max_new_tokens": 96, "cut_prompts": True}
    [[cut], [short]] = sample_completions(model, tokenizer, [long, SHORT], **settings)
    assert cut.prompt_ids == whole[-160:]  # 256 positions, 96 of them for the completion
    assert len(cut.ids) == len(short.ids) == 96


@pytest.mark.parametrize("longest", [256, 300])
def test_completions_as_long_as_the_context_are_refused_by_name(model, tokenizer, longest):
    with pytest.raises(BadInput, match="max_new_tokens"):
        sample_completions(model, tokenizer, PROMPTS, max_new_tokens=longest)


# --- Text


@pytest.mark.parametrize(
    ("completion", "kept"),
    [
        ("    return 1\ndef g():\n    return 2\n", "    return 1"),
        ("    return 1\n\n\nclass A:\n    pass\n", "    return 1\n\n"),
        ("    return 1\nprint(f(2))\n", "    return 1"),
        ("    return 1\n# and so on\n", "    return 1"),
        ("    return 1\nif x:\n    y()\n", "    return 1"),
        ("    return 1\n", "    return 1\n"),
        ("    return 1", "    return 1"),
        ("", ""),
        # blank lines, and lines of spaces, are within the function
        ("    a = 1\n\n  \n\t\n    return a\n", "    a = 1\n\n  \n\t\n    return a\n"),
        # a closing bracket at the margin ends an expression, not the function
        ("    a = [\n1][0]\n    return a\n", "    a = ["),
        ("    return [\n        1,\n]\n", "    return [\n        1,\n]\n"),
        ("    a = f(\n        1,\n)\n    b()\n", "    a = f(\n        1,\n)\n    b()\n"),
        ("    return {\n        1: 2,\n}\nx = 3\n", "    return {\n        1: 2,\n}"),
        # what stands on the first line is kept whatever it is
        ("x = 1\n    return x\n", "x = 1\n    return x\n"),
        (" + 1\nreturn x\n", " + 1"),
        ("\n    return 1\n", "\n    return 1\n"),
    ],
)  # fmt: skip
def test_a_completion_is_cut_where_the_function_ends(completion, kept):
    assert cut_at_function_end(completion) == kept
    assert cut_at_function_end(kept) == kept


def test_prompt_and_text_are_the_program_that_the_model_knows(drilled, tokenizer, tasks):
    known = tasks[:4]
    prompts = [task.prompt for task in known]
    samples = sample_completions(drilled, tokenizer, prompts, temperature=0.0)
    for task, [sample] in zip(known, samples, strict=True):
        assert task.prompt.endswith("\n")
        assert task.prompt + sample.text == task.prompt + task.canonical_solution
        # The ids are what the model wrote: newline first, end of text last.
        written = tokenizer.decode(sample.ids, skip_special_tokens=True)
        assert written == "\n" + task.canonical_solution
        assert sample.ids[-1] == tokenizer.eos_token_id


# --- Other architectures


def test_other_architectures_give_n_completions_in_the_order_of_the_prompts(
    llama, tokenizer
):
    settings = {"n": 3, "max_new_tokens": 8, "batch_size": 6}
    samples = sample_completions(llama, tokenizer, PROMPTS, **settings)
    assert [len(group) for group in samples] == [3] * len(PROMPTS)
    for prompt, group in zip(PROMPTS, samples, strict=True):
        assert tokenizer.decode(group[0].prompt_ids) == prompt.rstrip("\n")
        assert len({tuple(sample.ids) for sample in group}) == 3
        assert all(1 <= len(sample.ids) <= 8 for sample in group)


def test_other_architectures_draw_by_the_seed(llama, tokenizer):
    def drawn(seed):
        return sample_completions(llama, tokenizer, PROMPTS, max_new_tokens=6, seed=seed)

    assert drawn(1) == drawn(1)
    assert drawn(1) != drawn(2)


def test_other_architectures_draw_with_their_own_probabilities(llama, tokenizer):
    # transformers would by default draw from the 50 likeliest tokens alone
    [_, samples] = sample_completions(
        llama, tokenizer, [PROMPTS[1], SHORT], n=2_000, max_new_tokens=1, batch_size=4_000
    )
    expected = chances(llama, samples[0].prompt_ids)
    assert (expected > 0.25 / len(expected)).sum() > 50
    assert agreement([sample.ids[0] for sample in samples], expected) > 1e-3


def test_other_architectures_complete_a_prompt_alike_alone_and_among_others(
    llama, tokenizer
):
    settings = {"temperature": 0.0, "max_new_tokens": 8}
    together = sample_completions(llama, tokenizer, PROMPTS, **settings)
    alone = [sample_completions(llama, tokenizer, [p], **settings)[0] for p in PROMPTS]
    assert together == alone


def test_other_architectures_write_what_transformers_write(llama, tokenizer):
    """Up to the function's end, behind which only transformers go on."""
    assert ragged.shares(llama)
    settings = {"temperature": 0.0, "max_new_tokens": 40}
    samples = sample_completions(llama, tokenizer, PROMPTS, n=2, **settings)
    given = [group[0].prompt_ids for group in samples]
    theirs = generate(llama, tokenizer, given, 2, **settings)
    for prompt, group, rows in zip(PROMPTS, samples, theirs, strict=True):
        for sample, row in zip(group, rows, strict=True):
            assert sample.ids == row[: len(sample.ids)]
            if len(sample.ids) < len(row):
                assert has_ended(text_of(tokenizer, prompt, sample.ids))


def text_of(tokenizer, prompt, ids):
    newlines = at_token_boundary(prompt, "")[1]
    return tokenizer.decode(ids, skip_special_tokens=True).removeprefix(newlines)


@pytest.fixture(scope="session")
def talkative(llama, tokenizer, tasks):
    """A Llama that knows four programs by heart, and goes on behind their end."""
    model = copy.deepcopy(llama)
    optimizer = torch.optim.AdamW(model.parameters(), 3e-3)
    for step in range(400):
        task = tasks[step % 4]
        text = task.prompt + task.canonical_solution + "print(solve)\n" * 3
        row = torch.tensor([tokenizer(text)["input_ids"]])
        model(input_ids=row, labels=row).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    return model.eval()


def test_other_architectures_write_nothing_behind_the_functions_end(
    talkative, tokenizer, tasks
):
    prompts = [task.prompt for task in tasks[:4]]
    settings = {"temperature": 0.0, "max_new_tokens": 96}
    samples = sample_completions(talkative, tokenizer, prompts, **settings)
    for task, [sample] in zip(tasks[:4], samples, strict=True):
        assert sample.text == task.canonical_solution.removesuffix("\n")
        assert has_ended(text_of(tokenizer, task.prompt, sample.ids))
        assert not has_ended(text_of(tokenizer, task.prompt, sample.ids[:-1]))


@pytest.mark.parametrize("every", [1, 3, 10**9])
def test_other_architectures_write_the_same_whenever_samples_leave_the_batch(
    talkative, tokenizer, tasks, monkeypatch, every
):
    prompts = [task.prompt for task in tasks[:4]]
    settings = {"temperature": 0.0, "max_new_tokens": 96}
    expected = sample_completions(talkative, tokenizer, prompts, **settings)
    assert len({len(group[0].ids) for group in expected}) > 2
    monkeypatch.setattr(ragged, "RETIRE_EVERY", every)
    assert sample_completions(talkative, tokenizer, prompts, **settings) == expected


def test_a_sample_that_ended_is_left_alone_while_it_stays_in_the_batch(
    talkative, tokenizer, tasks, monkeypatch
):
    """It goes on writing, past the end of its text and of its function."""
    prompts = [task.prompt for task in tasks[:4]]
    settings = {"n": 6, "temperature": 1.5, "max_new_tokens": 64}
    expected = sample_completions(talkative, tokenizer, prompts, **settings)
    monkeypatch.setattr(ragged, "RETIRE_EVERY", 1)
    monkeypatch.setattr(ragged, "WORTH_DROPPING", 1.0)
    assert sample_completions(talkative, tokenizer, prompts, **settings) == expected


def test_nothing_of_a_batch_is_kept_once_it_is_sampled(llama, tokenizer):
    before = dict(ALL_ATTENTION_FUNCTIONS)
    sample_completions(llama, tokenizer, PROMPTS, n=2, max_new_tokens=4)
    assert dict(ALL_ATTENTION_FUNCTIONS) == before


@pytest.mark.parametrize("every", [1, 10**9])
def test_other_architectures_draw_second_tokens_given_the_first(
    llama, tokenizer, monkeypatch, every
):
    """Also where other samples of the prompt have left the batch."""
    monkeypatch.setattr(ragged, "RETIRE_EVERY", every)
    settings = {"temperature": 0.5, "max_new_tokens": 3}
    given, rows = drawn_often(llama, tokenizer, **settings)
    first = chances(llama, given, 0.5)
    top = int(first.argmax())
    tokens = [row[1] for row in rows if row[0] == top and len(row) > 1]
    assert len(tokens) > 300
    assert agreement(tokens, chances(llama, [*given, top], 0.5)) > 1e-3
    assert agreement(tokens, first) < 1e-9


def test_samples_of_one_prompt_may_have_temperatures_of_their_own(llama, tokenizer):
    heats = [0.0, 0.5] + [1.5] * 998
    [[greedy, *_], [other, *rows]] = (
        sample_completions(llama, tokenizer, [prompt], n, temperature=heat, **settings)[0]
        for prompt, n, heat in ((PROMPTS[0], 1, 0.0), (PROMPTS[0], 1_000, heats))
        for settings in [{"max_new_tokens": 1, "seed": 5}]
    )
    assert other == greedy
    expected = chances(llama, greedy.prompt_ids, 1.5)
    tokens = [row.ids[0] for row in rows[1:]]
    assert agreement(tokens, expected) > 1e-3
    assert agreement(tokens, chances(llama, greedy.prompt_ids, 0.5)) < 1e-9


def test_gpt2_draws_at_each_temperature_as_it_would_at_that_alone(model, tokenizer):
    heats = [1.0, 0.0, 1.0]
    settings = {"max_new_tokens": 6, "seed": 3}
    both = sample_completions(model, tokenizer, PROMPTS, 3, temperature=heats, **settings)
    warm = sample_completions(model, tokenizer, PROMPTS, 2, temperature=1.0, **settings)
    cold = sample_completions(model, tokenizer, PROMPTS, 1, temperature=0.0, **settings)
    assert both == [[w[0], c[0], w[1]] for w, c in zip(warm, cold, strict=True)]


def test_a_layer_that_does_not_see_everything_is_left_to_transformers(tokenizer):
    config = MistralConfig(
        vocab_size=len(tokenizer),
        **SMALL,
        sliding_window=8,
        bos_token_id=tokenizer.eos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.eos_token_id,
    )
    model = MistralForCausalLM(config).eval()
    assert not ragged.shares(model)
    samples = sample_completions(model, tokenizer, PROMPTS, n=2, max_new_tokens=4)
    assert [len(group) for group in samples] == [2] * len(PROMPTS)


@torch.inference_mode()
@pytest.mark.parametrize("room", [1, 32])
def test_samples_that_leave_the_batch_change_nothing_for_those_that_stay(
    llama, monkeypatch, room
):
    """Prompts that lose some, all and none of their samples, beside each other."""
    monkeypatch.setattr(ragged, "ROOM", room)
    prompts = [[5, 6, 7], [8], [9, 10, 11, 12, 13], [14, 15]]
    batch = ragged._Batch(llama, prompts, 3)
    ids = torch.arange(100, 124).view(12, 2)  # two tokens of each of twelve samples
    batch.append(ids[:, 0])
    batch.append(ids[:, 1])
    left = [0, 2, 7, 9, 10, 11]  # rows
    stay = torch.zeros(12, dtype=torch.bool)
    stay[left] = True
    batch.keep(stay)
    batch.append(torch.full((len(left),), 30))
    for row, logits in zip(left, batch.logits, strict=True):
        whole = [*prompts[row // 3], *ids[row].tolist(), 30]
        expected = llama(torch.tensor([whole])).logits[0, -1]
        assert torch.allclose(logits, expected, atol=1e-4)


def test_tokens_of_a_large_vocabulary_are_drawn_with_the_models_probabilities():
    generator = torch.Generator().manual_seed(1)
    size = 8_192 + 100  # not a whole number of blocks
    logits = 3 * torch.randn(size, generator=generator)
    logits[size // 2 :] = -50.0  # whole blocks without a chance, the last ones among them
    logits[-1] = 8.0
    rows = logits.expand(1, 20_000, -1)
    drawn = torch.cat(
        [
            decoding.draw(part, 0.7, torch.rand(1, 2_000, 1, generator=generator))[0]
            for part in rows.split(2_000, dim=1)
        ]
    )
    assert agreement(drawn.tolist(), (logits / 0.7).softmax(-1)) > 1e-3
    assert agreement(drawn.tolist(), logits.softmax(-1)) < 1e-9
