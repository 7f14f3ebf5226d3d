"""What mining and sweeping consist of under a config: the same for the jobs, and for who asks what the store is for."""

from collections.abc import Mapping, Sequence
from typing import Any

from autojudge.engine.settings import Models
from autojudge.jobs.mining_work import MiningWork
from autojudge.jobs.store import piece_key
from autojudge.jobs.sweep_work import SweepWork
from autojudge.judging.artifact import Judge
from autojudge.judging.classifiers import CLASSIFIERS
from autojudge.registry import LIBRARY
from autojudge.rules import RULES, rule_needs
from autojudge.tasks import TASKS
from autojudge.workflow.fingerprints import code_digest


def mining_work(task: str, max_new_tokens: int, models: Models) -> MiningWork:
    """Return what mined problems depend on.

    Parameters
    ----------
    task : str
        Name of the task.
    max_new_tokens : int
        Longest response.
    models : mapping
        `identify_models` of the pair.
    """
    return MiningWork(code_digest(LIBRARY / "mining/miner.py", (TASKS.path(task),)), max_new_tokens, models)


def sweep_work(
    task: str,
    models: Models,
    decoding: Mapping[str, Any],
    given: Mapping[str, Sequence[float]],
    judge: Judge | None,
    labels: Mapping[str, Mapping[int, bool]],
) -> SweepWork:
    """Return what decoded problems depend on.

    Parameters
    ----------
    decoding : mapping
        `max_new_tokens`, `windows`, `branches`, `temperature` and `top_p`.
    given : mapping
        Thresholds of each rule, of `expand_thresholds`.
    labels : mapping of problem to mapping of position to bool
        Mined labels, for rules that read them.
    """
    return SweepWork(
        code=code_digest(LIBRARY / "decoding/sweep.py", (TASKS.path(task),)),
        max_new_tokens=decoding["max_new_tokens"],
        models=models,
        sampling={key: decoding[key] for key in ("temperature", "top_p")},
        windows=decoding["windows"],
        branches=decoding["branches"],
        rules={rule: _rule_digest(rule, judge) for rule in given},
        given=given,
        labels={rule: labels for rule in given if "labels" in rule_needs(rule)},
    )


def _rule_digest(rule: str, judge: Judge | None) -> str:
    """Return a digest of a rule's code and, where it asks the judge, of the judge and its classifier's code."""
    if "judge" not in rule_needs(rule) or judge is None:
        return code_digest(RULES.path(rule))
    code = code_digest(RULES.path(rule), (CLASSIFIERS.path(judge.record.classifier),))
    return piece_key({"code": code, "judge": judge.digest()})
