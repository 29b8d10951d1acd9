"""One BOS at the start and no other, in training, scoring and sampling; or none at all."""

from __future__ import annotations

import ast
import copy

import pytest
import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from tokenizers.processors import TemplateProcessing
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from eta_utils.tasks import at_token_boundary, load_tasks, pipelines
from eta_utils.training.divergence import kl_to
from eta_utils.training.dpo import train_dpo
from eta_utils.training.grpo import train_grpo
from eta_utils.training.models import load_model, load_tokenizer, save_model
from eta_utils.training.ppo import train_ppo
from eta_utils.training.reward_model import load_reward_model, score, train_reward_model
from eta_utils.training.sampling import sample_completions
from eta_utils.training.settings import (
    BaseSettings,
    DPOSettings,
    GRPOSettings,
    PPOSettings,
    RewardModelSettings,
    SamplingSettings,
    SFTSettings,
)
from eta_utils.training.sft import labelled, train_base, train_sft
from eta_utils.training.tokens import tokenize
from tests.house import sources

pytestmark = pytest.mark.usefixtures("one_thread")

PAD, BOS, EOS = range(3)
SPECIAL = ["<pad>", "<s>", "</s>"]
TASKS = list(pipelines.generate("sft", 4, steps=(2, 4)).values())
PROMPTS = [task.prompt for task in TASKS]
ANSWERS = [task.canonical_solution for task in TASKS]
WRONG = "    return None\n"
EXAMPLES = [
    {"prompt": prompt, "completion": answer}
    for prompt, answer in zip(PROMPTS, ANSWERS, strict=True)
]
PAIRS = [
    {"prompt": prompt, "chosen": answer, "rejected": WRONG, "winner_passes": True}
    for prompt, answer in zip(PROMPTS, ANSWERS, strict=True)
]
# What a tokenizer adds to each text: Llama's BOS, BOS and EOS, or nothing as GPT-2's.
TEMPLATES = {"bos": "<s> $A", "bos and eos": "<s> $A </s>", "nothing": None}


def byte_level(template):
    """As Llama 3's and GPT-2's: bytes, which take no notice of where a text begins."""
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    return trained(bpe, template, pre_tokenizers.ByteLevel.alphabet())


def sentence_piece(template):
    """As Llama 2's: each text begins with a space that is not in it."""
    bpe = Tokenizer(models.BPE())
    lines = pre_tokenizers.Split("\n", "isolated")  # a newline merges with nothing
    spaces = pre_tokenizers.Metaspace(prepend_scheme="first")
    bpe.pre_tokenizer = pre_tokenizers.Sequence([lines, spaces])
    bpe.decoder = decoders.Metaspace(prepend_scheme="first")
    return trained(bpe, template, [chr(code) for code in (10, *range(33, 127))])


def trained(bpe, template, alphabet):
    special = [AddedToken(text, special=True, normalized=False) for text in SPECIAL]
    trainer = trainers.BpeTrainer(
        vocab_size=450,
        special_tokens=special,
        initial_alphabet=alphabet,
        show_progress=False,
    )
    bpe.train_from_iterator([a + b for a, b in zip(PROMPTS, ANSWERS, strict=True)], trainer)
    if template:
        numbers = [("<s>", BOS), ("</s>", EOS)]
        bpe.post_processor = TemplateProcessing(single=template, special_tokens=numbers)
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe, pad_token="<pad>", bos_token="<s>", eos_token="</s>"
    )


def tiny_llama(tokenizer):
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=512,
        initializer_range=0.1,
        pad_token_id=PAD,
        bos_token_id=BOS,
        eos_token_id=EOS,
    )
    return LlamaForCausalLM(config).eval()


@pytest.fixture(scope="module", params=TEMPLATES)
def template(request):
    return TEMPLATES[request.param]


@pytest.fixture(scope="module")
def folder(template, tmp_path_factory):
    """A model with a tokenizer of this template, as it lies on a disk."""
    place = tmp_path_factory.mktemp("llama")
    tokenizer = byte_level(template)
    save_model(tiny_llama(tokenizer), tokenizer, place)
    return place


@pytest.fixture
def loaded(folder):
    model, tokenizer = load_model(folder)
    # A model that never writes a BOS: each one in a text was then put there.
    head = torch.nn.Linear(model.config.hidden_size, len(tokenizer))
    head.weight = model.lm_head.weight
    torch.nn.init.zeros_(head.bias)
    head.bias.requires_grad_(False)[[PAD, BOS]] = -1e4
    model.lm_head = head
    return model, tokenizer


def rows_read_by(model):
    """The list of all ids that the model will be given, row by row, padding left out."""
    rows = []

    def keep(_module, inputs, named):
        ids, cache = named.get("input_ids", *inputs[:1]), named.get("past_key_values")
        # Else it goes on with a text whose start is cached.
        if ids.shape[1] > 1 and (cache is None or not cache.get_seq_length()):
            rows.extend([[id for id in row if id != PAD] for row in ids.tolist()])

    model.base_model.register_forward_pre_hook(keep, with_kwargs=True)
    return rows


def length_of(prompts, completions, **_columns):
    return [float(len(text)) for text in completions]


SHORT = SamplingSettings(max_new_tokens=8)
UPDATE = {"updates": 1, "samples_per_prompt": 2, "sampling": SHORT}


def by_base(model, tokenizer, folder):
    train_base(model, tokenizer, EXAMPLES, BaseSettings(batch=2), folder)


def by_sft(model, tokenizer, folder):
    train_sft(model, tokenizer, EXAMPLES, SFTSettings(batch=2), folder)


def by_dpo(model, tokenizer, folder):
    reference = copy.deepcopy(model)
    train_dpo(model, reference, tokenizer, PAIRS, DPOSettings(batch=2), folder)


def by_grpo(model, tokenizer, folder):
    settings = GRPOSettings(prompts=4, minibatch=4)
    train_grpo(model, tokenizer, EXAMPLES, length_of, settings, folder, **UPDATE)


def by_ppo(model, tokenizer, folder):
    settings, reference = PPOSettings(prompts=4, minibatch=4), copy.deepcopy(model)
    rows = [{"prompt": prompt} for prompt in PROMPTS]
    train_ppo(model, reference, tokenizer, rows, length_of, settings, folder, **UPDATE)


def by_kl(model, tokenizer, folder):
    groups = sample_completions(model, tokenizer, PROMPTS, max_new_tokens=8)
    kl_to(model, copy.deepcopy(model), [sample for group in groups for sample in group])


def by_sampling(model, tokenizer, folder):
    sample_completions(model, tokenizer, PROMPTS, n=2, max_new_tokens=8)


def by_reward(model, tokenizer, folder):
    score(model, tokenizer, PROMPTS, ANSWERS)


def assert_well_begun(rows, tokenizer, template):
    """Each row begins with a prompt's ids as sampling has them; at most one BOS, first."""
    begun = [0] * len(PROMPTS)
    for row in rows:
        assert row.count(BOS) == (1 if template else 0)
        assert (row[0] == BOS) == bool(template)
        assert EOS not in row[:-1]
        for number, prompt in enumerate(PROMPTS):
            stem, _ = at_token_boundary(prompt, "")
            ids = tokenizer(stem, add_special_tokens=False)["input_ids"]
            ids = [BOS, *ids] if template else ids
            begun[number] += row[: len(ids)] == ids
    assert sum(begun) == len(rows) and all(begun)


@pytest.mark.parametrize(
    "use", [by_base, by_sft, by_dpo, by_grpo, by_ppo, by_kl, by_sampling]
)
def test_a_model_only_reads_texts_with_what_its_tokenizer_puts_first_once(
    use, loaded, template, tmp_path
):
    model, tokenizer = loaded
    rows = rows_read_by(model)
    use(model, tokenizer, tmp_path)
    assert_well_begun(rows, tokenizer, template)


def test_a_reward_model_reads_such_texts_in_training_and_scoring(
    folder, template, tmp_path, monkeypatch
):
    read = []

    def spied(start):
        model, tokenizer = load_reward_model(start)
        read.append(rows_read_by(model))
        return model, tokenizer

    monkeypatch.setattr("eta_utils.training.reward_model.load_reward_model", spied)
    model, tokenizer = train_reward_model(
        folder, PAIRS, RewardModelSettings(batch=2), tmp_path
    )
    [rows] = read
    assert len(rows) == 2 * len(PAIRS)
    assert_well_begun(rows, tokenizer, template)
    rows.clear()
    score(model, tokenizer, PROMPTS, ANSWERS)
    assert len(rows) == len(PROMPTS)
    assert_well_begun(rows, tokenizer, template)


def test_what_is_sampled_begins_where_training_had_the_completion(loaded):
    model, tokenizer = loaded
    [[sample]] = sample_completions(model, tokenizer, PROMPTS[:1], max_new_tokens=4)
    [row] = labelled(tokenizer, EXAMPLES[:1])
    size = len(sample.prompt_ids)
    assert row["input_ids"][:size] == sample.prompt_ids
    assert row["labels"][:size] == [-100] * size
    assert row["labels"][size:] == row["input_ids"][size:]


def test_a_prompt_that_is_cut_keeps_its_bos(loaded, template):
    model, tokenizer = loaded
    long = "x = 1\n" * 400
    settings = {"max_new_tokens": 8, "cut_prompts": True}
    [[sample]] = sample_completions(model, tokenizer, [long], **settings)
    assert len(sample.prompt_ids) == 512 - 8
    assert sample.prompt_ids.count(BOS) == (sample.prompt_ids[0] == BOS) == bool(template)
    [[short]] = sample_completions(model, tokenizer, ["x"], **settings)
    assert len(short.prompt_ids) == (2 if template else 1)


# --- Single texts


def test_nothing_in_the_package_tokenizes_but_this_module():
    """Else a text would have other ids there than in training."""
    calls = {
        (path.name, ast.unparse(node.func))
        for _, path in sources()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
    }
    told = ("tokenizer", "tokenizer.encode", "self.tokenizer", "self.processing_class")
    assert {name for name, call in calls if call in told} == {"tokens.py"}


@pytest.mark.parametrize("kind", [byte_level, sentence_piece])
def test_a_text_in_two_parts_has_the_ids_of_the_whole(kind, template):
    tokenizer = kind(template)
    for tokens, prompt, answer in zip(
        tokenize(tokenizer, PROMPTS, ANSWERS, end=True), PROMPTS, ANSWERS, strict=True
    ):
        whole = tokenizer(prompt + answer, add_special_tokens=False)["input_ids"]
        assert tokens.ids == [*([BOS] if template else []), *whole, EOS]
        [begun] = tokenize(tokenizer, [prompt])
        assert begun == (tokens.prompt, [])


def test_a_bos_or_end_that_the_text_has_already_is_not_added(template):
    tokenizer = byte_level(template)
    [plain] = tokenize(tokenizer, PROMPTS[:1], ANSWERS[:1], end=True)
    [marked] = tokenize(tokenizer, PROMPTS[:1], [ANSWERS[0] + "</s>"], end=True)
    assert marked == plain
    if template:
        [marked] = tokenize(tokenizer, ["<s>" + PROMPTS[0]], ANSWERS[:1], end=True)
        assert marked == plain


def test_the_name_of_a_special_token_within_a_program_is_text(template):
    tokenizer = byte_level(template)
    answer = '    return "<s>" + text + "</s>"\n'
    [tokens] = tokenize(tokenizer, PROMPTS[:1], [answer], end=True)
    assert BOS not in tokens.completion and EOS not in tokens.completion[:-1]
    assert tokenizer.decode(tokens.completion[:-1]) == "\n" + answer


def test_the_built_in_models_ids_are_those_of_its_tokenizer(tiny_folder):
    """The published results were made with these."""
    tokenizer = load_tokenizer(tiny_folder)
    every = [*pipelines.generate("test", 100).values(), *load_tasks("humaneval").values()]
    prompts = [task.prompt for task in every]
    answers = [task.canonical_solution for task in every]
    for tokens, prompt, answer in zip(
        tokenize(tokenizer, prompts, answers, end=True), prompts, answers, strict=True
    ):
        stem, rest = at_token_boundary(prompt, answer)
        assert tokens.prompt == tokenizer(stem)["input_ids"]
        assert tokens.completion == tokenizer(rest)["input_ids"] + [tokenizer.eos_token_id]
