"""Weights that are not those of the config are refused with their names, before any is read and at the load."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    AutoModelForCausalLM,
    GPTNeoConfig,
    GPTNeoForCausalLM,
    LlamaConfig,
    MixtralConfig,
    MixtralForCausalLM,
)

from autojudge.engine import weights
from autojudge.engine.loading import from_hub
from autojudge.engine.models import load_model
from autojudge.engine.weights import LOADING, check_filled, check_floats, check_weights, weight_bytes
from autojudge.errors import InputError
from conftest import ROOT, model_settings
from reference import as_input


@pytest.fixture
def folder(tmp_path):
    """A copy of the test bed's draft, to be damaged."""
    return shutil.copytree(ROOT / "resources/testbed/draft", tmp_path / "draft")


def change_weights(folder, change):
    file = folder / "model.safetensors"
    save_file(change(load_file(file)), file, {"format": "pt"})


def change_config(folder, **values):
    file = folder / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | values))


def with_prefix(prefix):
    return lambda weights: {f"{prefix}{name}": tensor for name, tensor in weights.items()}


def without(part):
    return lambda weights: {name: tensor for name, tensor in weights.items() if part not in name}


def with_weight(name, *shape):
    return lambda weights: weights | {name: torch.zeros(shape)}


def in_a_module(weights):
    return {name.replace("layers.0.", "layers.0._orig_mod."): tensor for name, tensor in weights.items()}


def with_adapter(weights):
    return {name.replace("q_proj.", "q_proj.base_layer."): tensor for name, tensor in weights.items()}


DAMAGES = {
    "trained in parallel": (
        with_prefix("module."),
        "21 missing .*unexpected .*prefix `module.`: unwrap the model",
    ),
    "compiled": (with_prefix("_orig_mod."), "prefix `_orig_mod.`: unwrap the model"),
    "wrapped twice": (with_prefix("module._orig_mod."), "prefix `module._orig_mod.`"),
    "one layer compiled": (in_a_module, "9 missing .*model.layers.0.*9 unexpected .*model.layers.0._orig_mod."),
    "a layer lost": (
        without(".layers.1."),
        r"9 missing \(model.layers.1.input_layernorm.weight, .*, \.\.\.\); save the",
    ),
    "no last norm": (without("model.norm"), r"1 missing \(model.norm.weight\)"),
    "no embeddings": (without("embed_tokens"), r"2 missing \(lm_head.weight, model.embed_tokens.weight\)"),
    "nothing": (lambda weights: {}, "21 missing"),
    "another head": (with_weight("score.weight", 2, 64), r"1 unexpected \(score.weight\)"),
    "an adapter's names": (with_adapter, "2 missing .*q_proj.weight.*unexpected .*q_proj.base_layer.weight"),
    "a narrower norm": (with_weight("model.norm.weight", 5), "1 of another shape .model.norm.weight: 5, not"),
}
CONFIGS = {
    "one layer more": ({"num_hidden_layers": 3}, "9 missing .*model.layers.2."),
    "one layer less": ({"num_hidden_layers": 1}, "9 unexpected .*model.layers.1."),
    "a head of its own": ({"tie_word_embeddings": False}, "1 missing .lm_head.weight.; .*set `tie_word_embeddings`"),
    "a larger vocabulary": ({"vocab_size": 300}, r"embed_tokens.weight: 265 x \d+, not 300 x"),
    "a smaller vocabulary": ({"vocab_size": 200}, r"embed_tokens.weight: 265 x \d+, not 200 x"),
    "biases": ({"attention_bias": True}, "8 missing .*k_proj.bias"),
    "another family": ({"model_type": "qwen3"}, "missing .*k_norm.weight"),
}


@pytest.mark.parametrize("check", [check_weights, load_model])
@pytest.mark.parametrize("name", DAMAGES)
def test_weights_that_do_not_fill_the_model_are_refused(folder, name, check):
    change, message = DAMAGES[name]
    change_weights(folder, change)
    with pytest.raises(InputError, match=f"model .*draft: its weights are not those .*{message}"):
        check(model_settings(folder))


@pytest.mark.parametrize("check", [check_weights, load_model])
@pytest.mark.parametrize("name", CONFIGS)
def test_a_config_of_another_model_is_refused(folder, name, check):
    values, message = CONFIGS[name]
    change_config(folder, **values)
    with pytest.raises(InputError, match=f"its weights are not those .*{message}"):
        check(model_settings(folder))


WHOLE = {
    "packed in bytes": ("mlp", torch.uint8, "6 of its weights are not floats .*mlp.down_proj.weight: U8"),
    "rounded": ("layers.1.self_attn.q_proj", torch.int8, r"1 of its .*\(model.layers.1.self_attn.q_proj.weight: I8\)"),
    "an embedding": ("embed_tokens", torch.int32, r"1 of .*\(model.embed_tokens.weight: I32\)"),
    "norms": ("norm", torch.int64, r"5 of .*norm.weight: I64, \.\.\.\)"),
    "truths": ("up_proj", torch.bool, "2 of .*up_proj.weight: BOOL"),
}


def cast(part, dtype):
    return lambda held: {name: (w * 100).to(dtype) if part in name else w for name, w in held.items()}


@pytest.mark.parametrize("check", [check_weights, load_model])
@pytest.mark.parametrize("name", WHOLE)
def test_whole_numbers_for_weights_are_refused_where_nothing_tells_what_they_stand_for(folder, name, check):
    part, dtype, message = WHOLE[name]
    change_weights(folder, cast(part, dtype))
    with pytest.raises(InputError, match=f"model .*draft: {message}.*no `quantization_config`"):
        check(model_settings(folder))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64, torch.float8_e4m3fn])
def test_other_floats_are_cast(folder, dtype):
    change_weights(folder, cast("mlp", dtype))
    check_weights(model_settings(folder))
    assert load_model(model_settings(folder)).dtype == torch.float32


def test_whole_numbers_that_the_model_has_too_or_a_quantization_config_explains_pass(folder):
    change_weights(folder, lambda held: held | {"counts": torch.zeros(3, dtype=torch.int64)})
    model, settings = torch.nn.Module(), model_settings(folder)
    model.config = LlamaConfig()
    with pytest.raises(InputError, match=r"\(counts: I64\)"):
        check_floats(model, settings)
    model.register_buffer("counts", torch.zeros(3, dtype=torch.int64))
    check_floats(model, settings)
    quantized = torch.nn.Module()
    quantized.config = LlamaConfig(quantization_config={"quant_method": "awq"})
    check_floats(quantized, settings)


def test_weights_of_the_hub_are_checked_in_the_cache(folder, monkeypatch):
    change_weights(folder, cast("mlp", torch.int8))
    monkeypatch.setattr(weights, "try_to_load_from_cache", lambda *a, **o: str(folder / "config.json"))
    model = AutoModelForCausalLM.from_pretrained(folder)
    with pytest.raises(InputError, match="model owner/name: 6 of its weights are not floats"):
        check_floats(model, model_settings("owner/name"))
    monkeypatch.undo()
    check_floats(model, model_settings("owner/name"))  # not in the cache


def base_alone(weights):
    return {name.removeprefix("model."): tensor for name, tensor in weights.items()}


@pytest.mark.parametrize(
    "change", [base_alone, with_weight("model.layers.0.self_attn.rotary_emb.inv_freq", 8), lambda weights: weights]
)
def test_weights_that_fill_the_model_pass(folder, change, pair):
    change_weights(folder, change)
    check_weights(model_settings(folder))
    tokens = as_input(pair.draft, [3, 5, 7])
    assert torch.equal(load_model(model_settings(folder))(tokens).logits, pair.draft(tokens).logits)


def test_a_head_of_its_own_beside_embeddings_that_the_config_ties_is_used(folder):
    head = torch.zeros_like(load_file(folder / "model.safetensors")["model.embed_tokens.weight"])
    change_weights(folder, lambda weights: weights | {"lm_head.weight": head})
    check_weights(model_settings(folder))
    model = load_model(model_settings(folder))
    assert not model(as_input(model, [3, 5])).logits.any()


def test_weights_in_parts_are_checked_and_counted_as_one(folder):
    whole = weight_bytes(model_settings(folder))
    AutoModelForCausalLM.from_pretrained(folder).save_pretrained(folder, max_shard_size="200KB")
    (folder / "model.safetensors").unlink(missing_ok=True)
    check_weights(model_settings(folder))
    assert weight_bytes(model_settings(folder)) == whole
    part = max(folder.glob("model-*.safetensors"), key=lambda file: file.stat().st_size)
    save_file({"elsewhere": torch.zeros(2)}, part, {"format": "pt"})
    with pytest.raises(InputError, match=r"missing .*1 unexpected \(elsewhere\)"):
        check_weights(model_settings(folder))


def test_masks_that_older_checkpoints_hold_pass(folder):
    sizes = {"hidden_size": 16, "num_layers": 1, "num_heads": 2, "attention_types": [[["global"], 1]]}
    GPTNeoForCausalLM(GPTNeoConfig(vocab_size=265, **sizes)).save_pretrained(folder)
    mask = "transformer.h.0.attn.attention.bias"
    change_weights(folder, lambda weights: weights | {mask: torch.ones(1), f"{mask[:-4]}masked_bias": torch.ones(1)})
    check_weights(model_settings(folder))
    _, info = from_hub(AutoModelForCausalLM, model_settings(folder), **LOADING)
    assert mask in info["unexpected_keys"], "transformers reports what holds nothing learned"
    check_filled(info, "gpt-neo")


@pytest.mark.parametrize(
    "part, message",
    [("experts.1.", "experts.down_proj: 1 x 16 x 8, not 2 x 16 x 8"), ("experts.1.w1", "one is missing .*download")],
)
def test_experts_that_transformers_joins_are_checked(folder, part, message):
    sizes = {"hidden_size": 16, "intermediate_size": 8, "num_hidden_layers": 1, "num_local_experts": 2}
    heads = {"num_attention_heads": 2, "num_key_value_heads": 2, "sliding_window": None}
    MixtralForCausalLM(MixtralConfig(vocab_size=265, **sizes, **heads)).save_pretrained(folder)
    check_weights(model_settings(folder))
    change_weights(folder, without(part))
    with pytest.raises(InputError, match=message):
        check_weights(model_settings(folder))


def test_scales_beside_quantized_weights_may_be_left_over():
    info = {"missing_keys": set(), "unexpected_keys": {"model.layers.0.self_attn.k_scale"}, "mismatched_keys": set()}
    check_filled(info, "quantized", quantized=True)
    with pytest.raises(InputError, match="1 unexpected"):
        check_filled(info, "plain")
