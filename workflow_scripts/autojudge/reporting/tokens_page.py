"""A page for people: mined responses with each mismatch marked as important or not."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from autojudge.errors import InputError
from autojudge.tables.files import records

ALTERNATIVE_LENGTH = 600  # characters of an alternative in a tooltip


def build_page(title: str, problems: Sequence[Mapping[str, Any]], note: str) -> str:
    """Return one self-contained HTML file that shows mined responses token by token.

    Parameters
    ----------
    title : str
        Title of the page.
    problems : sequence of mapping
        `problem_id`, `split`, `question`, `gold`, `target_answer` (None: none found), `pieces` (text of each token of
        the mined response) and `mismatches`: mappings with `position` (index into `pieces`), `important`,
        `target_piece`, `draft_piece`, `probability` (the judge's p(important), or None), `margin` (of the target's
        logits), `alternative` (text from the position on) and `alternative_answer` (None: none found).
    note : str
        A sentence or two under the title, say where the data come from.

    Returns
    -------
    str
        HTML without external resources; whatever a model wrote is escaped.

    Raises
    ------
    InputError
        Two mismatches of a problem have the same position, or one lies outside the response.
    """
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"show_whitespace": show_whitespace, "shorten": shorten}
    template = environment.get_template("tokens_page.html.jinja")
    return template.render(title=title, note=note, problems=[_attach_mismatches(problem) for problem in problems])


def collect_problems(
    problems: pd.DataFrame, labels: pd.DataFrame, responses: pd.DataFrame, decode: Callable[[list[int]], str]
) -> list[dict[str, Any]]:
    """Return the page's problems, one for each row of responses.

    Parameters
    ----------
    problems, labels, responses : DataFrame
        The tables of those names; `labels` has the judge's `probability` as a further column.
    decode : callable
        Turns tokens into text.
    """
    texts = problems.set_index("problem_id")
    by_problem = dict(list(labels.groupby("problem_id")))
    pages = []
    for response in records(responses):
        problem_id = response["problem_id"]
        rows = records(by_problem.get(problem_id, labels.iloc[:0]))
        pages.append(
            {
                "problem_id": problem_id,
                "split": response["split"],
                "question": texts.loc[problem_id, "question"],
                "gold": texts.loc[problem_id, "gold"],
                "target_answer": response["target_answer"],
                "pieces": [decode([token]) for token in response["mined_tokens"]],
                "mismatches": [_describe_mismatch(row, decode) for row in rows],
            }
        )
    return pages


def _describe_mismatch(label: Mapping[str, Any], decode: Callable[[list[int]], str]) -> dict[str, Any]:
    """Return a mismatch as the page shows it."""
    return {
        "position": label["position"],
        "important": label["important"],
        "target_piece": decode([label["target_token"]]),
        "draft_piece": decode([label["draft_token"]]),
        "probability": label["probability"],
        "margin": label["margin"],
        "alternative": decode(list(label["alternative_tokens"])),
        "alternative_answer": label["alternative_answer"],
    }


def show_whitespace(piece: str) -> str:
    """Return a token's text with its spaces, tabs and newlines as visible signs."""
    return piece.replace(" ", "␣").replace("\t", "⇥").replace("\n", "↵") or "(empty)"


def shorten(text: str) -> str:
    """Return the beginning of a text that is too long for a tooltip."""
    return text if len(text) <= ALTERNATIVE_LENGTH else text[:ALTERNATIVE_LENGTH] + " …"


def _attach_mismatches(problem: Mapping[str, Any]) -> dict[str, Any]:
    """Return a problem with `tokens`, pairs of a piece and its mismatch or None, and `n_important`."""
    pieces, mismatches = problem["pieces"], problem["mismatches"]
    by_position = {mismatch["position"]: mismatch for mismatch in mismatches}
    if len(by_position) < len(mismatches) or not by_position.keys() <= set(range(len(pieces))):
        raise InputError(
            f"problem {problem['problem_id']}: mismatches at {sorted(m['position'] for m in mismatches)} do not fit a "
            f"response of {len(pieces)} tokens, each position once; labels and responses are of different runs, so "
            "delete both and mine again"
        )
    tokens = [(piece, by_position.get(position)) for position, piece in enumerate(pieces)]
    return {**problem, "tokens": tokens, "n_important": sum(bool(m["important"]) for m in mismatches)}
