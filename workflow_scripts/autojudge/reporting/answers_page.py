"""How answers were read from responses: in which form, how many not at all, how many responses were cut off."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
from tabulate import tabulate

from autojudge.reading.answers import FORMS, STATED
from autojudge.tables.files import records
from autojudge.tasks import Task

FOUND, NONE = "found", "none"  # the form where a task does not tell, and where there is no answer
EXAMPLES = 3  # of each form that is not the stated one
TAIL = 240  # characters of a response's end that an example shows
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
    """The end of a response that gave its answer in another form than the stated one."""

    problem_id: str
    form: str
    answer: str | None
    gold: str
    tail: str


def build_page(
    task: Task,
    title: str,
    golds: dict[str, str],
    responses: pd.DataFrame | None,
    sweep: pd.DataFrame,
    decode: Callable[[list[int]], str],
) -> str:
    """Return the report as Markdown.

    Parameters
    ----------
    golds : dict of str to str
        Problem to the dataset's answer.
    responses, sweep : DataFrame
        The tables of those names; responses is None where nothing was mined.
    decode : callable
        Turns tokens into text.
    """
    groups, examples = [], dict[str, list[Example]]()
    for name, rows in _list_responses(responses, sweep):
        group = Group(name)
        for problem_id, tokens, cut_off in rows:
            text = decode(list(tokens))
            form, answer = read_form(task, text)
            group.counts[form] = group.counts.get(form, 0) + 1
            group.cut_off += bool(cut_off)
            shown = examples.setdefault(form, [])
            if (
                form not in (STATED, FOUND)
                and len(shown) < EXAMPLES
                and problem_id not in {e.problem_id for e in shown}
            ):
                shown.append(Example(problem_id, form, answer, golds[problem_id], text[-TAIL:]))
        groups.append(group)
    return _format_page(title, groups, [example for form in (*FORMS, NONE) for example in examples.get(form, [])])


def read_form(task: Task, text: str) -> tuple[str, str | None]:
    """Return the form in which a response gave its answer, and the answer."""
    if read := getattr(task, "read_answer", None):
        reading = read(text)
        return (reading.form, reading.answer) if reading else (NONE, None)
    answer = task.extract_answer(text)
    return (NONE if answer is None else FOUND), answer


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


def _format_page(title: str, groups: Sequence[Group], examples: Sequence[Example]) -> str:
    """Return the table of groups, a share for each form, and the examples."""
    forms = [form for form in (*FORMS, FOUND, NONE) if any(form in group.counts for group in groups)]
    rows = [
        [group.name, group.size, *(_share(group.counts.get(form, 0), group.size) for form in forms)]
        + [_share(group.cut_off, group.size)]
        for group in groups
    ]
    table = tabulate(rows, ["responses", "number", *forms, "cut off"], "github", disable_numparse=True)
    shown = [
        f"**{e.form}**, problem {e.problem_id}: read {e.answer}, gold {e.gold}\n\n```text\n{e.tail}\n```"
        for e in examples
    ]
    return (
        "\n\n".join(
            [
                f"# {title}: how answers were read",
                table,
                "Responses by the form in which they gave their answer, the first that is there being taken; decoded "
                "ones are all distinct responses of a rule over all thresholds. Cut off: the response ends at the "
                "token limit, so that its answer is noise; the miner tells it of the target's responses, and of single "
                "labels in `labels.parquet`. `judge.exclude_cut_off` leaves such labels out of the judge's training.",
                *_warnings(groups),
                "## Examples",
                *(shown or ["Every answer was stated in the form that was asked for."]),
            ]
        )
        + "\n"
    )


def _warnings(groups: Sequence[Group]) -> list[str]:
    """Return a paragraph that tells of kinds of responses most of which are cut off, if there are any."""
    most = [f"{group.name} ({group.cut_off} of {group.size})" for group in groups if 2 * group.cut_off > group.size]
    remedy = "Raise the config key `datasets.*.max_new_tokens`; more problems would not help."
    return [f"**Most responses are cut off: {', '.join(most)}.** {remedy}"] if most else []


def _share(count: int, total: int) -> str:
    """Return a count with its percentage."""
    return f"{count} ({100 * count / max(total, 1):.1f} %)"
