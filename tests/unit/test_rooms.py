"""The library's rooms: imports go from a room to those before it, and never in a circle."""

import ast
from graphlib import TopologicalSorter

from autojudge.registry import LIBRARY

ROOMS = (
    "tables", "reading", "testbed", "sandbox", "tasks", "scoring", "engine", "mining", "judging", "rules", "decoding",
    "serving", "reporting", "publishing", "jobs", "workflow",
)  # fmt: skip
EVERYWHERE = {"errors", "registry"}


def module_of(name):
    """File of a dotted name of the library, None where it is none."""
    path = LIBRARY.joinpath(*name.split(".")[1:])
    return (
        path / "__init__.py" if path.is_dir() else path.with_suffix(".py") if path.with_suffix(".py").exists() else None
    )


def imports():
    """Files that each file of the library imports, those for types included."""
    found = {}
    for file in LIBRARY.rglob("*.py"):
        names = set()
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "autojudge":
                inner = {f"{node.module}.{alias.name}" for alias in node.names}
                names |= {name if module_of(name) else node.module for name in inner}
            elif isinstance(node, ast.Import):
                names |= {alias.name for alias in node.names if alias.name.split(".")[0] == "autojudge"}
        found[file] = {module_of(name) for name in names} - {None, file}
    return found


def room(file):
    return file.relative_to(LIBRARY).with_suffix("").parts[0]


def test_rooms_import_only_rooms_before_them():
    known = set(ROOMS) | EVERYWHERE | {"__init__"}
    assert {room(file) for file in LIBRARY.rglob("*.py")} == known
    wrong = [
        f"{file.relative_to(LIBRARY)} imports {other.relative_to(LIBRARY)}"
        for file, others in imports().items()
        for other in others
        if room(other) not in EVERYWHERE
        and (room(file) in EVERYWHERE or ROOMS.index(room(other)) > ROOMS.index(room(file)))
    ]
    assert wrong == []


def test_no_module_imports_itself_in_a_circle():
    order = list(TopologicalSorter(imports()).static_order())
    assert len(order) > 50


def test_every_room_says_what_belongs_there():
    for name in ROOMS:
        assert len(ast.get_docstring(ast.parse((LIBRARY / name / "__init__.py").read_text()))) > 40, name
