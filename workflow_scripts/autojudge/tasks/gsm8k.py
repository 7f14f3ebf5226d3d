"""GSM8K, grade school math (Cobbe et al. 2021): rows with `question` and `answer`, the answer's number after `####`."""

from collections.abc import Iterator, Mapping
from typing import Any

from autojudge.errors import InputError
from autojudge.reading.answers import Reading, normalise_number, read_number, same_number
from autojudge.reading.prompts import Prompt
from autojudge.reading.rows import load_rows
from autojudge.tasks import Example

VERSION = 4
PROMPT = Prompt.load(__file__)
same_answer = same_number


def load_examples(source: Any, _counts: Mapping[str, int], _seed: int) -> Iterator[Example]:
    """Yield the rows of the train and test files or hub splits."""
    for origin, place, row in load_rows(source, {"question": str, "answer": str}, hub_config="main"):
        yield Example(row["question"], _read_gold(row["answer"], place), origin)


def read_answer(text: str) -> Reading | None:
    """Return the last stated final answer, else the last boxed number, else the last number."""
    return read_number(PROMPT.cut(text))


def extract_answer(text: str) -> str | None:
    """Return the answer of `read_answer`."""
    reading = read_answer(text)
    return reading.answer if reading else None


def _read_gold(answer: str, place: str) -> str:
    gold = normalise_number(answer.rpartition("####")[2])
    if "####" not in answer or gold is None:
        raise InputError(
            f"{place}: no number after #### in its answer {answer[-60:]!r}, or none that can be read with certainty; "
            "write it like 18, 2.5, 1/2 or -5, or drop that row"
        )
    return gold
