"""The index of a pair and snakemake's report, as their readers open them: no network, no broken link."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit
from zipfile import ZipFile

import pytest
from clone import RESULTS

NO_NETWORK = {name: "http://127.0.0.1:9" for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY")}
PAGES = ("answers", "judges", "model_card", "provenance")
REPORTED = {
    "all pairs": {"arith_pareto.png", "arith_summary.html", "arith_summary.csv"},
    "testbed": {"ablation.png", "learning_curve.png", "speed.png", "tokens.html", *(f"{page}.html" for page in PAGES)},
}


class Page(HTMLParser):
    """What a page leads to, and what it loads."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.places: set[str] = set()
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.places |= {found["id"]} if "id" in found else set()
        self.loaded += [found["src"]] if "src" in found else []
        if "href" in found:
            (self.loaded if tag == "link" else self.links).append(found["href"])


def broken_links(path: Path) -> list[str]:
    """Links of a page that lead to no file beside it and to no place in it."""
    page = Page(path.read_text())
    local = [link for link in page.links if not urlsplit(link).scheme]
    files = [link for link in local if not link.startswith("#") and not (path.parent / unquote(link)).is_file()]
    return files + [link for link in local if link.startswith("#") and link[1:] not in page.places]


@pytest.mark.parametrize("name", ["index", "tokens", *PAGES, "../../arith_summary"])
def test_no_page_has_a_broken_link_or_loads_anything(clone, name):
    path = clone.folder / RESULTS / f"{name}.html"
    assert broken_links(path) == []
    assert all(source.startswith("data:") for source in Page(path.read_text()).loaded)


def test_the_index_links_what_a_run_makes_of_a_pair(clone):
    folder = clone.folder / RESULTS
    linked = {(folder / unquote(link)).resolve() for link in Page((folder / "index.html").read_text()).links}
    made = {path.resolve() for suffix in ("html", "pdf", "csv", "md") for path in folder.glob(f"*.{suffix}")}
    made |= {
        (clone.folder / "results" / f"arith_{name}").resolve() for name in ("pareto.pdf", "summary.html", "summary.csv")
    }
    assert len(made) > 12 and made - linked == {(folder / "index.html").resolve()}
    assert (folder / "export/judge.json").resolve() in linked


def test_the_index_is_written_anew_for_a_result_that_was_made_by_name(finished):
    (finished.folder / RESULTS / "vllm.pdf").touch()
    assert finished.planned("--cores", "all") == {"write_index": 1}


def read_variable(html: str, name: str) -> dict:
    """A variable of the report's script."""
    return json.loads(re.search(rf'<script id="{name}">\s*var \w+ = (.*);\n', html)[1])


def test_the_report_holds_what_a_reader_wants_and_is_made_without_a_network(clone):
    made = clone.snakemake("--report", "report.zip", **NO_NETWORK)
    assert made.returncode == 0, made.stderr
    with ZipFile(clone.folder / "report.zip") as packed:
        files, html = set(packed.namelist()), packed.read("report/report.html").decode()
    results, categories = read_variable(html, "results"), read_variable(html, "categories")
    found = {part: {Path(path).name for path in paths} for part, paths in categories["arith"].items()}
    assert categories.keys() == {"arith"} and found == REPORTED
    assert {f"report/{result['data_uri']}" for result in results.values()} == files - {"report/report.html"}
    for path, result in results.items():
        assert "Made by" in result["caption"] and "problematic" not in result["caption"], path
        assert result["labels"]["result"], path
    assert "arith" in read_variable(html, "workflow-desc")
    assert all(source.startswith("data:") for source in Page(html).loaded)
