"""Runs vLLM with the plugin, as a process of its own: `python drive.py SPEC OUT`, both JSON.

SPEC: `engine`, arguments of vllm.LLM; `calls`, a list of {"prompts", "params"} (params of all, or a list of each's),
answered in turn by one engine; `trace`, whether windows are noted (one response at a time); `v2`, whether vLLM's V2
model runner is to be used.
OUT: `responses`, lists of tokens for each call, or its `error`; `windows`; after each call `counts` of the plugin and
`metrics`, vLLM's own counts.
"""

import json
import os
import sys
from types import SimpleNamespace


def fake_triton() -> None:
    """Let the V2 model runner work without a GPU: Triton's kernels interpreted, on a backend that is none."""
    os.environ["TRITON_INTERPRET"] = "1"
    from triton import backends
    from triton.backends.driver import DriverBase

    class Driver(DriverBase):
        """Says that it is there."""

        @classmethod
        def is_active(cls) -> bool:
            return True

        def map_python_to_cpp_type(self, ty):
            return ty

        def get_current_target(self):
            return backends.compiler.GPUTarget("cpu", 0, 1)

        def get_active_torch_device(self):
            import torch

            return torch.device("cpu")

        def get_benchmarker(self):
            return None

    backends.backends["cpu"] = backends.Backend(None, Driver)
    mend_masks()


def mend_masks() -> None:
    """Let masks be of any type: the interpreter takes a scalar comparison's for that of the numbers compared."""
    from triton.runtime.interpreter import InterpreterBuilder, TensorHandle

    load, store = InterpreterBuilder.create_masked_load, InterpreterBuilder.create_masked_store

    def mend(mask):
        return TensorHandle(mask.data.astype(bool), mask.dtype)

    InterpreterBuilder.create_masked_load = lambda self, ptrs, mask, *more: load(self, ptrs, mend(mask), *more)
    InterpreterBuilder.create_masked_store = lambda self, ptrs, value, mask, *more: store(
        self, ptrs, value, mend(mask), *more
    )


def mend_log1p() -> None:
    """Give kernels a log1p: the interpreter has nothing of a device's library."""
    from triton import language
    from vllm.v1.worker.gpu.spec_decode import rejection_sampler_utils

    rejection_sampler_utils.tldevice = SimpleNamespace(log1p=lambda x: language.log(1.0 + x))


def main(spec: dict) -> dict:
    os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"
    os.environ["VLLM_USE_V2_MODEL_RUNNER"] = str(int(spec.get("v2", False)))
    if spec.get("v2"):
        fake_triton()
    from vllm import LLM

    if spec.get("v2"):
        mend_log1p()
    from autojudge.serving.vllm.verdict import Bench, Trace

    trace = Trace()
    if spec.get("trace"):
        Bench.trace = trace
    llm = LLM(**spec["engine"])
    trace.windows.clear()  # of dummy runs
    found = {"responses": [], "counts": [], "metrics": []}
    for call in spec["calls"]:
        found["responses"].append(answer(llm, call))
        if "autojudge" in spec["engine"].get("additional_config", {}):
            found["counts"].append(llm.collective_rpc("autojudge_counts")[0])
        found["metrics"].append({metric.name: metric.value for metric in llm.get_metrics() if hasattr(metric, "value")})
    return found | {"windows": trace.windows}


def answer(llm, call: dict) -> list[list[int]] | dict[str, str]:
    """Tokens of each response, or the error."""
    from vllm.exceptions import VLLMValidationError

    prompts = [{"prompt_token_ids": prompt} for prompt in call["prompts"]]
    params = call["params"]
    params = [sampling(each) for each in params] if isinstance(params, list) else sampling(params)
    try:
        outputs = llm.generate(prompts, params, use_tqdm=False)
    except (ValueError, VLLMValidationError) as fault:
        return {"error": str(fault)}
    return [list(output.outputs[0].token_ids) for output in outputs]


def sampling(params: dict):
    from vllm import SamplingParams
    from vllm.sampling_params import StructuredOutputsParams

    regex = params.get("regex")
    grammar = {"structured_outputs": StructuredOutputsParams(regex=regex)} if regex else {}
    return SamplingParams(**{name: value for name, value in params.items() if name != "regex"}, **grammar)


if __name__ == "__main__":
    with open(sys.argv[1], encoding="utf-8") as opened:
        asked = json.load(opened)
    told = main(asked)
    with open(sys.argv[2], "w", encoding="utf-8") as opened:
        json.dump(told, opened)
