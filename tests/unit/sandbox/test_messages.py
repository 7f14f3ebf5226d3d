"""Messages and values between processes: exact, bounded, and never mistaken for another."""

import os

import pytest

from autojudge.sandbox.inside.frames import Closed, Malformed, TooLarge, pack, read_frame, write_frame
from autojudge.sandbox.inside.values import Opaque, decode, encode


def received(data, limit=1000):
    """What is read of some bytes."""
    reading, writing = os.pipe()
    os.write(writing, data)
    os.close(writing)
    try:
        return read_frame(reading, limit)
    finally:
        os.close(reading)


def test_messages_arrive_one_by_one():
    reading, writing = os.pipe()
    sent = [["a", 1], {"b": None}, "é\ud800", 0.1]
    for message in sent:
        write_frame(writing, message)
    assert [read_frame(reading) for _ in sent] == sent
    os.close(writing)
    with pytest.raises(Closed):
        read_frame(reading)
    os.close(reading)


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (b"", Closed),
        (b"\0\0", Closed),
        (pack("abc")[:-1], Closed),
        (b"\xff\xff\xff\xff", TooLarge),
        (pack("a" * 1000), TooLarge),
        (b"\0\0\0\1[", Malformed),
        (b"\0\0\0\2\xff\xfe", Malformed),
        (b"x" + pack("abc"), TooLarge),
    ],
)
def test_what_is_no_message_is_a_fault(data, fault):
    with pytest.raises(fault):
        received(data)


def test_a_message_over_the_limit_is_not_sent():
    with pytest.raises(TooLarge):
        pack("a" * 100, 100)


@pytest.mark.parametrize(
    "junk",
    [
        ["exec", "x"],
        [],
        [[]],
        ["int", "x"],
        ["dict", 1],
        ["dict", ["list"], 1],
        ["set", ["list"]],
        ["bytes", "x"],
        {"a": 1},
    ],
)
def test_junk_is_no_value(junk):
    with pytest.raises(Malformed):
        decode(junk)


def test_what_is_no_plain_data_is_opaque():
    class All:
        def __eq__(self, other):
            return True

    for value in (All(), All, len, object(), [All()]):
        back = decode(encode(value))
        assert isinstance(back if value.__class__ is not list else back[0], Opaque)
    assert decode(encode([All()])) != [1]


def test_subclasses_lose_what_they_add():
    class One(int):
        def __eq__(self, other):
            return True

        __hash__ = int.__hash__

    assert type(decode(encode(One(1)))) is int
    assert decode(encode(One(1))) != 2
