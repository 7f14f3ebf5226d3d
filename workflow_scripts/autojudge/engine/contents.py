"""Digests of model folders: what tells one model from another, wherever it lies. Needs no package."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from autojudge.engine.settings import model_files

SMALL = 2**24  # bytes; smaller files are read whole
SAMPLES, SAMPLE = 64, 2**16  # of larger ones: how many, of how many bytes
LARGEST_HEADER = 10**8  # bytes; safetensors refuses longer ones


def read_digest(file: Path) -> str:
    """Return a digest of a file's contents. Raises OSError where it cannot be read.

    Files of more than 16 MiB stand for themselves by their size, samples at even distances (4 MiB in all), and, where
    they are .safetensors, their whole header: each tensor's name, shape and dtype. Weights that were trained on differ
    everywhere, so this finds another model, and not a single changed number.
    """
    size = file.stat().st_size
    found = hashlib.sha256(str(size).encode())
    with file.open("rb") as opened:
        if size <= SMALL:
            found.update(opened.read())
        else:
            found.update(_read_header(file, opened))
            for number in range(SAMPLES):
                opened.seek((size - SAMPLE) * number // (SAMPLES - 1))
                found.update(opened.read(SAMPLE))
    return found.hexdigest()


def folder_digest(folder: Path, file_digest: Callable[[Path], str] = read_digest) -> str:
    """Return a digest of a model folder: names and contents of the files that loading may read; see `model_files`."""
    files = {file.name: file_digest(file) for file in model_files(folder)}
    return hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()


def _read_header(file: Path, opened: BinaryIO) -> bytes:
    """Return the header of a .safetensors file, whose length its first eight bytes tell; of other files nothing."""
    if file.suffix != ".safetensors":
        return b""
    length = int.from_bytes(opened.read(8), "little")
    return opened.read(min(length, LARGEST_HEADER))
