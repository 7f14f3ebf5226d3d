r"""Read final answers: the stated form first, then a boxed answer, then the last number.

Numbers are read as exact fractions, so that "$1,234.50", "1234.5" and "\frac{2469}{2}" are one answer. A number that
nobody can read surely is no answer, and no other number is taken in its place.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import NamedTuple

from autojudge.reading.final_turn import final_turn
from autojudge.reading.numbers import Number, find_numbers, plain, write_number

STATED, BOXED, LAST_NUMBER = "stated", "boxed", "last number"  # the forms, in the order in which they are looked for
FORMS = (STATED, BOXED, LAST_NUMBER)
UNCLEAR = ""  # what is read of a number without a value

_VALUE = r"[-−–]?\s*[$£€¥₹]?\s?[-−–]?\d"
_SIGNS = r"[^\w\n]{0,12}"  # Markdown, emoji
_WORDS = r"final answer(?: \([^()\n]*\))?"
_STATEMENT = re.compile(
    rf"{_WORDS}(?:\W{{0,4}}(?:is\b|[:=](?!=))|{_SIGNS}[ \t*_](?={_VALUE}))|<answer>|"
    rf"(?P<heading>^{_SIGNS}(?:\d+[.)]\s?)?(?:(?:the|my|our) )?{_WORDS}{_SIGNS}$(?:\n[=-]{{3,}}$)?|"
    rf"^{_SIGNS}(?:#|\*\*){_SIGNS}answer{_SIGNS}$|^{_SIGNS}answer\W{{0,6}}(?={_SIGNS}{_VALUE}\S*{_SIGNS}$))",
    re.IGNORECASE | re.MULTILINE,
)
_MARKUP = re.compile(r"[\s:*_`$\\(\[{<]*")  # between the statement and a number
_MARKDOWN = " \n\t:*_`"  # between the statement and an expression
_DELIMITERS = (("$$", "$$"), ("$", "$"), (r"\(", r"\)"), (r"\[", r"\]"))
_MATHEMATICS = re.compile(r"\$\$.+?\$\$|(?<!\\)\$[^$\n]+(?<!\\)\$(?!\d)|\\\(.+?\\\)|\\\[.+?\\\]", re.DOTALL)
_BOX = re.compile(r"\\f?box(?:ed)?(?:\s*\{|\s+(?P<bare>-?[\d.,]+))")
_GAP = r"(?:[ \t\n$]|\\[()\[\],;:! ])*"
_JOINT = re.compile(  # between the boxes of one answer
    rf"(?:{_GAP}(?:[,;&]|\b(?:and|or)\b|\\text\s*\{{\s*(?:and|or)\s*\}}|\\q?quad\b|\n[ \t]*[-*•] )){{1,2}}"
    rf"{_GAP}(?:\\?[a-zA-Z](?:_\{{?\w+\}}?)?\s*=\s*)?{_GAP}"
)
_SENTENCE_END = re.compile(r"[.!?](?=\s|$)|\n")
_CLAUSE_END = re.compile(  # an aside in brackets holds an equation
    r"[,;:](?=\s)|(?<=[\w%])\s+[(\[](?=[^()]*=)|\b(?:since|because|and|as|so|where|if|when)\b"
)
_AFTERTHOUGHT = re.compile(r",?\s*I hope\b.*|,\s*(?:not|rather than|instead of)\b.*", re.DOTALL)
_ASIDE = re.compile(r"[(\[](?=[^()\[\]]*[A-Za-z]{2})[^()\[\]=$\\]*[)\]]")
_UNIT = re.compile(
    r"(?<=\d)\s+(?:square |cubic )?(?:dollars?|cents?|degrees?|units?|inch(?:es)?|feet|miles?|hours?|minutes?|ways)$"
)
_OPERATION = re.compile(r"\s*(?:[-+*×÷x/^]|to\b|or\b)\s*[($]?\d")
_DENIED = re.compile(r"\b(?:not|instead of|rather than)\s+[$£€¥₹]?-?(?=\d)")
_HASHES = re.compile(  # GSM8K's sign of the answer, and no heading of a numbered part
    rf"####\s*(?!\s)(?=(?:minus |negative )?\s*{_VALUE})(?!\d{{1,2}}[.):]\s+(?!Problem|Question|Q\b|User|Human)\w)"
)
_MARKER = re.compile(  # of a list, or of a step
    r"^[ \t>#*•-]*\(?(?P<item>\d{1,3})\\?[.)](?P<text>(?=[ \t]*[^\W\d]|[ \t]+\S))?(?=\s|[^\W\d]|$)|"
    rf"\bsteps?\s?(?P<step>\d+)|^{_SIGNS}[A-Za-z]+ (?P<label>\d{{1,3}}):|(?P<keycap>\d)\ufe0f?\u20e3",
    re.MULTILINE | re.IGNORECASE,
)
_RUN_ON = re.compile(
    r"\b(?:Problem|Question|Exercise|Example|Q)\s*\d*\s*:|\n#+ *(?:Problem|Question|Exercise)\b|"
    r"\n(?:Next|New) problem"
)
_GIVEN = re.compile(rf"{_STATEMENT.pattern}|{_BOX.pattern}|{_HASHES.pattern}", _STATEMENT.flags)


@dataclass(frozen=True)
class Reading:
    """An answer and the form in which the response gave it, one of FORMS."""

    answer: str
    form: str


def read_number(text: str) -> Reading | None:
    """Return the final answer of a response that ends with a number, None where it has none that is read surely."""
    text = own_answer(text)
    candidates: list[tuple[str, list[str], Callable[[str], str | None]]] = [
        (STATED, statements(text), _number_stated),
        (BOXED, boxed(text), _number_stated),
        (LAST_NUMBER, [text[found.end() :].partition("\n")[0] for found in _HASHES.finditer(text)], _number_stated),
        (LAST_NUMBER, [text], _last_number),
    ]
    for form, passages, read in candidates:
        for passage in reversed(passages):
            if (answer := read(passage)) is not None:
                return None if answer == UNCLEAR else Reading(answer, form)
    return None


def read_expression(text: str) -> Reading | None:
    """Return the final answer of a response that ends with an expression, as LaTeX; None where it has none."""
    text = own_answer(text)
    for form, passages in ((STATED, _formulas(text)), (BOXED, boxed_answers(text)[-1:])):
        for passage in reversed(passages):
            if answer := _bare(passage):
                return Reading(answer, form)
    number = _last_number(text)
    return Reading(number, LAST_NUMBER) if number else None


def own_answer(text: str) -> str:
    """Return the final turn of a response, without a problem that it set itself after its answer."""
    text = final_turn(text)
    run_on = _RUN_ON.search(text)
    while run_on:
        before, after = text[: run_on.start()], text[run_on.end() :]
        if _GIVEN.search(before) or (re.search(r"\d", before) and not _GIVEN.search(after)):
            return before
        run_on = _RUN_ON.search(text, run_on.end())
    return text


def statements(text: str) -> list[str]:
    """Return the sentence after each "final answer is", "Final answer:" or such a heading, from its first word on."""
    return [
        (_below_heading if found["heading"] else _sentence)(text[found.end() :]) for found in _STATEMENT.finditer(text)
    ]


def boxed(text: str) -> list[str]:
    r"""Return the contents of each \boxed{...} and \fbox{...}, braces balanced, and of \boxed 2."""
    return [box.content for box in _boxes(text)]


def boxed_answers(text: str) -> list[str]:
    r"""Return the boxed answers; one that stands in several boxes as a list, "3, 5" for \boxed{3} and \boxed{5}."""
    answers: list[list[str]] = []
    end = None
    for box in _boxes(text):
        if end is None or not _JOINT.fullmatch(text, end, box.start):
            answers.append([])
        if box.content not in answers[-1]:
            answers[-1].append(box.content)
        end = box.end
    return [", ".join(answer) for answer in answers]


class _Box(NamedTuple):
    start: int
    end: int
    content: str


def _boxes(text: str) -> Iterator[_Box]:
    for opening in _BOX.finditer(text):
        if opening["bare"]:
            yield _Box(*opening.span(), opening["bare"].rstrip(".,"))
            continue
        depth, start = 1, opening.end()
        for end in range(start, len(text)):
            depth += {"{": 1, "}": -1}.get(text[end], 0)
            if not depth:
                yield _Box(opening.start(), end + 1, text[start:end].rstrip(".,"))
                break


def as_fraction(number: str) -> Fraction | None:
    """Return the value of a number as `read_number` gives it; None where it is no number."""
    try:
        return Fraction(number)
    except (ValueError, ZeroDivisionError):
        return None


def same_number(a: str, b: str) -> bool:
    """Tell whether two answers are the same number: 18, 18.00 and 36/2 are."""
    values = as_fraction(a), as_fraction(b)
    return a == b if None in values else values[0] == values[1]


def normalise_number(text: str) -> str | None:
    """Return the number that a text consists of, a currency, unit or percent sign aside.

    None for any other text, and for a number that cannot be read surely.
    """
    numbers = find_numbers(plain(text.strip()))
    return _written(numbers[0]) or None if len(numbers) == 1 else None


def _sentence(text: str) -> str:
    """Return the text from its first word on, up to its sentence's end."""
    markup = _MARKUP.match(text)
    start = markup.end() if markup else 0
    if "\n" in text[:start] and text[start : start + 2] in ("- ", "– ", "• "):  # an item, not a minus
        start += 2
    # A minus or a currency sign belongs to the answer, and a backslash to its command.
    while start and text[start - 1] in "-−–$£€¥₹\\{":
        start -= 1
    end = _SENTENCE_END.search(text, start)
    return text[start : end.start() if end else len(text)]


def _below_heading(text: str) -> str:
    """Return what a text's first sentence begins with, if that is a number, else its last number."""
    sentence = plain(_ASIDE.sub("", _sentence(text)))
    numbers = find_numbers(sentence)
    return sentence if not numbers or re.match(r"\W*\d", sentence) else sentence[numbers[-1].start : numbers[-1].end]


def _formulas(text: str) -> list[str]:
    """Return the formula of each statement; what stands below a heading counts if it is no sentence of words."""
    formulas = []
    for found in _STATEMENT.finditer(text):
        formula = _formula(text[found.end() :])
        words = re.findall(r"(?<![\\A-Za-z])[A-Za-z]{2,}", _MATHEMATICS.sub("", _ASIDE.sub("", formula)))
        if not found["heading"] or len(words) <= 1:
            formulas.append(formula)
    return formulas


def _formula(text: str) -> str:
    """Return the boxed answer of a text's first sentence, else that sentence; neither ends within mathematics."""
    whole = text = text.lstrip(_MARKDOWN)
    for start, end in [*(box[:2] for box in _boxes(text)), *(found.span() for found in _MATHEMATICS.finditer(text))]:
        whole = whole[:start] + "x" * (end - start) + whole[end:]
    stop = _SENTENCE_END.search(whole)
    passage = text[: stop.start() if stop else len(text)]
    return (boxed_answers(passage) or [passage])[-1]


def _bare(expression: str) -> str:
    """Return an expression without what sets it as mathematics, and without a placeholder of the prompt."""
    text = _AFTERTHOUGHT.sub("", expression).strip(_MARKDOWN)
    for opening, closing in _DELIMITERS:
        if text.startswith(opening):
            text = text[len(opening) :].split(closing)[0].strip()
    text = re.sub(rf"\s+{_ASIDE.pattern}$", "", text.removesuffix("</answer>").rstrip(".*_ "))
    text = _UNIT.sub("", text.strip())
    return "" if text in ("answer", "[answer]") or "\\boxed{" in text else text


def _number_stated(passage: str) -> str | None:
    """Return the first number of a passage, or what the calculation at its start comes to."""
    text = plain(passage)
    numbers = _asserted(text)
    inside = [range(number.start + 1, number.end) for number in numbers]
    clause_ends = (found.start() for found in _CLAUSE_END.finditer(text))
    end = next((at for at in clause_ends if not any(at in number for number in inside)), len(text))
    for left, right in pairwise([0, *(found.end() for found in re.finditer("=", text[:end])), end + 1]):
        part = [number for number in numbers if left <= number.start < right]
        calculation = len(part) > 1 or re.search(r"\d([a-z]\b|\s?/)", text[left:right])
        if part and right > end:
            return UNCLEAR if _OPERATION.match(text, part[0].end, end) else _written(part[0])
        if part and not calculation and part[0].value is not None:
            return _written(part[0])
    return _written(numbers[0]) if numbers else None


def _last_number(text: str) -> str | None:
    """Return the last number that is no item's or step's, outside of brackets with words if there is one."""
    text = plain(text)
    markers = set(_markers(text))
    numbers = [number for number in _asserted(text) if number.start not in markers]
    asides = [range(*found.span()) for found in _ASIDE.finditer(text)]
    outside = [number for number in numbers if not any(number.start in aside for aside in asides)]
    kept = outside or numbers
    return _written(kept[-1]) if kept else None


def _asserted(text: str) -> list[Number]:
    """Return the numbers of a plain text without those that it denies, as in "16, not 17"."""
    denied = [range(found.start(), found.end() + 1) for found in _DENIED.finditer(text)]
    return [number for number in find_numbers(text) if not any(number.start in span for span in denied)]


def _markers(text: str) -> Iterator[int]:
    """Yield where the number of a list's item or of a step stands; an item without text follows one before it."""
    items = {0}
    for found in _MARKER.finditer(text):
        item = found["item"]
        if not item or found["text"] is not None or int(item) - 1 in items:
            yield found.start("item" if item else found.lastgroup or 0)
        if item:
            items.add(int(item))


def _written(number: Number) -> str:
    return UNCLEAR if number.value is None else write_number(number.value)
