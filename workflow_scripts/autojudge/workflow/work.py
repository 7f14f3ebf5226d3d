"""What mining and sweeping consist of under a config: the same for the jobs, and for who asks what the store is for."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from autojudge.decoding.thresholds import expand_thresholds
from autojudge.decoding.truncation import truncates
from autojudge.engine.settings import Models
from autojudge.jobs.mining_work import MiningWork, SampleWork
from autojudge.jobs.store import piece_key
from autojudge.jobs.sweep_work import SweepWork
from autojudge.judging.artifact import Judge
from autojudge.judging.classifiers import CLASSIFIERS
from autojudge.registry import LIBRARY
from autojudge.rules import RULES, Settings, modifiers_of, module_of, rule_needs
from autojudge.sandbox import VERSION
from autojudge.tasks import TASKS, runs_programs
from autojudge.workflow.fingerprints import code_digest


def mining_work(
    task: str,
    max_new_tokens: int,
    models: Models,
    agreement: Mapping[str, Any] | None = None,
    likelihood: Mapping[str, Any] | None = None,
    samples: Mapping[str, Any] | None = None,
) -> MiningWork:
    """Return what mined problems depend on.

    Parameters
    ----------
    task : str
        Name of the task.
    max_new_tokens : int
        Longest response.
    models : mapping
        `identify_models` of the pair.
    agreement, likelihood, samples : mapping, optional
        `agreement_of` the config, and so on. The code of what is not asked for counts for nothing, and the threshold of
        likelihood neither.
    """
    module = "agreement" if agreement else "likelihood" if likelihood else "miner"
    return MiningWork(
        code=_scored(LIBRARY / f"mining/{module}.py", task),
        max_new_tokens=max_new_tokens,
        models=models,
        agreement=agreement,
        likelihood={"tokens": likelihood["tokens"]} if likelihood else None,
        samples=SampleWork(_scored(LIBRARY / "mining/samples.py", task), samples) if samples else None,
    )


def sweep_work(
    task: str,
    models: Models,
    decoding: Mapping[str, Any],
    rules: Mapping[str, Settings],
    judge: Judge | None,
    labels: Mapping[str, Mapping[int, bool]],
) -> SweepWork:
    """Return what decoded problems depend on.

    Parameters
    ----------
    decoding : mapping
        `max_new_tokens`, `windows`, `branches`, `temperature`, `top_p`, `repeats` and `truncated`; `target_first` where
        it is true.
    rules : mapping of rule name to mapping
        The swept rules' entries of the config.
    labels : mapping of problem to mapping of position to bool
        Mined labels, for rules that read them.

    Raises
    ------
    InputError
        Thresholds of a judge are asked for and there is none.
    """
    digests = {name: _rule_digest(name, settings, judge) for name, settings in rules.items()}
    cutting = [name for name in rules if decoding["truncated"] and truncates(name, rules[name])]
    cut = code_digest(LIBRARY / "decoding/truncated_sampling.py")
    return SweepWork(
        code=_scored(LIBRARY / "decoding/sweep.py", task),
        max_new_tokens=decoding["max_new_tokens"],
        models=models,
        sampling={key: decoding[key] for key in ("temperature", "top_p")},
        windows=decoding["windows"],
        branches=decoding["branches"],
        rules=digests,
        given=expand_thresholds(rules, judge.record.thresholds if judge else None),
        labels={name: labels for name, settings in rules.items() if "labels" in rule_needs(name, settings)},
        settings=rules,
        repeats=decoding["repeats"],
        truncated={name: piece_key({"rule": digests[name], "code": cut}) for name in cutting},
        target_first=decoding.get("target_first", False),
    )


def _scored(module: Path, task: str) -> str:
    """Return a digest of a module's code with a task's, and where responses are programs, of how verdicts are made."""
    code = code_digest(module, (TASKS.path(task),))
    return piece_key({"code": code, "sandbox": VERSION}) if runs_programs(task) else code


def _rule_digest(name: str, settings: Settings, judge: Judge | None) -> str:
    """Return a digest of a rule's code and modifiers, and of the judge that it asks and its classifier's code."""
    path, modifiers = RULES.path(module_of(name, settings)), modifiers_of(settings)
    if "judge" not in rule_needs(name, settings) or judge is None:
        digest = code_digest(path)
    else:
        code = code_digest(path, (CLASSIFIERS.path(judge.record.classifier),))
        digest = piece_key({"code": code, "judge": judge.digest()})
    return piece_key({"rule": digest} | modifiers) if modifiers else digest
