"""vLLM's V1 runner with a judge decodes what this project's decoder does, and at threshold 0 what vLLM does."""

import re
from itertools import takewhile

import pytest
from served import BED, GREEDY, NGRAM, RUN, WINDOW, ended, engine_options, of_threshold, tokens_and_cycles
from transformers import AutoTokenizer

from autojudge.judging.artifact import load_judge

JUDGE = RUN / "export"


@pytest.fixture(scope="module")
def recommended(drive, prompts):
    """All test problems at the recommended threshold, one at a time."""
    spec = {"engine": engine_options(JUDGE, batch=1), "calls": [{"prompts": prompts, "params": GREEDY}], "trace": True}
    return ended(drive(spec))


@pytest.fixture(scope="module")
def lossless(drive, prompts):
    """80 problems as vLLM decodes them without the plugin asked for anything."""
    return ended(drive({"engine": engine_options(), "calls": [{"prompts": prompts[:80], "params": GREEDY}]}))


def test_the_recommended_threshold_gives_the_decoders_tokens_and_cycles(recommended, own, prompts):
    found, wanted = tokens_and_cycles(recommended), own(prompts, JUDGE)
    assert found == wanted
    assert "LOSSY decoding" in recommended["log"] and "V1 runner" in recommended["log"]
    told = recommended["counts"][0]
    assert told["kept"] > 0 and told["nan"] == told["missing"] == 0


def test_emitted_tokens_a_cycle_are_the_decoders_by_vllms_own_count_of_windows(recommended, own, prompts):
    metrics, wanted = recommended["metrics"][0], own(prompts, JUDGE)
    drafts = metrics["vllm:spec_decode_num_drafts"]
    emitted = sum(len(tokens) - 1 for tokens in recommended["responses"][0]) / drafts
    cycles = sum(cycles for _, cycles in wanted)
    assert emitted == pytest.approx(sum(len(tokens) - 1 for tokens, _ in wanted) / cycles, rel=0.01)


def test_what_vllm_counts_as_accepted_is_what_the_judge_let_pass(recommended):
    """Past the end token, too, where vLLM's count goes on, so that its mean acceptance length is above the above."""
    passed = [takewhile(lambda proposal: proposal[0], window) for window in recommended["windows"]]
    assert recommended["metrics"][0]["vllm:spec_decode_num_accepted_tokens"] == sum(
        len(list(found)) for found in passed
    )


def test_requests_of_their_own_thresholds_decode_as_alone_and_zero_is_lossless(drive, lossless, recommended, prompts):
    threshold, few = load_judge(JUDGE).record.threshold, prompts[:80]
    own = of_threshold(threshold)
    mixed = [own if number % 2 else GREEDY for number in range(len(few))]
    calls = [{"prompts": few, "params": params} for params in (GREEDY, own, mixed, of_threshold(-1))]
    misspelt = GREEDY | {"extra_args": {"autojudge_treshold": 0.5}}
    calls += [{"prompts": few[:1], "params": params} for params in (misspelt, own | {"temperature": 0.7})]
    told = ended(drive({"engine": engine_options(JUDGE, 0.0), "calls": calls}))
    zero, judged, both, *refused = told["responses"]
    alone = recommended["responses"][0][:80], lossless["responses"][0]
    assert zero == alone[1] and judged == alone[0] != alone[1]
    assert both == [alone[0 if number % 2 else 1][number] for number in range(len(few))]
    assert told["counts"][0]["windows"] == 0, "a lossless request asks no judge"
    errors = [answer["error"] for answer in refused]
    assert "`autojudge_threshold` -1: must be" in errors[0] and "`autojudge_treshold` is unknown" in errors[1]
    assert "on vLLM's V1 runner the judge serves only greedy requests" in errors[2]


def test_a_prefill_in_chunks_changes_nothing(drive, recommended, prompts):
    small = engine_options(JUDGE, max_num_batched_tokens=160, enable_chunked_prefill=True)
    told = ended(drive({"engine": small, "calls": [{"prompts": prompts[:32], "params": GREEDY}]}))
    assert told["responses"][0] == recommended["responses"][0][:32]


def test_preempted_requests_keep_their_thresholds(drive, lossless, prompts):
    params = [of_threshold(2.0) if number % 2 else of_threshold(0.0) for number in range(32)]
    small = engine_options(JUDGE, block_size=32, num_gpu_blocks_override=24)
    told = ended(drive({"engine": small, "calls": [{"prompts": prompts[:32], "params": params}]}))
    assert told["metrics"][0]["vllm:num_preemptions"] > 0
    assert told["responses"][0][::2] == lossless["responses"][0][:32:2]
    assert told["responses"][0][1::2] != lossless["responses"][0][1:32:2]


def test_what_a_grammar_forbids_is_not_kept(drive, prompts):
    params = of_threshold(2.0, GREEDY | {"regex": "[0-9 ]{24}", "detokenize": True})
    options = engine_options(JUDGE, skip_tokenizer_init=False)
    told = ended(drive({"engine": options, "calls": [{"prompts": prompts[:8], "params": params}]}))
    tokenizer = AutoTokenizer.from_pretrained(BED["target"])
    texts = [tokenizer.decode(tokens, skip_special_tokens=True) for tokens in told["responses"][0]]
    assert all(re.fullmatch("[0-9 ]{24}", text) for text in texts), texts
    assert told["counts"][0]["kept"] > 0


@pytest.mark.parametrize(
    "columns",
    [
        ["draft_token_probability", "draft_token_rank", "target_entropy", "target_top_probability"],
        ["target_before", "target_at_draft"],
        ["draft_before", "kl_divergence"],
    ],
)
def test_each_kind_of_signal_is_the_decoders(drive, own, fitted, prompts, columns):
    judge = fitted(*columns)
    spec = {"engine": engine_options(judge, batch=1), "calls": [{"prompts": prompts[:16], "params": GREEDY}]}
    told = drive(spec | {"trace": True})
    assert tokens_and_cycles(told) == own(prompts[:16], judge)
    assert told["counts"][0]["kept"] > 0 and told["counts"][0]["missing"] == 0


def test_of_a_windows_last_proposal_the_draft_has_no_state_and_it_is_refused(drive, fitted, prompts):
    judge = fitted("draft_at_draft", "target_at_draft", threshold=1.0)
    spec = {"engine": engine_options(judge, batch=1), "calls": [{"prompts": prompts[:16], "params": GREEDY}]}
    told = ended(drive(spec | {"trace": True}))
    kept_at = [place for window in told["windows"] for place, (_, kept) in enumerate(window) if kept]
    assert kept_at and max(kept_at) == WINDOW - 2 and told["counts"][0]["missing"] > 0


def test_a_judge_of_the_target_alone_serves_ngram_proposals(drive, fitted, prompts):
    judge = fitted("target_at_draft", "draft_token_probability", "target_entropy")
    calls = [{"prompts": prompts[:16], "params": of_threshold(t)} for t in (0.0, 0.5)]
    told = ended(drive({"engine": engine_options(judge, speculative_config=NGRAM), "calls": calls}))
    plain = engine_options(speculative_config=NGRAM)
    lossless = ended(drive({"engine": plain, "calls": [{"prompts": prompts[:16], "params": GREEDY}]}))
    assert told["responses"][0] == lossless["responses"][0] != told["responses"][1]
    assert told["counts"][0]["windows"] == 0 < told["counts"][1]["kept"]
    assert "another draft than here (ngram)" in told["log"]
