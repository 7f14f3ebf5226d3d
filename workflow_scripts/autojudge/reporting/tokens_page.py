"""A page for people: mined responses with each mismatch marked as important or not."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd

from autojudge.errors import InputError
from autojudge.reporting.html_page import fill_template
from autojudge.reporting.text_difference import Run, compare_texts
from autojudge.tables.files import records


def build_page(title: str, problems: Sequence[Mapping[str, Any]], note: str, threshold: float) -> str:
    """Return one self-contained HTML file that shows mined responses token by token, to be filtered.

    Parameters
    ----------
    title : str
        Title of the page.
    problems : sequence of mapping
        `problem_id`, `split`, `question`, `gold`, `target_answer` (None: none found), `pieces` (text of each token of
        the mined response) and `mismatches`: mappings with `position` (index into `pieces`), `important`,
        `target_piece`, `draft_piece`, `probability` (the judge's p(important), or None), `margin` (of the target's
        logits), `difference` (runs of the mined text, the first, and of the alternative, from the position on),
        `alternative_answer` (None: none found) and `likelihood_change` (nats; None: a label by answers).
    note : str
        A sentence or two under the title, say where the data come from.
    threshold : float
        The judge refuses a mismatch from this p(important) on; readers may set another.

    Returns
    -------
    str
        HTML without external resources; whatever a model wrote is escaped.

    Raises
    ------
    InputError
        Two mismatches of a problem have the same position, or one lies outside the response.
    """
    return fill_template(
        "tokens_page.html.jinja",
        title=title,
        note=note,
        threshold=threshold,
        problems=[_attach_mismatches(problem) for problem in problems],
        by_likelihood=any(m["likelihood_change"] is not None for problem in problems for m in problem["mismatches"]),
        show_whitespace=show_whitespace,
    )


def choose_responses(responses: pd.DataFrame, labels: pd.DataFrame, mismatches: int) -> pd.DataFrame:
    """Return whole responses with that many mismatches at most, those of validation first; one in any case."""
    ordered = responses.sort_values("split", ascending=False, kind="stable")
    counts = ordered["problem_id"].map(labels["problem_id"].value_counts()).fillna(0)
    return ordered.head(max(1, int((counts.cumsum() <= mismatches).sum())))


def collect_problems(
    problems: pd.DataFrame, labels: pd.DataFrame, responses: pd.DataFrame, decode: Callable[[list[int]], str]
) -> list[dict[str, Any]]:
    """Return the page's problems, one for each row of responses.

    Parameters
    ----------
    problems, labels, responses : DataFrame
        The tables of those names; `labels` has the judge's `probability` as a further column, and `likelihood_change`
        may be missing, as it is in labels of others, or null in a row, whose label is then by answers.
    decode : callable
        Turns tokens into text.
    """
    texts = problems.set_index("problem_id")
    by_problem = dict(list(labels.groupby("problem_id")))
    pages = []
    for response in records(responses):
        problem_id = response["problem_id"]
        rows = records(by_problem.get(problem_id, labels.iloc[:0]))
        tokens = list(response["mined_tokens"])
        pages.append(
            {
                "problem_id": problem_id,
                "split": response["split"],
                "question": texts.loc[problem_id, "question"],
                "gold": texts.loc[problem_id, "gold"],
                "target_answer": response["target_answer"],
                "pieces": [decode([token]) for token in tokens],
                "mismatches": [_describe_mismatch(row, tokens, decode) for row in rows],
            }
        )
    return pages


def _describe_mismatch(
    label: Mapping[str, Any], mined: list[int], decode: Callable[[list[int]], str]
) -> dict[str, Any]:
    """Return a mismatch of a mined response as the page shows it."""
    return {
        "position": label["position"],
        "important": label["important"],
        "target_piece": decode([label["target_token"]]),
        "draft_piece": decode([label["draft_token"]]),
        "probability": label["probability"],
        "margin": label["margin"],
        "difference": _compare(label, mined, decode),
        "alternative_answer": label["alternative_answer"],
        "likelihood_change": None if pd.isna(change := label.get("likelihood_change")) else change,
    }


def _compare(label: Mapping[str, Any], mined: list[int], decode: Callable[[list[int]], str]) -> list[Run]:
    """Return the runs of the mined text and the alternative; of a stopped one, nothing is said of what follows it."""
    runs = compare_texts(decode(mined[label["position"] :]), decode(list(label["alternative_tokens"])))
    if label["stopped"]:
        rest = runs[:-1] if runs and runs[-1][0] == "first" else runs
        return [*rest, ("both", " … (stopped here)")]
    return runs


def show_whitespace(piece: str) -> str:
    """Return a token's text with its spaces, tabs and newlines as visible signs."""
    return piece.replace(" ", "␣").replace("\t", "⇥").replace("\n", "↵") or "(empty)"


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
