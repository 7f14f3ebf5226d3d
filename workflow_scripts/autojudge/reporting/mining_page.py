"""The page on how labels were mined: what it cost and, of stopped alternatives, how many, how many of these wrongly."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import pandas as pd
from tabulate import tabulate

from autojudge.reporting.statistics import wilson_interval

FEW = 100  # with fewer audited, the interval is too wide to be read without a hint


class Stops(NamedTuple):
    """What mining did, in numbers; without agreement nothing is stopped, audited or mined again.

    Attributes
    ----------
    mismatches, important, stopped : int
        Labels; those found important; those inferred from agreement, taken for unimportant.
    audited, wrong : int
        Those that would have been stopped and were continued; of these, the important ones.
    problems, again : int
        Mined problems; those that were mined once more, exactly, as their answer had changed.
    evaluated : int
        Tokens put through the target: prompts, refused proposals and what was mined in vain included.
    exact : int
        Tokens of the responses and alternatives, each counted to its end; of a stopped one as long as the response is:
        a lower bound of what exact mining evaluates.
    """

    mismatches: int
    important: int
    stopped: int
    audited: int
    wrong: int
    problems: int
    again: int
    evaluated: int
    exact: int


def count_stops(labels: pd.DataFrame, responses: pd.DataFrame) -> Stops:
    """Count what labels and responses, tables of those names, tell of how they were mined."""
    lengths = dict(zip(responses["problem_id"], responses["mined_tokens"].map(len), strict=True))
    whole = (
        labels["alternative_tokens"]
        .map(len)
        .where(~labels["stopped"], labels["problem_id"].map(lengths) - labels["position"])
    )
    return Stops(
        mismatches=len(labels),
        important=int(labels["important"].sum()),
        stopped=int(labels["stopped"].sum()),
        audited=int(labels["audited"].sum()),
        wrong=int((labels["audited"] & labels["important"]).sum()),
        problems=len(responses),
        again=int(responses["mined_again"].sum()),
        evaluated=int(responses["target_evaluated"].sum()),
        exact=int(responses["target_tokens"].map(len).sum() + whole.sum()),
    )


def build_page(
    stops: Stops,
    title: str,
    agreement: bool,
    likelihood: Mapping[str, Any] | None = None,
    samples: Mapping[str, Any] | None = None,
) -> str:
    """Return the page as Markdown.

    Parameters
    ----------
    agreement : bool
        Whether alternatives were stopped.
    likelihood, samples : mapping, optional
        `mining.likelihood` of the config, and `mining.samples`, where labels are of these sources.
    """
    heading, rows, text = _with_agreement(stops) if agreement else _without_stops(stops, likelihood, samples)
    table = tabulate(rows, ["", ""], "github", disable_numparse=True, colalign=("left", "right"))
    return f"# {title}: {heading}\n\n{table}\n\n{text}\n"


def _without_stops(
    stops: Stops, likelihood: Mapping[str, Any] | None, samples: Mapping[str, Any] | None
) -> tuple[str, list[list[str]], str]:
    """Return heading, rows and text of a run that stopped nothing."""
    rows = [
        ["problems", f"{stops.problems:,}"],
        ["mismatches", f"{stops.mismatches:,}"],
        ["important", f"{stops.important:,} ({100 * stops.important / max(1, stops.mismatches):.1f} %)"],
        ["tokens through the target", f"{stops.evaluated:,}"],
    ]
    if likelihood:
        how = (
            "A mismatch is important where the draft's token lowers the target's log likelihood of the "
            f"{likelihood['tokens']} tokens after it by more than {likelihood['threshold']:g} nats (config key "
            "`mining.likelihood`); answers play no part."
        )
    else:
        how = (
            "Every alternative was continued to its end (config key `mining.agreement` is null), so no label is "
            "inferred."
        )
    if samples:
        how += (
            f" Each was continued {samples['count']} more times, by sampling at temperature {samples['temperature']:g} "
            "(config key `mining.samples`), whose tokens count too."
        )
    text = (
        f"{how} Tokens through the target include prompts and proposals that were refused. docs/mining.md explains how "
        "it works."
    )
    return "how labels were mined", rows, text


def _with_agreement(stops: Stops) -> tuple[str, list[list[str]], str]:
    """Return heading, rows and text of a run that stopped alternatives."""
    rows = [
        ["mismatches", f"{stops.mismatches:,}"],
        [
            "stopped, taken as unimportant",
            f"{stops.stopped:,} ({100 * stops.stopped / max(1, stops.mismatches):.1f} %)",
        ],
        ["audited: continued to their end instead", f"{stops.audited:,}"],
        ["of these important: an error, had they been stopped", _share(stops.wrong, stops.audited)],
        ["important ones lost at that rate", _lost(stops)],
        ["problems mined again, as the answer had changed", f"{stops.again:,} of {stops.problems:,}"],
        ["tokens through the target", f"{stops.evaluated:,}"],
        ["lower bound for exact mining: tokens of all responses and alternatives", f"{stops.exact:,}"],
    ]
    few = f"**Only {stops.audited} were audited**: too few to say much about the error and what is lost. "
    text = (
        f"{few if 0 < stops.audited < FEW else ''}Intervals of 95 % (Wilson). The error is that of stopping itself. "
        "Where the answer of the mined response shows that a stopped one was important, the problem is mined again "
        "without stopping, and fewer labels are wrong. Lost: the share of the important mismatches that stopping "
        "misses at that rate, of those found and lost together. Tokens through the target include prompts, proposals "
        "that were refused and what was mined in vain. The lower bound includes none of these: exact mining, too, has "
        "prompts and refused proposals, and costs more. docs/mining.md explains how alternatives are stopped."
    )
    return "mining with agreement", rows, text


def _share(count: int, total: int) -> str:
    """Return a count with its share and interval."""
    if not total:
        return "none audited (`mining.agreement.audit`)"
    low, high = wilson_interval(count, total)
    return f"{count:,}: {100 * count / total:.1f} % ({100 * low:.1f} to {100 * high:.1f})"


def _lost(stops: Stops) -> str:
    """Return the share of important mismatches among the stopped ones, with its interval."""
    if not stops.audited:
        return "not known"
    rates = [stops.wrong / stops.audited, *wilson_interval(stops.wrong, stops.audited)]
    lost = [rate * stops.stopped / max(1e-9, stops.important + rate * stops.stopped) for rate in rates]
    return f"{100 * lost[0]:.1f} % ({100 * lost[1]:.1f} to {100 * lost[2]:.1f})"
