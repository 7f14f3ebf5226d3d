"""The slot cache agrees with plain forward passes, with branches, gaps and rows of different lengths."""

import numpy as np
import torch

from autojudge.generation import NO_SLOTS, CachedModel, Request, propose_tail


@torch.inference_mode()
def plain(model, tokens):
    return model(torch.tensor([tokens]), use_cache=False).logits[0, -1]


def test_branches_share_a_prefix_and_refused_ones_leave_no_trace(pair):
    model = CachedModel(pair.target, rows=3, vocabulary=pair.vocabulary, capacity=4)
    rng = np.random.default_rng(0)
    prompts = [rng.integers(5, 900, size=n).tolist() for n in (7, 3, 12)]
    first = model.forward([Request(i, NO_SLOTS, p) for i, p in enumerate(prompts)], last_only=True)
    for i, prompt in enumerate(prompts):
        torch.testing.assert_close(first.logits[i, 0], plain(pair.target, prompt), atol=1e-4, rtol=1e-4)
    refused, kept = rng.integers(5, 900, size=4).tolist(), rng.integers(5, 900, size=2).tolist()
    branch = model.forward([Request(2, first.slots[2], refused), Request(0, first.slots[0], kept)])
    model.release(2, branch.slots[0])
    again = model.forward([Request(2, first.slots[2], kept), Request(2, first.slots[2][:5], kept)])
    torch.testing.assert_close(again.logits[0, 1], plain(pair.target, prompts[2] + kept), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(again.logits[1, 1], plain(pair.target, prompts[2][:5] + kept), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(branch.logits[1, 1], plain(pair.target, prompts[0] + kept), atol=1e-4, rtol=1e-4)


def test_released_slots_are_used_again(pair):
    model = CachedModel(pair.draft, rows=1, vocabulary=pair.vocabulary, capacity=16)
    prompt = model.forward([Request(0, NO_SLOTS, [5, 6, 7])]).slots[0]
    for _ in range(50):
        model.release(0, model.forward([Request(0, prompt, [8, 9, 10, 11])]).slots[0])
    assert model._plan.capacity == 16


def test_hidden_states_are_what_the_head_reads(pair):
    model = CachedModel(pair.target, rows=1, vocabulary=pair.vocabulary)
    result = model.forward([Request(0, NO_SLOTS, [5, 6, 7])])
    torch.testing.assert_close(model.head(result.hidden), result.logits, atol=1e-5, rtol=1e-5)


def test_a_pass_leaves_no_hook_on_the_model(pair):
    CachedModel(pair.target, rows=1, vocabulary=pair.vocabulary).forward([Request(0, NO_SLOTS, [5])])
    assert not pair.target.get_output_embeddings()._forward_pre_hooks


def test_a_proposal_goes_on_after_the_nearest_matching_n_gram():
    reference = [1, 2, 3, 4, 5, 1, 2, 3, 9]
    assert propose_tail(reference, 8, [7, 1, 2, 3]) == 8
    assert propose_tail(reference, 3, [7, 1, 2, 3]) == 3
    assert propose_tail(reference, 6, [0, 0]) == 6
