"""How answers were read from responses: in which form, or why programs failed; how many responses were cut off."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
from tabulate import tabulate

from autojudge.reading.answers import STATED
from autojudge.scoring.scorer import FORMS, FOUND, Scorer
from autojudge.tables.files import records

PASSED = "passed"  # the reason of verdicts on programs that pass
# Reasons of the others, in the order in which they are told; a task may have more.
FAILED = ("no code block", "unfinished block", "error", "wrong value", "time", "memory", "output", "killed")
EXAMPLES = 3  # of each form that is not the usual one
TAIL, PROGRAM = 240, 1200  # characters of a response's end that an example shows
WHO = {"target": "target, mined problems", "draft": "draft alone, mined problems", "mined": "mined response"}


@dataclass
class Group:
    """Responses of one kind.

    Attributes
    ----------
    counts : dict of str to int
        Number of responses by form.
    """

    name: str
    counts: dict[str, int] = field(default_factory=dict)
    cut_off: int = 0

    @property
    def size(self) -> int:
        """Number of responses."""
        return sum(self.counts.values())


@dataclass(frozen=True)
class Example:
    """The end of a response that gave its answer in another form than the usual one."""

    problem_id: str
    form: str
    answer: str | None
    gold: str
    tail: str


def build_page(
    scorer: Scorer,
    title: str,
    problems: Mapping[str, Mapping[str, Any]],
    responses: pd.DataFrame | None,
    sweep: pd.DataFrame,
    decode: Callable[[list[int]], str],
) -> str:
    """Return the report as Markdown.

    Parameters
    ----------
    problems : mapping of str to mapping
        Rows of problems.parquet by problem.
    responses, sweep : DataFrame
        The tables of those names; responses is None where nothing was mined.
    decode : callable
        Turns tokens into text.
    """
    groups, examples = [], dict[str, list[Example]]()
    shown_characters = PROGRAM if scorer.checked_by else TAIL
    for name, rows in _list_responses(responses, sweep):
        group, texts = Group(name), [decode(list(tokens)) for _, tokens, _ in rows]
        read = _read_forms(scorer, texts, [problems[problem_id] for problem_id, _, _ in rows])
        for (problem_id, _, cut_off), text, (form, answer) in zip(rows, texts, read, strict=True):
            group.counts[form] = group.counts.get(form, 0) + 1
            group.cut_off += bool(cut_off)
            shown = examples.setdefault(form, [])
            if (
                form not in (STATED, FOUND, PASSED)
                and len(shown) < EXAMPLES
                and problem_id not in {e.problem_id for e in shown}
            ):
                shown.append(Example(problem_id, form, answer, problems[problem_id]["gold"], text[-shown_characters:]))
        groups.append(group)
    known = (PASSED, *FAILED) if scorer.checked_by else FORMS
    forms = [*known, *(form for form in examples if form not in known)]
    return _format_page(title, groups, forms, [e for form in forms for e in examples.get(form, [])], scorer.checked_by)


def _read_forms(
    scorer: Scorer, texts: Sequence[str], problems: Sequence[Mapping[str, Any]]
) -> list[tuple[str, str | None]]:
    """Return what `Scorer.form` tells of each response."""
    with ThreadPoolExecutor(max(scorer.threads, 1)) as threads:
        return list(threads.map(scorer.form, texts, problems))


def _list_responses(
    responses: pd.DataFrame | None, sweep: pd.DataFrame
) -> Iterable[tuple[str, list[tuple[str, Any, Any]]]]:
    """Yield each kind of response with its (problem, tokens, cut off); the miner tells cut off of the target's only."""
    rows = [] if responses is None else records(responses)
    for column, name in WHO.items() if rows else ():
        cut_off = [row["cut_off"] if column == "target" else False for row in rows]
        yield name, [(row["problem_id"], row[f"{column}_tokens"], c) for row, c in zip(rows, cut_off, strict=True)]
    for rule, part in sweep.groupby("rule", sort=False):
        distinct = {(row["problem_id"], tuple(row["response"])): row["cut_off"] for row in records(part)}
        yield f"decoded: {rule}", [(problem, tokens, c) for (problem, tokens), c in distinct.items()]


def _format_page(
    title: str, groups: Sequence[Group], known: Sequence[str], examples: Sequence[Example], checked_by: str | None
) -> str:
    """Return the table of groups, a share for each known form that there is, and the examples."""
    forms = [form for form in known if any(form in group.counts for group in groups)]
    rows = [
        [group.name, group.size, *(_share(group.counts.get(form, 0), group.size) for form in forms)]
        + [_share(group.cut_off, group.size)]
        for group in groups
    ]
    table = tabulate(rows, ["responses", "number", *forms, "cut off"], "github", disable_numparse=True)
    shown = [
        f"**{e.form}**, problem {e.problem_id}{'' if checked_by else f': read {e.answer}, gold {e.gold}'}\n\n"
        f"````text\n{e.tail}\n````"
        for e in examples
    ]
    return (
        "\n\n".join(
            [
                f"# {title}: {'how programs fared' if checked_by else 'how answers were read'}",
                table,
                f"{_explain(checked_by)} Decoded ones are all distinct responses of a rule over all thresholds. Cut "
                "off: the response ends at the token limit, so that its answer is noise; the miner tells it of the "
                "target's responses, and of single labels in `labels.parquet`. `judge.exclude_cut_off` leaves such "
                "labels out of the judge's training.",
                *_warnings(groups),
                "## Examples",
                *(shown or [f"Every {'program passed' if checked_by else 'answer was stated in the form asked for'}."]),
            ]
        )
        + "\n"
    )


def _explain(checked_by: str | None) -> str:
    if checked_by is None:
        return "Responses by the form in which they gave their answer, the first that is there being taken."
    return (
        f"Responses by what became of their programs, which ran in a sandbox ({checked_by}): passed all tests; had no "
        "code block, or one that does not end; raised an error or lack what the tests call; gave a wrong value; or "
        "went beyond a limit of time, memory or output, or were killed."
    )


def _warnings(groups: Sequence[Group]) -> list[str]:
    """Return a paragraph that tells of kinds of responses most of which are cut off, if there are any."""
    most = [f"{group.name} ({group.cut_off} of {group.size})" for group in groups if 2 * group.cut_off > group.size]
    remedy = "Raise the config key `datasets.*.max_new_tokens`; more problems would not help."
    return [f"**Most responses are cut off: {', '.join(most)}.** {remedy}"] if most else []


def _share(count: int, total: int) -> str:
    """Return a count with its percentage."""
    return f"{count} ({100 * count / max(total, 1):.1f} %)"
