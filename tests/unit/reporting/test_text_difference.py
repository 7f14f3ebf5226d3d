"""Two texts as one."""

import pytest

from autojudge.reporting.text_difference import SHOWN, WORDS, compare_texts


def text_of(runs, kind):
    return "".join(text for name, text in runs if name in ("both", kind))


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("48 / 2 = 24\nSo 72.", "48 / 2 = 26\nSo 74."),
        ("a  b\n\n", "a b"),
        ("", "all of it"),
        ("<script>alert(1)</script>", "<b>other</b> &amp;"),
        ("日本語 text", "日本 text ☃"),
        ("same", "same"),
    ],
)
def test_runs_give_both_texts_back(first, second):
    runs = compare_texts(first, second)
    assert (text_of(runs, "first"), text_of(runs, "second")) == (first, second)
    assert all(text for _, text in runs)


def test_only_the_words_that_differ_are_told_apart():
    assert compare_texts("So 48 / 2 = 24 left.", "So 48 / 2 = 26 left.") == [
        ("both", "So 48 / 2 ="),
        ("first", " 24"),
        ("second", " 26"),
        ("both", " left."),
    ]


def test_a_long_run_loses_its_middle_and_a_long_text_its_end():
    runs = compare_texts("word " * 200 + "x", "word " * 200 + "y")
    assert [kind for kind, _ in runs] == ["both", "first", "second"]
    assert " … " in runs[0][1] and len(runs[0][1]) == SHOWN + 3
    assert compare_texts("w " * (WORDS + 1), "w")[-1] == ("both", " …")
    assert compare_texts("w " * (WORDS - 1), "w")[-1] != ("both", " …")
