"""A pair's results on one page: the numbers in front, and a link to each file, figures with a thumbnail."""

import base64
import os
from collections.abc import Iterable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from urllib.parse import quote

import pandas as pd
from PIL import Image

from autojudge.reporting.html_page import fill_template
from autojudge.reporting.names import front_rules
from autojudge.reporting.summary import ACCURACY, POINT, SPEED, TOKENS
from autojudge.tables.files import records

THUMBNAIL = 640  # pixels, the width
SUFFIXES = (".html", ".pdf", ".png", ".csv", ".md", ".tex", ".json", ".safetensors", ".parquet")  # the first is opened
IN_FRONT = ("target", "lossless", "judge", "best", "oracle")

# Section, file without its suffix, title and what one sees there.
RESULTS = {
    "Accuracy and speed": {
        "{dataset}_pareto": ("Accuracy against speed", "Every pair and rule of the dataset."),
        "{dataset}_summary": ("Summary", "Every rule at its recommended window and threshold, with intervals."),
        "{dataset}_windows": ("Windows", "What tuning the window alone gives."),
        "{dataset}_pareto_column": ("Accuracy against speed, small", "As wide as a paper's column."),
        "{dataset}/{pair}/speed": ("Speed", "Tokens per second on the machine of the run."),
        "{dataset}/{pair}/call_cost": ("Cost of a draft call", "Against a target call, as measured."),
        "{dataset}/{pair}/vllm": ("In vLLM", "Accuracy and tokens per second by batch."),
    },
    "The judge": {
        "{dataset}/{pair}/judges": (
            "Judges compared",
            "All candidates and training-free rules, on the test split.",
        ),
        "{dataset}/{pair}/ablation": ("Ablation", "Judges by C, by what they read and by how they decide."),
        "{dataset}/{pair}/learning_curve": ("Learning curve", "How good the judge is with fewer mined problems."),
        "{dataset}/{pair}/label_sources": ("Label sources", "Judges trained on labels of other origins."),
        "{pair}_transfer": ("Transfer", "Each dataset's judge on each dataset's mismatches."),
        "{dataset}/{pair}/model_card": ("Model card", "What the judge is, and how to use it."),
        "{dataset}/{pair}/export/judge": (
            "The judge to serve",
            "With the threshold to use (docs/serving.md).",
        ),
    },
    "Mined responses": {
        "{dataset}/{pair}/tokens": ("Token by token", "Mismatches with their alternatives and the judge's opinion."),
        "{dataset}/{pair}/mining": ("Mining", "How labels were mined, and what it cost."),
        "{dataset}/{pair}/label_stability": ("Stability of labels", "How far sampled continuations agree, by margin."),
        "{dataset}/{pair}/answers": ("Answers", "In which form responses gave their answers, how many were cut off."),
    },
    "Where it comes from": {
        "{dataset}/{pair}/provenance": ("Provenance", "Code, versions, models and settings."),
        "{dataset}/{pair}/problems": ("Problems", "With prompts and splits."),
        "{dataset}/{pair}/responses": ("Responses", "One row a problem."),
        "{dataset}/{pair}/labels": ("Labels", "One row a mismatch."),
        "{dataset}/{pair}/features": ("Features", "One row a mismatch."),
        "{dataset}/{pair}/grid": ("Grid", "Metrics of each candidate judge."),
        "{dataset}/{pair}/scores": ("Scores", "Each candidate's, of each mismatch."),
        "{dataset}/{pair}/sweep": ("Sweep", "Every problem with every rule at every threshold."),
        "{dataset}_curve": ("Curves", "Every breakpoint of every rule."),
    },
}


@dataclass(frozen=True)
class Result:
    """A result that is there.

    Attributes
    ----------
    title, seen : str
        What it is called, and what one sees there.
    links : dict of str to str
        A relative address for each suffix; the first is the one to open.
    thumbnail : str or None
        A small picture of a figure, as an address that holds it.
    """

    title: str
    seen: str
    links: dict[str, str]
    thumbnail: str | None


def build_page(results: Path, dataset: str, pair: str, summary: pd.DataFrame) -> str:
    """Return the page results/{dataset}/{pair}/index.html as one HTML file; it links files that exist alone.

    Parameters
    ----------
    results : Path
        The folder of all results.
    dataset, pair : str
        Keys of the config.
    summary : DataFrame
        The dataset's table `summary`.
    """
    sections = {
        heading: list(_find_results(results, dataset, pair, entries.items())) for heading, entries in RESULTS.items()
    }
    of_pair = summary[summary["pair"] == pair]
    return fill_template(
        "index_page.html.jinja",
        title=f"{dataset}, {pair}",
        problems=int(of_pair["problems"].max()),
        headlines=list_headlines(of_pair),
        sections={heading: found for heading, found in sections.items() if found},
    )


def list_headlines(summary: pd.DataFrame) -> list[dict[str, str]]:
    """Return the rules in front of a pair's summary, each a row of texts by column."""
    rules, rows = {"target": "target"} | front_rules(summary), {row["rule"]: row for row in records(summary)}
    shown = [rows[rules[place]] for place in IN_FRONT if rules.get(place) in rows]
    columns = POINT | ACCURACY | SPEED | TOKENS
    return [{name: write(row) for name, write in columns.items()} for row in shown]


def _find_results(
    results: Path, dataset: str, pair: str, entries: Iterable[tuple[str, tuple[str, str]]]
) -> Iterable[Result]:
    """Yield the results of a section that have a file."""
    page = results / dataset / pair
    for place, (title, seen) in entries:
        stem = place.format(dataset=dataset, pair=pair)
        found = {suffix: path for suffix in SUFFIXES if (path := results / f"{stem}{suffix}").is_file()}
        if found:
            links = {suffix: quote(os.path.relpath(path, page)) for suffix, path in found.items()}
            yield Result(title, seen, links, _shrink(found[".png"]) if ".png" in found else None)


def _shrink(figure: Path) -> str:
    """Return a figure's thumbnail, PNG, as an address that holds it."""
    small = BytesIO()
    with Image.open(figure) as picture:
        picture.thumbnail((THUMBNAIL, picture.height))
        picture.convert("RGB").quantize(64).save(small, format="PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(small.getvalue()).decode()}"
