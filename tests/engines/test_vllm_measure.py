"""The workflow's measurement in vLLM: what `measure_vllm` asks of it, on eight problems at one batch."""

import pytest
from served import LIMIT, PYTHON, RUN, WINDOW, environment

from autojudge.engine.endings import Ending
from autojudge.engine.models import load_generation_config
from autojudge.jobs.store import Store
from autojudge.jobs.vllm_work import VllmWork
from autojudge.judging.artifact import load_judge
from autojudge.serving.measuring.methods import Served

JUDGE = RUN / "judge"
COUNT = 8


@pytest.fixture(scope="module")
def threshold():
    return load_judge(JUDGE).record.recall_threshold


@pytest.fixture(scope="module")
def measured(tmp_path_factory, prompts, pair_settings, threshold):
    """Facts and measured settings."""
    folder = tmp_path_factory.mktemp("measured")
    end = load_generation_config(pair_settings["target"]).eos_token_id
    settings = {"batches": [4], "tensor_parallel_size": 1, "engine": {}}
    longest = max(map(len, prompts[:COUNT]))
    ending = Ending(LIMIT, frozenset({end}), (), str)
    served = Served(pair_settings, str(JUDGE), [0.0, threshold], WINDOW, ending, longest, settings)
    work = VllmWork(served, {}, "", {"process": "", "plugin": ""}, rounds=1)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment().items():
            patch.setenv(name, value)
        with Store(folder / "store", "measured") as store:
            return work.measure(prompts[:COUNT], store, PYTHON, folder / "vllm.log", 4096)


def test_lossless_and_threshold_zero_give_the_targets_responses(measured):
    facts, (target, lossless, zero, _) = measured
    assert facts["models"]["target"] == {"head_dim": 64, "vocabulary": 265} and "thread" in facts["hardware"]
    assert [row["method"] for row in measured[1]] == ["target", "lossless", "judge", "judge"]
    assert target["responses"] == lossless["responses"] == zero["responses"]
    assert target["counts"]["cycles"] == 0 < lossless["counts"]["cycles"] == zero["counts"]["cycles"]


def test_the_judges_responses_are_the_decoders_and_its_counts_vllms(measured, own, prompts, threshold):
    *_, lossless, _, judged = measured[1]
    wanted = own(prompts[:COUNT], JUDGE, threshold)
    counts = judged["counts"]
    assert judged["responses"] == [tokens for tokens, _ in wanted]
    assert counts["cycles"] == sum(cycles for _, cycles in wanted) < lossless["counts"]["cycles"]
    assert counts["kept"] > 0 and sum(counts["accepted_at"]) == counts["accepted"]
    assert all(second > 0 for row in measured[1] for second in row["seconds"])
