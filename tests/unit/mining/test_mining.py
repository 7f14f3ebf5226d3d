"""Mining gives the labels of Algorithm 1, whatever the batch, and the features of a plain forward pass."""

import ctypes
import dataclasses
import gc
import time

import pytest
import torch

from autojudge.engine.memory import measure_peak
from autojudge.errors import InputError
from autojudge.mining.miner import Miner
from autojudge.scoring.scorer import Scorer
from autojudge.tables.feature_names import BLOCKS, SCALARS
from autojudge.tasks import load_task
from reference import as_input, mine_plainly, mined_result

LIMIT = 160
N_PROBLEMS = 8


@pytest.fixture(scope="module")
def to_mine(problems):
    return [p for p in problems if p["split"] != "test"][:N_PROBLEMS]


@pytest.fixture(scope="module")
def mined(pair, arith, to_mine):
    results = Miner(pair, Scorer(arith), LIMIT, batch=7).mine(to_mine)
    return {m.response["problem_id"]: m for m in results}


def test_labels_are_those_of_algorithm_1(pair, arith, to_mine, mined):
    found = 0
    for problem in to_mine:
        plain = mine_plainly(pair, arith, list(problem["prompt_tokens"]), LIMIT)
        assert mined_result(mined[problem["problem_id"]]) == plain
        found += len(plain["labels"])
    assert found > N_PROBLEMS, "the problems have too few mismatches for the test to mean anything"


@pytest.mark.parametrize("batch", [1, 20])
def test_results_do_not_depend_on_batch_or_order(pair, arith, to_mine, mined, batch):
    for result in Miner(pair, Scorer(arith), LIMIT, batch).mine(to_mine[::-1]):
        before = mined[result.response["problem_id"]]
        assert mined_result(result) == mined_result(before)
        assert result.response["draft_tokens"] == before.response["draft_tokens"]


def test_a_short_limit_cuts_every_text_at_it(pair, arith, to_mine):
    for problem, result in zip(to_mine[:4], Miner(pair, Scorer(arith), 12, batch=4).mine(to_mine[:4]), strict=True):
        assert len(result.response["target_tokens"]) == 12
        assert result.response["target_answer"] is None
        assert result.labels == [], f"no answer, so no labels: {problem['problem_id']}"


class Forgetful:
    """The task arith, but no answer is found in a text with "and"."""

    @staticmethod
    def extract_answer(text):
        return None if " and " in text else load_task("arith").extract_answer(text)

    same_answer = staticmethod(load_task("arith").same_answer)


def test_an_alternative_without_an_answer_is_important(pair, to_mine):
    without = 0
    for result in Miner(pair, Scorer(Forgetful), LIMIT, batch=20).mine(to_mine):
        for label in result.labels:
            if label["alternative_answer"] is None:
                assert label["important"]
                without += 1
    assert without > 0


def test_features_equal_those_of_plain_forward_passes(pair, arith, to_mine, monkeypatch):
    monkeypatch.setattr("autojudge.mining.miner.STORED", torch.float32)  # before they are rounded for storage
    checked, prompts = 0, {p["problem_id"]: list(p["prompt_tokens"]) for p in to_mine}
    for result in Miner(pair, Scorer(arith), LIMIT, batch=3).mine(to_mine[:6]):
        expected = []
        mine_plainly(pair, arith, prompts[result.response["problem_id"]], LIMIT, features=expected)
        for actual, wanted in zip(result.features, expected, strict=True):
            for block in BLOCKS:
                torch.testing.assert_close(torch.from_numpy(actual[block]), wanted[block], rtol=0, atol=1e-4, msg=block)
            for scalar in SCALARS:
                assert actual[scalar] == pytest.approx(wanted[scalar], abs=1e-4), scalar
            checked += 1
    assert checked > 20


def test_a_row_tells_by_how_little_its_choices_won(pair, mined, to_mine):
    prompts = {p["problem_id"]: list(p["prompt_tokens"]) for p in to_mine}
    for result in list(mined.values())[:3]:
        text = prompts[result.response["problem_id"]]
        response = list(result.response["target_tokens"])
        assert result.response["least_margin"] == pytest.approx(least_margin(pair.target, text, response, 0), abs=1e-3)
        for label in result.labels:
            t = label["position"]
            alternative = response[:t] + list(label["alternative_tokens"])
            rests_on = min(
                least_margin(pair.draft, text, response[:t] + [label["draft_token"]], t),
                least_margin(pair.target, text, alternative, t + 1),
            )
            assert label["least_margin"] == pytest.approx(rests_on, abs=1e-3)
            assert label["margin"] == pytest.approx(least_margin(pair.target, text, response[: t + 1], t), abs=1e-3)
            assert label["near_tie"] == (label["least_margin"] < 1e-4)
            response = response if label["important"] else alternative
        assert response == result.response["mined_tokens"]


@torch.inference_mode()
def least_margin(model, prompt, response, start):
    """Least distance of the two best logits over the choices of a response's tokens from `start` on."""
    logits = model(as_input(model, prompt + response)).logits[0, len(prompt) + start - 1 : -1]
    best = logits.topk(2).values
    return (best[:, 0] - best[:, 1]).min().item() if len(best) else float("inf")


@pytest.mark.parametrize("growth", [1e-9, 1e9])
def test_proposal_lengths_change_nothing(pair, arith, to_mine, mined, monkeypatch, growth):
    monkeypatch.setattr("autojudge.mining.miner.GROWTH", growth)  # huge: only what is sure to be right is proposed
    for result in Miner(pair, Scorer(arith), LIMIT, batch=20).mine(to_mine):
        assert mined_result(result) == mined_result(mined[result.response["problem_id"]])


class Slow:
    """The task arith, its answers checked beside generation."""

    SLOW_CHECKS = True

    @staticmethod
    def extract_answer(text):
        time.sleep(0.02)
        return load_task("arith").extract_answer(text)

    same_answer = staticmethod(load_task("arith").same_answer)


def test_slow_checks_beside_generation_change_nothing(pair, to_mine, mined):
    for result in Miner(pair, Scorer(Slow), LIMIT, batch=4).mine(to_mine[:8]):
        assert mined_result(result) == mined_result(mined[result.response["problem_id"]])


def test_the_batch_follows_from_the_memory_and_changes_nothing(pair, arith, to_mine, mined):
    miner = Miner(pair, Scorer(arith), LIMIT, batch=20, memory=40 * 2**20)
    for result in miner.mine(to_mine):
        assert mined_result(result) == mined_result(mined[result.response["problem_id"]])
    assert 1 <= len(miner.models["target"]._used) < 20
    with pytest.raises(InputError, match="`mining.memory_mb`: 1 MiB hold not one problem"):
        next(Miner(pair, Scorer(arith), LIMIT, batch=20, memory=2**20).mine(to_mine))
    with pytest.raises(InputError, match="the models alone take 5 MB more than a mining job has"):
        next(Miner(pair, Scorer(arith), LIMIT, batch=20, memory=-5 * 10**6).mine(to_mine))


class EnoughError(Exception):
    """Raised to end mining."""


class ManyAnswers:
    """Gives the same answer to so many texts, then ends the run."""

    same_answer = staticmethod(str.__eq__)

    def __init__(self, count):
        self.left = count

    def extract_answer(self, text):
        self.left -= 1
        if not self.left:
            raise EnoughError
        return "1"


HELD_BACK = 40 * 2**20  # bytes that the allocator does not give back and that torch takes at its first passes


@pytest.mark.parametrize("limit, answers", [(20, 600), (200, 100), (500, 30)])
def test_peak_memory_stays_within_the_budget(pair, to_mine, limit, answers):
    budget = 120 * 2**20
    endless = dataclasses.replace(pair, end_tokens=frozenset())  # every response is `limit` tokens long
    miner = Miner(endless, Scorer(ManyAnswers(answers)), limit, batch=256, memory=budget)
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)  # what earlier tests left would hide a part of the peak
    with measure_peak(pair.target.device) as peak, pytest.raises(EnoughError):
        list(miner.mine(to_mine * 16))
    target = miner.models["target"]
    assert target._layers._seen > 1.5 * limit, "no alternative lay beside a response"
    assert len(target._used) < 256, "the budget bounds nothing"
    assert peak.bytes <= budget + HELD_BACK
