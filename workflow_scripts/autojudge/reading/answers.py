r"""Read final answers: the stated form first, then a boxed answer, then the last number.

Numbers are read as exact fractions, so that "$1,234.50", "1234.5" and "\frac{2469}{2}" are one answer.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction

STATED, BOXED, LAST_NUMBER = "stated", "boxed", "last number"  # the forms, in the order in which they are looked for
FORMS = (STATED, BOXED, LAST_NUMBER)

_STATEMENT = re.compile(r"final answer\W{0,4}(?:is\b|[:=])", re.IGNORECASE)
_MARKUP = re.compile(r"[\s:*_`$\\(\[{<]*")  # between the statement and a number
_MARKDOWN = " \n\t:*_`"  # between the statement and an expression
_DELIMITERS = (("$$", "$$"), ("$", "$"), (r"\(", r"\)"), (r"\[", r"\]"))
_MATHEMATICS = re.compile(r"\$\$.+?\$\$|(?<!\\)\$[^$\n]+(?<!\\)\$(?!\d)|\\\(.+?\\\)|\\\[.+?\\\]", re.DOTALL)
_BOX = re.compile(r"\\f?box(?:ed)?(?:\s*\{|\s+(?P<bare>-?[\d.,]+))")
_SENTENCE_END = re.compile(r"[.!?](?=\s|$)|\n")
_WHOLE = r"(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)"
_NUMBER = re.compile(
    rf"(?<![\w.])(?:(?<![\w)\]])[-−])?[$£€]?[-−]?"
    rf"(?:(?P<whole>{_WHOLE})\s(?P<part>\d+/\d+)|(?P<over>{_WHOLE}\s?/\s?{_WHOLE})|(?P<plain>{_WHOLE}(?:\.\d+)?|\.\d+))"
)
_CLAUSE_END = re.compile(  # an aside in brackets holds an equation
    r"[,;:](?=\s)|(?<=[\w%])\s+[(\[](?=[^()]*=)|\b(?:since|because|and|as|so|where|if|when)\b"
)
_AFTERTHOUGHT = re.compile(r",?\s*I hope\b.*", re.DOTALL)
_UNIT = re.compile(
    r"(?<=\d)\s+(?:square |cubic )?(?:dollars?|cents?|degrees?|units?|inch(?:es)?|feet|miles?|hours?|minutes?|ways)$"
)
_LATEX = (
    (re.compile(r"<<[^<>]*>>(?=\s*[$£€]?[\d.])"), ""),  # GSM8K's notes of calculations
    (re.compile(r"\{,\}"), ","),
    (re.compile(r"\\[!,;: ]"), ""),
    (re.compile(r"\\([$%])"), r"\1"),
    (re.compile(r"(?<=[\w)}])(?=\\[dt]?frac)"), " "),
    (re.compile(r"\\[dt]?frac\s*\{\s*(-?[\d,]+)\s*\}\s*\{\s*([\d,]+)\s*\}"), r"\1/\2"),
    (re.compile(r"\\[dt]?frac\s*(\d)\s*(\d)"), r"\1/\2"),
    (re.compile(r"\\(?:times|cdot)\b"), "×"),
    (re.compile(r"\\div\b"), "÷"),
    (re.compile(r"\\(?:text|textbf|mathbf|mathrm|boxed|fbox)\s*\{"), " {"),
    (re.compile(r"\\[()\[\]]"), " "),
    (re.compile(r"[{}]|\*\*|__|`"), ""),
)


@dataclass(frozen=True)
class Reading:
    """An answer and the form in which the response gave it, one of FORMS."""

    answer: str
    form: str


def read_number(text: str) -> Reading | None:
    """Return the final answer of a response that ends with a number, None where it has none."""
    candidates: list[tuple[str, list[str], Callable[[str], str | None]]] = [
        (STATED, [_sentence(rest) for rest in statements(text)], _number_stated),
        (BOXED, boxed(text), _number_stated),
        (LAST_NUMBER, [text], lambda whole: _pick(whole, -1)),
    ]
    for form, passages, read in candidates:
        for passage in reversed(passages):
            if (answer := read(passage)) is not None:
                return Reading(answer, form)
    return None


def read_expression(text: str) -> Reading | None:
    """Return the final answer of a response that ends with an expression, as LaTeX; None where it has none."""
    for form, passages in ((STATED, [_formula(rest) for rest in statements(text)]), (BOXED, boxed(text))):
        for passage in reversed(passages):
            if answer := _bare(passage):
                return Reading(answer, form)
    number = _pick(text, -1)
    return Reading(number, LAST_NUMBER) if number else None


def statements(text: str) -> list[str]:
    """Return what follows each "final answer is" or "Final answer:"."""
    return [text[found.end() :] for found in _STATEMENT.finditer(text)]


def boxed(text: str) -> list[str]:
    r"""Return the contents of each \boxed{...} and \fbox{...}, braces balanced, and of \boxed 2."""
    return [text[start:end].rstrip(".,") for start, end in _boxes(text)]


def _boxes(text: str) -> Iterator[tuple[int, int]]:
    """Yield where each box's content starts and ends."""
    for opening in _BOX.finditer(text):
        if opening["bare"]:
            yield opening.span("bare")
            continue
        depth, start = 1, opening.end()
        for end in range(start, len(text)):
            depth += {"{": 1, "}": -1}.get(text[end], 0)
            if not depth:
                yield start, end
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
    """Return the number that a text consists of, a currency, unit or percent sign aside; None for any other text."""
    numbers = list(_NUMBER.finditer(_plain(text)))
    return _value(numbers[0]) if len(numbers) == 1 else None


def _sentence(text: str) -> str:
    """Return the text from its first word on, up to its sentence's end."""
    markup = _MARKUP.match(text)
    start = markup.end() if markup else 0
    # A minus or a currency sign belongs to the answer, and a backslash to its command.
    while start and text[start - 1] in "-−$£€\\{":
        start -= 1
    end = _SENTENCE_END.search(text, start)
    return text[start : end.start() if end else len(text)]


def _formula(text: str) -> str:
    """Return the last box of a text's first sentence, else that sentence; neither ends within mathematics."""
    whole = text = text.lstrip(_MARKDOWN)
    for start, end in [*_boxes(text), *(found.span() for found in _MATHEMATICS.finditer(text))]:
        whole = whole[:start] + "x" * (end - start) + whole[end:]
    stop = _SENTENCE_END.search(whole)
    passage = text[: stop.start() if stop else len(text)]
    return (boxed(passage) or [passage])[-1]


def _bare(expression: str) -> str:
    """Return an expression without what sets it as mathematics, and without a placeholder of the prompt."""
    text = _AFTERTHOUGHT.sub("", expression).strip(_MARKDOWN)
    for opening, closing in _DELIMITERS:
        if text.startswith(opening):
            text = text[len(opening) :].split(closing)[0].strip()
    text = _UNIT.sub("", text.rstrip(".*_ ").strip())
    return "" if text in ("answer", "[answer]") or "\\boxed{" in text else text


def _number_stated(passage: str) -> str | None:
    """Return the first number of a passage, or what the calculation at its start comes to."""
    parts = _CLAUSE_END.split(_plain(passage), maxsplit=1)[0].split("=")
    for part in parts:
        numbers = list(_NUMBER.finditer(part))
        calculation = len(numbers) > 1 or re.search(r"\d([a-z]\b|\s?/)", part)
        if numbers and (not calculation or part is parts[-1]):
            return _value(numbers[0])
    return _pick(passage, 0)


def _pick(text: str, which: int) -> str | None:
    numbers = list(_NUMBER.finditer(_plain(text)))
    return _value(numbers[which]) if numbers else None


def _plain(text: str) -> str:
    """Return a text without LaTeX and Markdown around its numbers."""
    for pattern, plain in _LATEX:
        text = pattern.sub(plain, text)
    return text


def _value(number: re.Match[str]) -> str | None:
    """Return a number as a plain decimal, or as a fraction where it has none."""
    digits = number.group().replace(",", "").replace(" ", "")
    try:
        if number["whole"]:
            value = Fraction(number["whole"].replace(",", "")) + Fraction(number["part"])
        else:
            value = Fraction((number["over"] or number["plain"]).replace(",", "").replace(" ", ""))
    except (ValueError, ZeroDivisionError):  # beyond Python's limit of digits, or over 0
        return None
    if "-" in digits or "−" in digits:
        value = -value
    return _write(value)


def _write(value: Fraction) -> str:
    """Return 1234.5 for 2469/2, and 1/3 for what has no finite decimals."""
    for places in range(16):
        if (scaled := value * 10**places).denominator == 1:
            sign, digits = "-" if scaled < 0 else "", str(abs(scaled.numerator)).rjust(places + 1, "0")
            return sign + (f"{digits[:-places]}.{digits[-places:]}" if places else digits)
    return str(value)
