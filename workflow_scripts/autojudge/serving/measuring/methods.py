"""What is measured in vLLM: methods, the judge's thresholds, and the engine that each method takes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from autojudge.engine.endings import Ending
from autojudge.engine.settings import expand_path, own_models
from autojudge.errors import InputError
from autojudge.judging.record import Record
from autojudge.serving.vllm.versions import release_of

TARGET, LOSSLESS, FLY, JUDGE = "target", "lossless", "fly", "judge"
THRESHOLD = "autojudge_threshold"  # of a request
FLY_SINCE = (0, 33)
OF_PAIR, OF_SPECULATION = (
    "the pair's entry in `pairs` gives it",
    "the pair, `vllm.window` and `vllm.thresholds` give it",
)
SETTLED = {  # arguments of vllm.LLM that `vllm.engine` must not hold, as the table would not tell them, and why
    **dict.fromkeys(("model", "revision", "dtype", "trust_remote_code"), OF_PAIR),
    **dict.fromkeys(("tokenizer", "tokenizer_revision", "skip_tokenizer_init"), "prompts and responses are tokens"),
    **dict.fromkeys(("speculative_config", "additional_config"), OF_SPECULATION),
    "tensor_parallel_size": "`vllm.tensor_parallel_size` gives it",
    "max_num_seqs": "the largest of `vllm.batches` gives it",
    "max_model_len": "the longest prompt and the dataset's `max_new_tokens` give it",
    "enable_prefix_caching": "later rounds would find the prompts of the first",
    "disable_log_stats": "cycles are counted by them",
    "seed": "decoding is greedy",
}


@dataclass(frozen=True)
class Served:
    """What is served in every method.

    Attributes
    ----------
    pair : mapping
        The pair's entry of the config.
    judge : str
        Folder of the judge.
    thresholds : sequence of float
        Of the judge, ascending.
    window : int
        Tokens that the draft proposes per cycle.
    ending : Ending
        Where a response ends.
    longest_prompt : int
        In tokens.
    settings : mapping
        Of config key `vllm`: `batches`, `tensor_parallel_size`, and `engine`, further arguments of vllm.LLM.
    """

    pair: Mapping[str, Any]
    judge: str
    thresholds: Sequence[float]
    window: int
    ending: Ending
    longest_prompt: int
    settings: Mapping[str, Any]

    @property
    def sampling(self) -> dict[str, Any]:
        """Arguments of vllm.SamplingParams: greedy, ending where this project's decoder ends."""
        end = self.ending
        ends = {"temperature": 0.0, "max_tokens": end.limit, "stop_token_ids": sorted(end.end_tokens)}
        return ends | (
            {"stop": list(end.stop), "include_stop_str_in_output": True} if end.stop else {"detokenize": False}
        )

    def asked(self, method: str) -> list[dict[str, Any]]:
        """Return what a method's engine is to measure, one `batch` and, of the judge, one threshold at a time."""
        options: list[dict[str, Any]] = [{}]
        if method == JUDGE:
            options = [{THRESHOLD: threshold} for threshold in self.thresholds]
        return [{"batch": batch, "extra_args": extra} for batch in self.settings["batches"] for extra in options]

    def engine(self, method: str, is_cpu: bool) -> dict[str, Any]:
        """Return the arguments of vllm.LLM for a method."""
        target = self.pair["target"]
        arguments = {
            **_model(target),
            "dtype": target["dtype"],
            "trust_remote_code": target["trust_remote_code"],
            "tensor_parallel_size": self.settings["tensor_parallel_size"],
            "max_num_seqs": max(self.settings["batches"]),
            "max_model_len": self.longest_prompt + self.ending.limit + self.window + 1,
            "enable_prefix_caching": False,  # else later rounds would find the prompts
            "skip_tokenizer_init": not self.ending.stop,
        }
        arguments |= {"enforce_eager": True} if is_cpu else {}  # compiling takes minutes, and CPUs have no CUDA graphs
        if method != TARGET:
            arguments["speculative_config"] = self._speculation(method)
        if method == JUDGE:
            arguments["additional_config"] = {"autojudge": {"judge": self.judge, "threshold": max(self.thresholds)}}
        return arguments | dict(self.settings["engine"])

    def _speculation(self, method: str) -> dict[str, Any]:
        drafting = {"method": "draft_model", **_model(self.pair["draft"]), "num_speculative_tokens": self.window}
        # What a judge reads of the draft is kept by the V2 runner for this alone; greedy requests stay greedy.
        return drafting | {
            JUDGE: {"draft_sample_method": "probabilistic"},
            FLY: {"rejection_sample_method": "fly"},
        }.get(method, {})


def _model(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {"model": str(expand_path(settings["model"])), "revision": settings["revision"]}


def list_methods(facts: Mapping[str, Any]) -> list[str]:
    """Return the methods that a vLLM has, by what `process.tell_facts` tells of it."""
    has_fly = release_of(facts["vllm"]) >= FLY_SINCE and not facts["is_cpu"]
    return [TARGET, LOSSLESS, *([FLY] if has_fly else []), JUDGE]


def choose_thresholds(record: Record, recommended: float | None, given: Sequence[float] | None) -> list[float]:
    """Return the judge's thresholds to measure, ascending: those given, else some around the recommended one.

    The latter are 0, the recommended one, of the candidates (quantiles of validation probabilities) the middle ones of
    those below and of those above it, and the largest, which keeps every draft token.

    Raises
    ------
    InputError
        None are given, and none is recommended.
    """
    if given is not None:
        return sorted(set(map(float, given)))
    if recommended is None:
        raise InputError(
            "the judge has no recommended `threshold`, as the sweep asks no judge without modifiers: list `judge` in "
            "`decoding.rules`, or give config key `vllm.thresholds`"
        )
    candidates = sorted(record.thresholds)
    below = [candidate for candidate in candidates if candidate < recommended]
    above = [candidate for candidate in candidates if candidate > recommended]
    middles = [part[len(part) // 2] for part in (below, above) if part]
    return sorted({min(threshold, 1.0) for threshold in (0.0, recommended, *middles, *candidates[-1:])})


def check_engine(arguments: Mapping[str, Any]) -> None:
    """Refuse arguments of vllm.LLM in config key `vllm.engine` that the measurement settles. Raises InputError."""
    for name in arguments:
        if name in SETTLED:
            raise InputError(f"config key `vllm.engine.{name}`: {SETTLED[name]}; take the key out")


def check_pair(pair: Mapping[str, Any], name: str) -> None:
    """Refuse a pair of which vLLM has no draft model, or cannot load one of the models.

    Raises
    ------
    InputError
        Names the config key.
    """
    if "draft" not in own_models(pair):
        raise InputError(
            f"config key `pairs.{name}.draft`: names no model, and measure_vllm serves draft models; name one, or take "
            "another pair"
        )
    for role in ("draft", "target"):
        if pair[role].get("gguf_file"):
            raise InputError(
                f"config key `pairs.{name}.{role}.gguf_file`: measure_vllm serves no GGUF files; save the model with "
                "save_pretrained and name that folder"
            )


def check_models(facts: Mapping[str, Any]) -> None:
    """Refuse models that this vLLM cannot serve together, by what `process.tell_facts` tells.

    Raises
    ------
    InputError
        Vocabularies of two sizes, or on a CPU heads of another size than its attention has.
    """
    rows = {role: model["vocabulary"] for role, model in facts["models"].items()}
    if len(set(rows.values())) > 1:
        raise InputError(
            f"the draft's vocabulary has {rows['draft']} rows and the target's {rows['target']}, and vLLM refuses to "
            "draft across sizes, even where the extra rows are padding: save the larger model with as many rows "
            "as the smaller one (`resize_token_embeddings`, then `save_pretrained`), and train the judge for that pair"
        )
    for role, model in facts["models"].items():
        if facts["head_sizes"] is not None and model["head_dim"] not in facts["head_sizes"]:
            known = ", ".join(map(str, facts["head_sizes"]))
            raise InputError(
                f"the {role} has heads of {model['head_dim']} numbers, and vLLM's attention on a CPU supports {known}; "
                "measure this pair on a GPU"
            )
