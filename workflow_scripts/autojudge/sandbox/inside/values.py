"""Values that cross between program and test: plain data by kind, nothing that carries code or an own equality."""

from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterator
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

from .frames import Malformed

SMALL = 2**63  # larger integers cross as text in base 16, which has no limit of digits
ITEMS: Any = type({}.items())
TIMES: tuple[Any, ...] = (datetime, date, time)  # a datetime is a date, too
SEQUENCES: tuple[tuple[Any, str], ...] = (
    (list, "list"),
    (tuple, "tuple"),
    (set, "set"),
    (frozenset, "frozenset"),
    (deque, "deque"),
    (type({}.keys()), "keys"),
    (type({}.values()), "values"),
    (Iterator, "iterator"),
)
MAPPINGS: tuple[tuple[Any, str], ...] = (
    (OrderedDict, "OrderedDict"),
    (Counter, "Counter"),
    (defaultdict, "dict"),
    (dict, "dict"),
)
MAKERS: dict[str, Callable[..., Any]] = {
    "int": lambda text: int(text, 16),
    "complex": lambda real, imaginary: complex(real, imaginary),
    "bytes": lambda text: bytes.fromhex(text),
    "bytearray": lambda text: bytearray.fromhex(text),
    "Decimal": lambda text: Decimal(text),
    "Fraction": lambda numerator, denominator: Fraction(numerator, denominator),
    "range": lambda *ends: range(*ends),
    "list": lambda *items: list(items),
    "tuple": lambda *items: items,
    "set": lambda *items: set(items),
    "frozenset": lambda *items: frozenset(items),
    "deque": lambda *items: deque(items),
    "iterator": lambda *items: iter(items),
    "keys": lambda *items: dict.fromkeys(items).keys(),
    "values": lambda *items: dict(enumerate(items)).values(),
    "items": lambda *items: dict(_pairs(items)).items(),
    "datetime": lambda text: datetime.fromisoformat(text),
    "date": lambda text: date.fromisoformat(text),
    "time": lambda text: time.fromisoformat(text),
    "timedelta": lambda *parts: timedelta(*parts),
    "dict": lambda *items: dict(_pairs(items)),
    "OrderedDict": lambda *items: OrderedDict(_pairs(items)),
    "Counter": lambda *items: Counter(dict(_pairs(items))),
    "opaque": lambda: Opaque(),
}


class Opaque:
    """Stands for an object that did not cross: it is equal to nothing, and neither true nor false."""

    __hash__ = object.__hash__

    def __eq__(self, other: object) -> bool:
        return False

    def __ne__(self, other: object) -> bool:
        raise TypeError("an object of the program's is compared")

    def __bool__(self) -> bool:
        raise TypeError("an object of the program's is taken for true or false")


def encode(value: Any) -> Any:
    """Return a value as JSON: text, small numbers and None as they are, all else a list that begins with its kind."""
    if value is None or value is True or value is False:
        return value
    if isinstance(value, str):
        return str.__str__(value) if type(value) is not str else value
    if isinstance(value, int):
        number = int(value)
        return number if -SMALL < number < SMALL else ["int", hex(number)]
    if isinstance(value, float):
        return float(value)
    return _encode_container(value) or _encode_other(value)


def _encode_container(value: Any) -> list[Any] | None:
    for kind, name in SEQUENCES:
        if isinstance(value, kind):
            return [name, *map(encode, value)]
    if isinstance(value, ITEMS):
        return ["items", *(encode(part) for pair in value for part in pair)]
    for kind, name in MAPPINGS:
        if isinstance(value, kind):
            return [name, *(encode(part) for pair in value.items() for part in pair)]
    return None


def _encode_other(value: Any) -> Any:
    if isinstance(value, complex):
        return ["complex", value.real, value.imag]
    if isinstance(value, bytes | bytearray):
        return ["bytes" if isinstance(value, bytes) else "bytearray", value.hex()]
    if isinstance(value, Decimal):
        return ["Decimal", str(value)]
    if isinstance(value, Fraction):
        return ["Fraction", encode(value.numerator), encode(value.denominator)]
    if isinstance(value, range):
        return ["range", encode(value.start), encode(value.stop), encode(value.step)]
    if isinstance(value, timedelta):
        return ["timedelta", value.days, value.seconds, value.microseconds]
    for kind in TIMES:
        if isinstance(value, kind):
            return [kind.__name__, kind.isoformat(value)]
    if type(value).__module__ == "numpy" and getattr(value, "shape", None) == () and hasattr(value, "item"):
        return encode(value.item())
    return ["opaque"]


def decode(value: Any) -> Any:
    """Return the value that `encode` wrote; Malformed where it wrote no such thing."""
    if not isinstance(value, list | dict):
        return value
    try:
        name, *parts = value
        return MAKERS[name](*map(decode, parts))
    except (KeyError, TypeError, ValueError, ArithmeticError) as fault:
        raise Malformed(str(fault)) from fault


def _pairs(items: tuple[Any, ...]) -> Iterator[tuple[Any, Any]]:
    return zip(items[::2], items[1::2], strict=True)
