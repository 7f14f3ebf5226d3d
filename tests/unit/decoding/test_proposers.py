"""Drafts without a draft model: prompt lookup and the target's own first layers."""

import numpy as np
import pytest
import torch

from autojudge.decoding.branches import Job
from autojudge.decoding.decoder import Decoder
from autojudge.decoding.proposers import look_up
from autojudge.decoding.thresholds import EVERY, Points
from autojudge.engine.models import load_pair
from autojudge.errors import InputError
from autojudge.rules import load_rule
from reference import as_input

LIMIT = 160


@pytest.fixture(scope="module")
def prompts(problems):
    return [list(p["prompt_tokens"]) for p in problems if p["split"] == "test"][:8]


def decode(pair, prompts, rules, batch=8):
    found = dict(Decoder(pair, None, 8, LIMIT, batch).decode([Job(prompt, rules) for prompt in prompts]))
    return [found[i][0] for i in range(len(prompts))]


@pytest.mark.parametrize("draft", [{"prompt_lookup": True}, {"first_layers": 2}])
def test_lossless_with_another_proposer_equals_the_target(pair, pair_settings, prompts, draft):
    other = load_pair({"draft": draft, "target": pair_settings["target"]})
    lossless = decode(other, prompts, {load_rule("lossless"): Points((0,))})
    assert [r.tokens for r in lossless] == [r.tokens for r in decode(pair, prompts, {})]
    assert sum(r.cycles for r in lossless) < sum(len(r.tokens) for r in lossless), "some drafts are kept"
    lossy = decode(other, prompts, {load_rule("top_k"): Points((64,))})
    assert sum(r.cycles for r in lossy) < sum(r.cycles for r in lossless)


def test_prompt_lookup_calls_no_draft_and_has_curves_too(pair_settings, prompts):
    other = load_pair({"draft": {"prompt_lookup": True}, "target": pair_settings["target"]})
    rule = load_rule("probability")
    found = dict(Decoder(other, None, 8, LIMIT, 8).decode([Job(prompt, {rule: EVERY}) for prompt in prompts]))
    for i, prompt in enumerate(prompts):
        assert all(r.draft_calls == 0 for r in found[i])
        (slow,) = (r for r in found[i] if r.thresholds[rule].low == -float("inf"))
        assert slow.tokens == decode(other, [prompt], {})[0].tokens


def test_lookup_takes_what_followed_the_longest_match_the_latest_first():
    text = np.array([1, 2, 3, 4, 9, 2, 3, 5, 1, 2, 3])
    assert look_up(text, 3) == [4, 9, 2]  # 1 2 3 before 2 3
    assert look_up(text[1:], 2) == [4, 9] or look_up(text[1:], 2) == [5, 1]
    assert look_up(np.array([7, 8, 9]), 4) == []
    assert look_up(np.array([5, 5]), 4) == [5]


@torch.inference_mode()
def test_first_layers_are_the_targets_own_with_its_norm_and_head(pair, pair_settings):
    part = load_pair({"draft": {"first_layers": 2}, "target": pair_settings["target"]}).draft
    tokens = as_input(pair.target, [5, 6, 7])
    states = pair.target.base_model.embed_tokens(tokens)
    output = pair.target(tokens, use_cache=False, output_hidden_states=True)
    wanted = pair.target.lm_head(pair.target.base_model.norm(output.hidden_states[2]))
    assert states.shape[-1] == part.config.hidden_size
    torch.testing.assert_close(part(tokens, use_cache=False).logits, wanted)


def test_more_layers_than_the_target_has_are_refused(pair_settings):
    with pytest.raises(InputError, match="first_layers`: 16, but the target has 16 layers; choose fewer"):
        load_pair({"draft": {"first_layers": 16}, "target": pair_settings["target"]})
