"""The cost of a draft call beside a target call."""

import json
from types import SimpleNamespace

import pytest
import torch

from autojudge.decoding import call_cost
from autojudge.decoding.call_cost import measure_calls
from autojudge.engine.models import load_pair
from measure_call_cost import CALLS, measure_call_cost


class Clocked:
    """A model whose calls take the seconds that it is given, one after another, on a clock that all share."""

    device = "cpu"

    def __init__(self, clock, seconds):
        self.clock, self.seconds, self.read = clock, iter(seconds), []

    def __call__(self, tokens, use_cache):
        self.clock.now += next(self.seconds)
        self.read.append(tuple(tokens.shape))
        return SimpleNamespace(logits=torch.zeros(1, 1, 9))


@pytest.mark.parametrize(
    ("draft", "target", "medians"),
    [
        ([1.0, 2.0, 9.0], [8.0, 70.0, 10.0], (2.0, 10.0)),  # one slow call counts for nothing
        ([3.0, 1.0], [4.0, 8.0], (2.0, 6.0)),
        ([5.0], [2.0], (5.0, 2.0)),  # a draft may cost more
        (None, [4.0, 4.0], (0.0, 4.0)),  # prompt lookup
    ],
)
def test_the_ratio_is_that_of_medians_of_calls_of_one_token(monkeypatch, draft, target, medians):
    clock = SimpleNamespace(now=7.0)
    monkeypatch.setattr(call_cost, "time", SimpleNamespace(perf_counter=lambda: clock.now))
    models = {"draft": draft and Clocked(clock, draft), "target": Clocked(clock, target)}
    found = measure_calls(SimpleNamespace(**models), len(target))
    assert (found["draft_seconds"], found["target_seconds"]) == medians
    assert found["ratio"] == medians[0] / medians[1]
    assert models["target"].read == [(1, 1)] * len(target)


@pytest.mark.parametrize("draft", [None, {"first_layers": 1}, {"first_layers": 3}, {"prompt_lookup": True}])
def test_the_script_measures_any_kind_of_draft(pair_settings, tmp_path, draft):
    settings = dict(pair_settings) | ({"draft": draft} if draft else {})
    measure_call_cost(settings, str(tmp_path / "cost.json"))
    cost = json.loads((tmp_path / "cost.json").read_text())
    assert set(cost) == {"ratio", "draft_seconds", "target_seconds", "calls", "threads"}
    assert cost["calls"] == CALLS and cost["threads"] == torch.get_num_threads() and cost["target_seconds"] > 0
    assert cost["ratio"] == pytest.approx(cost["draft_seconds"] / cost["target_seconds"])
    assert (cost["ratio"] == 0) == (load_pair(settings).draft is None)
