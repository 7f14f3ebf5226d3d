"""Tokens that a model does not embed are refused before they are decoded; rows without a token are padding."""

import json
import shutil

import pytest
from safetensors.torch import load_file, save_file
from torch import nn

from autojudge.decoding.branches import Job
from autojudge.decoding.decoder import Decoder
from autojudge.engine.models import check_tokens, check_vocabulary, embedding_rows, load_pair, load_tokenizer
from autojudge.errors import InputError
from autojudge.mining.miner import Miner
from autojudge.scoring.scorer import Scorer
from conftest import model_settings


@pytest.fixture
def copy_of(pair_settings, tmp_path):
    """Copy a role's model folder, to be changed."""

    def copy(role):
        return shutil.copytree(pair_settings[role]["model"], tmp_path / role)

    return copy


def add_token(folder, text, template=True):
    """Give a tokenizer a token beyond the model's embeddings, which its template may write."""
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    tokenizer["added_tokens"].append({"id": 265, "content": text, **flags})
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    if template:
        (folder / "chat_template.jinja").write_text(text + "{{ messages[0]['content'] }}")


@pytest.fixture
def larger(copy_of):
    """A pair whose tokenizers know one token more than the models embed."""
    folders = {role: copy_of(role) for role in ("draft", "target")}
    for folder in folders.values():
        add_token(folder, "<|turn|>")
    return {role: model_settings(folder) for role, folder in folders.items()}


def test_a_prompt_beyond_the_embeddings_is_refused_before_it_is_decoded(larger):
    pair = load_pair(larger)
    prompt = pair.tokenizer.encode("<|turn|>3 pens")
    beyond = r"model .*(draft|target): token 265 \('<\|turn\|>'\) .* embeddings, which have 265 rows; use the tokenizer"
    with pytest.raises(InputError, match=beyond):
        list(Decoder(pair, None, 4, 8, 1).decode([Job(prompt, {})]))
    with pytest.raises(InputError, match=beyond):
        check_tokens(prompt, load_tokenizer(larger), embedding_rows(larger))
    assert list(Decoder(pair, None, 4, 8, 1).decode([Job(prompt[1:], {})])), "an unused token does no harm"


def test_a_prompt_beyond_the_embeddings_is_not_mined(larger, arith):
    problem = {"problem_id": "a", "question": "?", "gold": "1", "prompt_tokens": [5, 265]}
    with pytest.raises(InputError, match="token 265 .* beyond its embeddings"):
        list(Miner(load_pair(larger), Scorer(arith), 8, 1).mine([problem]))


def test_a_tokenizer_of_a_larger_model_is_refused(copy_of, pair_settings):
    folder = copy_of("target")
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    tokenizer["model"]["vocab"]["zebra"] = 270
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    settings = {"draft": {"prompt_lookup": True}, "target": model_settings(folder)}
    with pytest.raises(InputError, match="target: token 270 .'zebra'. .* which have 265 rows"):
        load_pair(settings)
    with pytest.raises(InputError, match="token 270"):
        check_vocabulary(load_tokenizer(settings), embedding_rows(settings))


def test_more_embeddings_than_tokens_are_padding(copy_of):
    folder = copy_of("draft")
    weights = load_file(folder / "model.safetensors")
    weights["model.embed_tokens.weight"] = nn.functional.pad(weights["model.embed_tokens.weight"], (0, 0, 0, 23))
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"vocab_size": 288}))
    pair = load_pair({"draft": {"first_layers": 1}, "target": model_settings(folder)})
    assert list(Decoder(pair, None, 4, 8, 1).decode([Job(pair.tokenizer.encode("3 pens"), {})]))
