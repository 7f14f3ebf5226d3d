"""A model whose attention, head or positions are not what the slot cache takes them for is refused in each dtype."""

import numpy as np
import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM, Phi3Config, Phi3ForCausalLM
from transformers.masking_utils import create_sliding_window_causal_mask
from transformers.models.llama import modeling_llama

from autojudge.engine.attention import ATTENTION
from autojudge.engine.cache import NO_SLOTS, CachedModel, Request
from autojudge.engine.compatibility import check_slot_cache
from autojudge.engine.head import Head
from autojudge.engine.rope import longest_text
from autojudge.errors import InputError
from conftest import DEVICE
from reference import as_input

SIZES = {
    "vocab_size": 40,
    "hidden_size": 16,
    "intermediate_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "max_position_embeddings": 64,
    "pad_token_id": 0,
    "initializer_range": 0.4,
}
LONGROPE = {
    "rope_type": "longrope",
    "rope_theta": 10000.0,
    "short_factor": [1.0] * 4,
    "long_factor": [2.0] * 4,
    "original_max_position_embeddings": 12,
}
IN_EACH_DTYPE = pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["float32", "bfloat16"])
own_attention = modeling_llama.eager_attention_forward


def llama(dtype, kind=LlamaForCausalLM, **changes):
    torch.manual_seed(0)
    return kind(LlamaConfig(**SIZES | changes)).eval().to(DEVICE, dtype)


def refused(model):
    with pytest.raises(InputError, match="^model mine: ") as caught:
        check_slot_cache(model, "mine")
    return str(caught.value)


def linear_bias(module, query, key, value, mask, **options):
    """Add to each score what its distance says."""
    count = query.shape[2]
    return own_attention(module, query, key, value, mask + 0.1 * torch.arange(count).to(mask), **options)


def shared_keys(module, query, key, value, mask, **options):
    """Read keys that another layer left."""
    key = module.config.__dict__.setdefault("left", key).to(key.dtype)
    return own_attention(module, query, key, value, mask, **options)


def sharper(module, query, key, value, mask, **options):
    """Scale the scores by something of the module."""
    return own_attention(module, query, key, value, mask, **options | {"scaling": 1.2 * options["scaling"]})


@IN_EACH_DTYPE
@pytest.mark.parametrize("attention", [linear_bias, shared_keys, sharper])
def test_an_attention_that_is_not_that_of_the_slot_cache(attention, dtype, monkeypatch):
    monkeypatch.setattr(modeling_llama, "eager_attention_forward", attention)
    assert "its attention is not that of the slot cache" in refused(llama(dtype))


@IN_EACH_DTYPE
@pytest.mark.parametrize("name", ["sinks", "position_bias", "head_scales"])
def test_an_attention_that_reads_another_tensor(name, dtype, monkeypatch):
    forward = modeling_llama.LlamaAttention.forward
    monkeypatch.setattr(
        modeling_llama.LlamaAttention, "forward", lambda self, *a, **k: forward(self, *a, **k, **{name: torch.ones(2)})
    )
    assert f"its attention reads {name} besides query, key and value" in refused(llama(dtype))


class ByTheLastToken(LlamaForCausalLM):
    """Adds to the logits what the last token says."""

    def forward(self, input_ids=None, **options):
        output = super().forward(input_ids, **options)
        if input_ids is not None:
            output.logits[..., 7] += 0.02 * input_ids
        return output


class ByThePosition(LlamaForCausalLM):
    """Raises a token's logit by where the text stands."""

    def forward(self, input_ids=None, **options):
        output = super().forward(input_ids, **options)
        if input_ids is not None:
            output.logits[..., 7] += 0.02 * torch.arange(input_ids.shape[1]).to(input_ids.device)
        return output


class Repeating(LlamaForCausalLM):
    """Raises the logits of tokens that the text holds."""

    def forward(self, input_ids=None, **options):
        output = super().forward(input_ids, **options)
        if input_ids is not None:
            output.logits[..., input_ids[0]] += 0.05
        return output


@IN_EACH_DTYPE
@pytest.mark.parametrize("kind", [ByTheLastToken, ByThePosition, Repeating])
def test_logits_that_are_no_function_of_the_last_hidden_state(kind, dtype):
    assert "its logits are not what its head gives" in refused(llama(dtype, kind))


class Capped(LlamaForCausalLM):
    """Caps its logits."""

    def forward(self, *arguments, **options):
        output = super().forward(*arguments, **options)
        output.logits = torch.tanh(output.logits / 2) * 2
        return output


class Scaled(LlamaForCausalLM):
    """Scales its logits."""

    def forward(self, *arguments, **options):
        output = super().forward(*arguments, **options)
        output.logits = output.logits * 0.0625
        return output


@IN_EACH_DTYPE
@pytest.mark.parametrize("kind", [LlamaForCausalLM, Capped, Scaled])
def test_a_head_is_all_that_follows_the_last_hidden_state(kind, dtype):
    model = llama(dtype, kind)
    tokens = as_input(model, [3, 1, 4, 1, 5])
    check_slot_cache(model, "mine")
    with torch.inference_mode():
        states = model.model(tokens).last_hidden_state[0]
        torch.testing.assert_close(Head(model)(states[1:]), model(tokens).logits[0, 1:])
        assert Head(model)(states[:0]).shape == (0, SIZES["vocab_size"])
        assert Head(model)(states[0]).shape == (SIZES["vocab_size"],)


def test_a_window_that_no_layer_tells_its_attention(monkeypatch):
    masks = modeling_llama.create_causal_mask
    monkeypatch.setattr(modeling_llama, "create_causal_mask", create_sliding_window_causal_mask)
    model = llama(torch.float32, sliding_window=40)
    assert "its attention is not that of the slot cache" in refused(model) and model.config.sliding_window == 40
    monkeypatch.setattr(modeling_llama, "create_causal_mask", masks)
    check_slot_cache(llama(torch.float32, sliding_window=40), "whose code has no windows, whatever its config says")


@IN_EACH_DTYPE
def test_an_attention_function_that_is_not_the_one_that_the_code_runs(dtype, monkeypatch):
    class Other(modeling_llama.LlamaAttention):
        def forward(self, hidden_states, *arguments, **options):
            output, weights = super().forward(hidden_states, *arguments, **options)
            return (output * 1.1, weights) if self.config._attn_implementation == "eager" else (output, weights)

    monkeypatch.setattr(modeling_llama, "LlamaAttention", Other)
    Other.__module__ = modeling_llama.__name__
    assert "not that of its code's eager_attention_forward" in refused(llama(dtype))
    Other.__module__ = __name__
    assert "its code has no eager_attention_forward" in refused(llama(dtype))


@IN_EACH_DTYPE
def test_weights_that_are_no_numbers(dtype):
    model = llama(dtype)
    with torch.no_grad():
        model.model.layers[1].mlp.up_proj.weight[0, 0] = torch.nan
    assert "its logits are not numbers" in refused(model)


@pytest.mark.parametrize("special", [{"softcap": 3.0}, {"s_aux": torch.tensor([1.0, -2.0], device=DEVICE)}])
def test_outside_of_passes_a_special_attention_is_what_it_is_in_them(special, monkeypatch):
    """As transformers' own generation uses it, with its cache."""
    forward = modeling_llama.LlamaAttention.forward
    monkeypatch.setattr(
        modeling_llama.LlamaAttention, "forward", lambda self, *a, **k: forward(self, *a, **k, **special)
    )
    model, text = llama(torch.float32), [3, 1, 4, 1, 5, 9]
    model.set_attn_implementation(ATTENTION)
    cached = CachedModel(model, 1, 16, SIZES["vocab_size"])
    in_pass = cached.forward([Request(0, NO_SLOTS, text)], keep_logits=True).logits[0]
    with torch.inference_mode():
        whole = model(as_input(model, text), use_cache=False).logits[0]
        begun = model(as_input(model, text[:4]), use_cache=True)
        rest = model(as_input(model, text[4:]), past_key_values=begun.past_key_values).logits[0]
    torch.testing.assert_close(whole, in_pass, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(rest, in_pass[4:], atol=1e-5, rtol=1e-4)
    monkeypatch.undo()
    assert not torch.allclose(model(as_input(model, text)).logits[0], whole, atol=1e-3)


def phi3():
    config = Phi3Config(
        **SIZES, rope_parameters=dict(LONGROPE), original_max_position_embeddings=12, sliding_window=None
    )
    return Phi3ForCausalLM(config).eval().to(DEVICE)


@pytest.mark.parametrize("make", [lambda: llama(torch.float32, rope_parameters=dict(LONGROPE)), phi3])
def test_texts_stay_below_the_length_at_which_positions_change(make):
    model = make()
    check_slot_cache(model, "mine")
    cached = CachedModel(model, 2, 32, SIZES["vocab_size"])
    first = cached.forward([Request(0, NO_SLOTS, [5] * 11)]).slots[0]
    cached.forward([Request(0, first, [7])])
    with pytest.raises(InputError, match="a text of 13 tokens, but it encodes positions in one way only up to 12"):
        cached.forward([Request(1, NO_SLOTS, [5]), Request(0, first, [7, 8])])


def test_the_longest_text_is_that_of_the_tightest_positions():
    linear = {"rope_type": "linear", "factor": 4.0, "rope_theta": 1e4}
    assert longest_text(LlamaConfig(**SIZES)) == 64
    assert longest_text(LlamaConfig(**SIZES, rope_parameters=linear)) == 64
    assert longest_text(LlamaConfig(**SIZES, rope_parameters=dict(LONGROPE))) == 12
    config = LlamaConfig(**SIZES)
    config.rope_parameters = {"full_attention": LONGROPE, "sliding_attention": linear}
    assert longest_text(config) == 12


@pytest.mark.parametrize("window", [1, 3, 8, 100])
def test_a_window_is_counted_from_each_token_in_branches_and_passes(window):
    """Against a mask over positions, written out."""
    from transformers import MistralConfig, MistralForCausalLM

    torch.manual_seed(0)
    model = MistralForCausalLM(MistralConfig(**SIZES, sliding_window=window)).eval().to(DEVICE)
    check_slot_cache(model, "mine")
    cached = CachedModel(model, 2, 32, SIZES["vocab_size"])
    texts = [[3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8], [2, 7, 1, 8]]
    first = cached.forward([Request(row, NO_SLOTS, text[:2]) for row, text in enumerate(texts)]).slots
    rest = [Request(row, first[row], text[2:]) for row, text in enumerate(texts)]
    found = cached.forward([*rest, Request(0, first[0], [9, 9, 9])], keep_logits=True).logits
    one = [Request(0, np.concatenate([first[0]]), texts[0][2:3])]
    alone = cached.forward(one, keep_logits=True).logits[0]
    for row, text in enumerate(texts):
        torch.testing.assert_close(found[row], by_mask(model, text, window)[2:], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(alone, by_mask(model, texts[0], window)[2:3], atol=1e-5, rtol=1e-4)


@torch.inference_mode()
def by_mask(model, text, window):
    far = torch.arange(len(text))[:, None] - torch.arange(len(text))
    mask = torch.where((far >= 0) & (far < window), 0.0, torch.finfo(torch.float32).min)[None, None]
    model.set_attn_implementation("eager")
    logits = model(as_input(model, text), attention_mask=mask.to(model.device), use_cache=False).logits[0]
    model.set_attn_implementation(ATTENTION)
    return logits
