"""Sampled continuations are those of plain forward passes by the same random numbers, whatever the batch."""

import pytest
import torch

from autojudge.jobs.store import Store
from autojudge.mining.miner import Miner
from autojudge.mining.samples import Sampler, Samples
from autojudge.scoring.scorer import Scorer
from autojudge.workflow.work import mining_work
from reference import as_input

LIMIT = 96
SAMPLES = Samples(count=3, temperature=1.5, seed=7)


@pytest.fixture(scope="module")
def some(problems):
    return [p for p in problems if p["split"] != "test"][:3]


@pytest.fixture(scope="module")
def mined(pair, arith, some):
    return {m.response["problem_id"]: m for m in Miner(pair, Scorer(arith), LIMIT, 3).mine(some)}


def sample(pair, task, some, mined, batch, samples=SAMPLES, memory=None):
    sampler = Sampler(pair, Scorer(task), samples, LIMIT, batch, memory)
    return {s.problem_id: s for s in sampler.sample([(p, mined[p["problem_id"]]) for p in some])}


@pytest.fixture(scope="module")
def sampled(pair, arith, some, mined):
    return sample(pair, arith, some, mined, batch=3)


@torch.inference_mode()
def continue_plainly(pair, prompt, text, uniform) -> list[int]:
    """Continue a response by draws, each from a forward pass of its own, without a cache."""
    text, uniform = list(text), iter(uniform)
    while len(text) < LIMIT and text[-1] not in pair.end_tokens:
        logits = pair.target(as_input(pair.target, prompt + text), use_cache=False).logits[0, -1, : pair.vocabulary]
        sums = (logits.double() / SAMPLES.temperature).softmax(-1).cumsum(-1)
        text.append(int((sums < next(uniform) * sums[-1]).sum()))
    return text


def texts_before(mined):
    """Yield each label with the text that its alternative is of, by the swaps before it."""
    text = list(mined.response["target_tokens"])
    for label in mined.labels:
        yield label, text
        if not label["important"]:
            text = text[: label["position"]] + list(label["alternative_tokens"])


def test_continuations_are_those_of_plain_passes(pair, arith, some, mined, sampled):
    checked = 0
    for problem in some[:2]:
        name, prompt = problem["problem_id"], list(problem["prompt_tokens"])
        result, own = sampled[name], mined[name].response["target_answer"]
        for i, (label, text) in list(enumerate(texts_before(mined[name])))[::3]:
            t = label["position"]
            for number in (0, SAMPLES.count - 1):
                uniform = SAMPLES.uniform(name, t, number, LIMIT)
                plain = continue_plainly(pair, prompt, [*text[:t], label["draft_token"]], uniform)
                assert result.continuations[i][number] == plain[t:]
                assert result.kept[i][number] == (arith.extract_answer(pair.decode(plain)) == own)
                checked += 1
    assert checked > 8
    assert len({tuple(c) for s in sampled.values() for cs in s.continuations for c in cs}) > 10, "they differ"


@pytest.mark.parametrize("batch, memory", [(1, None), (2, 90 * 10**6)])
def test_neither_batch_nor_memory_changes_them(pair, arith, some, mined, sampled, batch, memory):
    for name, again in sample(pair, arith, some, mined, batch, memory=memory).items():
        assert again.continuations == sampled[name].continuations and again.kept == sampled[name].kept


def test_slow_checks_change_nothing(pair, arith, some, mined, sampled):
    scorer = Scorer(arith)
    scorer.threads = 2
    (again,) = Sampler(pair, scorer, SAMPLES, LIMIT, 1).sample([(some[0], mined[some[0]["problem_id"]])])
    assert again.kept == sampled[again.problem_id].kept


def test_random_numbers_belong_to_seed_problem_position_and_sample():
    known = SAMPLES.uniform("p", 3, 1, 8)
    assert known.tolist() == SAMPLES.uniform("p", 3, 1, 20)[:8].tolist()
    others = [SAMPLES.uniform("q", 3, 1, 8), SAMPLES.uniform("p", 4, 1, 8), SAMPLES.uniform("p", 3, 2, 8)]
    others.append(Samples(3, 1.5, seed=8).uniform("p", 3, 1, 8))
    assert all(known.tolist() != other.tolist() for other in others)


def test_shares_and_costs_are_added_to_what_was_mined(some, mined, sampled):
    for problem in some:
        name = problem["problem_id"]
        both = sampled[name].add_to(mined[name])
        assert [label["kept_share"] for label in both.labels] == [sum(k) / 3 for k in sampled[name].kept]
        assert [label["important"] for label in both.labels] == [label["important"] for label in mined[name].labels]
        drawn = sum(len(c) - 1 for cs in sampled[name].continuations for c in cs)
        more = both.response["target_evaluated"] - mined[name].response["target_evaluated"]
        assert more == sampled[name].target_evaluated >= drawn + len(problem["prompt_tokens"])


def test_exact_mining_is_taken_and_samples_are_pieces_of_their_own(pair, arith, some, tmp_path):
    opened = []

    def open_miner():
        opened.append("miner")
        return Miner(pair, Scorer(arith), LIMIT, 2)

    def open_sampler():
        opened.append("sampler")
        return Sampler(pair, Scorer(arith), SAMPLES, LIMIT, 2)

    settings = {"count": 3, "temperature": 1.5, "seed": 7}
    exact, work = mining_work("arith", LIMIT, {}), mining_work("arith", LIMIT, {}, samples=settings)
    other = mining_work("arith", LIMIT, {}, samples=settings | {"count": 4})
    assert exact.key(some[0]) == work.key(some[0]) == exact.all_keys(some[0])[0]
    assert len({key for w in (exact, work, other) for key in w.all_keys(some[0])}) == 3
    with Store(tmp_path, "1-of-1") as store:
        exact.mine(some[:2], store, open_miner)
    results = []
    for count in (1, 2, 2):
        with Store(tmp_path, "1-of-1") as store:
            mined = work.mine(some[:count], store, open_miner)
            sampled = work.sample(some[:count], mined, store, open_sampler)
        results.append([(m.response, m.labels) for m in sampled])
    assert opened == ["miner", "sampler", "sampler"], "each once, the second for the second problem"
    assert results[1] == results[2]
    assert all(label["kept_share"] is not None for _, labels in results[2] for label in labels)
