"""Models that cannot work are refused with one message that says what to do."""

import json
import shutil

import pytest

from autojudge.engine.compatibility import check_slot_cache
from autojudge.engine.models import load_model, load_tokenizer
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
