"""Tokens, labels and layers of the embedded models' training."""

import random

import pytest
import torch

from autojudge.testbed.problems import generate_problems
from autojudge.testbed.training import IGNORED, _encode, build_model, build_tokenizer, deepen, train_from_nothing
from autojudge.testbed.writing import Writer, write_solution

SIZES = {
    "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2,
    "num_key_value_heads": 1, "head_dim": 8,
}  # fmt: skip
WRITER = {"departs": 0.3, "strays": 0.5, "learns_strays": False, "moves_add": 0.3, "slips": 0.1}


@pytest.fixture(scope="module")
def tokenizer():
    return build_tokenizer()


@pytest.mark.parametrize("seed", [5, 6, 7])
def test_the_tokenizer_keeps_text_and_gives_digits_their_own_tokens(tokenizer, seed):
    problem = next(generate_problems(seed, experiment=True))
    text = f"{problem.question} {write_solution(problem, Writer(**WRITER), random.Random(seed)).text}"
    ids = tokenizer.encode(text)
    assert tokenizer.decode(ids) == text
    assert tokenizer.unk_token_id not in ids
    assert len(tokenizer.encode("347")) == 3


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_prompt_and_untaught_choices_have_no_label(tokenizer, seed):
    problem, writer = next(generate_problems(seed, experiment=False)), Writer(**WRITER)
    solution = write_solution(problem, writer, random.Random(seed))
    ids, labels = _encode(problem, writer, random.Random(seed), tokenizer)
    prompt = ids.index(tokenizer.convert_tokens_to_ids("<|assistant|>")) + 1
    assert tokenizer.decode(ids[prompt:-1]) == solution.text
    assert set(labels[:prompt]) == {IGNORED} and labels[-1] == tokenizer.eos_token_id
    assert labels[prompt:].count(IGNORED) == len(solution.untaught) > 0
    assert all(label in (IGNORED, token) for token, label in zip(ids, labels, strict=True))


@pytest.mark.parametrize("layers", [2, 4, 6])
def test_a_deepened_model_computes_the_same_and_has_more_to_learn_with(tokenizer, layers):
    model = build_model(tokenizer, SIZES, seed=1)
    deep = deepen(model, layers)
    tokens = torch.randint(5, len(tokenizer), (2, 30))
    with torch.inference_mode():
        assert torch.allclose(model(tokens).logits, deep(tokens).logits, atol=1e-5)
    assert deep.config.num_hidden_layers == len(deep.model.layers) == layers


@pytest.mark.parametrize("start", [None, {"layers": 1, "steps": 2}])
def test_training_makes_the_sizes_asked_for(tokenizer, start):
    settings = {
        "sizes": SIZES,
        "writer": WRITER,
        "start": start,
        "seed": 1,
        "steps": 2,
        "batch": 2,
        "learning_rate": 0.01,
    }
    model = train_from_nothing(tokenizer, **settings)
    assert len(model.model.layers) == SIZES["num_hidden_layers"]
    untrained = build_model(tokenizer, SIZES, seed=1)
    assert not torch.equal(model.lm_head.weight, untrained.lm_head.weight)
