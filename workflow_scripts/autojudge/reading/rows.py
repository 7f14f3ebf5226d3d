"""Read the rows of a dataset from local files or the hub."""

import json
import math
import os
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from autojudge.errors import InputError, refuse_pointer

KINDS = {  # what a column may hold
    str: "text", bool: "true or false", int: "whole number", float: "number", list: "list of texts"
}  # fmt: skip
SPLITS = {"train": "train", "test": "test"}  # of a hub dataset, by part of the source


UNREADABLE: list[Any] = []  # stands for a JSON value that Python does not take, which is right for no column
LONGEST_NUMBER = 4000  # digits
LONGEST_LINE = 2**30  # characters
# What files of other kinds begin with, and what makes lines of them.
OTHERS = {
    b"\x1f\x8b": "packed by gzip; unpack it (`gunzip -c FILE > ROWS.jsonl`)",
    b"\x28\xb5\x2f\xfd": "packed by zstd; unpack it (`zstd -dc FILE > ROWS.jsonl`)",
    b"\xfd7zXZ": "packed by xz; unpack it (`xz -dc FILE > ROWS.jsonl`)",
    b"BZh": "packed by bzip2; unpack it (`bzip2 -dc FILE > ROWS.jsonl`)",
    b"PK\x03\x04": "a zip archive; unpack it (`unzip -p FILE > ROWS.jsonl`)",
    b"PAR1": "a parquet file; name it .parquet",
}
HEAD = 2**20  # characters in which the kind of a file shows

_BRACKET = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|[\[\]{}]')


def load_rows(
    source: Any,
    columns: Mapping[str, type],
    hub_config: str = "default",
    optional: Collection[str] = (),
    splits: Mapping[str, str] = SPLITS,
    settings: Collection[str] = (),
) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield (origin, place, row); origin is "train" or "test", place names file and row for messages.

    Parameters
    ----------
    source : str or mapping
        A hub dataset, or {"train": part, "test": part}; a part is a local .jsonl or .parquet file, or a mapping with
        `hub`, and maybe `config`, `split` and `revision`, or a list of such.
    columns : mapping of str to type
        Columns that every row must have, and what they hold: str (a text that is not blank), bool, int, float (any
        number), or list (of texts, one or more).
    hub_config : str
        The hub dataset's configuration where none is named.
    optional : collection of str
        Columns that a row may have, whatever they hold. Others are not read.
    splits : mapping of str to str
        The parts that the task has, "train" or "test" or both, and the split that is each on the hub where none is
        named.
    settings : collection of str
        Other keys that the source may have.

    Raises
    ------
    InputError
        The source lacks a part or has a key that the task does not read, a file is missing, empty or unreadable, a row
        lacks a column, the hub cannot be reached, or it has no such dataset, configuration or split.
    """
    for origin, part in _parts(source, splits, settings):
        for place, row in read_part(part, columns, hub_config, optional, splits[origin]):
            yield origin, place, row


def read_part(
    part: Any, columns: Mapping[str, type], hub_config: str = "default", optional: Collection[str] = (), split: str = ""
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield (place, row) of a part of a source, or of each in a list of parts. See `load_rows`."""
    for single in part if isinstance(part, list) else [part]:
        yield from _read_single(single, columns, hub_config, optional, split)


def _parts(source: Any, splits: Mapping[str, str], settings: Collection[str]) -> list[tuple[str, Any]]:
    if not source:
        raise InputError("config key `source` of the dataset is missing; give a hub dataset or local files")
    if not isinstance(source, Mapping):
        return [(origin, {"hub": source}) for origin in splits]
    for key, value in source.items():
        if value is not None and key not in splits and key not in settings:
            known = ", ".join([*splits, *settings])
            raise InputError(
                f"config key `source.{key}` of the dataset is not read: its task has {known}; leave it out"
            )
    for origin in splits:
        if not source.get(origin):
            raise InputError(f"config key `source.{origin}` of the dataset is missing; name a file or part of the hub")
    return [(origin, source[origin]) for origin in splits]


def _read_single(
    part: Any, columns: Mapping[str, type], hub_config: str, optional: Collection[str], split: str
) -> Iterator[tuple[str, dict[str, Any]]]:
    wanted = [*columns, *optional]
    if isinstance(part, Mapping):
        config, split = part.get("config") or hub_config, part.get("split") or split
        rows = _read_hub(part["hub"], config, split, part.get("revision"), wanted)
        numbered: Iterator[tuple[int, Any]] = enumerate(rows, 1)
        name = f"{part['hub']} ({config}, {split})"
    else:
        numbered, name = _read_file(part, wanted), part
    empty = True
    for number, row in numbered:
        place = f"{name}: row {number}"
        _check_row(row, columns, place)
        kept = {column: row[column] for column in wanted if column in row}
        _check_texts(kept, place)
        empty = False
        yield place, kept
    if empty:
        raise InputError(f"{name}: holds no rows; check the file and the config key `source`")


def _check_row(row: Any, columns: Mapping[str, type], where: str) -> None:
    if not isinstance(row, dict):
        raise InputError(f"{where} is not an object with columns; fix or drop that row")
    for column, kind in columns.items():
        if not _holds(row.get(column), kind):
            what, has = KINDS[kind], ", ".join(sorted(row)).encode(errors="backslashreplace").decode() or "none"
            raise InputError(f"{where} has no {what} in column `{column}` (columns: {has}); fix or drop that row")


def _check_texts(row: Mapping[str, Any], where: str) -> None:
    for column, value in row.items():
        texts = value if isinstance(value, list) else [value]
        if not all(_is_unicode(text) for text in texts if isinstance(text, str)):
            raise InputError(
                f"{where} has half a character (a lone surrogate) or bytes that are not UTF-8 in column `{column}`; "
                "fix or drop that row"
            )


def _holds(value: Any, kind: type) -> bool:
    if kind is str:
        return isinstance(value, str) and bool(value.strip())
    if kind is list:
        return isinstance(value, list) and bool(value) and all(_holds(item, str) for item in value)
    if kind is float and type(value) is float:
        return math.isfinite(value)
    return type(value) is kind or (kind is float and type(value) is int)  # not isinstance: a bool is an int


def _is_unicode(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text)


def _read_file(name: str, wanted: Iterable[str]) -> Iterator[tuple[int, Any]]:
    """Yield rows and their numbers, those of lines where a row is a line."""
    path = Path(os.path.expanduser(name))
    if not path.is_file():
        raise InputError(f"{name}: no such dataset file; check the config key `source`")
    if path.suffix not in (".jsonl", ".parquet"):
        raise InputError(f"{name}: only .jsonl and .parquet files are read; convert it")
    refuse_pointer(path)
    try:
        yield from _read_parquet(path, wanted) if path.suffix == ".parquet" else _read_lines(path)
    except InputError:
        raise
    except Exception as fault:  # whatever a reader raises
        raise InputError(f"{name}: cannot be read ({_reason(fault)}); write or copy it again") from fault


def _read_parquet(path: Path, wanted: Iterable[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    try:
        file = pq.ParquetFile(path, page_checksum_verification=True)
        names = file.schema_arrow.names
    except Exception as fault:  # whatever a reader raises
        raise InputError(f"{path}: is not parquet ({_reason(fault)}); check the config key `source`") from fault
    number, unread = 1, dict.fromkeys(names)
    try:
        for batch in file.iter_batches(columns=[name for name in names if name in wanted]):
            for index in range(len(batch)):
                values = {name: column[index].as_py() for name, column in zip(batch.schema.names, batch, strict=True)}
                yield number, unread | values
                number += 1
    except Exception as fault:
        reason = f"cannot be read ({_reason(fault)}); write that file again, or drop that row"
        raise InputError(f"{path}: row {number} or one after it {reason}") from fault


def _read_lines(path: Path) -> Iterator[tuple[int, Any]]:
    _check_kind(path)
    first = True
    with path.open(encoding="utf-8-sig", errors="surrogateescape") as lines:
        for number, line in enumerate(iter(lambda: lines.readline(LONGEST_LINE), ""), 1):
            if len(line) == LONGEST_LINE:
                raise InputError(f"{path}: line {number} has {LONGEST_LINE} characters or more; drop that row")
            if not line.strip():
                continue
            try:
                row = _decode(line)
            except json.JSONDecodeError as fault:
                if first:
                    _check_lines(path)
                if not _is_unicode(line):
                    raise InputError(
                        f"{path}: is not UTF-8 text at line {number}; save it as UTF-8, or fix the config key `source`"
                    ) from fault
                raise InputError(f"{path}: line {number} is not JSON ({fault}); fix or drop that line") from fault
            if first and isinstance(row, list):
                _check_lines(path)
            yield number, row
            first = False


def _check_kind(path: Path) -> None:
    with path.open("rb") as content:
        head = content.read(max(map(len, OTHERS)))
    for start, kind in OTHERS.items():
        if head.startswith(start):
            raise InputError(f"{path}: is not text with one row per line but {kind}")


def _check_lines(path: Path) -> None:
    """Raise InputError where a file, whose first line is no row, is JSON of another form."""
    with path.open(encoding="utf-8-sig", errors="surrogateescape") as content:
        head = content.read(HEAD).strip()
    try:
        value, end = json.JSONDecoder().raw_decode(head)
    except (ValueError, RecursionError):  # it goes on, or is cut off
        value, end = None, len(head)
    if head.startswith("[") and end == len(head):
        form, remedy = "is one JSON array", "jq -c '.[]'"
    elif head[:2].strip() == "{" or (isinstance(value, dict) and "\n" in head[:end]):
        form, remedy = "is JSON whose objects span several lines (pretty-printed)", "jq -c ."
    else:
        return
    raise InputError(f"{path}: {form}; write one row per line, as `{remedy} FILE > ROWS.jsonl` does")


def _decode(line: str) -> Any:
    """Return a line's JSON, with UNREADABLE for what Python does not take: deep nesting, numbers of 5,000 digits."""
    try:
        return json.loads(line, parse_int=_parse_whole)
    except RecursionError:
        return json.loads(_without_depth(line), parse_int=_parse_whole)


def _parse_whole(digits: str) -> Any:
    return int(digits) if len(digits) <= LONGEST_NUMBER else UNREADABLE


def _without_depth(line: str) -> str:
    """Return a JSON object's line with [] for each list and object in it."""
    kept, depth, start = [], 0, 0
    for token in _BRACKET.finditer(line):
        if token.group() in ("[", "{"):
            depth += 1
            if depth == 2:
                kept.append(line[start : token.start()] + "[]")
        elif token.group() in ("]", "}"):
            depth -= 1
            if depth == 1:
                start = token.end()
    return "".join(kept) + (line[start:] if depth < 2 else "")


def _reason(fault: Exception) -> str:
    return " ".join(str(fault).split())[:300] or type(fault).__name__


def _read_hub(
    dataset: str, config: str, split: str, revision: str | None, wanted: Iterable[str]
) -> Iterator[dict[str, Any]]:
    import datasets

    number = 0
    try:
        rows = datasets.load_dataset(os.path.expanduser(dataset), config, split=split, revision=revision)
        unread = dict.fromkeys(rows.column_names)
        for row in rows.select_columns([name for name in unread if name in wanted]):
            yield unread | row
            number += 1
    except Exception as fault:  # whatever a loader raises
        where = f"dataset {dataset} ({config}, {split})"
        if number:
            raise InputError(f"{where}: row {number + 1} cannot be read ({_reason(fault)}); drop it") from fault
        raise InputError(
            f"{where}: cannot be loaded from the hub or its cache ({_reason(fault)}); check name, "
            "configuration, split and network, or give local files as `source: {train: FILE, test: FILE}`"
        ) from fault
