"""The store of finished work: every finished piece is kept under a digest of all that it depends on, and stays.

A folder of files, one per writer. A line is a piece: its key, the length and the checksum of what follows, and its
value as JSON. Whoever needs a piece takes it, whichever shard or run left it; whoever computes one adds it to its own
file at once, so that a killed job loses only what it had in work. Files are read while others write: a torn end is no
piece yet, and a damaged piece costs itself alone.
"""

import fcntl
import hashlib
import json
import logging
import os
import re
import zlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from autojudge.errors import InputError
from autojudge.tables.pair_names import split_source

HEADER = re.compile(rb"([0-9a-f]{64}) (\d{12}) ([0-9a-f]{8}) ")
HEADER_BYTES = 64 + 1 + 12 + 1 + 8 + 1
SUFFIX = ".pieces"
BLOCK = 2**20  # bytes that are read at a time in search of a line's end
DAMAGED = "%s: the line at byte %d is damaged; the piece that it held is computed again"
logger = logging.getLogger("autojudge")


def piece_key(parts: Mapping[str, Any]) -> str:
    """Return the key of a piece: 64 hex digits of the SHA-256 of what it depends on, JSON-like values by name."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def describe_bytes(count: float) -> str:
    """Return a number of bytes for people."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.0f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"


@dataclass(frozen=True)
class Place:
    """Where a piece lies: its file, and the bytes of its value there."""

    file: Path
    start: int
    length: int
    checksum: int

    @property
    def bytes(self) -> int:
        """What the piece takes on disk."""
        return HEADER_BYTES + self.length + 1


class Store:
    """Finished pieces of one kind of work.

    Parameters
    ----------
    folder : str or Path
        Its files, `{pair}/store/{stage}`. That of a pair whose labels come from another source is the pair's own.
    writer : str or None
        Name of the file that this process adds to, and no other meanwhile: a shard's. None: it only reads.

    Attributes
    ----------
    folder : Path
        Where the files lie.
    places : dict of str to Place
        Where each piece lies, by its key.

    Raises
    ------
    InputError
        Another process has the file open, or the file system has no locks.
    """

    def __init__(self, folder: str | Path, writer: str | None = None) -> None:
        self.folder, writer = _shared(Path(folder), writer)
        self._own = None if writer is None else _open_alone(self.folder / f"{writer}{SUFFIX}")
        self.places: dict[str, Place] = {}
        for file in sorted(self.folder.glob(f"*{SUFFIX}")):
            self.places |= dict(_scan(file))

    def __enter__(self) -> "Store":
        return self

    def __exit__(self, *_: object) -> None:
        """Let go of this process's file."""
        if self._own is not None:
            if self._own.seek(0, os.SEEK_END) == 0:
                Path(self._own.name).unlink()
            self._own.close()

    def take(self, key: str) -> Any:
        """Return a piece's value, None where the store has none, or a damaged one, which is named in the log."""
        if key not in self.places:
            return None
        place = self.places[key]
        with place.file.open("rb") as file:
            file.seek(place.start)
            value = file.read(place.length)
        if zlib.crc32(value) == place.checksum:
            return json.loads(value)
        logger.warning(DAMAGED, place.file, place.start - HEADER_BYTES)
        del self.places[key]
        return None

    def take_all(self, keys: Iterable[str]) -> dict[str, Any]:
        """Return those of some pieces that the store has, by key."""
        found = {key: self.take(key) for key in keys}
        return {key: value for key, value in found.items() if value is not None}

    def add(self, pieces: Mapping[str, Any]) -> None:
        """Add pieces, JSON-like values by key; they are on disk when this returns."""
        assert self._own is not None, "the store was opened to be read"
        for key, value in pieces.items():
            data = json.dumps(value).encode()
            self._own.write(b"%b %012d %08x %b\n" % (key.encode(), len(data), zlib.crc32(data), data))
        self._own.flush()
        os.fsync(self._own.fileno())

    def keep(self, used: Collection[str]) -> None:
        """Drop all pieces but the used ones, and what is damaged.

        Raises
        ------
        InputError
            A process is adding to one of the files.
        """
        for file in sorted(self.folder.glob(f"*{SUFFIX}")):
            with file.open("rb") as old:
                try:
                    fcntl.flock(old, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except OSError as fault:
                    raise InputError(f"{file}: a process is working on this shard; wait for it or stop it") from fault
                _rewrite(file, old, [place for key, place in _scan(file) if key in used])


def _shared(folder: Path, writer: str | None) -> tuple[Path, str | None]:
    """Return the folder that sources of labels share with their pair, and the name of a file of the source's there."""
    made = folder.absolute().parents[1]
    pair, source = split_source(made.name)
    if source is None:
        return folder, writer
    return made.with_name(pair) / folder.parent.name / folder.name, writer and f"+{source}-{writer}"


def _rewrite(file: Path, old: BinaryIO, kept: Sequence[Place]) -> None:
    """Replace a file by one of some of its pieces; drop it where there are none."""
    partial = file.with_name(f".{file.name}.partial")
    with partial.open("wb") as new:
        for place in kept:
            old.seek(place.start - HEADER_BYTES)
            new.write(old.read(place.bytes))
    if kept:
        os.replace(partial, file)
    else:
        partial.unlink()
        file.unlink()


def _open_alone(path: Path) -> BinaryIO:
    """Open a file to which no other process may add, and cut off what a killed one has written of a piece."""
    path.parent.mkdir(parents=True, exist_ok=True)
    file = path.open("a+b")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as fault:
        raise InputError(f"{path}: another process is working on this shard; wait for it or stop it") from fault
    except OSError as fault:
        raise InputError(f"{path}: this file system has no locks ({fault}); link results to one that has") from fault
    _cut_torn_end(file)
    return file


def _scan(path: Path) -> Iterator[tuple[str, Place]]:
    """Yield keys and places of a file's whole pieces; values are skipped, not read."""
    size = path.stat().st_size
    with path.open("rb") as file:
        while (start := file.tell()) < size:
            header = HEADER.match(file.read(HEADER_BYTES))
            if header is None:
                _skip_damage(path, file, start)
                continue
            place = Place(path, file.tell(), int(header[2]), int(header[3], 16))
            if place.start + place.length >= size:
                file.seek(start)
                if not _skip_line(file):  # torn while it was written, or another process is writing it
                    return
                _skip_damage(path, file, start)
                continue
            file.seek(place.start + place.length)
            if file.read(1) == b"\n":
                yield header[1].decode(), place
            else:
                _skip_damage(path, file, start)


def _skip_damage(path: Path, file: BinaryIO, start: int) -> None:
    """Go to the line after a damaged piece, and name it if it is one."""
    file.seek(start)
    if _skip_line(file):
        logger.warning(DAMAGED, path, start)


def _skip_line(file: BinaryIO) -> bool:
    """Go to the next line; tell whether the present one is whole."""
    return file.readline().endswith(b"\n")


def _cut_torn_end(file: BinaryIO) -> None:
    """Cut off what a killed process has written of a piece: all after the last line's end."""
    end = file.seek(0, os.SEEK_END)
    while end > 0:
        start = max(0, end - BLOCK)
        file.seek(start)
        if (at := file.read(end - start).rfind(b"\n")) >= 0:
            file.truncate(start + at + 1)
            return
        end = start
    file.truncate(0)
