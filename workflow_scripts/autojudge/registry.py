"""Registries: tasks, acceptance rules and classifiers, each member a module of its package.

What a member declares is read from its source: so the workflow checks every member when it loads, and imports none.
"""

import ast
import importlib
import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from autojudge.errors import InputError

LIBRARY = Path(__file__).parent


@dataclass(frozen=True)
class Registry:
    """The members of a package.

    Attributes
    ----------
    package : str
        Its path within the library, such as "judging/classifiers".
    kind : str
        What a member is, for messages.
    functions : mapping of str to int
        Functions that a member defines, and how many arguments each takes.
    constants : mapping of str to type
        Literals that a member assigns.
    """

    package: str
    kind: str
    functions: Mapping[str, int]
    constants: Mapping[str, type]

    def names(self) -> list[str]:
        """Return the names of the members in the library."""
        return sorted(path.stem for path in (LIBRARY / self.package).glob("*.py") if path.stem != "__init__")

    def path(self, name: str) -> Path:
        """Return a member's file; a name that ends with .py is the path of one outside of the library.

        Raises
        ------
        InputError
            There is no such member.
        """
        if name.endswith(".py"):
            if not Path(name).is_file():
                raise InputError(f"{self.kind} `{name}`: no such file; check the path")
            return Path(name)
        if name not in self.names():
            raise InputError(
                f"{self.kind} `{name}` is unknown: workflow_scripts/autojudge/{self.package} has no such module; known "
                f"are {', '.join(self.names())}"
            )
        return LIBRARY / self.package / f"{name}.py"

    def check(self, name: str) -> dict[str, Any]:
        """Return a member's constants, with those that it may declare besides.

        Raises
        ------
        InputError
            There is no such member, its source cannot be parsed, or it lacks a function or a constant.
        """
        path, found = self.path(name), self._read(name)
        for function, count in self.functions.items():
            if function not in found.names:
                raise InputError(f"{path}: has no function `{function}`, as a {self.kind} must; {self._remedy()}")
            if found.arguments.get(function, count) != count:
                raise InputError(
                    f"{path}: `{function}` takes {found.arguments[function]} arguments, not {count}; {self._remedy()}"
                )
        for constant, kind in self.constants.items():
            if not isinstance(found.constants.get(constant), kind):
                have = f"{constant} = {found.constants[constant]!r}" if constant in found.constants else "none"
                raise InputError(
                    f"{path}: a {self.kind} assigns a literal {kind.__name__} to `{constant}` (here: {have}); "
                    f"{self._remedy()}"
                )
        return found.constants

    def binds(self, name: str, variable: str) -> bool:
        """Tell whether a member binds a name at its top level. Raises InputError where there is no such member."""
        return variable in self._read(name).names

    def load(self, name: str) -> ModuleType:
        """Import a member. Raises InputError like `check`."""
        path = self.path(name)
        if not name.endswith(".py"):
            return importlib.import_module(f"autojudge.{self.package.replace('/', '.')}.{name}")
        self.check(name)
        spec = importlib.util.spec_from_file_location(path.stem, path)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    def _read(self, name: str) -> "_Declarations":
        path = self.path(name)
        try:
            return _Declarations(ast.parse(path.read_text(encoding="utf-8")))
        except (SyntaxError, UnicodeDecodeError) as fault:
            raise InputError(f"{path}: is not Python ({fault}); fix it") from fault

    def _remedy(self) -> str:
        package = f"workflow_scripts/autojudge/{self.package}/__init__.py"
        return f"{package} tells what one needs, docs/extending.md shows one"


class _Declarations:
    """What a module binds at its top level.

    Attributes
    ----------
    names : set of str
        Everything that is bound.
    arguments : dict of str to int
        Of each function that is defined here.
    constants : dict
        Values of names that literals are assigned to.
    """

    def __init__(self, tree: ast.Module) -> None:
        self.names: set[str] = set()
        self.arguments: dict[str, int] = {}
        self.constants: dict[str, Any] = {}
        for node in tree.body:
            if isinstance(node, ast.FunctionDef):
                self.names.add(node.name)
                self.arguments[node.name] = len(node.args.posonlyargs + node.args.args)
            elif isinstance(node, ast.ImportFrom | ast.Import):
                self.names |= {alias.asname or alias.name for alias in node.names}
            elif isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                self._assign([target.id for target in targets if isinstance(target, ast.Name)], node.value)

    def _assign(self, names: list[str], value: ast.expr) -> None:
        self.names |= set(names)
        try:
            literal = ast.literal_eval(value)
        except ValueError:
            return
        self.constants |= dict.fromkeys(names, literal)
