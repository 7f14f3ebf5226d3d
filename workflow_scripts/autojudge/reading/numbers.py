r"""Numbers as people write them, read as exact fractions.

"$1,234.50", "1 234.5", "1,20,000", "2½", "1.5 \times 10^6", "1e5" and "3 million" are numbers. What nobody can read
surely is a number without a value: a time of day (5:30), a sum in two units (3 dollars and 50 cents), a decimal comma
(1,5), groups of other sizes (1,23,4), a value of thousands of digits.
"""

import re
import unicodedata
from dataclasses import dataclass
from fractions import Fraction

CURRENCY = "$£€¥₹"
LARGEST_EXPONENT = 400
LARGEST_BITS = 13_000  # Python writes 4,300 digits
_SCALES = {"hundred": 2, "thousand": 3, "million": 6, "billion": 9, "trillion": 12, "lakh": 5, "lac": 5, "crore": 7}
_LETTERS = {"k": 3, "m": 6, "mn": 6, "b": 9, "bn": 9}
_DIMENSIONS = (  # two quantities of one dimension are one sum
    "dollars?|cents?|euros?|pounds?|pence|rupees?|paise",
    "years?|months?|weeks?|days?|hours?|hrs?|h|minutes?|mins?|min|seconds?|secs?|s",
    "kilometers?|kilometres?|km|meters?|metres?|m|centimeters?|centimetres?|cm|miles?|yards?|feet|foot|ft|inch(?:es)?",
    "kilograms?|kg|grams?|g|pounds?|lbs?|ounces?|oz",
    "gallons?|quarts?|pints?|cups?|liters?|litres?|milliliters?|millilitres?|ml",
)

_CHARACTERS = str.maketrans(
    dict.fromkeys("−–‒‐", "-")
    | {"⁄": "/", "’": "'", "∙": "·", "⋅": "·", "٫": ".", "٬": ","}
    | dict.fromkeys("\u200b\u200e\u200f\u2060\ufeff")
)
_SUPERSCRIPT = re.compile("[⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻]+")
_VULGAR_FRACTION = re.compile("(?<=[0-9]) ?(?=[¼½¾⅐-⅞])")
_LATEX = (
    (re.compile(r"<<[^<>]*>>(?=\s*[$£€]?[\d.])"), ""),  # GSM8K's notes of calculations
    (re.compile(r"\{,\}"), ","),
    (re.compile(r"\\[!,;: ]"), ""),
    (re.compile(r"\\([$%])"), r"\1"),
    (re.compile(r"(?<=[\w)}])(?=\\[dt]?frac)"), " "),
    (re.compile(r"\\[dt]?frac\s*\{\s*(-?[\d,]+)\s*\}\s*\{\s*([\d,]+)\s*\}"), r"\1/\2"),
    (re.compile(r"\\[dt]?frac\s*(\d)\s*(\d)"), r"\1/\2"),
    (re.compile(r"\\(?:times|cdot)(?![A-Za-z])"), "×"),
    (re.compile(r"\\div(?![A-Za-z])"), "÷"),
    (re.compile(r"\\(?:text|textbf|mathbf|mathrm|boxed|fbox)\s*\{"), " {"),
    (re.compile(r"\\[()\[\]]"), " "),
    (re.compile(r"(?<=\d)~(?=\d{3})"), " "),
    (re.compile(r"(?<=\d)\*\*(?=-?\d)"), "^"),
    (re.compile(r"[{}]|\*\*|__|`"), ""),
    (re.compile(r"(?i)(?<=\d) and (?:a half|½)"), " 1/2"),
    (re.compile(r"(?<=\d) and (?=\d/\d)"), " "),
    (re.compile(rf"(?i)\bnegative +(?=[{CURRENCY}]?\d)"), "-"),
    (re.compile(rf"(?i)(^|[=:(\[$]|\bis\b)( *)(?:-|minus) +(?=[{CURRENCY}]?\d)"), r"\1\2-"),
    (re.compile(r"\b(?:Rs\.?|INR) ?(?=\d)"), "₹"),
)

_WHOLE = (
    r"(?:\d{1,2}(?:,\d\d)+,\d{3}(?!\d)|"
    r"[1-9]\d{0,2}(?:(?:,\d{3})+|(?: \d{3})+(?!-[A-Za-z])|(?:'\d{3})+|(?:_\d{3})+)(?!\d)|\d+)"
)
_WORD = rf"(?:{'|'.join(_SCALES)})s?\b"
_WORDS = r"(?:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|\w+teen|\w+ty)\b"
_SECOND = r",?(?: and)? \d[\d.,]* ?"
_SUM = "|".join(rf" ?(?:{units})\b{_SECOND}(?:{units})\b" for units in _DIMENSIONS)
_NUMBER = re.compile(
    rf"(?<![\w.^√])(?<!\^-)(?P<sign>(?:(?<![\w)\]])-)?(?:(?P<currency>[{CURRENCY}]) ?)?-?)"
    rf"(?:(?P<whole>{_WHOLE}) {{1,2}}(?P<part>\d+/\d+)|(?P<over>{_WHOLE}\s?/\s?{_WHOLE})|"
    rf"(?P<hour>\d{{1,2}}):00(?![\d:])|"
    rf"(?P<plain>(?:{_WHOLE}(?:\.\d+)?|\.\d+)(?:[eE][+-]?\d+(?!\w))?))"
    r"(?:\^\(?(?P<power>[+-]?\d+)\)?)?"
    r"(?:\s?[x×*·]\s?10\^\(?(?P<ten>[+-]?\d+)\)?)?"
    rf"(?P<scales>(?:\$?[ -]{{0,3}}(?i:{_WORD})(?!-\w))+)?(?P<letter>(?:[kKmMbB]|mn|bn)\b)?"
    rf"(?P<unclear>(?:(?:[,.:/'_]|\)?\^-?|[A-Za-z]+)\d+)+| and \d+ ?cents?\b|{_SUM}|"
    rf"' \d+|(?(scales)(?:{_SECOND}{_WORD}| (?:and )?(?:\d+|{_WORDS}))|(?!)))?"
)


@dataclass(frozen=True)
class Number:
    """Where a number stands in a text, and its value; None where it cannot be read surely."""

    start: int
    end: int
    value: Fraction | None


def plain(text: str) -> str:
    """Return a text without LaTeX and Markdown around its numbers, and with ASCII for other signs and digits."""
    if not text.isascii():
        text = _VULGAR_FRACTION.sub(" ", _SUPERSCRIPT.sub(lambda found: f"^{found.group()}", text))
        text = unicodedata.normalize("NFKC", text).translate(_CHARACTERS)
    for pattern, replacement in _LATEX:
        text = pattern.sub(replacement, text)
    return text


def find_numbers(text: str) -> list[Number]:
    """Return the numbers of a text that `plain` returned, in order."""
    return [Number(*found.span(), _value(found)) for found in _NUMBER.finditer(text)]


def whole_number(text: str) -> Fraction | None:
    """Return the value of a text that is a number and nothing else; None for any other text, and for 5k, a product."""
    found = _NUMBER.fullmatch(plain(text).strip())
    return _value(found) if found and (found["currency"] or not found["letter"]) else None


def write_number(value: Fraction) -> str:
    """Return 1234.5 for 2469/2, and 1/3 for what has no finite decimals (or more than 15)."""
    for places in range(16):
        if (scaled := value * 10**places).denominator == 1:
            sign, digits = "-" if scaled < 0 else "", str(abs(scaled.numerator)).rjust(places + 1, "0")
            return sign + (f"{digits[:-places]}.{digits[-places:]}" if places else digits)
    return str(value)


def _value(number: re.Match[str]) -> Fraction | None:
    if number["unclear"]:
        return None
    try:
        if number["whole"]:
            value = _fraction(number["whole"]) + _fraction(number["part"])
        else:
            value = _fraction(number["over"] or number["hour"] or number["plain"])
        value = value ** _exponent(number["power"] or "1") * Fraction(10) ** (
            _exponent(number["ten"] or "0") + _scale(number)
        )
    except (ValueError, ZeroDivisionError):  # beyond Python's limit of digits or ours, or over 0
        return None
    if max(value.numerator.bit_length(), value.denominator.bit_length()) > LARGEST_BITS:
        return None
    return -value if "-" in number["sign"] else value


def _fraction(digits: str) -> Fraction:
    digits = re.sub(r"[,'_\s]", "", digits)
    base, _, exponent = digits.lower().partition("e")
    return Fraction(base) * Fraction(10) ** _exponent(exponent or "0")


def _exponent(digits: str) -> int:
    if abs(exponent := int(digits)) > LARGEST_EXPONENT:
        raise ValueError(f"exponent {exponent}")
    return exponent


def _scale(number: re.Match[str]) -> int:
    """Return the power of ten of "million" and its like, and of a letter: 5k, $5M; 5m is a length, 5M might be both."""
    scale = sum(_SCALES[word] for word in re.findall("|".join(_SCALES), (number["scales"] or "").lower()))
    letter = number["letter"] or ""
    if letter in ("M", "B") and not number["currency"]:
        raise ValueError(f"a number of {letter}")
    known = letter in ("k", "K", "mn", "bn") or number["currency"]
    return scale + (_LETTERS.get(letter.lower(), 0) if known else 0)
