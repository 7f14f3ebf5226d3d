"""Numbers are read as people write them; what nobody can read surely has no value."""

import random
from fractions import Fraction

import pytest

from autojudge.reading.numbers import find_numbers, plain, whole_number, write_number

READ = {
    "6e3": 6000,
    "6.02E+5": 602000,
    "4e-2": Fraction(1, 25),
    "10^4": 10000,
    "10⁴": 10000,
    r"10^{-2}": Fraction(1, 100),
    r"2.5 \cdot 10^{3}": 2500,
    "7 x 10^2": 700,
    "7*10**2": 700,
    "8 million": 8_000_000,
    "0.5 billion": 500_000_000,
    "4 crore": 40_000_000,
    "3 hundred thousand": 300_000,
    "12,34,56,789": 123_456_789,
    "9 876 543": 9_876_543,
    "9\u00a0876": 9876,
    "9\u202f876.25": Fraction(39505, 4),
    "9'876'543": 9_876_543,
    "9’876": 9876,
    "９８７６": 9876,
    "٩٨": 98,
    "7⅛": Fraction(57, 8),
    "⅔": Fraction(2, 3),
    "5⁄8": Fraction(5, 8),
    "–3": -3,
    "‒ 3": -3,
    "-¼": Fraction(-1, 4),
    "negative 3": -3,
    "€ 3.20": Fraction(16, 5),
    "Rs. 1,50,000": 150_000,
    "$4M": 4_000_000,
    "2^20": 2**20,
    r"4.\overline{09}": Fraction(45, 11),
    "0.8333...": Fraction(5, 6),
    "1.2\u0305": Fraction(11, 9),
    "7 times 10^3": 7000,
    "٩٬٨٧٦": 9876,
    r"\underline{98}": 98,
    r"\textcolor{blue}{98}": 98,
}
UNCLEAR = [
    "6:45",
    "1,5",
    "1.234.567",
    "12,3456",
    "1/2/3",
    "10^5000",
    "1e5000",
    "5/0",
    "7M",
    "3x4",
    "4 dollars and 5 cents",
]
UNCLEAR += ["1 hour 20 minutes", "2 million 300 thousand", "3 thousand and five", "2^3^4", "$5 and 20 cents", "5' 10"]
UNCLEAR += [
    "4万",
    "2億",
    "6 Millionen",
    "7 Mrd",
    "9 тысяч",
    "4 tỷ",
    "5h 20m",
    "5 ft 3 in",
    "9 lb. 2 oz",
    "5′3",
    "3 fifths",
]
UNCLEAR += [
    "4 hours & 5 minutes",
    "£6 20p",
    "Rs 6 and 20 paise",
    "7 euros 20",
    "±4",
    "8 ± 1",
    "8~9",
    "8..9",
    "9 R 1",
    "200, 000",
]


@pytest.mark.parametrize("text, value", READ.items())
def test_a_number_is_read_as_a_person_reads_it(text, value):
    (number,) = find_numbers(plain(text))
    assert number.value == value == whole_number(text)


@pytest.mark.parametrize("text", UNCLEAR)
def test_what_nobody_can_read_surely_is_one_number_without_a_value(text):
    (number,) = find_numbers(plain(text))
    assert number.value is None and number.end == len(plain(text)) and whole_number(text) is None


@pytest.mark.parametrize(
    "text, values",
    [
        ("5 m long", [5]),
        ("5m", [5]),
        ("20 kg", [20]),
        ("4 m² wide", [4]),
        ("76 sixth graders", [76]),
        ("4 hundred-dollar bills", [4]),
    ],
)
def test_a_unit_is_no_factor(text, values):
    assert [number.value for number in find_numbers(plain(text))] == values


def test_every_way_to_write_a_number_gives_the_number_back():
    draw = random.Random(0)
    for _ in range(300):
        value = draw.randrange(1, 10 ** draw.randrange(1, 13))
        for written in (f"{value:,}", f"{value:,}".replace(",", " "), f"{value:,}".replace(",", "'"), f"{value}e3"):
            assert whole_number(written) == value * (1000 if "e" in written else 1), written
        assert Fraction(write_number(Fraction(value, 64))) == Fraction(value, 64)
