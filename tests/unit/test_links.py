"""Every link of a page to a file of the repository, or to a heading of one, leads somewhere."""

import re
import subprocess
from pathlib import Path

import pytest

from conftest import ROOT

LISTED = subprocess.run(
    ["git", "ls-files", "-co", "--exclude-standard", "*.md"], cwd=ROOT, capture_output=True, text=True
).stdout.splitlines()
PAGES = [name for name in LISTED if (ROOT / name).is_file()]


def links(text: str) -> list[str]:
    """Return the targets of a page's links and pictures outside of code."""
    text = re.sub(r"^ *(```|~~~).*?^ *\1", "", text, flags=re.MULTILINE | re.DOTALL)
    text = re.sub(r"`[^`\n]*`", "", text)
    found = re.findall(r"\]\(([^()\s]+)\)", text) + re.findall(r"(?:src|href)=\"([^\"]+)\"", text)
    return [target for target in found if not re.match(r"[a-z]+:", target)]


def anchors(text: str) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    text = re.sub(r"^(```|~~~).*?^\1", "", text, flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {
        re.sub(r"[^\w\- ]", "", re.sub(r"\]\([^)]*\)", "", heading)).lower().replace(" ", "-") for heading in headings
    }


def broken(page: Path) -> list[str]:
    """Return the links of a page that lead nowhere."""

    def leads(target):
        path, _, anchor = target.partition("#")
        file = page.parent / path if path else page
        return file.exists() and (not anchor or anchor in anchors(file.read_text(encoding="utf-8")))

    return [target for target in links(page.read_text(encoding="utf-8")) if not leads(target)]


@pytest.mark.skipif(not PAGES, reason="no git checkout")
def test_pages_are_found():
    assert {"README.md", "config/README.md", "docs/serving.md", "results/README.md"} <= set(PAGES)


@pytest.mark.parametrize("name", PAGES)
def test_every_link_leads_somewhere(name):
    assert not broken(ROOT / name)


def test_a_link_to_nowhere_is_found(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "# A `b`, c\n[x](gone.md) [y](#a-b-c) [z](#a-b) `[q](code.md)` ![p](page.md) [h](https://example.org)"
    )
    assert broken(page) == ["gone.md", "#a-b"]
