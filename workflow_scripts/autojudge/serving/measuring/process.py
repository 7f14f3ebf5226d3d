"""vLLM measured in its own Python: `python -m autojudge.serving.measuring.process facts|measure`.

A request comes on the standard input as a line of JSON, rows of JSON go to the standard output as they are measured, a
line each; whatever vLLM prints goes to the standard error. The end of the standard input ends it: who asked has gone.
It needs vLLM, and of this library nothing.
"""

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

GRACE = 60.0  # seconds to end in, once nobody waits for rows
SPECULATION = "vllm:spec_decode_num_"
COUNTED = {"cycles": "drafts", "drafted": "draft_tokens", "accepted": "accepted_tokens"}  # ours by vLLM's names


def tell_facts(request: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield one row: vLLM's version, the hardware, head sizes that can be served (None: not known), and the models'.

    Parameters
    ----------
    request : dict
        `models`: by role, `model`, `revision` and `trust_remote_code`.
    """
    import vllm
    from transformers import AutoConfig
    from vllm.platforms import current_platform

    is_cpu, models = current_platform.is_cpu(), {}
    for role, settings in request["models"].items():
        name = os.path.expanduser(settings["model"])
        options = {key: settings[key] for key in ("revision", "trust_remote_code")}
        config = AutoConfig.from_pretrained(name, **options).get_text_config()
        head = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        models[role] = {"head_dim": head, "vocabulary": config.vocab_size}
    yield {
        "vllm": vllm.__version__,
        "is_cpu": is_cpu,
        "hardware": _name_cpu() if is_cpu else current_platform.get_device_name(),
        "head_sizes": _cpu_head_sizes() if is_cpu else None,
        "models": models,
    }


def _cpu_head_sizes() -> list[int] | None:
    try:
        from vllm.v1.attention.backends.cpu_attn import CPUAttentionBackend

        return list(CPUAttentionBackend.get_supported_head_sizes())
    except (ImportError, AttributeError):
        return None


def _name_cpu() -> str:
    """Return the processor's name, how many of its cores this process may use, and with how many threads.

    VLLM_CPU_OMP_THREADS_BIND, where it is not `nobind`, tells a worker its threads in their stead.
    """
    import torch

    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    cores, threads = len(os.sched_getaffinity(0)), torch.get_num_threads()
    bound = os.environ.get("VLLM_CPU_OMP_THREADS_BIND", "auto")
    used = f"{threads} thread{'s'[: threads > 1]}" if bound == "nobind" else f"threads bound by `{bound}`"
    return f"{used} on {cores} core{'s'[: cores > 1]} of {names[0] if names else 'a CPU'}"


def measure(request: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield a row per setting: responses, seconds of each round, and the counts of the first.

    Parameters
    ----------
    request : dict
        `engine`: arguments of vllm.LLM. `sampling`: of SamplingParams. `prompts`: lists of tokens. `rounds`: how often
        each setting decodes them. `settings`: each with `batch`, most responses side by side, and `extra_args` of
        requests. `counts_judge`: whether the plugin counts.
    """
    from vllm import LLM, SamplingParams

    llm = LLM(disable_log_stats=False, **request["engine"])
    prompts, settings = request["prompts"], request["settings"]
    serve = _server(llm)
    largest = max(setting["batch"] for setting in settings)
    serve(prompts[:largest], SamplingParams(**request["sampling"]), largest)  # to warm up
    for setting in settings:
        extra = {"extra_args": setting["extra_args"]} if setting["extra_args"] else {}
        params = SamplingParams(**request["sampling"], **extra)
        before, rounds = _read_counts(llm, request["counts_judge"]), []
        row: dict[str, Any] = {}
        for _ in range(request["rounds"]):
            start = time.perf_counter()
            responses = serve(prompts, params, setting["batch"])
            rounds.append(time.perf_counter() - start)
            if not row:
                after = _read_counts(llm, request["counts_judge"])
                row = {"responses": responses, "counts": _subtract(after, before)}
        yield row | {"seconds": rounds}


def _server(llm: Any) -> Callable[[Sequence[list[int]], Any, int], list[list[int]]]:
    """Return what decodes prompts, so many side by side: the next one is admitted when one has ended.

    One engine so serves every batch; vLLM's own limit, `max_num_seqs`, is settled at its start.
    """
    from vllm.sampling_params import RequestOutputKind

    engine, served = llm.llm_engine, 0

    def serve(prompts: Sequence[list[int]], params: Any, batch: int) -> list[list[int]]:
        nonlocal served
        params.output_kind = RequestOutputKind.FINAL_ONLY
        names = {str(served + number): number for number in range(len(prompts))}
        served += len(prompts)
        waiting, running, found = iter(names), 0, [list[int]() for _ in prompts]
        while True:
            while running < batch and (name := next(waiting, None)) is not None:
                engine.add_request(name, {"prompt_token_ids": prompts[names[name]]}, params.clone())
                running += 1
            if not running:
                return found
            for output in engine.step():
                if output.finished:
                    found[names[output.request_id]] = list(output.outputs[0].token_ids)
                    running -= 1

    return serve


def _read_counts(llm: Any, counts_judge: bool) -> dict[str, Any]:
    """Return vLLM's counts of speculation so far, `accepted_at` by position, and the plugin's."""
    found = {metric.name: metric for metric in llm.get_metrics() if metric.name.startswith(SPECULATION)}
    values = {name: getattr(found.get(SPECULATION + theirs), "value", 0) for name, theirs in COUNTED.items()}
    places = getattr(found.get(f"{SPECULATION}accepted_tokens_per_pos"), "values", [])
    counts = {**values, "accepted_at": list(places)}
    return counts | (llm.collective_rpc("autojudge_counts")[0] if counts_judge else {})


def _subtract(after: dict[str, Any], before: dict[str, Any]) -> dict[str, Any]:
    places = zip(after["accepted_at"], before["accepted_at"] or [0] * len(after["accepted_at"]), strict=True)
    counts = {name: after[name] - before[name] for name in after if name != "accepted_at"}
    return counts | {"accepted_at": [one - other for one, other in places]}


def _end_with_input() -> None:
    """End this process where its standard input ends, as it does with the process that asked, even one killed."""
    while os.read(0, 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE)
    os._exit(1)


def main() -> None:
    """Answer the request; rows have the standard output for themselves."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that vLLM ends processes of its own
    request = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_input, daemon=True).start()
    rows = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    answer = {"facts": tell_facts, "measure": measure}[sys.argv[1]]
    for row in answer(request):
        print(json.dumps(row), file=rows, flush=True)


if __name__ == "__main__":
    main()
