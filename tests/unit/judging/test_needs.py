"""What an engine needs for a judge, by what the judge reads."""

import pytest
import torch

from autojudge.decoding.decoder import needs_of
from autojudge.engine.features import compare_distributions
from autojudge.errors import InputError
from autojudge.judging.artifact import Judge
from autojudge.judging.needs import SERVES, TARGET_SCALARS, describe_needs, needs_of_columns, servable_sets
from autojudge.judging.signals import Signals
from autojudge.rules import load_rule
from autojudge.tables.feature_names import SCALARS
from conftest import make_record

LOGITS = {"target_logits", "draft_logits"}


@pytest.mark.parametrize(
    "columns, needs, words",
    [
        (TARGET_SCALARS, {"target_logits"}, "target alone: logits"),
        (["target_at_draft"], {"target_states"}, "target alone: states"),
        (["target_before", "target_entropy"], {"target_states", "target_logits"}, "target alone: logits and states"),
        (["kl_divergence"], LOGITS, "target: logits; draft: logits"),
        (["draft_at_draft", "target_at_draft"], {"target_states", "draft_states"}, "target: states; draft: states"),
        (["draft_before"], {"draft_states"}, "draft: states"),
        (["draft_at_draft", *SCALARS], LOGITS | {"draft_states"}, "target: logits; draft: logits and states"),
    ],
)
def test_needs_follow_from_the_columns(columns, needs, words):
    assert needs_of_columns(columns) == needs and describe_needs(needs) == words


def test_the_targets_scalars_are_those_that_another_draft_leaves_as_they_are():
    torch.manual_seed(0)
    target, token = 3 * torch.randn(6, 9), torch.tensor([0, 3, 8, 2, 2, 5])
    one, other = (compare_distributions(target, 3 * torch.randn(6, 9), token) for _ in range(2))
    assert {name for name in SCALARS if torch.equal(one[name], other[name])} == set(TARGET_SCALARS)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_judge_of_the_targets_scalars_is_asked_without_the_draft_and_reads_the_mined_numbers(dtype):
    torch.manual_seed(1)
    judge = Judge({}, make_record(columns=list(TARGET_SCALARS), sizes=[1] * 4))
    target, draft = (3 * torch.randn(5, 11, dtype=dtype) for _ in range(2))
    token = torch.tensor([0, 3, 8, 2, 10])
    found = Signals(token, judge, target_logits=target).scalars_read
    mined = compare_distributions(target, draft, token)
    assert found.keys() == set(TARGET_SCALARS)
    assert all(torch.equal(found[name], mined[name]) for name in TARGET_SCALARS)


@pytest.mark.parametrize(
    "columns, logits",
    [(TARGET_SCALARS, {"target_logits"}), (["target_at_draft"], set()), (["js_divergence"], LOGITS)],
)
def test_the_decoder_asks_for_no_more_than_the_judge_reads(columns, logits):
    judge = Judge({}, make_record(columns=list(columns), sizes=[1] * len(columns)))
    assert needs_of(load_rule("judge"), judge) == {"judge"} | logits
    confident = load_rule("sure", {"rule": "judge", "confident": 0.9})
    assert needs_of(confident, judge) == {"judge", "target_logits"} | logits


def test_only_sets_that_the_engine_can_give_are_servable_and_none_is_an_error():
    sets = {"a": ["draft_at_draft"], "b": ["target_at_draft", "target_entropy"], "c": ["draft_token_rank"]}
    sets |= {"d": ["target_at_draft", "scalars"]}
    found = {serves: servable_sets(sets, sets, serves) for serves in SERVES}
    assert found == {"any": ["a", "b", "c", "d"], "target": ["b", "c"], "target_scalars": ["c"]}
    with pytest.raises(InputError, match="`serves: target`.*none of these sets; add `target_scalars`"):
        servable_sets(["a", "d"], sets, "target")
