"""vLLM decodes with its plugin, in this process, one response at a time."""

import os
from collections.abc import Iterator
from typing import Any

from autojudge.judging.artifact import load_judge
from autojudge.serving.engines import Decoded, Request
from autojudge.serving.served_judge import judge_folder
from autojudge.serving.vllm.hooks import hook
from autojudge.serving.vllm.verdict import Bench, Trace


def decode(request: Request) -> Iterator[Decoded]:
    """Yield a response to each prompt. Raises InputError where vLLM, or its plugin, does not serve this judge."""
    os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"  # windows are traced within one process
    from vllm import SamplingParams

    Bench.trace = trace = Trace()
    try:
        params = SamplingParams(temperature=0.0, max_tokens=request.max_new_tokens, detokenize=False)
        prompts: Any = [{"prompt_token_ids": prompt} for prompt in request.prompts]
        engine = open_engine(request, max_num_seqs=1)
        trace.windows.clear()  # of dummy runs
        outputs = engine.generate(prompts, params, use_tqdm=False)
    finally:
        Bench.trace = None
    windows = iter(trace.windows)
    for output in outputs:
        yield read_windows(list(output.outputs[0].token_ids), windows)


def open_engine(request: Request, **options: Any) -> Any:
    """Return a vllm.LLM that serves a request's judge.

    Parameters
    ----------
    request : Request
    options
        More of vllm.LLM's.
    """
    hook()  # also where the entry point is not installed, as in a checkout
    from vllm import LLM

    asked: dict[str, Any] = {"judge": request.judge}
    asked |= {} if request.threshold is None else {"threshold": request.threshold}
    speculative = {"method": "draft_model", "model": request.draft, "num_speculative_tokens": request.window}
    longest = max(map(len, request.prompts), default=1) + request.max_new_tokens + request.window + 1
    return LLM(
        **{
            "model": request.target,
            "dtype": _trained_dtype(request.judge),
            "skip_tokenizer_init": True,
            "enforce_eager": True,
            "enable_prefix_caching": False,
            "async_scheduling": False,
            "max_model_len": longest,
            "speculative_config": speculative | {"draft_sample_method": "probabilistic"},
            "additional_config": {"autojudge": asked},
        }
        | options
    )


def _trained_dtype(judge: str) -> str:
    """Return the dtype in which the target was mined; "auto" would cast float32."""
    return str(load_judge(judge_folder(judge)).record.models.get("target", {}).get("dtype") or "auto")


def read_windows(tokens: list[int], windows: Iterator[list[tuple[bool, bool]]]) -> Decoded:
    """Return a response with the counts of its windows: the target wrote its first token, and one after each window."""
    place, cycles, kept = 1, 0, 0
    while place < len(tokens):
        cycles += 1
        for passes, is_kept in next(windows):
            if not passes:
                break
            kept += is_kept and place < len(tokens)
            place += 1
        place += 1
    return Decoded(tokens, cycles, kept)
