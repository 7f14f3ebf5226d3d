"""The table that compares sources of labels."""

import pyarrow as pa

from autojudge.tables.reporting import MEASURED, METRICS, SUMMARY, WINDOW
from autojudge.tables.table import Column, Table

LOW = Column(pa.float64(), doc="its 95 % interval, problems being resampled, lower end")
HIGH = Column(pa.float64(), doc="upper end")

LABEL_SOURCES = Table(
    "label_sources",
    {
        "source": Column(pa.string(), doc="exact, the pair's own labels, or a key of label_sources"),
        "settings": Column(pa.string(), doc="its entry of the config, as JSON; none for exact labels"),
        "problems": Column(pa.int64(), doc="mined problems"),
        "mismatches": Column(pa.int64(), doc="their labels"),
        "important": Column(pa.float64(), doc="share of important ones"),
        "target_tokens": Column(
            pa.float64(), doc="tokens put through the target over labels; prompts and refused proposals included"
        ),
        "relative_tokens": Column(
            pa.float64(), doc="tokens put through the target for all problems over those of exact"
        ),
        "seconds": Column(
            pa.float64(),
            doc="sum of problems' seconds in work over labels; problems of a batch overlap and share the machine, so "
            "that only sources mined on one machine, at one batch, compare",
        ),
        "stopped": Column(pa.float64(), doc="share of labels that rest on a stopped alternative"),
        "audited": Column(pa.int64(), doc="alternatives that would have been stopped and were continued"),
        "audited_important": Column(pa.int64(), doc="important ones of these: wrong, had they been stopped"),
        "shared": Column(
            pa.int64(),
            doc="mismatches that the source and exact mining label alike in place: problem, position and both tokens",
        ),
        "kappa": Column(pa.float64(), doc="Cohen's kappa of these mismatches' labels with the exact ones"),
        "kappa_low": LOW,
        "kappa_high": HIGH,
        "judge": Column(pa.string(), doc="feature set and classifier of its judge; with folds of the first fold's"),
        "split": Column(
            pa.string(), doc="what `auc` is measured on: test, or validation where exact mining has no test problems"
        ),
        "auc": Column(pa.float64(), doc="area under the ROC curve of its judge against exact labels"),
        "auc_low": METRICS["auc_low"],
        "auc_high": METRICS["auc_high"],
        "window": WINDOW,
        "threshold": Column(pa.float64(), doc="recommended, with the window, on validation"),
        **{name: MEASURED[name] for name in ("accuracy", "accuracy_low", "accuracy_high")},
        "accuracy_gain": Column(pa.float64(), doc="percentage points more than the judge of exact labels, paired"),
        "accuracy_gain_low": LOW,
        "accuracy_gain_high": HIGH,
        "accepted_per_cycle": MEASURED["accepted_per_cycle"],
        "emitted_per_cycle": MEASURED["emitted_per_cycle"],
        "speedup": MEASURED["speedup"],
        "speed_ratio": Column(pa.float64(), doc="speed-up over that of the judge of exact labels, paired"),
        "speed_ratio_low": LOW,
        "speed_ratio_high": HIGH,
        "area": SUMMARY.columns["area"],
        "area_gain": Column(pa.float64(), doc="area minus that of the judge of exact labels, paired"),
        "area_gain_low": LOW,
        "area_gain_high": HIGH,
    },
    doc="One row per source of labels: results/{dataset}/{pair}/label_sources.csv, .md. Each source's judge at its "
    "recommended window and threshold on the test split.",
)
