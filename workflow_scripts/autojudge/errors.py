"""Faults of the input, told to the user in one message."""

from pathlib import Path

POINTER = b"version https://git-lfs.github.com/"


class InputError(ValueError):
    """Something the user gave is wrong; the message names the file, key or row and the remedy."""


def refuse_pointer(file: Path) -> None:
    """Raise InputError where a file is a Git LFS pointer, as clones without LFS have in its place, or unreadable."""
    try:
        with file.open("rb") as content:
            start = content.read(len(POINTER))
    except OSError as fault:
        raise InputError(f"{file}: cannot be read ({fault.strerror}); check its permissions") from fault
    if start == POINTER:
        raise InputError(
            f"{file}: is a Git LFS pointer of some lines, not the file itself; run `git lfs pull` in its repository, "
            "or download the file again"
        )
