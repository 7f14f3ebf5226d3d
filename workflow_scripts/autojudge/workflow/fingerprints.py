"""Fingerprints: what a stage's result depends on, as digests that change with meaning and with nothing else.

Code counts by its syntax trees and not by its text; models and data files count by their contents and not by their
dates. So a comment, a reformatting, a fresh checkout or a copied folder makes nothing stale.
"""

import ast
import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from autojudge.engine.contents import folder_digest, read_digest
from autojudge.engine.settings import expand_path, own_models
from autojudge.errors import InputError
from autojudge.jobs.store import piece_key
from autojudge.registry import LIBRARY

MEANINGLESS = ("jobs", "sandbox", "workflow")  # rooms that tell how a job runs, never what it computes (a
# verdict of the sandbox that changes has another VERSION)
DATA = {".yaml", ".json", ".jsonl", ".csv", ".txt", ".jinja"}  # beside a module; not what editors leave there
PARTS = ("train", "test", "plus")  # of a dataset's source, which may be files
REMEMBERED = Path(".snakemake/autojudge/digests.json")  # of files, by path, size and date


@cache
def code_digest(script: Path, members: tuple[Path, ...] = ()) -> str:
    """Return a digest of the meaning of a script, and of all in the library that it reaches by imports.

    Names and places of modules do not count, so moving one changes nothing. Left out are the rooms `jobs`,
    `sandbox` and `workflow`, and what `describe_meaning` leaves out.

    Parameters
    ----------
    script : Path
        A Python file.
    members : tuple of Path
        Files of members of registries, which it loads by name.

    Raises
    ------
    InputError
        A file is not Python.
    """
    waiting = [script, *members]
    found: set[Path] = set()
    while waiting:
        module = waiting.pop()
        if module not in found:
            found.add(module)
            waiting += [file for files in _imported(module).values() for file in files]
    return piece_key({"modules": sorted(meaning for module in found for meaning in _meanings(module))})


@cache
def _tree(module: Path) -> ast.Module:
    try:
        return _without_types(ast.parse(module.read_text(encoding="utf-8")))
    except (SyntaxError, ValueError) as fault:
        raise InputError(f"{module}: is not Python ({fault}); fix it") from fault


def _without_types(tree: ast.Module) -> ast.Module:
    """Return a module without its blocks `if TYPE_CHECKING:`."""

    def for_types(node: ast.stmt) -> bool:
        return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"

    return ast.Module([node for node in tree.body if not for_types(node)], [])


@cache
def _imported(module: Path) -> dict[ast.stmt, list[Path]]:
    """Return the library's files that each import of a module reaches, but for the rooms that mean nothing."""
    found: dict[ast.stmt, list[Path]] = {}
    for node in ast.walk(_tree(module)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            found[node] = [file for path in _paths(node, module) if (file := _file(path)) is not None]
    return found


def _paths(node: ast.Import | ast.ImportFrom, module: Path) -> list[Path]:
    """Return the paths, without .py, that an import may mean in the library, or beside the module, by name."""
    names = sorted(alias.name for alias in node.names)
    if isinstance(node, ast.Import):
        return [LIBRARY.joinpath(*name.split(".")[1:]) for name in names if name.split(".")[0] == "autojudge"]
    parts = node.module.split(".") if node.module else []
    if node.level:
        base = module.parents[node.level - 1].joinpath(*parts)
    elif parts[0] == "autojudge":
        base = LIBRARY.joinpath(*parts[1:])
    else:
        return []
    return [base, *(base / name for name in names)]


def _file(path: Path) -> Path | None:
    """Return the module at a path without .py; None where there is none, or where it means nothing for results."""
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    inside = file.relative_to(LIBRARY).parts if file.is_relative_to(LIBRARY) else ()
    return file if file.is_file() and not (inside and inside[0] in MEANINGLESS) else None


@cache
def _meanings(module: Path) -> list[str]:
    """Return the meaning of a module, and of the data files that lie beside it under its name.

    Of an import from the library counts what the imported modules mean, and not their names: so two modules that are
    taken for one another are another meaning, and a module that has moved is the same.
    """
    origins = {node: [_own_meaning(file) for file in files] for node, files in _imported(module).items()}
    beside = [file for file in sorted(module.parent.glob(f"{module.stem}.*")) if file.suffix in DATA]
    return [describe_meaning(_tree(module), origins), *(_describe_data(file) for file in beside if file.is_file())]


@cache
def _own_meaning(module: Path) -> str:
    """Return a digest of a module's meaning, of which imports from the library are the names alone."""
    return hashlib.sha256(describe_meaning(_tree(module)).encode()).hexdigest()


def _describe_data(file: Path) -> str:
    if file.suffix == ".yaml":
        return json.dumps(yaml.safe_load(file.read_text(encoding="utf-8")), sort_keys=True, default=str)
    return hashlib.sha256(file.read_bytes()).hexdigest()


def describe_meaning(tree: ast.Module, origins: Mapping[ast.stmt, list[str]] | None = None) -> str:
    """Return what a module means as text, the same for every version of Python.

    Left out are comments and formatting, docstrings, annotations, keyword arguments named `doc`, messages of errors and
    calls of `logger`; of imports from the library, the modules' names.

    Parameters
    ----------
    tree : ast.Module
        Of the module.
    origins : mapping of node to list of str
        What else counts of an import, such as what the imported modules mean.
    """
    tree = _without_types(tree)
    imports = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    others = [node for node in tree.body if node not in imports]
    known = origins or {}
    described = sorted(_describe(node) + "".join(known.get(node, [])) for node in imports)
    inner = sorted("".join(files) for node, files in known.items() if node not in imports)
    return "\n".join([*described, *inner, *map(_describe, _statements(others))])


def _describe(node: Any) -> str:
    """Return a node's meaning: of its fields those that hold something, as versions of Python differ in empty ones."""
    if isinstance(node, list):
        return "[" + ",".join(map(_describe, node)) + "]"
    if not isinstance(node, ast.AST):
        return repr(node)
    parts = [f"{name}={_describe(value)}" for name, value in _fields(node) if value is not None and value != []]
    return f"{type(node).__name__}({','.join(parts)})"


def _fields(node: ast.AST) -> Iterator[tuple[str, Any]]:
    """Yield what counts of a node's fields."""
    left_out = {"annotation", "returns", "type_comment", "kind", "ctx"}
    if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
        yield "exc", node.exc.func
        return
    if isinstance(node, ast.ImportFrom) and (node.level or (node.module or "").split(".")[0] == "autojudge"):
        yield "names", sorted((alias.name, alias.asname) for alias in node.names)
        return
    for name, value in ast.iter_fields(node):
        if name in left_out:
            continue
        if name in ("body", "orelse", "finalbody") and isinstance(value, list):
            value = _statements(value)
        if name == "keywords":
            value = [keyword for keyword in value if keyword.arg != "doc"]
        yield name, value


def _statements(body: Iterable[ast.stmt]) -> list[ast.stmt]:
    """Return the statements that do something: no docstrings, no calls of `logger`."""
    return [node for node in body if not isinstance(node, ast.Pass) and not _says_only(node)]


def _says_only(node: ast.stmt) -> bool:
    if not isinstance(node, ast.Expr):
        return False
    if isinstance(node.value, ast.Constant):
        return True
    call = node.value.func if isinstance(node.value, ast.Call) else None
    return isinstance(call, ast.Attribute) and isinstance(call.value, ast.Name) and call.value.id == "logger"


def identify_models(pair: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return what a pair's results depend on of its models, by role: contents and dtype, or how the draft is made.

    With a model goes the code of `numerics: invariant`, where the pair asks for that. A local folder counts by its
    contents and not by its place, a model of the hub by name and revision.

    Parameters
    ----------
    pair : mapping
        An entry of `pairs` in the config.
    """
    draft = {key: pair["draft"].get(key) for key in ("first_layers", "prompt_lookup") if pair["draft"].get(key)}
    numerics = {"numerics": code_digest(LIBRARY / "engine/numerics.py")} if pair.get("numerics") == "invariant" else {}
    models = {role: _identify_model(model) | numerics for role, model in own_models(pair).items()}
    return {"draft": draft} | models


def _identify_model(model: Mapping[str, Any]) -> dict[str, Any]:
    folder = expand_path(model["model"])
    of_hub = {"model": model["model"], "revision": model.get("revision")}
    origin = {"contents": folder_digest(folder, file_digest)} if folder.is_dir() else of_hub
    template = model.get("chat_template")
    return (
        origin
        | {key: model[key] for key in ("dtype", "gguf_file", "chat_template_kwargs") if model.get(key)}
        | ({"chat_template": file_digest(expand_path(template))} if template else {})
    )


def identify_source(source: Any) -> Any:
    """Return what a dataset's config entry `source` stands for; local files count by contents in place of paths."""
    if isinstance(source, Mapping):
        return {key: identify_source(part) if key in PARTS else part for key, part in source.items()}
    if isinstance(source, list):
        return [identify_source(part) for part in source]
    if isinstance(source, str) and Path(source).expanduser().is_file():
        return {"contents": file_digest(Path(source).expanduser())}
    return source


def identify_labels(source: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a config entry of labels to load stands for.

    A data set of the Hub counts by name and revision, a local one by its provenance.json, which has a hash of each
    file.
    """
    folder = expand_path(source["hub"])
    if not folder.is_dir():
        return dict(source)
    provenance = folder / "provenance.json"
    return {"contents": file_digest(provenance) if provenance.is_file() else None}


def file_digest(file: Path) -> str:
    """Return a digest of a file's contents; it is remembered by path, size and date, and so are those of other runs.

    Raises
    ------
    InputError
        The file cannot be read.
    """
    known = _remembered()
    try:
        state = file.stat()
        key = f"{file.resolve()} {state.st_size} {state.st_mtime_ns}"
        if key not in known:
            known[key] = read_digest(file)
            _remember(known)
    except OSError as fault:
        raise InputError(
            f"{file}: cannot be read ({fault.strerror}); put it there, or check its permissions"
        ) from fault
    return known[key]


@cache
def _remembered() -> dict[str, str]:
    """Return the digests that earlier runs in this folder left; they are a convenience, so a damaged file is none."""
    try:
        known = json.loads(REMEMBERED.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}


def _remember(known: Mapping[str, str]) -> None:
    partial = REMEMBERED.with_name(f"{REMEMBERED.name}.{os.getpid()}")
    try:
        REMEMBERED.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(json.dumps(known), encoding="utf-8")
        os.replace(partial, REMEMBERED)
    except OSError:  # read-only, or full: then it is read again next time
        return
