"""Makes vLLM's configuration, or starts it tampered with, a process each: `python guard.py SPEC OUT`, both JSON.

SPEC: `v2`, and `specs` by name: `engine`, arguments of vllm.LLM; `version`, which vLLM is to say it is; `tamper`, what
is to be strange. OUT: how each went, by name.
"""

import json
import os
import sys

from drive import fake_triton


def tamper(what: str) -> None:
    """Change what the plugin stands on."""
    from vllm.v1.sample.rejection_sampler import RejectionSampler
    from vllm.v1.worker import gpu_model_runner

    if what == "signature":
        apply = RejectionSampler.apply_logits_processors
        RejectionSampler.apply_logits_processors = lambda self, logits, metadata, sampling_metadata: apply(
            self, logits, sampling_metadata, metadata
        )
    if what == "sampler":
        gpu_model_runner.RejectionSampler = type("OtherSampler", (RejectionSampler,), {})


def start(spec: dict) -> None:
    """Do what is asked, in a process that has imported vLLM."""
    import vllm
    from vllm.engine.arg_utils import EngineArgs

    vllm.__version__ = spec.get("version", vllm.__version__)
    if "tamper" in spec:
        tamper(spec["tamper"])
        vllm.LLM(**spec["engine"])
    else:
        EngineArgs(**spec["engine"]).create_engine_config()


def start_apart(spec: dict) -> str:
    """Return how that went in a process of its own, forked from this one: vLLM is imported once."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        try:
            start(spec)
            told = "STARTED"
        except BaseException as fault:
            told = f"REFUSED {type(fault).__name__}: {fault}"
        os.write(writer, told.encode()[:60000])  # a pipe holds 64 KiB
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, encoding="utf-8", errors="replace") as opened:
        told = opened.read()
    os.waitpid(child, 0)
    return told or "DIED"


def main(specs: dict, is_v2: bool) -> dict[str, str]:
    os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"
    os.environ["VLLM_USE_V2_MODEL_RUNNER"] = str(int(is_v2))
    if is_v2:
        fake_triton()
    import vllm.entrypoints.llm  # noqa: F401  # what all of them need

    return {name: start_apart(spec) for name, spec in specs.items()}


if __name__ == "__main__":
    with open(sys.argv[1], encoding="utf-8") as opened:
        asked = json.load(opened)
    told = main(asked["specs"], asked["v2"])
    with open(sys.argv[2], "w", encoding="utf-8") as opened:
        json.dump(told, opened)
