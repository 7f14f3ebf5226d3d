"""Messages between processes: JSON behind its length, so that a stray byte is a fault and never another message."""

import json
import os
import struct
from typing import Any

LENGTH = struct.Struct(">I")
LARGEST_CONTROL = 2**30  # bytes of a message between supervisor and worker
PIECE = 2**20


class Closed(Exception):  # noqa: N818 - a state of the channel, and not always a fault
    """The other end is gone."""


class Malformed(Exception):  # noqa: N818
    """What came is no message."""


class TooLarge(Exception):  # noqa: N818
    """A message is longer than its limit."""


def pack(message: Any, limit: int = LARGEST_CONTROL) -> bytes:
    """Return a message as bytes, its length in front; TooLarge where it is longer than `limit` bytes."""
    data = json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")
    if len(data) > limit:
        raise TooLarge(f"{len(data)} bytes")
    return LENGTH.pack(len(data)) + data


def write_frame(descriptor: int, message: Any, limit: int = LARGEST_CONTROL) -> None:
    """Write a message to a pipe or socket; Closed where nobody reads it."""
    write_all(descriptor, pack(message, limit))


def write_all(descriptor: int, data: bytes) -> None:
    """Write all of `data`; Closed where nobody reads it."""
    rest = memoryview(data)
    try:
        while rest:
            rest = rest[os.write(descriptor, rest[:PIECE]) :]
    except OSError as fault:
        raise Closed(str(fault)) from fault


def read_frame(descriptor: int, limit: int = LARGEST_CONTROL) -> Any:
    """Read a message; Closed at the end of the stream, Malformed or TooLarge where it is not as it should be."""
    return unpack(read_exactly(descriptor, read_length(read_exactly(descriptor, LENGTH.size), limit)))


def read_length(header: bytes, limit: int = LARGEST_CONTROL) -> int:
    """Return the length that a message's first four bytes announce; TooLarge where it is over `limit` bytes."""
    length: int = LENGTH.unpack(header)[0]
    if length > limit:
        raise TooLarge(f"{length} bytes")
    return length


def unpack(data: bytes) -> Any:
    """Return the message that `data`, without its length, holds."""
    try:
        return json.loads(data.decode("utf-8", "surrogatepass"))
    except ValueError as fault:
        raise Malformed(str(fault)) from fault


def read_exactly(descriptor: int, count: int) -> bytes:
    """Read `count` bytes; Closed where the stream ends before."""
    pieces = []
    while count:
        try:
            piece = os.read(descriptor, min(count, PIECE))
        except OSError as fault:
            raise Closed(str(fault)) from fault
        if not piece:
            raise Closed("the stream ended")
        pieces.append(piece)
        count -= len(piece)
    return b"".join(pieces)
