"""What a vLLM process is asked to serve, read from its configuration; what cannot be had is refused here.

Imports no vLLM: configurations are read by their attributes, and those that a version lacks count as off.
"""

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from autojudge.errors import InputError
from autojudge.judging.artifact import Judge, load_judge
from autojudge.judging.needs import TARGET_SCALARS
from autojudge.serving.served_judge import (
    Model,
    check_columns,
    check_models,
    check_threshold,
    judge_folder,
    settle_threshold,
)
from autojudge.serving.vllm.versions import V2_SINCE, check_version, release_of

logger = logging.getLogger("vllm.autojudge")
KEY = "autojudge"  # in --additional-config
OPTIONS = {"judge": str, "threshold": float, "other_models": bool, "allow_version": str}
THRESHOLD = "autojudge_threshold"  # of a request, in vllm_xargs or SamplingParams.extra_args
TARGET_STATES, DRAFT_STATES = ("target_before", "target_at_draft"), ("draft_before", "draft_at_draft")
STANDARD = ("standard", "strict", "probabilistic")  # rejection sampling that a certain token passes
REMEDY = (
    "judges.md says what each judge reads; config key `judge.select.serves` chooses one that reads the target alone"
)


@dataclass(frozen=True)
class Plan:
    """A judge to be served.

    Attributes
    ----------
    judge : Judge
        On the CPU.
    threshold : float
        Of requests that give none.
    window : int
        Tokens that are proposed per cycle.
    is_v2 : bool
        Whether vLLM's V2 model runner is to serve it.
    banner : str
        What to announce.
    """

    judge: Judge
    threshold: float
    window: int
    is_v2: bool
    banner: str

    def width(self, *columns: str) -> int:
        """Return how many numbers those of these columns hold that the judge reads; they are alike in this."""
        record = self.judge.record
        return next(size for column, size in zip(record.columns, record.sizes, strict=True) if column in columns)

    @property
    def reads_target_states(self) -> bool:
        """Tell whether the judge reads the target's hidden states."""
        return "target_states" in self.judge.needs

    @property
    def reads_draft_states(self) -> bool:
        """Tell whether the judge reads the draft's hidden states."""
        return "draft_states" in self.judge.needs

    @property
    def reads_draft_logits(self) -> bool:
        """Tell whether the judge reads scalars that the draft's distribution is part of."""
        return "draft_logits" in self.judge.needs

    @property
    def reads_draft(self) -> bool:
        """Tell whether the judge reads anything of the draft."""
        return self.reads_draft_states or self.reads_draft_logits


def is_asked(config: Any) -> bool:
    """Tell whether a VllmConfig asks for a judge."""
    additional = getattr(config, "additional_config", None)
    return isinstance(additional, Mapping) and KEY in additional


def read_plan(config: Any, version: str) -> Plan:
    """Return what a VllmConfig asks for.

    Parameters
    ----------
    config : VllmConfig
    version : str
        Of vLLM.

    Raises
    ------
    InputError
        It cannot be had: an option, the judge, the pair, or how vLLM is set up.
    """
    options = _read_options(config.additional_config[KEY])
    known = check_version(version, options.get("allow_version"))
    judge = load_judge(judge_folder(options["judge"]))
    check_columns(judge, frozenset(TARGET_STATES + DRAFT_STATES), "vLLM")
    threshold = settle_threshold(judge, options.get("threshold"))
    speculative = config.speculative_config
    if speculative is None:
        raise InputError(
            "a judge decides about a draft's tokens, and there is no draft: give --speculative-config, such as "
            '\'{"method": "draft_model", "model": DRAFT, "num_speculative_tokens": 8}\''
        )
    plan = Plan(judge, threshold, speculative.num_speculative_tokens, bool(config.use_v2_model_runner), "")
    for fault in _faults(plan, config, release_of(version)):
        raise InputError(fault)
    models = _compare_models(plan, config, options.get("other_models", False)) + _compare_dtypes(plan, config)
    banner = (
        f"LOSSY decoding: draft tokens are kept where the judge's p(important) < {threshold:g}. Judge "
        f"{options['judge']}, digest {judge.digest()[:16]}, reads {', '.join(judge.columns)}. {models}{known}, "
        f"{'V2' if plan.is_v2 else 'V1'} runner, window {plan.window}. {_compare_windows(plan)}A request is lossless "
        f'with "vllm_xargs": {{"{THRESHOLD}": 0}}.'
    )
    return Plan(judge, threshold, plan.window, plan.is_v2, banner)


def read_request(extra_args: Mapping[str, Any] | None, default: float) -> float:
    """Return a request's threshold.

    Parameters
    ----------
    extra_args : mapping or None
        Of its SamplingParams.
    default : float
        Where it gives none.

    Raises
    ------
    InputError
        It is no number from 0 on, or another name stands there that can only mean this plugin.
    """
    given = extra_args or {}
    if meant := sorted(str(name) for name in given if name != THRESHOLD and _is_meant(str(name))):
        raise InputError(f"request option `{meant[0]}` is unknown: this plugin has only `{THRESHOLD}`")
    if THRESHOLD not in given:
        return default
    return check_threshold(given[THRESHOLD], f"request option `{THRESHOLD}`")


def _is_meant(name: str) -> bool:
    """Tell whether a request's option can only be meant for this plugin, misspelt: left alone it would be lossy."""
    name = name.lower()
    return any(part in name for part in ("judge", "jugde", "threshold")) or bool(get_close_matches(name, [THRESHOLD]))


def read_sampling(params: Any, plan: Plan) -> float:
    """Return the threshold of a request with these SamplingParams.

    Raises
    ------
    InputError
        Like `read_request`; and where the V1 runner is to sample, whose sampling under speculation was seen to be
        broken (two runs with one seed differ), so that no judge is put on it.
    """
    threshold = read_request(params.extra_args, plan.threshold)
    if threshold > 0 and not plan.is_v2 and params.temperature > 0:
        raise InputError(
            f"temperature {params.temperature:g}: on vLLM's V1 runner the judge serves only greedy requests; ask with "
            f'temperature 0, losslessly with "{THRESHOLD}": 0, or start the V2 runner (VLLM_USE_V2_MODEL_RUNNER=1)'
        )
    return threshold


def admit(params: Any, plan: Plan) -> float:
    """Return the threshold of a request that is in a worker, 0 where it cannot be had.

    The front end refuses such requests, so this one came by another way.
    """
    try:
        return read_sampling(params, plan)
    except InputError as fault:
        logger.warning("autojudge: a request is served LOSSLESSLY: %s", fault)
        return 0.0


def _read_options(given: Any) -> dict[str, Any]:
    where = f'--additional-config, key "{KEY}"'
    if not isinstance(given, Mapping) or not isinstance(given.get("judge"), str):
        raise InputError(f'{where}: give a mapping with "judge", a folder or a hub name; here is {given!r}')
    for name, value in given.items():
        kind = OPTIONS.get(name)
        if kind is None:
            raise InputError(f'{where}: option "{name}" is unknown; known are {", ".join(OPTIONS)}')
        if kind is float and type(value) is int:
            continue
        if type(value) is not kind:
            raise InputError(f'{where}: "{name}" is {value!r}, and must be a {kind.__name__}')
    return dict(given)


def _faults(plan: Plan, config: Any, release: tuple[int, int]) -> Iterator[str]:
    """Yield what stands against serving, apart from the models themselves."""
    speculative, parallel = config.speculative_config, config.parallel_config
    method = getattr(speculative, "rejection_sample_method", "standard")
    if method not in STANDARD:
        yield f'"rejection_sample_method": "{method}" is lossy or made up by itself; leave it out, or the judge'
    if getattr(speculative, "enable_adaptive_verification", False):
        yield '"enable_adaptive_verification" takes rows out of the verification; turn it off'
    if getattr(speculative, "use_heterogeneous_vocab", False):
        yield '"use_heterogeneous_vocab": the judge was trained on a pair with one vocabulary; serve such a pair'
    if getattr(parallel, "pipeline_parallel_size", 1) > 1:
        yield "pipeline parallelism: only the last rank has logits, which is not provided for; use tensor parallelism"
    if getattr(parallel, "enable_batch_sharded_sampling", False):
        yield "batch-sharded sampling deals requests to ranks by rows; turn it off"
    if getattr(config, "lora_config", None) is not None:
        yield "LoRA makes another target of a request than the judge's; merge the adapter, or turn LoRA off"
    if getattr(config, "watermark_config", None) is not None:
        yield "watermarks are in the target's choices, which a kept token is not; turn them off, or the judge"
    yield from _draft_faults(plan, speculative)
    if plan.is_v2 and release < V2_SINCE:
        yield "the V2 runner is served from vLLM 0.31 on; set VLLM_USE_V2_MODEL_RUNNER=0, or install a later vLLM"


def _draft_faults(plan: Plan, speculative: Any) -> Iterator[str]:
    """Yield what stands against reading what the judge reads of the draft."""
    if not plan.reads_draft:
        return
    columns = [c for c in plan.judge.columns if c not in TARGET_SCALARS and not c.startswith("target_")]
    if speculative.method != "draft_model":
        yield (
            f'the judge reads `{columns[0]}`, which takes a draft model, and the method is "{speculative.method}"; use '
            f'"method": "draft_model", or a judge of the target alone: {REMEDY}'
        )
    if getattr(speculative, "use_local_argmax_reduction", False):
        yield f'"use_local_argmax_reduction" makes no draft logits, and the judge reads `{columns[0]}`; turn it off'
    if getattr(speculative, "parallel_drafting", False):
        yield f'"parallel_drafting" drafts without a state a token, and the judge reads `{columns[0]}`; turn it off'
    sampled = getattr(speculative, "draft_sample_method", "greedy")
    if plan.is_v2 and plan.reads_draft_logits and sampled != "probabilistic":
        yield (
            f"the judge reads `{columns[0]}`, and the V2 runner keeps the draft's logits only with "
            '"draft_sample_method": "probabilistic" in --speculative-config (greedy requests stay greedy); add it'
        )


def _compare_models(plan: Plan, config: Any, other: bool) -> str:
    """Refuse another pair than the judge's; return what is to be said of the draft or of models not compared."""
    method, models = config.speculative_config.method, {"target": _describe(config.model_config)}
    if method == "draft_model":
        models["draft"] = _describe(config.speculative_config.draft_model_config)
    read = {role: model for role, model in models.items() if role == "target" or plan.reads_draft}
    check_models(plan.judge, read, other)
    if other:
        return "The models were NOT compared with those it was trained for (`other_models`). "
    if read == models and "draft" in models:
        return ""
    try:
        check_models(plan.judge, models, other)
        is_other = "draft" not in models
    except InputError:
        is_other = True
    return f"It was trained on proposals of another draft than here ({method}). " if is_other else ""


def _describe(config: Any) -> Model:
    """Return a ModelConfig's model."""
    return Model(config.model, config.get_hidden_size())


def _compare_windows(plan: Plan) -> str:
    """Return what is to be said where the recommended threshold is served at another window than it was chosen at."""
    record, point = plan.judge.record, plan.judge.record.operating_point
    if point is None or plan.threshold != record.threshold or plan.window == point.window:
        return ""
    return (
        f"The threshold was chosen at window {point.window} and is served at {plan.window}, where its accuracy is not "
        f'known ("num_speculative_tokens": {point.window}). '
    )


def _compare_dtypes(plan: Plan, config: Any) -> str:
    """Return what is to be said where the target computes in another dtype than in training ("auto" casts float32)."""
    trained = plan.judge.record.models.get("target", {}).get("dtype")
    here = str(getattr(config.model_config, "dtype", "")).removeprefix("torch.")
    if not trained or not here or trained == here:
        return ""
    return f"The target computes in {here}, and the judge was trained on its states in {trained} (--dtype {trained}). "
