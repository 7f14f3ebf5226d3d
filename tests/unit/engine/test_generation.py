"""The slot cache agrees with plain forward passes, with branches, gaps, rows of different lengths and cut passes."""

import numpy as np
import pytest
import torch
from transformers import Qwen2Config, Qwen2ForCausalLM

from autojudge.engine.cache import NO_SLOTS, CachedModel, Request
from autojudge.engine.compatibility import check_slot_cache
from autojudge.mining.continuations import LONGEST_PROPOSAL, Continuations, Foresight
from conftest import DEVICE
from reference import as_input

ROWS, CAPACITY = 3, 64


@torch.inference_mode()
def plain(model, tokens):
    return model(as_input(model, tokens), use_cache=False).logits[0, -1]


def assert_close(actual, expected):
    torch.testing.assert_close(actual, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("pass_tokens", [1000, 5])
def test_branches_share_a_prefix_and_refused_ones_leave_no_trace(pair, pass_tokens):
    model = CachedModel(pair.target, ROWS, CAPACITY, pair.vocabulary, pass_tokens)
    rng = np.random.default_rng(0)
    prompts = [rng.integers(5, 250, size=n).tolist() for n in (7, 3, 40)]
    first = model.forward([Request(i, NO_SLOTS, p, last_only=True) for i, p in enumerate(prompts)], keep_logits=True)
    for i, prompt in enumerate(prompts):
        assert first.logits[i].shape == (1, pair.vocabulary)
        assert_close(first.logits[i][0], plain(pair.target, prompt))
        assert model.choices(i, first.slots[i][-1:]) == [plain(pair.target, prompt).argmax().item()]
    refused, kept = rng.integers(5, 250, size=4).tolist(), rng.integers(5, 250, size=2).tolist()
    branch = model.forward([Request(2, first.slots[2], refused), Request(0, first.slots[0], kept)], keep_logits=True)
    model.release(2, branch.slots[0])
    both = [Request(2, first.slots[2], kept), Request(2, first.slots[2][:5], kept)]
    again = model.forward(both, keep_logits=True)
    assert_close(again.logits[0][1], plain(pair.target, prompts[2] + kept))
    assert_close(again.logits[1][1], plain(pair.target, prompts[2][:5] + kept))
    assert_close(branch.logits[1][1], plain(pair.target, prompts[0] + kept))


def test_released_slots_are_used_again_and_a_full_row_says_so(pair):
    model = CachedModel(pair.draft, rows=1, capacity=8, vocabulary=pair.vocabulary)
    prompt = model.forward([Request(0, NO_SLOTS, [5, 6, 7])]).slots[0]
    for _ in range(50):
        model.release(0, model.forward([Request(0, prompt, [8, 9, 10, 11])]).slots[0])
    with pytest.raises(RuntimeError, match="row 0 of the cache is full"):
        model.forward([Request(0, prompt, [8] * 5)])


def test_what_a_slot_keeps_belongs_to_its_token(pair):
    model = CachedModel(pair.target, ROWS, CAPACITY, pair.vocabulary, margins=True)
    result = model.forward([Request(1, NO_SLOTS, [5, 6, 7])], keep_logits=True)
    logits, slots = result.logits[0], result.slots[0]
    assert_close(model.head(model.hidden([1] * 3, slots.tolist())), logits)
    assert model.choices(1, slots) == logits.argmax(-1).tolist()
    best = logits.topk(2).values
    assert model.least_margin(1, slots) == pytest.approx((best[:, 0] - best[:, 1]).min().item(), abs=1e-5)
    assert model.least_margin(1, slots[:0]) == float("inf")


def test_what_was_saved_of_a_row_goes_on_in_another(pair):
    model = CachedModel(pair.target, ROWS, CAPACITY, pair.vocabulary, margins=True)
    slots = model.forward([Request(0, NO_SLOTS, [5, 6, 7, 8])]).slots[0]
    saved = model.save(0, slots[:3])
    wanted = model.forward([Request(0, slots[:3], [9, 10])], keep_logits=True).logits[0]
    model.clear(0)
    model.forward([Request(2, NO_SLOTS, [11] * 9), Request(0, NO_SLOTS, [12] * 9)])
    loaded = model.load(2, saved)
    assert model.choices(2, loaded) == saved.choices.tolist()
    assert model.least_margin(2, loaded) == pytest.approx(saved.margins.min())
    torch.testing.assert_close(model.hidden([2] * 3, loaded.tolist()), saved.hidden)
    assert_close(model.forward([Request(2, loaded, [9, 10])], keep_logits=True).logits[0], wanted)


def test_large_scores_are_not_rounded_to_16_bits():
    """Biases as Qwen2.5 has them make all scores some hundred, with steps of 2 in bfloat16."""
    torch.manual_seed(0)
    sizes = {"vocab_size": 64, "hidden_size": 64, "intermediate_size": 64, "max_position_embeddings": 64}
    heads = {"num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 1}
    slowly = {"rope_parameters": {"rope_type": "default", "rope_theta": 1e12}}  # most dimensions hardly turn
    model = Qwen2ForCausalLM(Qwen2Config(**sizes, **heads, **slowly)).to(DEVICE, torch.bfloat16).eval()
    still = [i for i in range(32) if i % 16 >= 4]
    for layer in model.model.layers:
        attention = layer.self_attn
        torch.nn.init.normal_(attention.v_proj.weight, std=1)
        for projection in (attention.q_proj, attention.k_proj):
            torch.nn.init.normal_(projection.weight, std=0.05)
            with torch.no_grad():
                projection.bias.view(-1, 32)[:, still] = 10
    check_slot_cache(model, "tiny")
    tokens = [11, 7, 5, 13, 3, 2, 17]
    with torch.inference_mode():
        expected = model(as_input(model, tokens), use_cache=False).logits[0].float()
    cached = CachedModel(model, 1, 32, vocabulary=64)
    found = cached.forward([Request(0, NO_SLOTS, tokens)], keep_logits=True).logits[0].float()
    assert (found - expected).abs().max() < 0.03 * expected.std()


def test_an_ordinary_forward_pass_and_generation_still_work(pair):
    tokens = as_input(pair.target, [5, 6, 7])
    written = pair.target.generate(tokens, max_new_tokens=3, do_sample=False, pad_token_id=0, eos_token_id=-1)[
        0
    ].tolist()
    assert written[3] == plain(pair.target, written[:3]).argmax().item()
    assert written[5] == plain(pair.target, written[:5]).argmax().item()


TEXTS = [[1, 2, 3, 4, 5, 1, 2, 3, 9], [4, 2, 3, 8, 8]]


@pytest.mark.parametrize(
    ("text", "aligned", "place", "matched"),
    [([7, 1, 2, 3], 8, 8, 3), ([7, 1, 2, 3], 3, 3, 3), ([4, 2, 3], 3, 13, 3), ([6, 6], 4, 4, 0)],
)
def test_a_text_goes_on_after_the_longest_match_nearest_to_the_aligned_place(text, aligned, place, matched):
    found = Continuations(TEXTS, text, aligned)
    assert (found.place, found.matched) == (place, matched)


def test_a_continuation_ends_with_its_text():
    found = Continuations(TEXTS, [4, 2, 3], 3)
    assert found.tokens(9) == [8, 8]
    assert found.tokens(1) == [8]


def test_a_continuation_is_followed_while_it_is_right_and_searched_anew_after_a_wrong_token():
    found = Continuations(TEXTS, [1, 2], 2)
    assert found.advance([1, 2, 3, 4], 2) == [True, True]
    assert (found.place, found.matched) == (4, 4)
    assert found.advance([1, 2, 3, 4, 5, 4, 2], 3) == [True, False]
    assert (found.place, found.matched) == (12, 2)


def test_foresight_learns_which_matches_can_be_trusted():
    foresight = Foresight()
    for _ in range(40):
        foresight.learn(0, [False])
        foresight.learn(1, [True, True, False])
    assert foresight.length(0, 0.5) == 0
    assert foresight.length(1, 0.5) == 2
    assert foresight.length(1, 0.0) == LONGEST_PROPOSAL
