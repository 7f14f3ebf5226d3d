"""The embedded pair in engines: what they are given, and what they told."""

import json
import os
import subprocess
from pathlib import Path

from autojudge.serving.engines.vllm import read_windows

ROOT = Path(__file__).parents[2]
PYTHON = os.environ.get("AUTOJUDGE_ENGINES", str(ROOT / ".venv-engines/bin/python"))
RUN = Path(os.environ.get("AUTOJUDGE_RUN", ROOT)) / "results/arith/testbed"
BED = {role: str(ROOT / "resources/testbed" / role) for role in ("target", "draft")}
WINDOW, LIMIT = 8, 160
GREEDY = {"temperature": 0.0, "max_tokens": LIMIT, "detokenize": False}
DRAFT_MODEL = {
    "method": "draft_model",
    "model": BED["draft"],
    "num_speculative_tokens": WINDOW,
    "draft_sample_method": "probabilistic",
}
NGRAM = {"method": "ngram", "num_speculative_tokens": WINDOW, "prompt_lookup_max": 3, "prompt_lookup_min": 1}


def engine_options(judge=None, threshold=None, batch=16, **options) -> dict:
    """Arguments of vllm.LLM for the embedded pair, with a judge or lossless."""
    asked = {"judge": str(judge)} | ({} if threshold is None else {"threshold": threshold})
    return {
        "model": BED["target"],
        "skip_tokenizer_init": True,
        "enforce_eager": True,
        "enable_prefix_caching": False,
        "async_scheduling": False,
        "disable_log_stats": False,
        "max_num_seqs": batch,
        "max_model_len": 256,
        "dtype": "float32",
        "speculative_config": DRAFT_MODEL,
        "additional_config": {} if judge is None else {"autojudge": asked},
    } | options


def environment(**more) -> dict:
    """Of engines: one thread, no network, little memory, the library where it is not installed."""
    known = {"OMP_NUM_THREADS": "1", "VLLM_CPU_KVCACHE_SPACE": "1", "HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1"}
    return {**os.environ, **known, **more}


def run_driver(folder: Path, spec: dict) -> dict:
    """Return what vLLM told, as `drive.py` has it, with its `log`; of a process that failed the log alone."""
    (folder / "spec.json").write_text(json.dumps(spec), encoding="utf-8")
    command = [PYTHON, str(Path(__file__).parent / "drive.py"), "spec.json", "out.json"]
    ran = subprocess.run(command, cwd=folder, capture_output=True, encoding="utf-8", env=environment())
    log = {"log": ran.stdout + ran.stderr}
    return log if ran.returncode else log | json.loads((folder / "out.json").read_text(encoding="utf-8"))


def of_threshold(threshold: float, params: dict = GREEDY) -> dict:
    """Parameters of a request with a threshold of its own."""
    return params | {"extra_args": {"autojudge_threshold": threshold}}


def ended(told: dict) -> dict:
    """What a run told, one that came to its end."""
    assert "responses" in told, told["log"][-3000:]
    return told


def tokens_and_cycles(told: dict) -> list[tuple[list[int], int]]:
    """Responses of a traced run's first call, with their cycles."""
    windows = iter(ended(told)["windows"])
    found = [read_windows(tokens, windows) for tokens in told["responses"][0]]
    return [(response.tokens, response.cycles) for response in found]
