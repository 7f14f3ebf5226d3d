"""Pages for browsers: Markdown as HTML, the index of a pair, its provenance."""

import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pandas as pd
import pytest
from matplotlib.image import imsave

from autojudge.reporting import index_page, provenance_page
from autojudge.reporting.html_page import render_markdown

ROOT = Path(__file__).parents[3]
EVIL = "<script>alert(1)</script>"
SUMMARY = {
    "kind": "reference", "best": False, "window": 8, "threshold": 0.5, "problems": 40, "accuracy": 0.9,
    "accuracy_low": 0.8, "accuracy_high": 0.95, "drop": 0.0, "drop_low": 0.0, "drop_high": 0.0, "speedup": 1.5,
    "accepted_per_cycle": 4.0, "emitted_per_cycle": 5.0,
}  # fmt: skip


class Links(HTMLParser):
    """Addresses that a page asks for or leads to, and its tags."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.pictures: list[str] = []
        self.tags: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.links += [value for name, value in attrs if name == "href"]
        self.pictures += [value for name, value in attrs if name == "src"]


def summary(*rules: dict) -> pd.DataFrame:
    return pd.DataFrame([SUMMARY | {"pair": "p a#r"} | rule for rule in rules])


RULES = summary(
    {"rule": "target", "window": 0, "speedup": 1.0},
    {"rule": "lossless", "speedup": 1.7},
    {"rule": "always", "accuracy": 0.2},
    {"rule": "judge", "kind": "judge", "accuracy": 0.875, "speedup": 2.31},
    {"rule": "top_k", "kind": "training-free", "best": True},
    {"rule": "fly", "kind": "training-free"},
    {"rule": "lossless", "pair": "other", "problems": 7},
)


@pytest.fixture
def results(tmp_path) -> Path:
    """Some results of dataset `d` and a pair whose name an address must quote."""
    folder = tmp_path / "results"
    (folder / "d/p a#r/export").mkdir(parents=True)
    imsave(folder / "d_pareto.png", np.random.default_rng(0).random((900, 1800, 3)))
    for name in ("d_pareto.pdf", "d_summary.md", "d/p a#r/tokens.html", "d/p a#r/export/judge.json", "d/p a#r/x.csv"):
        (folder / name).touch()
    return folder


def test_index_links_each_result_that_is_there_and_none_else(results):
    page = Links(index_page.build_page(results, "d", "p a#r", RULES))
    linked = {(results / "d/p a#r" / unquote(link)).resolve() for link in page.links}
    assert all(path.is_file() for path in linked)
    names = {str(path.relative_to(results.resolve())) for path in linked}
    assert names == {"d_pareto.pdf", "d_pareto.png", "d_summary.md", "d/p a#r/tokens.html", "d/p a#r/export/judge.json"}
    assert not [link for link in page.links if link.startswith("/") or "://" in link]


def test_index_has_small_thumbnails_inside(results):
    html = index_page.build_page(results, "d", "p a#r", RULES)
    (picture,) = Links(html).pictures
    assert picture.startswith("data:image/png;base64,")
    assert len(html) < 0.6 * (results / "d_pareto.png").stat().st_size
    assert "http" not in html and "url(" not in html


def test_index_has_the_rules_in_front_of_its_own_pair(results):
    rows = index_page.list_headlines(RULES[RULES["pair"] == "p a#r"])
    assert [row["rule"] for row in rows] == ["target alone", "lossless", "judge", "top-K *"]
    assert rows[2]["accuracy, %"].startswith("87.5 (") and rows[2]["speed-up"] == "2.31"
    html = index_page.build_page(results, "d", "p a#r", RULES)
    assert "40 test problems" in html and "87.5" in html and ">FLy" not in html


def test_names_are_never_markup(results):
    pair = EVIL.replace("/", "-")
    (results / "d" / pair).mkdir()
    page = Links(index_page.build_page(results, "d", pair, RULES[RULES["pair"] != "other"].assign(pair=pair)))
    assert "script" not in page.tags


def test_index_has_a_place_for_each_file_that_the_dictionary_of_results_tells_of():
    page = (ROOT / "results/README.md").read_text().split("## Columns")[0]
    told = re.findall(r"`(\{(?:dataset|pair)\}[^`]*)/?([\w/]+)\.(?:html|pdf|md|csv|parquet)`", page)
    places = {prefix + name for prefix, name in told} - {"{dataset}/tests"}
    named = {place for entries in index_page.RESULTS.values() for place in entries}
    assert len(places) > 15 and places - named == {"{dataset}/{pair}/index", "{dataset}/{pair}/judge/README"}


def test_markdown_becomes_tables_and_what_a_model_wrote_stays_text():
    text = f"---\nlicence: x\n---\n# Judges\n\n| a | b |\n|---|--:|\n| {EVIL} | [x](javascript:alert(1)) |\n\n{EVIL}\n"
    text += f"\n```\n{EVIL}\n```\n"
    html = render_markdown(text, EVIL)
    page = Links(html)
    assert page.tags.count("table") == 1 and page.tags.count("td") == 2 and page.tags.count("h1") == 1
    assert "script" not in page.tags and page.links == [] and "licence" not in html
    assert html.count("&lt;script&gt;alert(1)&lt;/script&gt;") == 4


def test_provenance_tells_both_runs_and_the_settings():
    written = {"commit": "new", "python": "3.11", "packages": {"torch": "2"}, "seed": 1, "config": "abc"}
    chosen = written | {"commit": "old-dirty"}
    text = provenance_page.build_page("d, p", written, chosen, {"judge": {"folds": (1, 2)}, "seed": 1})
    (row,) = (line for line in text.splitlines() if line.startswith("| commit"))
    assert [cell.strip() for cell in row.split("|")[1:-1]] == ["commit", "new", "old-dirty"]
    assert "folds:\n  - 1\n  - 2\n" in text
    alone = provenance_page.build_page("d, p", written | {"commit": None}, None, {})
    assert "not known" in alone and "the judge" not in alone.split("##")[0]
