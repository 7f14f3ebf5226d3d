"""Mining gives the labels of Algorithm 1, whatever the batch, and the features of a plain forward pass."""

import pytest
import torch

from autojudge.features import compare_distributions
from autojudge.mining import Miner
from autojudge.schemas import BLOCKS, SCALARS
from autojudge.tasks import load_task
from reference import mine_plainly, mined_result

LIMIT = 160
N_PROBLEMS = 20


@pytest.fixture(scope="module")
def to_mine(problems):
    return [p for p in problems if p["split"] != "test"][:N_PROBLEMS]


@pytest.fixture(scope="module")
def mined(pair, arith, to_mine):
    results = Miner(pair, arith, LIMIT, batch=7).mine(to_mine)
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
    for result in Miner(pair, arith, LIMIT, batch).mine(to_mine[::-1]):
        before = mined[result.response["problem_id"]]
        assert mined_result(result) == mined_result(before)
        assert result.response["draft_tokens"] == before.response["draft_tokens"]


def test_a_short_limit_cuts_every_text_at_it(pair, arith, to_mine):
    for problem, result in zip(to_mine[:4], Miner(pair, arith, 12, batch=4).mine(to_mine[:4]), strict=True):
        assert len(result.response["target_tokens"]) == 12
        assert result.response["target_answer"] is None
        assert result.labels == [], f"no answer, so no labels: {problem['problem_id']}"


class Forgetful:
    """The task arith, but no answer is found in a text with an x."""

    @staticmethod
    def extract_answer(text):
        return None if " x " in text else load_task("arith").extract_answer(text)

    same_answer = staticmethod(load_task("arith").same_answer)


def test_an_alternative_without_an_answer_is_important(pair, to_mine):
    without = 0
    for result in Miner(pair, Forgetful, LIMIT, batch=20).mine(to_mine):
        for label in result.labels:
            if label["alternative_answer"] is None:
                assert label["important"]
                without += 1
    assert without > 0


@torch.inference_mode()
def states(model, tokens: list[int]) -> torch.Tensor:
    return model(torch.tensor([tokens]), output_hidden_states=True).hidden_states[-1][0]


def test_features_equal_those_of_a_plain_forward_pass(pair, mined, to_mine):
    prompts = {p["problem_id"]: list(p["prompt_tokens"]) for p in to_mine}
    checked = 0
    for result in list(mined.values())[:4]:
        response = list(result.response["target_tokens"])
        prompt = prompts[result.response["problem_id"]]
        for label, features in zip(result.labels, result.features, strict=True):
            t = label["position"]
            logits = {}
            for name, model in (("draft", pair.draft), ("target", pair.target)):
                with_target = states(model, prompt + response[: t + 1])
                with_draft = states(model, prompt + response[:t] + [label["draft_token"]])
                blocks = {
                    f"{name}_at_draft": with_draft[-1],
                    f"{name}_at_target": with_target[-1],
                    f"{name}_before": with_target[-2],
                }
                logits[name] = model.lm_head(with_target[-2])[None]
                for block, expected in blocks.items():
                    actual = torch.from_numpy(features[block].astype("float32"))
                    torch.testing.assert_close(actual, expected, rtol=1e-3, atol=2e-3, msg=f"{block} at {t}")
            expected = compare_distributions(logits["target"], logits["draft"], torch.tensor([label["draft_token"]]))
            for name in SCALARS:
                assert features[name] == pytest.approx(expected[name].item(), rel=1e-3, abs=1e-4), name
            best = logits["target"][0].topk(2).values
            assert label["margin"] == pytest.approx((best[0] - best[1]).item(), abs=1e-3)
            assert label["target_token"] == response[t]
            if not label["important"]:
                response = response[:t] + list(label["alternative_tokens"])
            checked += len(BLOCKS)
        assert response == result.response["mined_tokens"]
    assert checked > 0
