"""Labels by likelihood are those of plain forward passes, whatever the batch; resumed runs mine nothing twice."""

import numpy as np
import pytest
import torch

from autojudge.jobs.store import Store
from autojudge.mining.likelihood import Likelihood, LikelihoodMiner
from autojudge.scoring.scorer import Scorer
from autojudge.workflow.work import mining_work
from reference import draft_choices, greedy, plain_features, plain_states

LIMIT, TOKENS = 48, 20


def mine(pair, task, problems, batch, tokens=TOKENS):
    miner = LikelihoodMiner(pair, Scorer(task), LIMIT, batch)
    miner.tokens = tokens
    return {m.response["problem_id"]: m for m in miner.mine(problems)}


@torch.inference_mode()
def log_likelihood(pair, text: list[int], following: list[int]) -> float:
    """Return the target's log likelihood of tokens after a text, by a forward pass over both."""
    states = plain_states(pair.target, text + following)[len(text) - 1 : -1]
    logits = pair.target.lm_head(states)[:, : pair.vocabulary]
    return float(logits.double().log_softmax(-1)[range(len(following)), following].sum())


def mine_plainly(pair, prompt: list[int], tokens: int) -> list[tuple]:
    """Return position, tokens, the alternative and the change of likelihood of each mismatch but one at the end."""
    response, found = greedy(pair, pair.target, prompt, [], LIMIT), []
    for t, drafted in enumerate(draft_choices(pair, prompt, response)[:-1]):
        if drafted != response[t]:
            following = response[t + 1 : t + 1 + tokens]
            swapped = log_likelihood(pair, [*prompt, *response[:t], drafted], following)
            change = swapped - log_likelihood(pair, prompt + response[: t + 1], following)
            found.append((t, response[t], drafted, [drafted, *following], change))
    return found


@pytest.fixture(scope="module")
def some(problems):
    return [p for p in problems if p["split"] != "test"][:4]


@pytest.fixture(scope="module")
def mined(pair, arith, some):
    return mine(pair, arith, some, batch=4)


def test_labels_are_those_of_plain_passes(pair, some, mined):
    for problem in some:
        prompt, labels = list(problem["prompt_tokens"]), mined[problem["problem_id"]].labels
        plain = mine_plainly(pair, prompt, TOKENS)
        columns = ("position", "target_token", "draft_token", "alternative_tokens")
        assert [tuple(label[c] for c in columns) for label in labels] == [row[:4] for row in plain]
        changes = [label["likelihood_change"] for label in labels]
        np.testing.assert_allclose(changes, [row[4] for row in plain], atol=2e-3)
        assert all(label["alternative_answer"] is None and not label["cut_off"] for label in labels)
    assert sum(len(m.labels) for m in mined.values()) > 8
    assert any(len(label["alternative_tokens"]) < TOKENS for m in mined.values() for label in m.labels), "at the end"


def test_the_response_stays_the_targets_and_features_are_those_of_other_labels(pair, some, mined):
    problem = some[0]
    result, prompt = mined[problem["problem_id"]], list(problem["prompt_tokens"])
    assert result.response["mined_tokens"] == result.response["target_tokens"]
    for label, row in zip(result.labels, result.features, strict=True):
        plain = plain_features(pair, prompt, result.response["target_tokens"], label["position"], label["draft_token"])
        for name, value in plain.items():
            np.testing.assert_allclose(row[name], value, atol=2e-2, err_msg=name)


@pytest.mark.parametrize("batch", [1, 3])
def test_the_batch_changes_nothing(pair, arith, some, mined, batch):
    for name, again in mine(pair, arith, some[:3], batch).items():
        for one, other in zip(mined[name].labels, again.labels, strict=True):
            assert one["likelihood_change"] == pytest.approx(other["likelihood_change"], abs=2e-3)
            assert one["position"] == other["position"]


class Unanswered:
    """A task whose responses have no answers."""

    @staticmethod
    def extract_answer(text):
        return None

    same_answer = staticmethod(str.__eq__)


def test_no_answer_is_needed(pair, some, mined):
    problem = some[0] | {"gold": None}
    (again,) = mine(pair, Unanswered, [problem], 1).values()
    known = mined[problem["problem_id"]].labels
    assert [label["position"] for label in again.labels] == [label["position"] for label in known]
    assert again.response["target_answer"] is None and again.response["correct"] is False


def test_all_tokens_are_counted(mined):
    for result in mined.values():
        length = len(result.response["target_tokens"])
        read = sum(len(label["alternative_tokens"]) - 1 for label in result.labels)
        assert result.response["target_evaluated"] >= length - 1 + read


def test_what_was_mined_is_taken_whatever_the_threshold(pair, arith, some, tmp_path):
    opened = []

    def open_miner():
        opened.append(1)
        miner = LikelihoodMiner(pair, Scorer(arith), LIMIT, 2)
        miner.tokens = TOKENS
        return miner

    exact = mining_work("arith", LIMIT, {})
    works = [mining_work("arith", LIMIT, {}, likelihood={"tokens": TOKENS, "threshold": t}) for t in (1.0, 5.0)]
    other = mining_work("arith", LIMIT, {}, likelihood={"tokens": TOKENS + 1, "threshold": 1.0})
    assert len({work.key(some[0]) for work in (exact, *works, other)}) == 3
    with Store(tmp_path, "1-of-1") as store:
        works[0].mine(some[:1], store, open_miner)
    with Store(tmp_path, "1-of-1") as store:
        taken = works[1].mine(some[:2], store, open_miner)
    with Store(tmp_path, "1-of-1") as store:
        again = works[1].mine(some[:2], store, open_miner)
    assert len(opened) == 2 and len(taken) == 2
    assert [m.labels for m in taken] == [m.labels for m in again]


def test_a_threshold_labels_what_was_mined(mined):
    labels = [label for m in mined.values() for label in m.labels]
    changes = sorted(label["likelihood_change"] for label in labels)
    threshold = -changes[len(changes) // 2]
    judged = [label for m in mined.values() for label in Likelihood(TOKENS, threshold).label(m).labels]
    assert [label["important"] for label in judged] == [label["likelihood_change"] < -threshold for label in labels]
    assert {label["important"] for label in judged} == {True, False}
