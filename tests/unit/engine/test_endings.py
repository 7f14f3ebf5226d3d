"""Responses end at end tokens, stop strings and the limit, in mining and in decoding alike."""

import types

import pytest

from autojudge.decoding.branches import Job
from autojudge.decoding.decoder import Decoder
from autojudge.decoding.thresholds import Points
from autojudge.engine.endings import Ending
from autojudge.mining.miner import Miner
from autojudge.reading.prompts import Prompt
from autojudge.rules import load_rule
from autojudge.scoring.scorer import Scorer

LIMIT = 160


def test_a_response_ends_at_the_first_of_end_token_stop_string_and_limit():
    ending = Ending(5, frozenset({9}), ("bc",), lambda tokens: "".join("abcdefghi"[t - 1] for t in tokens))
    for tokens, wanted in (([1, 9, 1], [1, 9]), ([1, 2, 3, 4], [1, 2, 3]), ([1] * 9, [1] * 5), ([3, 2], [3, 2])):
        response = []
        ending.extend(response, tokens)
        assert response == wanted


@pytest.fixture(scope="module")
def rows(problems):
    return [p for p in problems if p["split"] == "test"][:8]


@pytest.fixture(scope="module")
def whole(pair, rows):
    """Responses of the target without stop strings, as text."""
    found = dict(Decoder(pair, None, 8, LIMIT, 12).decode([Job(row["prompt_tokens"], {}) for row in rows]))
    return [found[i][0].tokens for i in range(len(rows))]


def cut(pair, tokens, text):
    """The response up to the token that completes a text."""
    return next((tokens[:n] for n in range(1, len(tokens) + 1) if text in pair.decode(tokens[:n])), tokens)


def test_decoding_ends_at_a_stop_string_in_any_rule_and_batch(pair, rows, whole):
    text = " ".join(pair.decode(whole[0]).split()[4:6])
    wanted = [cut(pair, tokens, text) for tokens in whole]
    assert len(wanted[0]) < len(whole[0])
    for rules in ({}, {load_rule("lossless"): Points((0,))}):
        for batch in (1, 5):
            jobs = [Job(row["prompt_tokens"], rules) for row in rows]
            found = dict(Decoder(pair, None, 8, LIMIT, batch, stop=(text,)).decode(jobs))
            assert [found[i][0].tokens for i in range(len(rows))] == wanted
            for (response,) in found.values():
                assert response.emitted == (len(response.tokens) if rules else 0)  # the target alone has no cycles
                assert response.accepted <= response.emitted


def test_mining_ends_at_the_same_stop_string(pair, arith, rows, whole):
    text = " ".join(pair.decode(whole[0]).split()[4:6])
    task = types.SimpleNamespace(
        PROMPT=Prompt(stop=(text,)), extract_answer=lambda response: str(len(response)), same_answer=arith.same_answer
    )
    mined = {m.response["problem_id"]: m for m in Miner(pair, Scorer(task), LIMIT, batch=5).mine(rows)}
    for row, tokens in zip(rows, whole, strict=True):
        result = mined[row["problem_id"]]
        assert result.response["target_tokens"] == cut(pair, tokens, text)
        for label in result.labels:
            alternative = pair.decode(label["alternative_tokens"])
            assert alternative.count(text) <= 1
