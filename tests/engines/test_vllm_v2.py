"""vLLM's V2 runner, its Triton kernels interpreted: with a judge it decodes what this project's decoder does."""

import pytest
from served import GREEDY, RUN, ended, engine_options, of_threshold, tokens_and_cycles

JUDGE = RUN / "export"
SCALARS = ["draft_token_probability", "draft_token_rank", "target_entropy", "target_top_probability"]
SAMPLED = GREEDY | {"temperature": 1.0, "seed": 7}


def run(drive, judge, *calls, batch=1, trace=False):
    told = drive({"engine": engine_options(judge, batch=batch), "calls": list(calls), "v2": True, "trace": trace})
    return ended(told)


@pytest.fixture(scope="module")
def plain(drive, prompts):
    """16 problems as vLLM decodes and samples them without the plugin asked for anything."""
    calls = [{"prompts": prompts[:16], "params": params} for params in (GREEDY, SAMPLED)]
    return run(drive, None, *calls)


@pytest.fixture(scope="module")
def judged(drive, prompts):
    """The same with the exported judge, through the sampler's rows and what lies beside them."""
    calls = [{"prompts": prompts[:16], "params": params} for params in (GREEDY, of_threshold(0.0))]
    return run(drive, JUDGE, *calls, trace=True)


@pytest.fixture(scope="module")
def by_scalars(drive, fitted, prompts):
    """The same with a judge of the target's scalars, through the public logits processor alone; and sampled."""
    judge, sampled = fitted(*SCALARS), [of_threshold(t, SAMPLED) for t in (0.0, 2.0)]
    calls = [{"prompts": prompts[:16], "params": params} for params in (GREEDY, *sampled)]
    return judge, run(drive, judge, *calls, trace=True)


def test_threshold_zero_is_vllms_lossless_decoding(plain, judged):
    assert judged["responses"][1] == plain["responses"][0]


def test_the_exported_judge_gives_the_decoders_tokens_and_cycles(judged, own, prompts):
    assert tokens_and_cycles(judged) == own(prompts[:16], JUDGE)
    assert "V2 runner" in judged["log"] and judged["counts"][0]["kept"] > 0
    assert judged["counts"][0]["nan"] == judged["counts"][0]["missing"] == 0


def test_the_public_logits_processor_alone_gives_the_decoders_tokens_and_cycles(by_scalars, own, prompts):
    judge, told = by_scalars
    assert tokens_and_cycles(told) == own(prompts[:16], judge)
    assert told["counts"][0]["kept"] > 0


def test_at_a_temperature_threshold_zero_samples_as_vllm_does_and_a_high_one_accepts_more(plain, by_scalars):
    _, told = by_scalars
    assert told["responses"][1] == plain["responses"][1] != told["responses"][2]
    names = ("vllm:spec_decode_num_accepted_tokens", "vllm:spec_decode_num_drafts")
    accepted, drafts = (
        [after[name] - before[name] for before, after in zip(told["metrics"], told["metrics"][1:], strict=False)]
        for name in names
    )
    assert accepted[1] / drafts[1] > accepted[0] / drafts[0]


def test_requests_of_their_own_thresholds_in_one_batch_decode_as_alone(drive, own, plain, fitted, prompts):
    judge = fitted("draft_before", "target_before", "kl_divergence")
    thresholds = [0.0, 0.2, 0.5, 2.0] * 4
    mixed = {"prompts": prompts[:16], "params": [of_threshold(t) for t in thresholds]}
    told = run(drive, judge, mixed, batch=16)
    for number, threshold in enumerate(thresholds):
        wanted = (
            own(prompts[number : number + 1], judge, threshold)[0][0] if threshold else plain["responses"][0][number]
        )
        assert told["responses"][0][number] == wanted, (number, threshold)
