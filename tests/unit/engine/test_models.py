"""Models that cannot work are refused with one message that says what to do."""

import json
import shutil

import pytest

from autojudge.engine.compatibility import check_slot_cache
from autojudge.engine.models import load_generation_config, load_model, load_pair, load_tokenizer
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
    with pytest.raises(InputError, match="config.json: cut off or no JSON"):
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
    from transformers import Lfm2Config, Lfm2ForCausalLM

    sizes = {"vocab_size": 10, "hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 2}
    kinds = {"num_attention_heads": 1, "num_key_value_heads": 1, "layer_types": ["conv", "full_attention"]}
    model = Lfm2ForCausalLM(Lfm2Config(**sizes, **kinds))
    with pytest.raises(InputError, match=r"layers \(conv, full_attention\) do not fit a cache with branches"):
        check_slot_cache(model.eval(), "a model with convolutions")


CHATML = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"


def relist_ends(folder, generation):
    """Let neither the tokenizer nor the configs of a model list `<|end|>`, but another token or none."""
    for name, token in (
        ("config.json", generation),
        ("generation_config.json", generation),
        ("tokenizer_config.json", 0),
    ):
        file = folder / name
        if file.is_file():
            known = json.loads(file.read_text())
            key, value = ("eos_token", "<|pad|>") if name.startswith("tokenizer") else ("eos_token_id", token)
            file.write_text(json.dumps(known | {key: value}))


@pytest.mark.parametrize("listed", [None, 1, [1, 3]])
def test_the_end_of_the_template_s_turn_ends_responses_though_no_file_lists_it(copy_of, listed):
    relist_ends(folder := copy_of("target"), listed)
    settings = {"draft": {"first_layers": 1}, "target": model_settings(folder)}
    known = {0} | set(listed if isinstance(listed, list) else [listed] if listed else [])
    assert load_pair(settings).end_tokens == known | {4}
    (folder / "chat_template.jinja").unlink()
    assert load_pair(settings).end_tokens == known


def test_no_text_of_a_pair_shows_the_end_of_a_turn(copy_of, tmp_path):
    folder = copy_of("target")
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    plain = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": True, "special": False}
    tokenizer["added_tokens"].append({"id": 1061, "content": "<|im_end|>"} | plain)
    tokenizer["model"]["vocab"] |= {"<|im_end|>": 1061}
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    (tmp_path / "chatml.jinja").write_text("\ufeff" + CHATML, encoding="utf-8")
    template = {"chat_template": str(tmp_path / "chatml.jinja")}
    loaded = load_tokenizer({"draft": {"first_layers": 1}, "target": model_settings(folder) | template})
    ids = loaded.encode("7<|im_end|>", add_special_tokens=False)
    assert 1061 in ids and "im_end" not in loaded.decode(ids, skip_special_tokens=True)
    assert loaded.chat_template == CHATML


def test_a_template_s_arguments_are_checked_when_the_tokenizer_is_loaded(pair_settings):
    target = pair_settings["target"] | {"chat_template_kwargs": {"enable_thinking": False}}
    with pytest.raises(InputError, match=r"target.chat_template_kwargs`: the chat template of .* no `enable_thinking`"):
        load_tokenizer(pair_settings | {"target": target})


def test_a_template_in_a_home_is_read_and_one_that_cannot_be_is_named(pair_settings, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "mine.jinja").write_text(CHATML)
    target = pair_settings["target"]
    load = lambda path: load_tokenizer(pair_settings | {"target": target | {"chat_template": path}})  # noqa: E731
    assert load("~/mine.jinja").chat_template == CHATML
    (tmp_path / "latin.jinja").write_bytes("é".encode("latin-1"))
    for path in ("~/latin.jinja", "~nobody-of-this-name/mine.jinja", "~/none.jinja"):
        with pytest.raises(InputError, match=f"`target.chat_template`: {path} cannot be read"):
            load(path)


@pytest.mark.parametrize("own", [True, False])
def test_how_a_model_generates_is_read_without_its_weights(copy_of, own):
    folder = copy_of("target")
    (folder / "model.safetensors").write_bytes(b"")
    config = json.loads((folder / "config.json").read_text()) | {"eos_token_id": 3}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "generation_config.json").unlink(missing_ok=True)
    if own:
        (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": [4, 2]}))
    assert load_generation_config(model_settings(folder)).eos_token_id == ([4, 2] if own else 3)


@pytest.mark.parametrize("text", ["[]", "7", "{"])
def test_a_generation_config_that_is_not_right_is_named(copy_of, text):
    (folder := copy_of("target")).joinpath("generation_config.json").write_text(text)
    with pytest.raises(InputError, match=r"model .*target: generation_config.json is wrong"):
        load_generation_config(model_settings(folder))


HARMLESS = {
    "several answers": {"num_return_sequences": 3},
    "compiled": {"compile_config": {"fullgraph": True}},
    "no tokens": {"max_new_tokens": 0},
    "a word for a flag": {"early_stopping": "soon"},
    "an unknown cache": {"cache_implementation": "of tomorrow"},
    "texts for numbers": {"num_beams": "4", "num_return_sequences": "2", "temperature": None},
    "unknown watermark": {"watermarking_config": {"colour": "green"}},
    "names of arguments": {"self": 1, "cls": 2, "_from_model_config": True},
}


@pytest.mark.parametrize("keys", HARMLESS.values(), ids=HARMLESS)
def test_other_keys_of_a_generation_config_count_for_nothing(copy_of, keys):
    file = (folder := copy_of("target")) / "generation_config.json"
    file.write_text(json.dumps({"eos_token_id": [4, 2], "pad_token_id": 0} | keys))
    settings = model_settings(folder)
    for generation in (load_generation_config(settings), load_model(settings).generation_config):
        assert (generation.eos_token_id, generation.pad_token_id) == ([4, 2], 0)
        assert generation.max_new_tokens is None and generation.num_return_sequences in (None, 1)
