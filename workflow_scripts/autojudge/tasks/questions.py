"""Questions without answers, asked as they are: rows with `question`, for labels that need no answers."""

from collections.abc import Iterator, Mapping
from typing import Any

from autojudge.reading.rows import load_rows
from autojudge.tasks import Example

VERSION = 1
ANSWERS = False


def load_examples(source: Any, _counts: Mapping[str, int], _seed: int) -> Iterator[Example]:
    """Yield the rows of the train and test files or hub splits."""
    for origin, place, row in load_rows(source, {"question": str}):
        yield Example(row["question"], None, origin, place=place)


def extract_answer(_text: str) -> None:
    """Find nothing: what would be the answer is not known."""
    return None


def same_answer(_a: str, _b: str) -> bool:
    """Take no two answers for equal."""
    return False
