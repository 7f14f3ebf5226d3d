"""Sampling: lossless decoding draws from the target's distribution, and rules are asked where it would refuse."""

from collections import Counter

import pytest
import torch
from scipy.stats import chisquare
from transformers import LlamaConfig, LlamaForCausalLM

from autojudge.decoding.branches import Job
from autojudge.decoding.decoder import Decoder
from autojudge.decoding.thresholds import Points
from autojudge.engine.compatibility import check_slot_cache
from autojudge.engine.models import Pair
from autojudge.engine.sampling import Sampling, draw
from autojudge.rules import load_rule
from conftest import DEVICE
from reference import as_input

VOCABULARY, DRAWS, PROMPT = 12, 20_000, [1, 2, 3]


def small_model(seed):
    torch.manual_seed(seed)
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    model = LlamaForCausalLM(LlamaConfig(vocab_size=VOCABULARY, **sizes)).eval().requires_grad_(False).to(DEVICE)
    model.lm_head.weight.mul_(8)  # far from uniform
    check_slot_cache(model, "small")
    return model


@pytest.fixture(scope="module")
def small_pair():
    return Pair(small_model(1), small_model(2), None, frozenset(), VOCABULARY)


@torch.inference_mode()
def distribution(model, tokens, sampling):
    return sampling.distribution(model(as_input(model, tokens), use_cache=False).logits[0, -1])


def sample(pair, rule, threshold, sampling, count=DRAWS, limit=3):
    rules = {load_rule(rule): Points((threshold,))} if rule else {}
    jobs = [Job(PROMPT, rules, seed=i) for i in range(count)]
    decoder = Decoder(pair, None, 2, limit, 1000, sampling=sampling)
    return [tuple(response.tokens) for _, (response,) in decoder.decode(jobs)]


def p_value(pair, samples, sampling):
    """Chi-square over whole samples of three tokens, those expected fewer than five times put together."""
    expected = {}
    first = distribution(pair.target, PROMPT, sampling)
    for a in range(VOCABULARY):
        second = distribution(pair.target, [*PROMPT, a], sampling)
        for b in range(VOCABULARY):
            third = distribution(pair.target, [*PROMPT, a, b], sampling)
            for c in range(VOCABULARY):
                expected[a, b, c] = len(samples) * float(first[a] * second[b] * third[c])
    found = Counter(samples)
    assert all(expected[s] > 0 for s in found), "a token that top-p leaves out was drawn"
    frequent = [key for key, value in expected.items() if value >= 5]
    counts, wanted = [found[key] for key in frequent], [expected[key] for key in frequent]
    rest = len(samples) - sum(counts), len(samples) - sum(wanted)
    if rest[1] >= 5:
        counts, wanted = [*counts, rest[0]], [*wanted, rest[1]]
    total = sum(counts) / sum(wanted)
    return chisquare(counts, [value * total for value in wanted]).pvalue


@pytest.mark.parametrize("sampling", [Sampling(1.0), Sampling(0.7, 0.8)])
def test_lossless_sampling_keeps_the_targets_distribution(small_pair, sampling):
    assert p_value(small_pair, sample(small_pair, "lossless", 0, sampling), sampling) > 0.001


def test_the_target_alone_samples_from_its_distribution(small_pair):
    assert p_value(small_pair, sample(small_pair, None, 0, Sampling(1.0)), Sampling(1.0)) > 0.001


def test_prompt_lookup_keeps_the_targets_distribution(small_pair):
    lookup = Pair(None, small_pair.target, None, frozenset(), VOCABULARY)
    assert p_value(lookup, sample(lookup, "lossless", 0, Sampling(1.0)), Sampling(1.0)) > 0.001


def test_a_lossy_rule_does_not_keep_it(small_pair):
    assert p_value(small_pair, sample(small_pair, "always", 1, Sampling(1.0)), Sampling(1.0)) < 1e-6


@pytest.mark.parametrize(
    "rule, threshold, chance",
    [
        ("lenience", 2, lambda p, q: p / (0.5 * q)),
        ("lenience", 1, lambda p, q: p / q),
        ("cactus", 0.3, lambda p, q: (p + (2 * 0.3 * p * (1 - p)).sqrt()) / q),
        ("scaled_probability", 10, lambda p, q: torch.maximum(p / q, p / 0.1)),
    ],
)
def test_a_rule_of_chance_keeps_a_sampled_token_with_its_own_probability(small_pair, rule, threshold, chance):
    p, q = (distribution(model, PROMPT, Sampling(1.0)).double() for model in (small_pair.target, small_pair.draft))
    kept = q * chance(p, q).clamp_max(1)
    refused = (p - q).clamp_min(0)
    expected = kept + (1 - kept.sum()) * refused / refused.sum()
    found = Counter(tokens[0] for tokens in sample(small_pair, rule, threshold, Sampling(1.0), 5000, limit=1))
    counts = [found[token] for token in range(VOCABULARY)]
    assert chisquare(counts, (expected / expected.sum() * sum(counts)).tolist()).pvalue > 0.001
    if (rule, threshold) != ("lenience", 1):
        assert chisquare(counts, (p / p.sum() * sum(counts)).tolist()).pvalue < 1e-6


def test_a_low_temperature_is_greedy(small_pair):
    cold = sample(small_pair, "lossless", 0, Sampling(1e-4), count=20, limit=8)
    jobs = [Job(PROMPT, {load_rule("lossless"): Points((0,))})]
    ((_, (greedy,)),) = Decoder(small_pair, None, 2, 8, 1).decode(jobs)
    assert set(cold) == {tuple(greedy.tokens)}


def test_the_same_seed_draws_the_same_tokens_and_another_others(small_pair):
    once, again = (sample(small_pair, "lossless", 0, Sampling(1.0), count=50, limit=8) for _ in range(2))
    assert sorted(once) == sorted(again)
    assert len(set(once)) > 25


def test_drawing_inverts_the_sums_of_the_weights():
    weights = torch.tensor([[0.2, 0.0, 0.6, 0.2]]).expand(5, 4)
    assert draw(weights, torch.tensor([0.0, 0.19, 0.21, 0.79, 0.999])).tolist() == [0, 0, 2, 2, 3]
