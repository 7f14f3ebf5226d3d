"""GSM8K, grade school math (Cobbe et al. 2021): rows with `question` and `answer`, the answer's number after `####`."""

import re
from collections.abc import Iterator, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from autojudge.dataset_rows import load_rows
from autojudge.errors import InputError
from autojudge.tasks import Example

VERSION = 1
NUMBER = r"-?\$?-?(?:\d[\d,]*)(?:\.\d+)?"
STATED = re.compile(rf"final answer is:?[^\d\n-]{{0,20}}?({NUMBER})", re.IGNORECASE)
ANY_NUMBER = re.compile(NUMBER)
INSTRUCTION = (
    'Solve the problem step by step. End with one line that reads "The final answer is N", where N is the number.\n\n'
)


def load_examples(source: Any, counts: Mapping[str, int], seed: int) -> Iterator[Example]:
    """Yield the rows of the train and test files or hub splits."""
    for origin, row in load_rows(source, ("question", "answer"), hub_config="main"):
        yield Example(row["question"], _read_gold(row["answer"]), origin)


def build_messages(question: str) -> list[dict[str, str]]:
    """Ask for a worked solution with a stated final answer, zero-shot."""
    return [{"role": "user", "content": INSTRUCTION + question}]


def extract_answer(text: str) -> str | None:
    """Return the last stated final answer, else the last number, as a plain decimal."""
    found = STATED.findall(text) or ANY_NUMBER.findall(text)
    return _normalise(found[-1]) if found else None


def same_answer(a: str, b: str) -> bool:
    """Compare as numbers: 18, 18.0 and 18.00 are equal."""
    try:
        return Decimal(a) == Decimal(b)
    except InvalidOperation:
        return a == b


def _read_gold(answer: str) -> str:
    gold = _normalise(answer.rpartition("####")[2])
    if "####" not in answer or not ANY_NUMBER.fullmatch(gold):
        raise InputError(f"GSM8K row with answer {answer[-60:]!r}: no number after ####; mend or drop that row")
    return gold


def _normalise(number: str) -> str:
    return number.strip().replace(",", "").replace("$", "")
