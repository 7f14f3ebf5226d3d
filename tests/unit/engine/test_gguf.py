"""GGUF files: weights, tokenizer and chat template come from the one file, unpacked to the pair's dtype."""

import gguf
import pytest
import torch
from tokenizers import pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM

from autojudge.engine.models import context_length, load_pair
from autojudge.engine.settings import check_model_folder
from autojudge.errors import InputError
from conftest import model_settings
from reference import as_input

LETTERS = [*sorted(pre_tokenizers.ByteLevel.alphabet()), "ab"]
NAMES = {
    "model.embed_tokens": "token_embd",
    "model.norm": "output_norm",
    "lm_head": "output",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
    **{f"self_attn.{part}_proj": f"attn_{part}" for part in "qkv"},
    "self_attn.o_proj": "attn_output",
    **{f"mlp.{part}_proj": f"ffn_{part}" for part in ("gate", "up", "down")},
}


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    sizes = {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4}
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(LETTERS) + 2,
            num_key_value_heads=2,
            max_position_embeddings=128,
            tie_word_embeddings=False,
            **sizes,
        )
    ).eval()


def gguf_name(name, config):
    """Name of a tensor in the file, and the number of heads whose rotary halves llama.cpp keeps interleaved."""
    name = name.removesuffix(".weight")
    if not name.startswith("model.layers."):
        return f"{NAMES[name]}.weight", 0
    _, _, layer, part = name.split(".", 3)
    heads = {"self_attn.q_proj": config.num_attention_heads, "self_attn.k_proj": config.num_key_value_heads}
    return f"blk.{layer}.{NAMES[part]}.weight", heads.get(part, 0)


@pytest.fixture(scope="module")
def folder(model, tmp_path_factory):
    """A folder with the model in one GGUF file, its feed-forward matrices quantised to 8 bits."""
    folder, config = tmp_path_factory.mktemp("gguf"), model.config
    writer = gguf.GGUFWriter(str(folder / "tiny.gguf"), "llama")
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(10000.0)
    writer.add_vocab_size(config.vocab_size)
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list([*LETTERS, "<s>", "</s>"])
    writer.add_token_types([1] * len(LETTERS) + [3, 3])
    writer.add_token_merges(["a b"])
    writer.add_bos_token_id(len(LETTERS))
    writer.add_eos_token_id(len(LETTERS) + 1)
    writer.add_chat_template("{{ messages[0].content }}")
    for name, tensor in model.state_dict().items():
        name, heads = gguf_name(name, config)
        if heads:
            tensor = tensor.reshape(heads, 2, -1, tensor.shape[1]).swapaxes(1, 2).reshape(tensor.shape)
        if "ffn_up" in name or "ffn_gate" in name:
            kind = gguf.GGMLQuantizationType.Q8_0
            writer.add_tensor(name, gguf.quants.quantize(tensor.numpy(), kind), raw_dtype=kind)
        else:
            writer.add_tensor(name, tensor.contiguous().numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return folder


@pytest.mark.parametrize("dtype, tolerance", [("float32", 0.01), ("bfloat16", 0.05)])
def test_a_pair_comes_from_gguf_files(folder, model, dtype, tolerance):
    settings = model_settings(folder) | {"gguf_file": "tiny.gguf", "dtype": dtype}
    pair = load_pair({"draft": settings, "target": settings})
    assert {p.dtype for p in pair.target.parameters()} == {getattr(torch, dtype)}
    with torch.inference_mode():
        found, expected = (m(as_input(m, [5, 6, 7, 256])).logits.float().cpu() for m in (pair.target, model))
    torch.testing.assert_close(found, expected, rtol=0, atol=tolerance)
    assert pair.tokenizer.encode("abc") == [256, LETTERS.index("c")] and pair.decode([256]) == "ab"
    assert pair.tokenizer.chat_template == "{{ messages[0].content }}"
    assert pair.end_tokens == {len(LETTERS) + 1} and context_length(settings) == 128


def test_a_gguf_file_that_is_not_there_is_named(folder):
    check_model_folder(str(folder), "pairs.mine.target.model", "tiny.gguf")
    with pytest.raises(InputError, match=r"`pairs.mine.target.model`: folder .* has no other.gguf; check `gguf_file`"):
        check_model_folder(str(folder), "pairs.mine.target.model", "other.gguf")
