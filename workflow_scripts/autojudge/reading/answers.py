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
_NOT = re.compile(r"\b(?:not|instead of|rather than)[\s$(\\]*$")
_BOX = re.compile(r"\\(?:f|frame)?box(?:ed)?(?:\s*\{|\s+(?P<bare>-?[\d.,]+))")
_FIRST_ITEM = re.compile(r"[-–•] |\d[.)] (?=\W*\d)")  # of a list below a statement; the dash is no minus
_ITEM = re.compile(r"\n[ \t]*(?:[-*•]|\(?\w{1,2}[.)])(?=\s)")  # of a list
_LATEX_SPACE = re.compile(r"\\(?:text\s*(?=\{)|q?quad\b|[()\[\],;:! ])")
_STEP_WORDS = re.compile(r"\b(?:so|then|thus|hence|therefore|next|finally|which|gives|giving|because|since|total|if)\b")
_JOINT_WORDS = re.compile(r"\b(?:and|or|as well as|both)\b")
_UNIT_STOP = r"\.\s\d"  # no sentence ends within 6 lb. 4 oz.
_SENTENCE_END = re.compile(
    rf"(?!(?<=\b(?:lb|oz|ft|in|hr)){_UNIT_STOP})(?!(?<=\b(?:lbs|hrs|min|sec)){_UNIT_STOP})[.!?](?=\s|$)|\n"
)
_CLAUSE_END = re.compile(r"[,;:](?=\s)|\b(?:and|so)\b")
_REASON = re.compile(r"\b(?:since|because|as|where|if|when)\b")
_BRACKETS = re.compile(r"(?<=[\w%])\s+(?:\([^()]*\)|\[[^\[\]]*\])")
_BESIDE_VALUE = re.compile(r"\d(?: ?[a-z]+)? (?P<aside>\([^()=]*\)|\[[^\[\]=]*\])")
_AFTERTHOUGHT = re.compile(r",?\s*I hope\b.*|,\s*(?:not|rather than|instead of)\b.*", re.DOTALL)
_ASIDE = re.compile(r"[(\[](?=[^()\[\]]*[A-Za-z]{2})[^()\[\]=$\\]*[)\]]")
_UNIT = re.compile(
    r"(?<=\d)\s+(?:square |cubic )?(?:dollars?|cents?|degrees?|units?|inch(?:es)?|feet|miles?|hours?|minutes?|ways)$"
)
_OPERATION = re.compile(r"[ %]*(?:[-+*×÷x/^≈→]|to\b|or\b)\s*[($]?\d")
_ANOTHER = re.compile(  # after a number, what makes it one of several values
    rf"{_OPERATION.pattern}|\s+\d|[ %]*(?:\bout of|\bof|,? rounded to) *[$\d]|\s+[<≤]\s|\s+in \d+\W*$|"
    r"\s+(?:dozens?|score|gross)\b|"
    r"(?:\s[A-Za-z]+){0,2}\s*(?:,|;|&|×|\*|,? (?:and|or|plus|minus))\s+(?:about |approximately |[A-Za-z]+:? )?[$£€]?\d"
    r"(?![\d,.]*\s+of\b)"
)
_LABELS = "option|choice|case|part|step|question|problem|number|day|week|room|chapter"
_DEPENDENT = re.compile(  # of a sentence in words, what tells something else than its answer
    rf"\b(?:in|after|before|within|during|every|per|{_LABELS})\s+#?(?:the |all |only |just )?\d[\d,.]*|"
    r",\s*(?:who|which|whose)\b[^,]*,|"
    r"\b(?:sum|product|difference|total|quotient|average|ratio) of \$?\d[\d,.]*(?: \w+)?(?:,? and \$?\d[\d,.]*)+|"
    r"\b\d[\d,.]* of (?:them|these|those|which|whom)\b|\b\d+(?:st|nd|rd|th)\b",
    re.IGNORECASE,
)
_RESULT = re.compile(
    r"\b(?:so|which (?:is|makes|gives)|leaving|therefore|thus)\b(?!.*\b(?:can|could)\b)|"
    r",(?=[^,]*\b(?:total|altogether)\b)"
)
_FACTOR = re.compile(  # beside a gold answer's number, what makes it another value or none
    r"[<>≤≥+!√…π]|\.\.|(?<![^\W\d])(?:dozens?|score|gross|or|more|less|than|about|pi|[kxyznie])(?![^\W\d])",
    re.IGNORECASE,
)
_DENIED = re.compile(r"\b(?:not|instead of|rather than)\s+[$£€¥₹]?-?(?=\d)")
_HASHES = re.compile(  # GSM8K's sign of the answer, and no heading of a numbered part
    rf"####\s*(?!\s)(?=(?:minus |negative )?\s*{_VALUE})(?!\d{{1,2}}[.):]\s+(?!Problem|Question|Q\b|User|Human)\w)"
)
_MARKERS = {  # of a list, or of a step, by kind
    "last": r"(?<=[.!?]\n\n)(?P<last>\d{1,3})\.\s*\Z",
    "item": r"^[ \t>#*•-]*(?:\\item\s+)?[(\[]?(?P<item>\d{1,3})(?:\\?[.)\]]+|(?<=#\d):|(?=(?:st|nd|rd|th),))"
    r"(?P<text>(?=[ \t]*[^\W\d]|[ \t]+\S))?(?=\s|[^\W\d]|$)",
    "bare": r"^[ \t>*]*(?P<bare>\d{1,3})(?P<sign>:| [-–])(?=\s)",
    "step": r"\bsteps?\s?(?P<step>\d+)",
    "label": rf"^{_SIGNS}[A-Za-z]+ (?P<label>\d{{1,3}}):",
    "keycap": r"(?P<keycap>\d)\ufe0f?\u20e3",
}
_MARKER = re.compile("|".join(_MARKERS.values()), re.MULTILINE | re.IGNORECASE)
_RUN_ON = re.compile(
    r"\b(?:Problem|Question|Exercise|Example|Q)\s*\d*\s*:|\n#+ *(?:Problem|Question|Exercise)\b|"
    r"\n(?:Next|New) problem"
)
_TOPIC = r"(?:problem|question|exercise|example|task|puzzle)"
_NEXT = re.compile(  # after an answer, what begins another problem
    rf"\n\W{{0,6}}(?:(?:next|new|another) )?{_TOPIC}\b *\d*\W{{0,3}}(?:[.:]|\n)|\n#\d+\b|"
    r"\n\W{0,4}(?:input|student|teacher)\W{0,3}:|"
    r"\b(?:here(?:'s| is)|let(?:'s| us)|now)\b[^.!?\n\d]*\b(?:another|new|next|one more)\b[^.!?\n\d]{0,20}"
    rf"\b{_TOPIC}\b",
    re.IGNORECASE,
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
        (BOXED, boxed_answers(text), _number_stated),
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
    given = _GIVEN.search(text)
    following = _NEXT.search(text, given.end()) if given else None
    return text[: following.start()] if following else text


def statements(text: str) -> list[str]:
    """Return the sentence after each "final answer is", "Final answer:" or such a heading, from its first word on."""
    return [_sentence(text[found.end() :]) for found in _STATEMENT.finditer(text)]


def boxed_answers(text: str) -> list[str]:
    r"""Return the boxed answers; one that stands in several boxes as a list, "3, 5" for \boxed{3} and \boxed{5}."""
    answers: list[list[str]] = []
    end = None
    for box in _boxes(text):
        if end is None or not _are_joint(text[end : box.start]):
            answers.append([])
        if box.content not in answers[-1]:
            answers[-1].append(box.content)
        end = box.end
    return [", ".join(answer) for answer in answers]


def _are_joint(between: str) -> bool:
    """Tell whether what stands between two boxes makes them one answer: a list's signs, or a few words with "and"."""
    text = re.sub(r"\([^()]*\)", " ", _LATEX_SPACE.sub(" ", _ITEM.sub(",", between)))
    words = re.findall(r"[A-Za-z]{2,}", text)
    if len(words) > 6 or _STEP_WORDS.search(text) or re.search(r"\n\s*\n|[.!?]\s|^[\s$]*\n[\s$]*$", text):
        return False
    return not words or bool(_JOINT_WORDS.search(text))


class _Box(NamedTuple):
    start: int
    end: int
    content: str


def _boxes(text: str) -> Iterator[_Box]:
    for opening in _BOX.finditer(text):
        if _NOT.search(text, max(0, opening.start() - 20), opening.start()):
            continue
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

    None for any other text, and for a number that cannot be read surely: 3x, 2 dozen, 5+, <5.
    """
    text = plain(text.strip())
    numbers = find_numbers(text)
    if len(numbers) != 1:
        return None
    rest = re.sub(r"^\s*\w+\s*=", "", text[: numbers[0].start]) + " " + text[numbers[0].end :]
    return None if _FACTOR.search(rest) else _written(numbers[0]) or None


def _sentence(text: str) -> str:
    """Return the text from its first word on, up to its sentence's end."""
    markup = _MARKUP.match(text)
    start = markup.end() if markup else 0
    if "\n" in text[:start] and (item := _FIRST_ITEM.match(text, start)):
        start = item.end()
    # A minus or a currency sign belongs to the answer, and a backslash to its command.
    while start and text[start - 1] in "-−–$£€¥₹\\{":
        start -= 1
    end = _SENTENCE_END.search(text, start)
    return text[start : end.start() if end else len(text)]


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
    """Return the number that a passage gives as its answer: the result of its last equation, else its one value."""
    text = plain(passage)
    if _asserted(kept := _BRACKETS.sub("", text)):
        text = kept
    numbers = _asserted(text)
    if not numbers:
        return None
    reason = _REASON.search(text, numbers[0].end)
    end = reason.start() if reason else len(text)
    clauses = _clauses(text[:end])
    if re.match(r"\W*\d", text) and "=" not in clauses[0]:
        return UNCLEAR if _ANOTHER.match(text, numbers[0].end, end) else _written(numbers[0])
    equations = [clause for clause in clauses if re.search(r"=.*\d", clause)]
    if equations:
        several = len(equations) > 1 and not re.search(r"\d.*=", equations[-1])  # x = 36, y = 2
        return UNCLEAR if several else _result(equations[-1])
    return _in_words(text)


def _clauses(text: str) -> list[str]:
    """Return the clauses of a text; no number is cut in two."""
    numbers = [range(number.start + 1, number.end) for number in find_numbers(text)]
    ends = [end.start() for end in _CLAUSE_END.finditer(text) if not any(end.start() in inside for inside in numbers)]
    return [text[left:right] for left, right in pairwise([0, *ends, len(text)])]


def _result(equation: str) -> str:
    """Return what an equation comes to: its first side without a calculation; one that begins with words comes last."""
    sides = equation.split("=")
    last = sides[-1]
    for side in [*sides[1:], sides[0]] if re.match(r"\W*[A-Za-z]", equation) else sides:
        numbers = _asserted(side)
        calculation = len(numbers) > 1 or re.search(r"\d([a-z]\b|\s?/| dozen)", side)
        if numbers and side is last:
            return UNCLEAR if _OPERATION.match(side, numbers[0].end) else _written(numbers[0])
        if numbers and not calculation:
            return _written(numbers[0])
    return UNCLEAR


def _in_words(text: str) -> str:
    """Return the one value that a sentence tells, or what it ends with as its result."""
    main = _DEPENDENT.sub(" ", text)
    *_, (start, end) = [(0, 0), *(found.span() for found in _RESULT.finditer(main))]
    for part in (main[end:] if start else "", main, text):
        if numbers := _asserted(part):
            return _written(numbers[0]) if len({number.value for number in numbers}) == 1 else UNCLEAR
    return UNCLEAR


def _last_number(text: str) -> str | None:
    """Return the last number that is no item's or step's, outside of brackets with words if there is one."""
    text = plain(text)
    markers = set(_markers(text))
    numbers = [number for number in _asserted(text) if number.start not in markers]
    asides = [range(*found.span()) for found in _ASIDE.finditer(text)]
    asides += [range(*found.span("aside")) for found in _BESIDE_VALUE.finditer(text)]
    outside = [number for number in numbers if not any(number.start in aside for aside in asides)]
    kept = outside or numbers
    return _written(kept[-1]) if kept else None


def _asserted(text: str) -> list[Number]:
    """Return the numbers of a plain text without those that it denies, as in "16, not 17"."""
    denied = [range(found.start(), found.end() + 1) for found in _DENIED.finditer(text)]
    return [number for number in find_numbers(text) if not any(number.start in span for span in denied)]


def _markers(text: str) -> Iterator[int]:
    """Yield where the number of a list's item or of a step stands; an item without text follows one before it."""
    seen = {("", 0)}
    for found in _MARKER.finditer(text):
        number, sign = found["item"] or found["bare"], found["sign"] or ""
        if not number or found["text"] is not None or (sign, int(number) - 1) in seen:
            yield next(found.start(kind) for kind in _MARKERS if found[kind])
        if number:
            seen.add((sign, int(number)))


def _written(number: Number) -> str:
    return UNCLEAR if number.value is None else write_number(number.value)
