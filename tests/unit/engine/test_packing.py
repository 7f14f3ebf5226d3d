"""Linear layers packed for oneDNN compute what plain ones do, and a row's result does not depend on the others."""

import copy

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from autojudge.engine.packing import SMALLEST, PackedLinear, pack_linears
from conftest import on_cpu

pytestmark = [
    on_cpu,
    pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="this torch has no oneDNN"),
]


@pytest.fixture(params=[True, False], ids=["tied", "untied"])
def model(request):
    torch.manual_seed(0)
    config = LlamaConfig(
        hidden_size=512,
        intermediate_size=1024,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=1,
        vocab_size=1000,
        attention_bias=True,
        tie_word_embeddings=request.param,
    )
    return LlamaForCausalLM(config).eval().requires_grad_(False)


def test_packed_model_scores_as_plain(model):
    packed = copy.deepcopy(model)
    pack_linears(packed)
    tokens = torch.randint(0, 1000, (3, 7))
    with torch.inference_mode():
        torch.testing.assert_close(packed(tokens).logits, model(tokens).logits, rtol=1e-4, atol=1e-5)


def test_large_layers_alone_are_packed_and_a_tied_weight_is_kept(model):
    tied = model.lm_head.weight is model.model.embed_tokens.weight
    pack_linears(model)
    attention = model.model.layers[0].self_attn
    assert isinstance(attention.q_proj, PackedLinear) and isinstance(model.lm_head, PackedLinear)
    assert attention.k_proj.weight.numel() < SMALLEST and type(attention.k_proj) is torch.nn.Linear
    assert model.lm_head.weight.shape == (1000, 512)
    assert bool(model.lm_head.weight.isfinite().all()) == tied
    assert attention.q_proj.weight.isnan().all(), "a freed weight must not be computed with"
    assert not model.model.embed_tokens.weight.isnan().any()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_rows_do_not_depend_on_how_many_there_are(dtype):
    if dtype == torch.bfloat16 and not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        pytest.skip("oneDNN cannot pack bfloat16 for this CPU")
    torch.manual_seed(1)
    layer = PackedLinear(torch.nn.Linear(1536, 2048).to(dtype).requires_grad_(False), shared=False)
    rows = torch.randn(130, 1536).to(dtype)
    with torch.inference_mode():
        whole = layer(rows)
        for count in (2, 3, 5, 8, 17, 33, 64, 129):
            assert torch.equal(layer(rows[:count]), whole[:count]), count


def test_other_dtypes_stay_as_they_are(model):
    pack_linears(model.double())
    assert not any(isinstance(module, PackedLinear) for module in model.modules())
