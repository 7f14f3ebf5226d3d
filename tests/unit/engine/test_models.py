"""Models that cannot work are refused with one message that says what to do."""

import json
import shutil

import pytest

from autojudge.decoding.branches import Job
from autojudge.decoding.decoder import Decoder
from autojudge.engine.compatibility import check_slot_cache
from autojudge.engine.models import (
    check_tokens,
    check_vocabulary,
    embedding_rows,
    load_model,
    load_pair,
    load_tokenizer,
)
from autojudge.engine.settings import check_model_folder
from autojudge.errors import InputError
from conftest import model_settings


@pytest.fixture
def copy_of(pair_settings, tmp_path):
    """Copy a role's model folder, to be damaged."""

    def copy(role):
        return shutil.copytree(pair_settings[role]["model"], tmp_path / role)

    return copy


@pytest.mark.parametrize("file, what", [("config.json", "config"), ("model.safetensors", "weights")])
def test_a_folder_without_config_or_weights_is_refused(copy_of, file, what):
    folder = copy_of("draft")
    (folder / file).unlink()
    with pytest.raises(InputError, match=rf"folder .*draft has no {what}.*; save the model with save_pretrained"):
        check_model_folder(str(folder), "pairs.mine.draft.model")


def test_a_missing_folder_is_refused_and_a_hub_name_passes():
    with pytest.raises(
        InputError, match="`pairs.mine.draft.model`: no folder ./nothing; give a local model folder or a hub"
    ):
        check_model_folder("./nothing", "pairs.mine.draft.model")
    check_model_folder("Qwen/Qwen2.5-0.5B-Instruct", "pairs.mine.draft.model")


def test_a_mistyped_model_beside_others_is_no_hub_name(tmp_path, monkeypatch):
    (tmp_path / "models").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="no folder models/nothing"):
        check_model_folder("models/nothing", "pairs.mine.draft.model")


def test_damaged_weights_are_refused(copy_of):
    folder = copy_of("draft")
    (folder / "config.json").write_text("{")
    with pytest.raises(InputError, match="cannot be loaded"):
        load_model(model_settings(folder))


def test_tokenizers_that_differ_are_refused_with_the_first_difference(copy_of, pair_settings):
    folder = copy_of("draft")
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    vocabulary = tokenizer["model"]["vocab"]
    vocabulary["apples"], vocabulary["pens"] = vocabulary["pens"], vocabulary["apples"]
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    with pytest.raises(InputError, match="tokenizers differ, first at token 'apples'"):
        load_tokenizer({"draft": model_settings(folder), "target": pair_settings["target"]})


def test_a_gpu_that_is_not_there_is_named(pair_settings):
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    with pytest.raises(InputError, match="cuda asked for, but no GPU is visible"):
        load_model(pair_settings["draft"] | {"device": "cuda"})


def test_layers_that_forget_are_refused():
    from transformers import MistralConfig, MistralForCausalLM

    sizes = {
        "vocab_size": 10,
        "hidden_size": 8,
        "intermediate_size": 8,
        "num_hidden_layers": 1,
        "num_attention_heads": 1,
    }
    model = MistralForCausalLM(MistralConfig(**sizes, num_key_value_heads=1, sliding_window=4))
    with pytest.raises(InputError, match="do not fit a cache with branches"):
        check_slot_cache(model.eval(), "a sliding-window model")


def add_token(folder, text, template=True):
    """Give a tokenizer a token beyond the model's embeddings, which its template may write."""
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    tokenizer["added_tokens"].append({"id": 1065, "content": text, **flags})
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
    beyond = (
        r"model .*(draft|target): token 1065 \('<\|turn\|>'\) .* embeddings, which have 1065 rows; use the tokenizer"
    )
    with pytest.raises(InputError, match=beyond):
        list(Decoder(pair, None, 4, 8, 1).decode([Job(prompt, {})]))
    with pytest.raises(InputError, match=beyond):
        check_tokens(prompt, load_tokenizer(larger), embedding_rows(larger))
    assert list(Decoder(pair, None, 4, 8, 1).decode([Job(prompt[1:], {})])), "an unused token does no harm"


def test_a_prompt_beyond_the_embeddings_is_not_mined(larger, arith):
    from autojudge.mining.miner import Miner

    problem = {"problem_id": "a", "question": "?", "gold": "1", "prompt_tokens": [5, 1065]}
    with pytest.raises(InputError, match="token 1065 .* beyond its embeddings"):
        list(Miner(load_pair(larger), arith, 8, 1).mine([problem]))


def test_a_tokenizer_of_a_larger_model_is_refused(copy_of, pair_settings):
    folder = copy_of("target")
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    tokenizer["model"]["vocab"]["zebra"] = 1070
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    settings = {"draft": {"prompt_lookup": True}, "target": model_settings(folder)}
    with pytest.raises(InputError, match="target: token 1070 .'zebra'. .* which have 1065 rows"):
        load_pair(settings)
    with pytest.raises(InputError, match="token 1070"):
        check_vocabulary(load_tokenizer(settings), embedding_rows(settings))


def test_more_embeddings_than_tokens_are_padding(copy_of):
    from safetensors.torch import load_file, save_file
    from torch import nn

    folder = copy_of("draft")
    weights = load_file(folder / "model.safetensors")
    weights["model.embed_tokens.weight"] = nn.functional.pad(weights["model.embed_tokens.weight"], (0, 0, 0, 23))
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"vocab_size": 1088}))
    pair = load_pair({"draft": {"first_layers": 1}, "target": model_settings(folder)})
    assert list(Decoder(pair, None, 4, 8, 1).decode([Job(pair.tokenizer.encode("3 pens"), {})]))
