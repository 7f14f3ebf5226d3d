"""Which library files a script depends on, so that editing one reruns what depends on it."""

import ast
from functools import cache
from pathlib import Path

from autojudge.registry import LIBRARY

REGISTRIES = ("rules", "tasks")  # their members are imported by name, as the config says


@cache
def library_of(script: Path, members: tuple[str, ...] = ()) -> list[str]:
    """Return the paths of the library modules that a script imports, directly or not, and of their data, in order.

    A module's data lies beside it under its name: `problems.yaml` belongs to `problems.py`.

    Parameters
    ----------
    script : Path
        A Python file.
    members : tuple of str
        Members of registries that it loads by name, such as "rules.judge", or by path, such as "tasks.my/own.py".
    """
    found: set[Path] = set()
    waiting = [script, *map(_member, members)]
    found.update(waiting[1:])
    while waiting:
        for module in _imports(waiting.pop()) - found:
            found.add(module)
            waiting.append(module)
    return sorted(str(file) for module in found for file in module.parent.glob(f"{module.stem}.*") if file.is_file())


@cache
def _imports(path: Path) -> frozenset[Path]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "autojudge":
            names.add(node.module)
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names if alias.name.startswith("autojudge.")}
    modules = {_module(name) for name in names}
    return frozenset(module for module in modules if module.exists())


def _member(name: str) -> Path:
    outside = name.partition(".")[2]
    return Path(outside).expanduser() if outside.endswith(".py") else _module(f"autojudge.{name}")


def _module(name: str) -> Path:
    path = LIBRARY.joinpath(*name.split(".")[1:])
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
