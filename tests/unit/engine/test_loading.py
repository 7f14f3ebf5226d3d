"""Whatever loading a model raises ends with one message that names the model and the remedy."""

import json
import os
import shutil
from types import MappingProxyType

import pytest
import torch
from transformers import AutoModelForCausalLM, LlamaConfig

from autojudge.engine import loading
from autojudge.engine.loading import check_quantized, from_hub, slow_dtype
from autojudge.engine.models import context_length, hidden_size, load_model, load_tokenizer
from autojudge.engine.settings import check_model_folder, expand_path
from autojudge.engine.weights import check_weights
from autojudge.errors import InputError
from conftest import ROOT, model_settings, on_cpu


@pytest.fixture
def folder(tmp_path):
    """A copy of the test bed's draft, to be damaged."""
    return shutil.copytree(ROOT / "resources/testbed/draft", tmp_path / "draft")


def change(file, **values):
    held = json.loads(file.read_text()) | values
    file.write_text(json.dumps({key: value for key, value in held.items() if value is not ...}))


QUANTIZED = {
    "gptq": {"quant_method": "gptq", "bits": 4, "group_size": 128},
    "quanto": {"quant_method": "quanto", "weights": "int8"},
    "hqq": {"quant_method": "hqq"},
    "eetq": {"quant_method": "eetq"},
    "torchao": {"quant_method": "torchao", "quant_type": "int4_weight_only"},
    "fbgemm_fp8": {"quant_method": "fbgemm_fp8"},
    "exl2": {"quant_method": "exl2", "bits": 4.0},
    "bitsandbytes": {"quant_method": "bitsandbytes", "load_in_8bit": True},
    "None": {"group_size": 64, "bits": 4},
}


@pytest.mark.parametrize("method", QUANTIZED)
@pytest.mark.parametrize("step", [context_length, load_model])
def test_quantized_weights_without_their_package_are_refused_by_the_config(folder, method, step, monkeypatch):
    change(folder / "config.json", quantization_config=QUANTIZED[method])
    monkeypatch.setattr(AutoModelForCausalLM, "from_pretrained", lambda *a, **o: pytest.fail("weights were read"))
    with pytest.raises(
        InputError, match=rf"model .*draft: its weights are quantized \({method}\) and cannot be loaded on"
    ):
        step(model_settings(folder))


def test_a_machine_without_the_jobs_gpu_tells_of_packages_alone(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    settings = model_settings("owner/name") | {"device": "cuda"}
    check_quantized(LlamaConfig(quantization_config=QUANTIZED["fbgemm_fp8"]), settings)  # asks for a GPU first of all
    with pytest.raises(InputError, match="quantized .awq. .* on `cuda` .*pip install gptqmodel"):
        check_quantized(LlamaConfig(quantization_config={"quant_method": "awq", "bits": 4}), settings)


CONFIGS = {
    "rope type": (
        {"rope_parameters": {"rope_type": "ntk3", "rope_theta": 1e4}},
        "config.json has `rope_parameters.rope_type` 'ntk3', unknown to transformers",
    ),
    "rope type of old": (
        {"rope_parameters": ..., "rope_scaling": {"type": "su2", "factor": 2.0}},
        "`rope_scaling.type` 'su2', unknown",
    ),
    "activation": ({"hidden_act": "swigloo"}, "config.json has `hidden_act` 'swigloo', unknown"),
    "heads": ({"num_attention_heads": 0}, "ZeroDivisionError"),
    "heads that do not divide": ({"num_attention_heads": 3}, "not a multiple of the number of attention heads"),
    "layers as text": ({"num_hidden_layers": "two"}, "'num_hidden_layers' expected int, got str"),
    "dtype": ({"dtype": "float7"}, "no attribute 'float7'"),
    "a translator": ({"model_type": "t5"}, "cannot be loaded"),
    "code that comes with it": (
        {"model_type": "mine", "auto_map": {"AutoConfig": "m.C", "AutoModelForCausalLM": "m.M"}},
        "needs code that comes with it .*set `trust_remote_code: true`",
    ),
}


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("step", [check_weights, load_model])
def test_a_config_that_transformers_cannot_use_is_refused_in_one_message(folder, name, step):
    values, message = CONFIGS[name]
    change(folder / "config.json", **values)
    with pytest.raises(InputError, match=f"model .*draft: .*{message}"):
        step(model_settings(folder))


TOKENIZERS = {
    "[]": "holds no tokenizer",
    "{}": "holds no tokenizer .Model missing",
    '{"model": {"type": "none"}}': "holds no tokenizer",
    "\x00": "holds no tokenizer",
    '{"model": {"type": "BPE", "vocab": {}, "merges": []}}': "has no list `added_tokens`",
}


@pytest.mark.parametrize("text", TOKENIZERS)
def test_a_tokenizer_that_is_none_is_refused_in_one_message(folder, text):
    (folder / "tokenizer.json").write_text(text)
    message = f"model .*draft: cannot be loaded: .*draft/tokenizer.json {TOKENIZERS[text]}.*copy or download"
    with pytest.raises(InputError, match=message):
        load_tokenizer({"draft": {"first_layers": 1}, "target": model_settings(folder)})


@pytest.mark.parametrize("text", ["[]", "null", "3", '"Llama"', '{"a', "", "<!doctype html>"])
@pytest.mark.parametrize("name", ["config.json", "tokenizer_config.json", "special_tokens_map.json"])
def test_a_file_that_holds_no_mapping_is_named(folder, name, text):
    (folder / name).write_text(text)
    with pytest.raises(InputError, match=f"draft/{name}: (holds no mapping but|cut off or no JSON).*copy or download"):
        check_model_folder(str(folder), "pairs.mine.draft.model")


PART = "model-00001-of-00001.safetensors"
INDICES = {
    "no metadata": ({"weight_map": {"lm_head.weight": PART}}, 'has no mapping `metadata`; add `"metadata": {}`'),
    "cut off": ('{"metadata": {}, "weight_map": {"lm', "holds no mapping"),
    "metadata of text": ({"metadata": "none", "weight_map": {"lm_head.weight": PART}}, "has no mapping `metadata`"),
    "no map": ({"metadata": {}}, "has no `weight_map`"),
    "an empty map": ({"metadata": {}, "weight_map": {}}, "has no `weight_map`"),
    "a list": ({"metadata": {}, "weight_map": [PART]}, "has no `weight_map`"),
    "numbers": ({"metadata": {}, "weight_map": {"lm_head.weight": 1}}, "has no `weight_map`"),
    "nothing": ([], "holds no mapping"),
}


def split(folder, index):
    (folder / "model.safetensors").rename(folder / PART)
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


@pytest.mark.parametrize("name", INDICES)
@pytest.mark.parametrize("step", [check_weights, load_model])
def test_an_index_that_is_none_is_named(folder, name, step):
    index, message = INDICES[name]
    split(folder, index)
    with pytest.raises(InputError, match=f"draft/model.safetensors.index.json: {message}"):
        step(model_settings(folder))


def test_a_part_that_the_index_names_and_is_not_there_is_named(folder):
    split(folder, {"metadata": {}, "weight_map": {"lm_head.weight": "other.safetensors"}})
    with pytest.raises(InputError, match=r"other.safetensors: missing or cut off .model.safetensors.index.json names"):
        check_model_folder(str(folder), "pairs.mine.draft.model")


@pytest.mark.parametrize("value", ["fp8", ["awq"], 8, True, {}, []])
@pytest.mark.parametrize("part", [None, "text_config"])
def test_a_quantization_that_is_no_mapping_is_named_by_its_key(folder, value, part):
    entry = {"quantization_config": value}
    change(folder / "config.json", **({part: entry} if part else entry))
    with pytest.raises(InputError, match="draft/config.json: `quantization_config` is .*, not a mapping with"):
        context_length(model_settings(folder))


POINTER = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'ab' * 32}\nsize 988097824\n"


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json", "config.json", "generation_config.json"])
@pytest.mark.parametrize("step", [context_length, load_model])
def test_a_pointer_of_git_lfs_is_told_as_such(folder, name, step):
    (folder / name).write_text(POINTER)
    with pytest.raises(InputError, match=f"draft/{name}: is a Git LFS pointer .*run `git lfs pull`"):
        step(model_settings(folder))


def test_so_are_parts_gguf_files_and_tokenizers_of_sentencepiece(folder):
    def told(file, gguf_file=None):
        with pytest.raises(InputError, match=f"{file}: is a Git LFS pointer"):
            check_model_folder(str(folder), "pairs.mine.draft.model", gguf_file)

    for name in ("tiny.gguf", PART, "tokenizer.model"):
        (folder / name).write_text(POINTER)
    check_model_folder(str(folder), "pairs.mine.draft.model")  # nothing loads them
    told("tiny.gguf", "tiny.gguf")
    (folder / "tokenizer.json").unlink()
    told("tokenizer.model")
    split(folder, {"metadata": {}, "weight_map": {"lm_head.weight": PART}})
    (folder / PART).write_text(POINTER)
    told(PART)


@pytest.mark.parametrize("content", [b"", b"<html>404</html>", b'\x08\0\0\0\0\0\0\0{"a": 1}'])
def test_weights_that_are_none_are_named_at_the_load_too(folder, content):
    (folder / "model.safetensors").write_bytes(content)
    with pytest.raises(InputError, match="draft/model.safetensors: missing or cut off"):
        load_model(model_settings(folder))


@pytest.mark.parametrize(
    "fault, message",
    [
        (NotImplementedError(), r"cannot be loaded \(NotImplementedError: \)"),
        (RuntimeError("a kernel is missing"), "RuntimeError: a kernel is missing"),
        (ImportError("needs tiktoken"), r"cannot be loaded \(needs tiktoken\); install that"),
        (torch.OutOfMemoryError("CUDA out of memory"), "does not fit into the memory .*another `dtype`"),
        (KeyError(("a", 1)), "KeyError"),
    ],
)
def test_whatever_is_raised_becomes_one_message(folder, fault, message):
    class Kind:
        @staticmethod
        def from_pretrained(*arguments, **options):
            raise fault

    with pytest.raises(InputError, match=f"model .*draft: {message}|model .*draft: cannot be loaded .{message}"):
        from_hub(Kind, model_settings(folder))


def test_sizes_are_read_of_a_config_alone(folder):
    (folder / "config.json").write_text(json.dumps({"model_type": "bloom", "hidden_size": 64, "vocab_size": 7}))
    assert hidden_size(model_settings(folder)) == 64 and context_length(model_settings(folder)) > 10**6
    (folder / "config.json").write_text(json.dumps({"model_type": "segformer"}))
    with pytest.raises(InputError, match="model .*draft: its config.json has no `hidden_size`; choose another"):
        hidden_size(model_settings(folder))


@pytest.mark.parametrize(
    "file", ["model.safetensors", "tokenizer.json", "chat_template.jinja", "generation_config.json"]
)
def test_a_file_whose_blob_is_gone_is_named(folder, file):
    (folder / file).unlink()
    (folder / file).symlink_to("../../blobs/1234")
    with pytest.raises(InputError, match=f"{file}: links to ../../blobs/1234, which is gone; copy or download"):
        check_model_folder(str(folder), "pairs.mine.draft.model")
    with pytest.raises(InputError, match="which is gone"):
        load_model(model_settings(folder))


def test_a_folder_that_links_to_nothing_is_named(tmp_path):
    (tmp_path / "target").symlink_to("/nowhere/target")
    with pytest.raises(InputError, match="target: links to /nowhere/target, which is gone"):
        check_model_folder(str(tmp_path / "target"), "pairs.mine.target.model")


@pytest.mark.parametrize("name", [".#config.json", ".#model.safetensors", ".~lock.config.json#", "notes.md"])
def test_a_lock_of_an_editor_is_no_file_of_the_model(folder, name):
    (folder / name).symlink_to("someone@host.1:2")
    check_model_folder(str(folder), "pairs.mine.draft.model")
    assert load_model(model_settings(folder)) is not None


@pytest.mark.parametrize("name", ["._model.safetensors", "adapter_model.safetensors", "consolidated.safetensors"])
def test_weights_that_are_not_loaded_are_none(folder, name):
    (folder / "model.safetensors").rename(folder / name)
    with pytest.raises(InputError, match="has no weights .model.safetensors, or its index.; save the model"):
        check_model_folder(str(folder), "pairs.mine.draft.model")


def test_a_file_is_no_folder(folder):
    with pytest.raises(InputError, match="model.safetensors is a file; name its folder"):
        check_model_folder(str(folder / "model.safetensors"), "pairs.mine.draft.model")


def test_a_generation_config_cut_off_is_refused(folder):
    (folder / "generation_config.json").write_text('{"eos_token_id": [1')
    with pytest.raises(InputError, match="generation_config.json: cut off or no JSON"):
        load_model(model_settings(folder))


def test_an_adapter_is_told_from_a_model(folder):
    (folder / "adapter_config.json").write_text('{"base_model_name_or_path": "owner/base"}')
    with pytest.raises(InputError, match=r"draft holds an adapter .* beside a model; merge it .*or move the adapter"):
        load_model(model_settings(folder))
    (folder / "config.json").unlink()
    (folder / "model.safetensors").rename(folder / "adapter_model.safetensors")
    with pytest.raises(InputError, match=r"holds an adapter of owner/base, and no model; merge it .*merge_and_unload"):
        check_model_folder(str(folder), "pairs.mine.draft.model")
    (folder / "adapter_config.json").write_text("{")
    with pytest.raises(InputError, match="adapter_config.json: cut off or no JSON"):
        check_model_folder(str(folder), "pairs.mine.draft.model")


def test_a_tilde_is_expanded_wherever_a_model_is_loaded(folder, monkeypatch, pair_settings):
    monkeypatch.setenv("HOME", str(folder.parent))
    settings = model_settings("~/draft")
    check_weights(settings)
    assert context_length(settings) == 512 and load_model(settings).name_or_path == str(folder)
    assert load_tokenizer({"draft": settings, "target": pair_settings["target"]}).name_or_path
    with pytest.raises(InputError, match="no folder ~nobody-here/draft; give a local model folder"):
        context_length(model_settings("~nobody-here/draft"))
    assert expand_path("~nobody-here/x").parts[0] == "~nobody-here"


def capabilities(architecture, *able):
    return lambda: MappingProxyType({"architecture": architecture, "avx2": True, **dict.fromkeys(able, True)})


EMULATES = [("x86_64",), ("x86_64", "avx512_f", "avx512_vnni"), ("aarch64", "neon", "sve"), ("arm64", "neon")]
COMPUTES = [("x86_64", "avx512_bf16"), ("x86_64", "amx_bf16"), ("aarch64", "bf16"), ("riscv64",)]


@on_cpu
@pytest.mark.parametrize("machine", EMULATES)
def test_bfloat16_on_a_cpu_that_emulates_it_is_told(machine, monkeypatch, caplog, pair_settings):
    monkeypatch.setattr(torch.cpu, "get_capabilities", capabilities(*machine))
    settings = pair_settings["draft"] | {"dtype": "bfloat16"}
    assert "bfloat16 is emulated on this CPU" in slow_dtype(settings) and "`dtype: float32`" in slow_dtype(settings)
    for other in ({"dtype": "float32"}, {"device": "cuda"}, {"device_map": "auto"}):
        assert slow_dtype(settings | other) is None
    load_model(settings)
    assert "bfloat16 is emulated" in caplog.text


@on_cpu
@pytest.mark.parametrize("machine", COMPUTES)
def test_bfloat16_on_other_cpus_is_no_matter(machine, monkeypatch, pair_settings):
    monkeypatch.setattr(torch.cpu, "get_capabilities", capabilities(*machine))
    assert slow_dtype(pair_settings["draft"] | {"dtype": "bfloat16"}) is None


def test_the_names_of_what_computes_in_bfloat16_are_those_of_torch():
    found = torch.cpu.get_capabilities()
    assert set(loading.BFLOAT16.get(found["architecture"], ())) <= set(found) or os.uname().machine != "x86_64"
