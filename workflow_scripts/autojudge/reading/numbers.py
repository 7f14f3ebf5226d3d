r"""Numbers as people write them, read as exact fractions.

"$1,234.50", "1 234.5", "1,20,000", "2½", "1.5 \times 10^6", "1e5" and "3 million" are numbers. What nobody can read
surely is a number without a value: a time of day (5:30), a sum in two units (3 dollars and 50 cents), a decimal comma
(1,5), groups of other sizes (1,23,4), a value of thousands of digits, scale words of other languages, a range
(10~12), a remainder.
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
_UNSURE = (  # words after a number that change its value; what they are worth is for no reader to guess
    "thirds fifths sixths eighths tenths halves",
    "mil mill mille mio mrd mld mln tsd tausend hundert millionen milliarden milliards? millones millón milhões milhão",
    "milioni miliardi miljoen milyon milyar tys tysięcy тыс тысяч[аи]? млн миллион(?:а|ов)? млрд миллиард(?:а|ов)?",
    "tỷ triệu nghìn ngàn ribu juta",
)
_CHARACTER_SCALES = "十百千万萬億亿兆천만억"
_DIMENSIONS = (  # two quantities of one dimension are one sum
    "dollars?|quarters?|dimes?|nickels?|penn(?:y|ies)|cents?|euros?|pounds?|pence|rupees?|paise",
    "years?|months?|weeks?|days?|hours?|hrs?|h|minutes?|mins?|min|m|seconds?|secs?|s",
    "kilometers?|kilometres?|km|meters?|metres?|m|centimeters?|centimetres?|cm|miles?|mi|yards?|yds?|feet|foot|ft|inch(?:es)?",
    "tons?|tonnes?|kilograms?|kg|grams?|g|pounds?|lbs?|ounces?|oz",
    "gallons?|quarts?|pints?|cups?|liters?|litres?|milliliters?|millilitres?|ml",
)

_CHARACTERS = str.maketrans(
    dict.fromkeys("−–‒‐", "-")
    | {"⁄": "/", "’": "'", "′": "'", "″": '"', "∙": "·", "⋅": "·", "٫": ".", "٬": ","}
    | dict.fromkeys("\u200b\u200e\u200f\u2060\ufeff")
)
_SUPERSCRIPT = re.compile("[⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻]+")
_VULGAR_FRACTION = re.compile("(?<=[0-9]) ?(?=[¼½¾⅐-⅞])")
_CIRCLED = str.maketrans({chr(0x2460 + i): f"({i + 1}) " for i in range(20)})
_RECURRING = re.compile(  # 0.1\overline{6}, 0.16 with a combining line above the 6, 0.1666...
    r"(?<![\w.])(\d*)\.(\d*)\\(?:overline|bar|dot)\s*\{?\s*(\d+)\}?|"
    r"(?<![\w.])(\d*)\.(\d*?)((?:\d[\u0304\u0305\u0307])+)|"
    r"(?<![\w.])(\d*)\.(\d*?)(\d{1,9}?)\9{2,}(?:\.\.\.|…|\\[lc]?dots(?![A-Za-z]))"
)
_LATEX = (
    (re.compile(r"~~[^~\n]*~~"), ""),  # what is struck out
    (re.compile(r"<<[^<>]*>>(?=\s*[$£€]?[\d.])"), ""),  # GSM8K's notes of calculations
    (re.compile(r"\{,\}"), ","),
    (re.compile(r"\\[!,;: ]"), ""),
    (re.compile(r"\\([$%])"), r"\1"),
    (re.compile(r"(?<=[\w)}])(?=\\[dt]?frac)"), " "),
    (re.compile(r"\\[dt]?frac\s*\{\s*(-?[\d,]+)\s*\}\s*\{\s*([\d,]+)\s*\}"), r"\1/\2"),
    (re.compile(r"\\[dt]?frac\s*(\d)\s*(\d)"), r"\1/\2"),
    (re.compile(r"\\(?:times|cdot)(?![A-Za-z])"), "×"),
    (re.compile(r"\\div(?![A-Za-z])"), "÷"),
    (re.compile(r"\\(?:text)?color\s*\{\w+\}"), ""),
    (re.compile(r"\\(?:text|textbf|mathbf|mathrm|boxed|f(?:rame)?box|underline)\s*\{"), " {"),
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
_SECOND = r"\.?,?(?: (?:and|plus|&))? \d[\d.,]* ?"
_SUM = "|".join(
    [rf" ?(?:{units})\b(?:{_SECOND}(?:{units})\b|(?= and a (?:half|quarter)))" for units in _DIMENSIONS]
    + [rf" ?(?:feet|foot|ft)\b{_SECOND}in\b"]
    + [r" (?:dollars|euros|pounds) \d+\b(?! ?[\w/])", r"(?: and)? \d+ ?(?:cents?|paise|pence|[pc]\b|¢)"]
)
_RANGE = r"(?:[~—]|\.\.+|\s?±\s?|\s?\+/-\s?)\d+|, 0\d\d(?!\d)|,? (?:[Rr]|remainder) ?\d+\b"
_UNSURE_SCALE = rf"[ -]?(?:[{_CHARACTER_SCALES}]|(?i:{'|'.join(' '.join(_UNSURE).split())})\b)"
_NUMBER = re.compile(
    rf"(?<![\w^√])(?:(?<!\.)|(?<=\.\.\.))(?<!\^-)(?P<range>(?:±|\\pm)\s?)?"
    rf"(?P<sign>(?:(?<![\w)\]])-)?(?:(?P<currency>[{CURRENCY}]) ?)?-?)"
    rf"(?:(?P<whole>{_WHOLE}) {{1,2}}(?P<part>\d+/\d+)|(?P<over>{_WHOLE}\s?/\s?-?{_WHOLE})|"
    rf"(?P<hour>[1-9]\d?):00(?![\d:])|"
    rf"(?P<plain>(?:{_WHOLE}(?:\.\d+)?|\.\d+)(?:[eE][+-]?\d+(?!\w))?))"
    r"(?:\^\(?(?P<power>[+-]?\d+)\)?)?"
    r"(?:\s?(?:[x×*·]|times)\s?10\^\(?(?P<ten>[+-]?\d+)\)?)?"
    rf"(?P<scales>(?:\$?[ -]{{0,3}}(?i:{_WORD})(?!-\w))+)?(?P<letter>(?:[kKmMbB]|mn|bn)\b(?!\^))?"
    rf"(?P<unclear>(?:(?:[,.:/'_]|\)?\^-?|[A-Za-z]+)\d+)+|{_SUM}|{_RANGE}|{_UNSURE_SCALE}| [kK]\b|"
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
        text = unicodedata.normalize("NFKC", text.translate(_CIRCLED)).translate(_CHARACTERS)
        text = re.sub(r"\d", lambda found: str(int(found.group())), text)
    text = exact_recurring(text)
    for pattern, replacement in _LATEX:
        text = pattern.sub(replacement, text)
    return text


def exact_recurring(text: str) -> str:
    r"""Return a text with \frac{1}{6} for each recurring decimal: 0.1\overline{6}, 0.1666..."""
    return _RECURRING.sub(_as_fraction, text)


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


def _as_fraction(decimal: re.Match[str]) -> str:
    whole, fixed, period = (re.sub(r"\D", "", group) for group in decimal.groups() if group is not None)
    nines = int("9" * len(period)) * 10 ** len(fixed)
    value = Fraction(int(whole + fixed or "0"), 10 ** len(fixed)) + Fraction(int(period), nines)
    return rf"\frac{{{value.numerator}}}{{{value.denominator}}}"


def _value(number: re.Match[str]) -> Fraction | None:
    if number["unclear"] or number["range"]:
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
