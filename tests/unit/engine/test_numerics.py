"""With `numerics: invariant` a text has the same logits, bit for bit, whatever passes it is read in."""

import copy

import numpy as np
import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from autojudge.decoding.branches import Job
from autojudge.decoding.decoder import Decoder
from autojudge.decoding.thresholds import Points
from autojudge.engine import numerics, packing
from autojudge.engine.cache import NO_SLOTS, CachedModel, Request
from autojudge.engine.compatibility import check_slot_cache
from autojudge.engine.models import Pair, first_layers
from autojudge.engine.numerics import InvariantLinear, open_pair
from autojudge.engine.packing import PackedLinear, pack_linears
from autojudge.errors import InputError
from autojudge.jobs.mining_work import load_settled
from autojudge.mining.miner import Miner
from autojudge.rules import load_rule
from autojudge.scoring.scorer import Scorer
from conftest import DEVICE, on_cpu
from reference import as_input, mined_result

VOCABULARY = 300
SHAPES = [((1,), 1), ((2,), 3), ((3, 1), 1), ((9,), 2), ((24,), 7), ((1, 9, 14), 4)]  # tokens of passes in turn, texts
DTYPES = [torch.float32, torch.bfloat16]


@pytest.fixture(scope="module")
def built():
    """A model with random weights, whose widths are no multiples of a vector's, without anything of the cache."""
    torch.manual_seed(0)
    sizes = {"hidden_size": 200, "intermediate_size": 404, "num_hidden_layers": 3, "vocab_size": VOCABULARY}
    heads = {"num_attention_heads": 5, "num_key_value_heads": 1, "head_dim": 40, "tie_word_embeddings": True}
    return LlamaForCausalLM(LlamaConfig(**sizes, **heads, initializer_range=0.1)).eval().requires_grad_(False)


@pytest.fixture(autouse=True, scope="module")
def settled():
    """Kernels of a GPU have no choice here."""
    numerics.settle({"numerics": "invariant"})
    yield
    torch.use_deterministic_algorithms(False)


@pytest.fixture(params=[1, 2, 3])
def threads(request):
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield
    torch.set_num_threads(before)


def prepare(model, dtype, invariant=True):
    model = copy.deepcopy(model).to(DEVICE, dtype)
    pack_linears(model)
    check_slot_cache(model, "random")
    if invariant:
        numerics.make_invariant(Pair(None, model, None, frozenset(), VOCABULARY))
    return model


def read(model, texts, sizes):
    """The first text's logits, (tokens, vocabulary), read beside the others in passes of the sizes in turn."""
    cached = CachedModel(model, len(texts), 4 * len(texts[0]), VOCABULARY)
    taken = cached.forward([Request(0, NO_SLOTS, [7, 8, 9])]).slots[0]
    slots, parts, place = [NO_SLOTS] * len(texts), [], 0
    while place < len(texts[0]):
        size = sizes[len(parts) % len(sizes)]
        requests = [Request(row, slots[row], text[place : place + size]) for row, text in enumerate(texts)]
        given = cached.forward(requests, keep_logits=True)
        slots = [np.concatenate(pair) for pair in zip(slots, given.slots, strict=True)]
        parts.append(given.logits[0])
        place += size
        cached.release(0, taken)  # so that the text's slots are in no order
        taken = cached.forward([Request(0, slots[0], [5] * 3)]).slots[0]
    return torch.cat(parts)


def differing(model):
    """How many tokens of a text have other bits in passes of other shapes."""
    rng = np.random.default_rng(3)
    texts = [rng.integers(5, VOCABULARY, size=24).tolist() for _ in range(7)]
    alone = read(model, texts[:1], [24])
    found = [read(model, texts[:count], sizes) for sizes, count in SHAPES]
    assert all(logits.shape == alone.shape for logits in found) and alone.isfinite().all()
    return sum(int((logits != alone).any(-1).sum()) for logits in found)


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_text_has_the_same_bits_in_every_pass(built, dtype, threads):
    assert differing(prepare(built, dtype)) == 0


def test_without_it_bits_differ(built):
    assert differing(prepare(built, torch.float32, invariant=False)) > 0


@pytest.mark.parametrize("dtype", DTYPES)
def test_it_computes_what_the_model_does(built, dtype):
    tokens = list(range(5, 29))
    found = read(prepare(built, dtype), [tokens], [5]).float().cpu()
    with torch.inference_mode():
        expected = built(as_input(built, tokens), use_cache=False).logits[0]
    tolerance = {torch.float32: 1e-4, torch.bfloat16: 0.2}[dtype]
    assert (found - expected).abs().max() < tolerance * expected.std()


@pytest.mark.parametrize("left", ["_exchange_layers", "attend_invariantly"])
def test_a_model_that_still_differs_is_refused(built, monkeypatch, left):
    monkeypatch.setattr(numerics, "INVARIANT", "autojudge_slots") if left == "attend_invariantly" else None
    monkeypatch.setattr(numerics, "_exchange_layers", lambda models: None) if left == "_exchange_layers" else None
    with pytest.raises(InputError, match="config key `numerics`: .* differ .*; set `numerics: default`"):
        prepare(built, torch.float32)


def test_layers_that_two_models_share_stay_shared_and_whole(built):
    target = copy.deepcopy(built).to(DEVICE)
    target.lm_head.weight = torch.nn.Parameter(target.lm_head.weight.clone(), requires_grad=False)  # no longer tied
    check_slot_cache(target, "random")
    draft = first_layers(target, 1)
    before = [read(model, [list(range(5, 15))], [10]) for model in (draft, target)]
    numerics.make_invariant(Pair(draft, target, None, frozenset(), VOCABULARY))
    after = [read(model, [list(range(5, 15))], [10]) for model in (draft, target)]
    torch.testing.assert_close(after, before, atol=1e-4, rtol=1e-4)
    assert draft.lm_head is target.lm_head and draft.model.layers[0] is target.model.layers[0]
    assert type(target.lm_head) is InvariantLinear
    assert target.lm_head.weight.isnan().all() == (DEVICE == "cpu"), "held once, packed on a CPU"


@on_cpu
def test_what_a_cpu_cannot_pack_is_multiplied_in_float32(monkeypatch, pair_settings):
    monkeypatch.setattr(packing, "DTYPES", (torch.float32,))
    layer = InvariantLinear(torch.nn.Linear(32, 48).to(torch.bfloat16).requires_grad_(False), shared=False)
    assert type(layer.inner) is PackedLinear and layer.inner.weight.dtype == torch.float32
    assert layer(torch.ones(3, 32, dtype=torch.bfloat16)).dtype == torch.bfloat16
    asked = pair_settings["target"] | {"dtype": "bfloat16"}
    assert numerics.as_computed(asked)["dtype"] == "float32"
    assert numerics.as_computed(asked | {"device": "cuda"})["dtype"] == "bfloat16"


@pytest.fixture(scope="module")
def testbed(pair_settings):
    torch.set_num_threads(1)
    models = {role: model | {"dtype": "bfloat16"} for role, model in pair_settings.items()}
    return open_pair({**models, "numerics": "invariant"})


def test_lossless_decoding_is_the_target_alone_in_bfloat16(testbed, problems):
    prompts = [problem["prompt_tokens"] for problem in problems[:4]]

    def decode(window, batch):
        thresholds = {load_rule("lossless"): Points((0.0,))} if window else {}
        decoder = Decoder(testbed, None, window, 32, batch)
        found = dict(decoder.decode([Job(list(prompt), thresholds) for prompt in prompts]))
        return [found[number][0].tokens for number in range(len(prompts))]

    alone = decode(0, 4)
    assert [decode(window, batch) for window, batch in ((4, 1), (8, 3))] == [alone, alone]


def test_labels_do_not_depend_on_the_batch_in_bfloat16(testbed, arith, problems):
    def mine(batch):
        mined = Miner(testbed, Scorer(arith), 24, batch).mine(problems[:3])
        return {m.response["problem_id"]: mined_result(m) for m in mined}

    assert mine(1) == mine(3)


def test_a_job_mines_with_the_numbers_that_its_pair_asks_for(pair_settings, arith):
    scorer = Scorer(arith)
    default = load_settled(Miner.load, pair_settings, scorer, 40, 4, 4000)
    asked = load_settled(Miner.load, {**pair_settings, "numerics": "invariant"}, scorer, 40, 4, 4000)
    kinds = [type(miner.pair.target.lm_head) is InvariantLinear for miner in (default, asked)]
    assert kinds == [False, True]
