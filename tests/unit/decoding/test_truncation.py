"""Targets that are truncated by rules: they sample from exactly what the rule keeps, renormalised."""

from collections import Counter

import pytest
import torch
from scipy.stats import chisquare
from transformers import LlamaConfig, LlamaForCausalLM

from autojudge.decoding.branches import Job
from autojudge.decoding.decoder import Decoder
from autojudge.decoding.truncated_sampling import Truncation, truncate
from autojudge.decoding.truncation import name_truncated, truncated_by, truncates
from autojudge.engine.compatibility import check_slot_cache
from autojudge.engine.models import Pair
from autojudge.engine.sampling import Sampling
from autojudge.judging.signals import Signals
from autojudge.rules import RULES, load_rule
from conftest import DEVICE
from reference import as_input

VOCABULARY, PROMPT = 12, [4, 1, 9]
TRUNCATING = {  # thresholds that keep little, and much
    "top_k": (1, 2, 5, 40),
    "probability": (0.5, 0.9, 0.99),
    "probability_ratio": (0.3, 0.8, 0.999),
    "probability_gap": (0.05, 0.3, 0.9),
    "typical": (0.7, 0.91, 0.99),
    "logit_ratio": (0.05, 0.3, 2),
    "entropy": (0.1, 0.4, 0.9),
}


@pytest.fixture(scope="module")
def pair():
    torch.manual_seed(7)
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    model = LlamaForCausalLM(LlamaConfig(vocab_size=VOCABULARY, **sizes)).eval().requires_grad_(False).to(DEVICE)
    model.lm_head.weight.mul_(25)  # far from uniform
    check_slot_cache(model, "small")
    return Pair(None, model, None, frozenset(), VOCABULARY)


def decode(pair, sampling, cut=None, count=300, limit=6, batch=64):
    """Samples of the target alone, truncated by a rule and a threshold where they are given."""
    decoder = Decoder(pair, None, 0, limit, batch, sampling=sampling)
    if cut:
        decoder = truncate(decoder, load_rule(cut[0]), cut[1])
    return {n: response.tokens for n, (response,) in decoder.decode([Job(PROMPT, {}, seed=n) for n in range(count)])}


def keep_each(rule, threshold, logits):
    """Score every token, and keep those below the threshold and the most probable one."""
    n, size = logits.shape
    kept = torch.zeros(n, size, dtype=torch.bool)
    for token in range(size):
        signals = Signals(torch.full((n,), token), target_logits=logits)
        kept[:, token] = rule.score(signals) < threshold
    return kept.scatter(1, logits.argmax(1, keepdim=True), True)


def test_rules_that_read_the_targets_distribution_alone_truncate():
    assert {name for name in RULES.names() if truncates(name)} == set(TRUNCATING)
    assert truncates("sure", {"rule": "top_k", "confident": 0.9}), "what is kept still depends on it alone"
    assert not truncates("later", {"rule": "top_k", "strict_first": 8}), "the place in the response counts"
    assert not truncates("regret_budget"), "what was kept before counts"


@pytest.mark.parametrize("settings", [{}, {"confident": 0.5}], ids=["plain", "confident"])
@pytest.mark.parametrize("name", TRUNCATING)
def test_the_tokens_that_stay_are_those_whose_score_is_below_the_threshold(name, settings):
    generator = torch.Generator().manual_seed(3)
    logits = torch.randn(60, 50, generator=generator) * torch.linspace(0.2, 6, 60)[:, None] + 1
    logits[::3] = logits[::3].round()  # ties
    rule, sizes = load_rule(name, settings), set()
    for threshold in (*TRUNCATING[name], 0.0, float("inf")):
        for plain in (Sampling(0.7), Sampling(1.3, 0.8)):
            p = Truncation(plain.temperature, plain.top_p, rule=rule, threshold=threshold).distribution(logits)
            wanted = keep_each(rule, threshold, logits / plain.temperature) * plain.distribution(logits)
            best = wanted.argmax(1), p.argmax(1)
            alone = (p > 0).sum(1) == 1  # among equals any may stay
            assert torch.equal(best[0][~alone], best[1][~alone])
            torch.testing.assert_close(p[~alone], (wanted / wanted.sum(1, keepdim=True))[~alone])
            assert torch.equal(alone, (wanted > 0).sum(1) == 1)
            sizes |= set((p > 0).sum(1).tolist())
    assert 1 in sizes and len(sizes) > 1 and 0 not in sizes


@pytest.mark.parametrize(
    "cut, sampling",
    [
        (("top_k", 3), Sampling(1.0)),
        (("probability_ratio", 0.7), Sampling(1.5)),
        (("typical", 0.95), Sampling(0.9)),
        (("probability", 0.93), Sampling(1.2, 0.95)),
    ],
)
def test_the_first_token_follows_what_is_kept_renormalised(pair, cut, sampling):
    with torch.inference_mode():
        logits = pair.target(as_input(pair.target, PROMPT), use_cache=False).logits[0, -1:].cpu()
    kept = keep_each(load_rule(cut[0]), cut[1], logits / sampling.temperature)
    whole = sampling.distribution(logits).double()
    wanted = (whole * kept)[0] / (whole * kept).sum()
    assert 2 <= (wanted > 0).sum() < VOCABULARY
    found = Counter(tokens[0] for tokens in decode(pair, sampling, cut, count=4000, limit=1, batch=1000).values())
    assert all(wanted[token] > 0 for token in found)
    counts = torch.tensor([found[token] for token in range(VOCABULARY)], dtype=torch.float64)
    assert chisquare(counts[wanted > 0], wanted[wanted > 0] * 4000).pvalue > 0.001
    assert chisquare(counts + 1e-9, (whole[0] + 1e-12) / (whole[0] + 1e-12).sum() * 4000).pvalue < 1e-6


@pytest.mark.parametrize("sampling", [Sampling(1.0), Sampling(1.7), Sampling(0.6, 0.9)])
@pytest.mark.parametrize("cut", [("top_k", VOCABULARY), ("probability_ratio", 1.0), ("entropy", 1.01)])
def test_a_threshold_that_keeps_everything_gives_the_targets_own_samples(pair, cut, sampling):
    plain = decode(pair, sampling, count=100)
    assert decode(pair, sampling, cut, count=100) == plain
    assert decode(pair, sampling, ("top_k", 2), count=100) != plain


@pytest.mark.parametrize("name, threshold", [("top_k", 1), ("probability", 0), ("logit_ratio", 0)])
def test_a_lossless_threshold_leaves_the_most_probable_token(pair, name, threshold):
    samples = decode(pair, Sampling(2.0), (name, threshold), count=20)
    assert len({tuple(tokens) for tokens in samples.values()}) == 1


@pytest.mark.parametrize("cut", [("top_k", 3), ("typical", 0.95), ("probability_gap", 0.9)])
def test_a_batch_gives_what_single_responses_give(pair, cut):
    single = decode(pair, Sampling(1.1), cut, count=40, batch=1)
    assert decode(pair, Sampling(1.1), cut, count=40, batch=16) == single
    assert len({tuple(tokens) for tokens in single.values()}) > 10


def test_names_of_truncated_targets_tell_the_rule():
    assert [truncated_by(name_truncated(rule)) for rule in ("top_k", "target")] == ["top_k", "target"]
    assert [truncated_by(name) for name in ("target", "top_k", "lossless")] == [None] * 3
