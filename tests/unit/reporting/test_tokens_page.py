"""The page of mined tokens, read back as HTML."""

from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

from autojudge.errors import InputError
from autojudge.reporting.tokens_page import build_page, choose_responses, collect_problems

VOID = {"meta", "link", "img", "br", "input"}
THRESHOLD = 0.25


class Page(HTMLParser):
    """Collects text by the classes of the elements around it, and every element with its attributes."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[tuple[str, set[str]]] = []
        self.texts: list[tuple[list[str], set[str], str]] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append((tag, set((dict(attrs).get("class") or "").split())))

    def handle_endtag(self, tag):
        assert self.open.pop()[0] == tag, f"</{tag}> closes another element"

    def handle_data(self, data):
        self.texts.append(([tag for tag, _ in self.open], set().union(*(c for _, c in self.open)), data))

    def text(self, *within: str, without: str = "") -> str:
        """Return the text inside elements of all these classes and of none of class `without`."""
        return "".join(data for _, classes, data in self.texts if set(within) <= classes and without not in classes)


def mismatch(position: int, important: bool, **changes) -> dict:
    """Return a mismatch."""
    return {
        "position": position,
        "important": important,
        "target_piece": "TT",
        "draft_piece": "DD",
        "probability": 0.125,
        "margin": 1.5,
        "difference": [("first", "TT"), ("second", "DD"), ("both", " and on")],
        "alternative_answer": "96" if important else "72",
        "likelihood_change": None,
    } | changes


def problem(pieces: list[str], mismatches: list[dict], **changes) -> dict:
    """Return a problem."""
    return {
        "problem_id": "abc123",
        "split": "validation",
        "question": "How many?",
        "gold": "72",
        "target_answer": "72",
        "pieces": pieces,
        "mismatches": mismatches,
    } | changes


def show(*problems: dict) -> Page:
    """Return the parsed page."""
    return Page(build_page("Tokens", list(problems), "A note.", THRESHOLD))


def test_response_shows_every_piece_in_order_with_its_whitespace():
    pieces = ["So", "  48", "/", "2\n\n", "  =", "\t24", ".\n"]
    page = show(problem(pieces, [mismatch(1, False), mismatch(4, True)]))
    assert page.text("response", without="tip") == "".join(pieces)


def test_marked_newline_is_visible_and_still_breaks_the_line():
    page = show(problem(["a", "\n", "b"], [mismatch(1, True)]))
    assert page.text("response", without="tip") == "a↵\nb"


def test_important_and_unimportant_tokens_are_marked_apart():
    page = show(problem(["a", "b", "c", "d"], [mismatch(1, False), mismatch(3, True)]))
    assert page.text("response", "unimportant", without="tip") == "b"
    assert page.text("response", "important", without="tip") == "d"


def test_marks_differ_by_more_than_colour():
    html = build_page("Tokens", [], "", THRESHOLD)
    assert ".unimportant { background: var(--safe); text-decoration: underline dotted" in html
    assert ".important { background: var(--vital); text-decoration: underline double" in html


@pytest.mark.parametrize(("important", "kept"), [(True, "target’s token TT kept"), (False, "draft’s token DD kept")])
def test_tooltip_tells_which_token_was_kept(important, kept):
    tip = show(problem(["a"], [mismatch(0, important)])).text("tip")
    assert kept in tip
    assert tip.count(" kept") == 2  # the heading and that token


def test_tooltip_has_probability_margin_alternative_and_its_answer():
    tip = show(problem(["a"], [mismatch(0, True)])).text("tip")
    for part in ("p(important) 0.125", "1.50 logits", "TTDD and on", "answer with the draft’s token 96"):
        assert part in tip


def test_missing_probability_and_answers_are_said_in_words():
    page = show(problem(["a"], [mismatch(0, True, probability=None, alternative_answer=None)], target_answer=None))
    assert "p(important) no judge" in page.text("tip")
    assert "draft’s token none found" in page.text("tip")
    assert "target’s answer" + "none found" in page.text("facts").replace("\n", "")


def test_probability_zero_and_answer_zero_are_values():
    tip = show(problem(["a"], [mismatch(0, True, probability=0.0, alternative_answer="0")])).text("tip")
    assert "p(important) 0.000" in tip
    assert "draft’s token 0" in tip


def test_whitespace_of_the_two_tokens_is_visible():
    tip = show(problem(["a"], [mismatch(0, True, target_piece=" x\n", draft_piece="")])).text("tip")
    assert "␣x↵" in tip
    assert "(empty)" in tip


def test_tooltip_opens_by_pointer_and_by_keyboard():
    html = build_page("Tokens", [problem(["a", "b"], [mismatch(0, True), mismatch(1, False)])], "", THRESHOLD)
    assert ".token:hover > .tip, .token:focus-within > .tip { display: block; }" in html
    reachable = [attrs for _, attrs in Page(html).elements if attrs.get("tabindex") == "0" and "data-p" in attrs]
    assert len(reachable) == 2


def test_text_of_a_model_is_never_markup():
    evil = "<script>alert(1)</script><img src=x onerror=y>"
    difference = [(kind, evil) for kind in ("first", "second", "both")]
    fields = {"target_piece": evil, "draft_piece": evil, "difference": difference, "alternative_answer": evil}
    facts = {"problem_id": evil, "split": evil, "question": evil, "gold": evil, "target_answer": evil}
    page = Page(build_page(evil, [problem([evil, evil], [mismatch(1, True, **fields)], **facts)] * 2, evil, THRESHOLD))
    assert [tag for tag, _ in page.elements].count("script") == 1  # the page's own
    assert "img" not in [tag for tag, _ in page.elements]
    assert page.text("response", without="tip") == evil * 4


def test_the_script_makes_no_markup_of_text():
    html = build_page("Tokens", [], "", THRESHOLD)
    assert "textContent" in html and not [way for way in ("innerHTML", "outerHTML", "HTML(", ".write(") if way in html]


def test_page_is_one_file_without_outside_resources():
    html = build_page("Tokens", [problem(["a"], [mismatch(0, True)])], "", THRESHOLD)
    assert "http" not in html and "url(" not in html and "@import" not in html
    assert not [tag for tag, attrs in Page(html).elements if tag == "link" or "src" in attrs]


def test_every_problem_has_its_counts_and_a_link_from_the_list():
    page = show(
        problem(["a", "b", "c"], [mismatch(0, False), mismatch(1, True), mismatch(2, True)], problem_id="first"),
        problem(["a"], [], problem_id="second"),
    )
    facts = page.text("facts").replace("\n", " ")
    assert "tokens3 mismatches3 important2" in facts
    assert "tokens1 mismatches0 important0" in facts
    targets = [attrs["id"] for tag, attrs in page.elements if tag == "section"]
    assert [attrs["href"] for tag, attrs in page.elements if tag == "a"] == [f"#{target}" for target in targets]
    assert len(set(targets)) == 2


def test_alternative_is_shown_as_a_difference_from_the_mined_text():
    page = show(problem(["a"], [mismatch(0, True)]))
    shown = [(tags[-1], text) for tags, classes, text in page.texts if "alternative" in classes]
    assert shown == [("del", "TT"), ("ins", "DD"), ("span", " and on")]


def test_labels_by_likelihood_are_told_as_such_and_keep_no_draft_token():
    page = show(problem(["a", "b"], [mismatch(i, i == 0, likelihood_change=(-12.34, 0.5)[i]) for i in (0, 1)]))
    tips, legend = page.text("tip"), page.text("legend")
    assert "changes by -12.3 nats" in tips and "changes by +0.5 nats" in tips
    assert "kept" not in tips and "answer" not in tips and "72" not in tips
    assert "less likely" in legend and "the answer stayed the same" not in legend


def collect(**label) -> list:
    """Return the difference of a mismatch at position 1 of the response `abcd`; tokens are letters."""
    row = {"problem_id": "x", "position": 1, "important": True, "target_token": 98, "draft_token": 66, "margin": 1.0}
    row |= {"probability": 0.5, "alternative_answer": "1", "stopped": False} | label
    responses = {"problem_id": "x", "split": "train", "target_answer": "1", "mined_tokens": list(b"a b c")}
    problems = pd.DataFrame([{"problem_id": "x", "question": "?", "gold": "1"}])
    decode = lambda tokens: bytes(tokens).decode()  # noqa: E731
    (found,) = collect_problems(problems, pd.DataFrame([row]), pd.DataFrame([responses]), decode)
    return found["mismatches"][0]


@pytest.mark.parametrize(
    ("most", "shown"), [(9, ["v1", "v2", "t1", "t2"]), (4, ["v1", "v2", "t1"]), (3, ["v1", "v2"]), (1, ["v1"])]
)
def test_as_many_whole_responses_are_shown_as_fit_validation_first(most, shown):
    splits = {"t1": "train", "v1": "validation", "t2": "train", "v2": "validation"}
    responses = pd.DataFrame(splits.items(), columns=["problem_id", "split"])
    labels = pd.DataFrame({"problem_id": ["t1", "v1", "v1", "v1", "t2", "t2"]})
    assert list(choose_responses(responses, labels, most)["problem_id"]) == shown


def test_difference_is_of_the_texts_from_the_mismatch_on():
    assert collect(alternative_tokens=list(b" B c"))["difference"] == [
        ("first", " b"),
        ("second", " B"),
        ("both", " c"),
    ]


def test_of_a_stopped_alternative_nothing_is_said_of_what_would_follow():
    stopped = collect(alternative_tokens=list(b" b"), stopped=True)["difference"]
    assert stopped == [("both", " b"), ("both", " … (stopped here)")]
    assert collect(alternative_tokens=list(b" b"))["difference"][-1] == ("first", " c")


@pytest.mark.parametrize(
    ("column", "change"),
    [({}, None), ({"likelihood_change": np.nan}, None), ({"likelihood_change": np.float32(-2.5)}, -2.5)],
)
def test_a_label_without_a_change_of_likelihood_is_by_answers(column, change):
    assert collect(alternative_tokens=list(b" B"), **column)["likelihood_change"] == change


def test_filters_have_what_the_script_reads_and_wait_for_it():
    page = show(problem(["a", "b"], [mismatch(0, True), mismatch(1, False, probability=None)]))
    (form,) = (attrs for tag, attrs in page.elements if tag == "form")
    assert "hidden" in form and form["data-threshold"] == str(THRESHOLD)
    names = [attrs["name"] for tag, attrs in page.elements if tag in ("select", "input")]
    assert names == ["label", "opinion", "threshold", "from", "to"]
    tokens = [attrs for tag, attrs in page.elements if "tabindex" in attrs and "data-p" in attrs]
    assert [(token["data-position"], token["data-p"]) for token in tokens] == [("0", "0.125"), ("1", "")]


@pytest.mark.parametrize("positions", [[1], [0, 0], [-1]])
def test_mismatch_that_does_not_fit_the_response_is_refused(positions):
    with pytest.raises(InputError, match=r"problem abc123.*response of 1 tokens.*mine again"):
        show(problem(["a"], [mismatch(position, True) for position in positions]))
