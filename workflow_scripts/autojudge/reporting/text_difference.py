"""Two texts as one, with what either has alone."""

import re
from difflib import SequenceMatcher
from typing import Literal

WORDS = 600  # of each text that are compared
SHOWN = 400  # characters of a run without a difference, or of one text alone, that are shown

Run = tuple[Literal["both", "first", "second"], str]


def compare_texts(first: str, second: str) -> list[Run]:
    """Return the runs of words of two texts in order: which text has them, and the words.

    The runs of `first` and `both` give the first text, those of `second` and `both` the second. Of long texts the
    first words are compared, the middle of a long run is left out, and either is told by a sign, ` … `.
    """
    parts = [re.findall(r"\s*(?:\w+|[^\w\s])|\s+\Z", text) for text in (first, second)]
    cut = max(map(len, parts)) > WORDS
    before, after = (part[:WORDS] for part in parts)
    runs: list[Run] = []
    for kind, low, high, start, end in SequenceMatcher(None, before, after).get_opcodes():
        if kind == "equal":
            runs.append(("both", _shorten(before[low:high])))
            continue
        runs += [("first", _shorten(before[low:high]))] if high > low else []
        runs += [("second", _shorten(after[start:end]))] if end > start else []
    return [*runs, ("both", " …")] if cut else runs


def _shorten(words: list[str]) -> str:
    """Return words as text, that of a long run without its middle."""
    text, half = "".join(words), SHOWN // 2
    return text if len(text) <= SHOWN else f"{text[:half]} … {text[-half:]}"
