"""The script of the page of tokens, in a browser where there is one: filters, the order of the list, its buttons."""

import html
import json
import re
import shutil
import subprocess

import pytest

from autojudge.reporting.tokens_page import build_page

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(BROWSER is None, reason="no Chromium is installed")
# position, important, p(important); at a threshold of 0.25: 2 and 9 are misses, 3 is a false alarm
FIRST, SECOND = [(1, True, 0.9), (2, True, 0.1), (3, False, 0.8)], [(4, False, 0.05), (9, True, 0.01)]
CASES = {
    "": ({}, [9, 2, 3, 1, 4]),
    "label": ({"label": "important"}, [9, 2, 1]),
    "wrong": ({"opinion": "wrong"}, [9, 2, 3]),
    "miss": ({"opinion": "miss"}, [9, 2]),
    "false alarm": ({"opinion": "alarm"}, [3]),
    "right": ({"opinion": "right"}, [1, 4]),
    "from": ({"from": "3"}, [9, 3, 4]),
    "from and to": ({"from": "2", "to": "4"}, [2, 3, 4]),
    "nothing": ({"label": "important", "opinion": "alarm"}, []),
    "another threshold": ({"threshold": "0.95"}, [9, 2, 1, 3, 4]),
}
PROBE = """
<script>
const found = {};
for (const [name, wanted] of Object.entries(CASES)) {
  form.reset();
  for (const [field, value] of Object.entries(wanted)) form.elements[field].value = value;
  form.dispatchEvent(new Event("input", { bubbles: true }));
  const buttons = [...list.querySelectorAll("tbody button")];
  buttons[0]?.click();
  found[name] = {
    listed: buttons.map(button => +button.textContent),
    marked: [...document.querySelectorAll("main .token:not(.off)")].map(token => +token.dataset.position),
    shown: [...document.querySelectorAll(".problem")].filter(section => !section.hidden).map(section => section.id),
    reached: buttons.length ? +document.activeElement.dataset.position : null,
    said: form.querySelector("output").textContent,
  };
}
document.body.insertAdjacentHTML("beforeend", "<pre id='found'></pre>");
document.querySelector("#found").textContent = JSON.stringify(found);
</script>
"""


def problem(name, mismatches):
    """Return a problem of twelve tokens with these mismatches."""
    tokens = {
        "target_piece": "TT",
        "draft_piece": "DD",
        "margin": 1.5,
        "alternative_answer": "1",
        "likelihood_change": None,
    }
    tokens["difference"] = [("first", "TT"), ("second", "DD"), ("both", " on")]
    marked = [
        tokens | dict(zip(("position", "important", "probability"), mismatch, strict=True)) for mismatch in mismatches
    ]
    known = {"problem_id": name, "split": "validation", "question": "How many?", "gold": "1", "target_answer": "1"}
    return known | {"pieces": list("abcdefghijkl"), "mismatches": marked}


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """What the page shows in each case."""
    folder = tmp_path_factory.mktemp("page")
    page = build_page("Tokens", [problem("first", FIRST), problem("second", SECOND)], "A note.", 0.25)
    probe = PROBE.replace("CASES", json.dumps({name: wanted for name, (wanted, _) in CASES.items()}))
    (folder / "page.html").write_text(page.replace("</body>", f"{probe}</body>"), encoding="utf-8")
    options = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder}", "--dump-dom"]
    shown = subprocess.run(
        [BROWSER, *options, f"file://{folder}/page.html"], capture_output=True, text=True, timeout=100, check=True
    )
    (text,) = re.findall(r'<pre id="found">(.*?)</pre>', shown.stdout)
    return json.loads(html.unescape(text))


@pytest.mark.parametrize("case", CASES)
def test_list_and_text_show_what_is_asked_for_the_judges_errors_first(found, case):
    wanted, positions = CASES[case]
    case = found[case]
    assert case["listed"] == positions and case["marked"] == sorted(positions)
    sections = {f"problem-{1 if position < 4 else 2}" for position in positions}
    narrowed = wanted.keys() - {"threshold"}
    assert set(case["shown"]) == (sections if narrowed else {"problem-1", "problem-2"})
    assert case["reached"] == (positions[0] if positions else None), "the first button leads to its token"
    assert case["said"].startswith(f"{len(positions)} of 5 mismatches; ")


def test_misses_and_false_alarms_are_counted_at_the_threshold(found):
    assert found[""]["said"].endswith("; misses: 2, false alarms: 1")
    assert found["another threshold"]["said"].endswith("; misses: 3, false alarms: 0")
