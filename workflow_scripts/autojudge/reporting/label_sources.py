"""Sources of labels compared: what labels cost, how they agree with exact ones, and what judges of them are worth."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from autojudge.decoding.sweep import LOSSLESS, TARGET
from autojudge.judging.artifact import Judge
from autojudge.judging.choice import judge_scores
from autojudge.judging.metrics import draw_weights, estimate
from autojudge.judging.mismatches import Part
from autojudge.reporting.area_differences import DRAFT_ALONE, compare_areas
from autojudge.reporting.statistics import MEASURED_COST, Comparison, TestSplit, ValidationSplit, summarise_sweep

REFERENCES = (TARGET, LOSSLESS, DRAFT_ALONE)  # rows of a sweep that judges are measured against
PLACE = ["problem_id", "position", "target_token", "draft_token"]
POINT = ["window", "threshold", "accuracy", "accuracy_low", "accuracy_high"]
POINT += ["accepted_per_cycle", "emitted_per_cycle", "speedup", "area"]


@dataclass(frozen=True)
class Source:
    """What a source of labels has made.

    Attributes
    ----------
    name : str
    settings : str or None
        Its entry of the config, as JSON.
    labels, responses : DataFrame
        Tables of those names.
    judges : sequence of Judge
        Trained on its labels: one, or one for each fold.
    sweep : DataFrame
        Table `sweep`, in which the rule `rule` asks them.
    rule : str
    """

    name: str
    settings: str | None
    labels: pd.DataFrame
    responses: pd.DataFrame
    judges: Sequence[Judge]
    sweep: pd.DataFrame
    rule: str


def compare_sources(
    sources: Sequence[Source], parts: Sequence[Part], split: str, pair: str, cost: float, tolerance: float, seed: int
) -> pd.DataFrame:
    """Return table `label_sources`.

    Parameters
    ----------
    sources : sequence of Source
        That of exact labels first.
    parts : sequence of Part
        Exactly labelled mismatches on which the judges are measured, of each fold its own.
    split : str
        From which these are.
    pair : str
        Its name, for messages.
    cost : float
        Time of a draft call over that of a target call.
    tolerance : float
        Percentage points that a recommended point may lose on validation.
    seed : int
        Of the bootstrap.

    Raises
    ------
    InputError
        A source's sweep is not of the problems of lossless decoding.
    """
    exact = sources[0]
    decoded = compare_sweeps(sources, pair, cost, tolerance, seed)
    rows = [
        {"source": source.name, "settings": source.settings, "split": split}
        | describe_labels(source, exact)
        | compare_labels(source.labels, exact.labels, seed)
        | measure_judges(source.judges, parts, seed)
        | decoded[source.name]
        for source in sources
    ]
    return pd.DataFrame(rows)


def describe_labels(source: Source, exact: Source) -> dict[str, Any]:
    """Return what a source's labels are and cost."""
    labels, responses, record = source.labels, source.responses, source.judges[0].record
    count, evaluated = max(1, len(labels)), int(responses["target_evaluated"].sum())
    return {
        "problems": len(responses),
        "mismatches": len(labels),
        "important": float(labels["important"].mean()),
        "target_tokens": evaluated / count,
        "relative_tokens": evaluated / int(exact.responses["target_evaluated"].sum()),
        "seconds": float(responses["seconds"].sum()) / count,
        "stopped": float(labels["stopped"].mean()),
        "audited": int(labels["audited"].sum()),
        "audited_important": int((labels["audited"] & labels["important"]).sum()),
        "judge": f"{record.feature_set}, {record.classifier.replace('_', ' ')}",
    }


def compare_labels(labels: pd.DataFrame, exact: pd.DataFrame, seed: int) -> dict[str, Any]:
    """Return how far labels agree with exact ones of the same mismatches: `shared`, `kappa` and its interval."""
    both = labels.merge(exact, on=PLACE, suffixes=("", "_exact"), validate="one_to_one")
    ours, theirs = (both[name].to_numpy(dtype=bool) for name in ("important", "important_exact"))
    kappa = float(measure_kappa(ours, theirs, np.ones((1, len(both))))[0])
    drawn = (
        measure_kappa(ours, theirs, draw_weights(both["problem_id"].to_numpy(), seed))
        if len(both)
        else np.array([np.nan])
    )
    low, high = (np.nan, np.nan) if np.isnan(drawn).all() else np.nanquantile(drawn, [0.025, 0.975])
    return {"shared": len(both), "kappa": kappa, "kappa_low": float(low), "kappa_high": float(high)}


def measure_kappa(
    ours: NDArray[np.bool_],  # (n,)
    theirs: NDArray[np.bool_],  # (n,)
    weights: NDArray[np.floating],  # (m, n)
) -> NDArray[np.float64]:  # (m,)
    """Return Cohen's kappa of two labellings, (m,), for each of several weightings; nan where chance explains all."""
    total = np.maximum(weights.sum(1, dtype=np.float64), 1e-300)
    agree, one, other = (weights @ part.astype(np.float32) / total for part in (ours == theirs, ours, theirs))
    chance = one * other + (1 - one) * (1 - other)
    left = np.where(1 - chance > 1e-12, 1 - chance, np.nan)
    return np.asarray((agree - chance) / left, dtype=np.float64)


def measure_judges(judges: Sequence[Judge], parts: Sequence[Part], seed: int) -> dict[str, float]:
    """Return the AUC, with its interval, of what judges say of mismatches, each of a part, of all parts together."""
    scores = np.concatenate([judge_scores(judge, part) for judge, part in zip(judges, parts, strict=True)])
    important = np.concatenate([part.important for part in parts])
    weights = draw_weights(np.concatenate([part.problem_id for part in parts]), seed)
    auc = estimate(scores, important, weights)["auc"]
    return {"auc": auc.value, "auc_low": auc.low, "auc_high": auc.high}


def compare_sweeps(
    sources: Sequence[Source], pair: str, cost: float, tolerance: float, seed: int
) -> dict[str, dict[str, Any]]:
    """Return how the judges of sources decode, each at its recommended point and against the first one's, by source."""
    rules = {source.name: f"{source.rule} {source.name}" for source in sources}  # no name of a rule has a space
    own = sources[0].sweep
    parts = [own[own["rule"].isin(REFERENCES)]]
    parts += [s.sweep[s.sweep["rule"] == s.rule].assign(rule=rules[s.name]) for s in sources]
    sweep = pd.concat(parts, ignore_index=True)
    kinds = dict.fromkeys(REFERENCES, "reference") | dict.fromkeys(rules.values(), "judge")
    comparison = Comparison({}, kinds, {MEASURED_COST: cost}, tolerance, seed)
    summary = summarise_sweep(sweep, pair, comparison)["summary"].set_index("rule")
    names = list(rules.values())
    gains, areas = compare_with_first(sweep, pair, names, comparison), compare_areas(sweep, pair, names, comparison)
    return {
        name: {column: summary.loc[rule, column] for column in POINT} | gains[rule] | areas[rule]
        for name, rule in rules.items()
    }


def compare_with_first(
    sweep: pd.DataFrame, pair: str, rules: Sequence[str], comparison: Comparison
) -> dict[str, dict[Any, Any]]:
    """Return of each rule, at its recommended point, the paired differences from the first one, by rule."""
    cost = comparison.costs[MEASURED_COST]
    validation, tested = ValidationSplit(sweep, pair, comparison), sweep[sweep["split"] == "test"]
    chosen = {rule: validation.choose(rule, cost) for rule in rules}
    gains = TestSplit(tested, comparison.seed).compare(chosen, rules[0], cost)
    return dict(zip(rules, gains.to_dict("records"), strict=True))
