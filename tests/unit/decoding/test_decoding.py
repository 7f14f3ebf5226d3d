"""Decoding: lossless equals the target, counts add up, and a rule's threshold does what it says."""

import pytest
import torch

from autojudge.decoding.branches import Job
from autojudge.decoding.decoder import Decoder
from autojudge.decoding.thresholds import EVERY, Points
from autojudge.rules import load_rule
from reference import as_input, draft_choices, greedy, speculate_plainly

LIMIT = 160
NEAR_TIE = 1e-4  # logits


@pytest.fixture(scope="module")
def prompts(problems):
    return [list(p["prompt_tokens"]) for p in problems if p["split"] == "test"]


def decode(pair, judge, prompts, rule, threshold, window=8, batch=64, **options):
    rules = {load_rule(rule): Points((threshold,))} if rule else {}
    jobs = [Job(prompt, rules, seed=i) for i, prompt in enumerate(prompts)]
    results = dict(Decoder(pair, judge, window, LIMIT, batch, **options).decode(jobs))
    return [result for i in range(len(prompts)) for result in results[i]]


@torch.inference_mode()
def margin(pair, prompt, tokens):
    best = pair.target(as_input(pair.target, prompt + tokens)).logits[0, -1].topk(2).values
    return (best[0] - best[1]).item()


def test_target_alone_decodes_like_plain_greedy_decoding(pair, judge, prompts):
    for prompt, result in zip(prompts[:10], decode(pair, judge, prompts[:10], None, 0.0, batch=3), strict=True):
        assert result.tokens == greedy(pair, pair.target, prompt, [], LIMIT)
        assert result.draft_calls == 0


def test_lossless_and_a_judge_at_threshold_0_equal_the_target(pair, judge, prompts):
    prompts = prompts[:120]
    target = decode(pair, judge, prompts, None, 0.0)
    near_ties = []
    for rule in ("lossless", "judge"):
        for prompt, wanted, result in zip(prompts, target, decode(pair, judge, prompts, rule, 0.0), strict=True):
            if result.tokens != wanted.tokens:
                both = zip(result.tokens, wanted.tokens, strict=False)
                t = next(i for i, (a, b) in enumerate(both) if a != b)
                near_ties.append((rule, t, margin(pair, prompt, wanted.tokens[:t])))
    print("differences:", near_ties)
    assert all(gap < NEAR_TIE for _, _, gap in near_ties)


@pytest.mark.parametrize("window", [1, 3, 8])
def test_always_accepting_gives_the_drafts_own_windows(pair, judge, prompts, window):
    for prompt, result in zip(prompts[:5], decode(pair, judge, prompts[:5], "top_k", 1e9, window), strict=True):
        choices = draft_choices(pair, prompt, result.tokens)
        own = [t for t in range(len(result.tokens)) if choices[t] == result.tokens[t]]
        bonus = [t for t in range(len(result.tokens)) if t % (window + 1) == window]
        assert set(range(len(result.tokens))) - set(own) <= set(bonus)


def test_top_1_is_lossless_and_larger_k_accepts_more(pair, judge, prompts):
    lossless, top_1, top_64 = (
        decode(pair, judge, prompts[:30], rule, k) for rule, k in (("lossless", 0), ("top_k", 1), ("top_k", 64))
    )
    assert [r.tokens for r in top_1] == [r.tokens for r in lossless]
    assert sum(r.cycles for r in top_64) < sum(r.cycles for r in lossless)


def plain_cycles(pair, prompt, tokens, window):
    """Cycles of lossless decoding, counted from where the draft agrees with the target's response."""
    agrees = [a == b for a, b in zip(draft_choices(pair, prompt, tokens), tokens, strict=True)]
    position = cycles = 0
    while position < len(tokens):
        end = position
        while end < len(tokens) and end - position < window and agrees[end]:
            end += 1
        position, cycles = end + 1, cycles + 1
    return cycles


@pytest.mark.parametrize("window", [2, 8])
def test_after_a_refusal_the_draft_goes_on_from_the_corrected_text(pair, judge, prompts, window):
    for prompt, result in zip(prompts[:20], decode(pair, judge, prompts[:20], "lossless", 0, window), strict=True):
        assert result.cycles == plain_cycles(pair, prompt, result.tokens, window)


def test_counts_are_those_of_the_two_definitions(pair, judge, prompts):
    for result in decode(pair, judge, prompts[:30], "top_k", 8, window=4):
        assert result.emitted == len(result.tokens)
        assert result.target_calls == result.cycles + 1  # the prompt's pass
        assert result.accepted <= result.emitted
        full = result.emitted - result.accepted  # bonus tokens
        assert 0 <= full <= result.cycles


@pytest.mark.parametrize("window", [1, 8])
@pytest.mark.parametrize(
    "rule, threshold, keeps",
    [
        ("lossless", 0, lambda p, q, x, place: False),
        ("top_k", 4, lambda p, q, x, place: int((p > p[x]).sum()) < 4),
    ],
)
def test_a_decoder_that_starts_like_vllm_equals_a_plain_loop_in_tokens_and_cycles(
    pair, prompts, window, rule, threshold, keeps
):
    plain = [speculate_plainly(pair, prompt, window, LIMIT, keeps, target_first=True) for prompt in prompts[:4]]
    for batch in (1, 3):
        found = decode(pair, None, prompts[:4], rule, threshold, window, batch, target_first=True)
        assert [(r.tokens, r.cycles) for r in found] == plain
    assert all(r.emitted == len(r.tokens) - 1 and r.target_calls == r.cycles + 2 for r in found)
    unshifted = decode(pair, None, prompts[:4], rule, threshold, window)
    assert [(r.tokens, r.cycles) for r in unshifted] != plain, "the start matters here"


def test_a_whole_curve_that_starts_like_vllm_is_that_of_single_thresholds(pair, judge, prompts):
    rule = load_rule("judge")
    jobs = [Job(prompt, {rule: EVERY}) for prompt in prompts[:4]]
    curves = dict(Decoder(pair, judge, 8, LIMIT, 4, target_first=True).decode(jobs))
    for t in (0.3, 0.5, 0.7):
        alone = decode(pair, judge, prompts[:4], "judge", t, target_first=True)
        for i, one in enumerate(alone):
            (held,) = (r for r in curves[i] if r.thresholds[rule].low < t <= r.thresholds[rule].high)
            assert (held.tokens, held.counts(True)) == (one.tokens, one.counts(True))


def test_the_target_alone_has_no_cycles(pair, prompts):
    for result in decode(pair, None, prompts[:4], None, 0.0):
        assert (result.cycles, result.accepted, result.emitted, result.kept_at) == (0, 0, 0, [])


@pytest.mark.parametrize("rule, threshold", [("lossless", 0), ("top_k", 4), ("judge", 0.5)])
def test_batch_size_changes_nothing(pair, judge, prompts, rule, threshold):
    alone = decode(pair, judge, prompts[:8], rule, threshold, batch=1)
    together = decode(pair, judge, prompts[:8], rule, threshold, batch=5)
    assert alone == together
