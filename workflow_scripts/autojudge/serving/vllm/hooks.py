"""Hooks into vLLM: where its configuration is made, where requests are admitted, and where a worker loads its models.

Without `autojudge` in vLLM's `additional_config` nothing is changed by any of them.
"""

import functools
import logging
import sys
from typing import Any

from autojudge.errors import InputError
from autojudge.serving.vllm.plan import KEY, Plan, is_asked, read_plan, read_sampling

logger = logging.getLogger("vllm.autojudge")
PROCESSOR = "autojudge.serving.vllm.v2:JudgeProcessor"


def hook() -> None:
    """Put the hooks into this process's vLLM, once.

    Raises
    ------
    InputError
        There is no place for them, and this process's command asks for a judge; one that does not is only told.
    """
    try:
        from vllm.engine.arg_utils import EngineArgs
        from vllm.v1.worker.worker_base import WorkerWrapperBase
    except ImportError as fault:
        message = f"autojudge: this vLLM is not as the plugin knows it ({fault}); no judge can be served"
        if any(KEY in argument for argument in sys.argv):
            raise InputError(message) from fault
        logger.error("%s", message)
        return
    if hasattr(WorkerWrapperBase, "autojudge_counts"):
        return
    _hook_configuration(EngineArgs)
    _hook_worker(WorkerWrapperBase)


def _hook_configuration(engine_args: Any) -> None:
    """Refuse what cannot be had where the configuration is made: before any model is loaded."""
    create = engine_args.create_engine_config

    @functools.wraps(create)
    def create_engine_config(self: Any, *args: Any, **kwargs: Any) -> Any:
        config = create(self, *args, **kwargs)
        if is_asked(config):
            plan = prepare(config)
            logger.warning("autojudge: %s", plan.banner)
            if not plan.is_v2:
                _hook_requests(plan)
        return config

    engine_args.create_engine_config = create_engine_config


def prepare(config: Any) -> Plan:
    """Return the plan of a VllmConfig that asks for a judge, and let the V2 runner load the judge's logits processor.

    Raises
    ------
    InputError
        It cannot be had.
    """
    import vllm

    try:
        plan = read_plan(config, vllm.__version__)
    except InputError as fault:
        raise InputError(f"autojudge refuses to start: {fault}") from None
    processors = list(config.model_config.logits_processors or [])
    if plan.is_v2 and PROCESSOR not in processors:
        config.model_config.logits_processors = [*processors, PROCESSOR]
    return plan


def _hook_requests(plan: Plan) -> None:
    """Refuse requests of the V1 runner that cannot be had; on V2 the logits processor has a place for that."""
    try:
        from vllm.v1.engine.input_processor import InputProcessor

        validate = InputProcessor._validate_params
    except (ImportError, AttributeError) as fault:
        raise InputError(f"autojudge refuses to start: this vLLM accepts requests in another way ({fault})") from fault
    if hasattr(InputProcessor, "autojudge_plan"):
        InputProcessor.autojudge_plan = plan
        return

    @functools.wraps(validate)
    def validated(self: Any, params: Any, *args: Any, **kwargs: Any) -> Any:
        if is_asked(self.vllm_config) and hasattr(params, "temperature"):  # of a text, no pooling
            refuse_request(params, InputProcessor.autojudge_plan)
        return validate(self, params, *args, **kwargs)

    InputProcessor.autojudge_plan, InputProcessor._validate_params = plan, validated


def refuse_request(params: Any, plan: Plan) -> None:
    """Raise vLLM's error for a request (SamplingParams) that cannot be had."""
    try:
        read_sampling(params, plan)
    except InputError as fault:
        from vllm.exceptions import VLLMValidationError

        raise VLLMValidationError(f"autojudge: {fault}") from None


def _hook_worker(wrapper: Any) -> None:
    """Install the judge where a worker has loaded its models."""
    own = wrapper.__dict__.get("load_model")

    def load_model(self: Any, *args: Any, **kwargs: Any) -> Any:
        plan = prepare(self.vllm_config) if is_asked(self.vllm_config) else None
        result = own(self, *args, **kwargs) if own else self.worker.load_model(*args, **kwargs)
        if plan is not None:
            _install(plan, self.worker)
        return result

    def autojudge_counts(self: Any) -> dict[str, int]:
        """Return this worker's counts; reached by `LLM.collective_rpc("autojudge_counts")`."""
        found: dict[str, int] = self.worker.autojudge_bench.counts.read()
        return found

    wrapper.load_model, wrapper.autojudge_counts = load_model, autojudge_counts


def _install(plan: Plan, worker: Any) -> None:
    from autojudge.serving.vllm import v1

    if plan.is_v2:
        from autojudge.serving.vllm import v2
    runner = worker.model_runner
    try:
        worker.autojudge_bench = v2.install(runner) if plan.is_v2 else v1.install(plan, runner, worker.rank == 0)
    except InputError as fault:
        raise InputError(f"autojudge refuses to start: {fault}") from None
    except (AttributeError, TypeError) as fault:
        raise InputError(f"autojudge refuses to start: vLLM is not as this plugin knows it ({fault})") from fault
    logger.warning("autojudge: installed in worker %d: %s", worker.rank, plan.banner)
