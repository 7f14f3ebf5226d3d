"""Registries: tasks, acceptance rules and classifiers, each member a module of its package.

What a member declares is read from its source: so the workflow checks every member when it loads, and imports none.
"""

import ast
import importlib
import importlib.util
import sys
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from autojudge.errors import InputError

LIBRARY = Path(__file__).parent
NEVER_RUN = {"TYPE_CHECKING", "typing.TYPE_CHECKING", "__name__ == '__main__'"}  # conditions that an import fails


@dataclass(frozen=True, eq=False)
class Registry:
    """The members of a package.

    Attributes
    ----------
    package : str
        Its path within the library, such as "judging/classifiers".
    kind : str
        What a member is, for messages.
    functions : mapping of str to int
        Functions that a member defines, and with how many arguments each is called.
    constants : mapping of str to type
        Literals that a member assigns.
    choices : mapping of str to set of str
        Of constants that are sets: what they may hold.
    optional : set of str
        Functions and constants that a member may do without.
    instead : mapping of str to set of str
        Optional functions, and those that a member with such a one may do without.
    """

    package: str
    kind: str
    functions: Mapping[str, int]
    constants: Mapping[str, type]
    choices: Mapping[str, Set[str]] = field(default_factory=dict)
    optional: Set[str] = frozenset()
    instead: Mapping[str, Set[str]] = field(default_factory=dict)

    def names(self) -> list[str]:
        """Return the names of the members in the library."""
        return sorted(path.stem for path in (LIBRARY / self.package).glob("*.py") if path.stem != "__init__")

    def path(self, name: str) -> Path:
        """Return a member's file; a name that ends with .py is the path of one outside of the library.

        Raises
        ------
        InputError
            There is no such member, or Python could not import it by its name.
        """
        if name.endswith(".py"):
            path = Path(name).expanduser()
            if not path.is_file():
                raise InputError(f"{self.kind} `{name}`: there is no such file in {Path.cwd()}; check the path")
            return path
        if name not in self.names():
            raise InputError(
                f"{self.kind} `{name}` is unknown: workflow_scripts/autojudge/{self.package} has no such module; known "
                f"are {', '.join(self.names())}"
            )
        path = LIBRARY / self.package / f"{name}.py"
        if not name.isidentifier():
            raise InputError(f"{path}: Python cannot import that name; rename it, with letters, digits and _ only")
        if (path.with_suffix("") / "__init__.py").exists():
            raise InputError(
                f"{path}: the folder {path.with_suffix('')} would be imported in its place; rename one of them"
            )
        return path

    def check(self, name: str) -> dict[str, Any]:
        """Return a member's constants, with those that it may declare besides.

        Raises
        ------
        InputError
            There is no such member, its source cannot be parsed, it imports what the library lacks, or a function or a
            constant is missing or not as it must be.
        """
        path, member = self.path(name), self._read(name)
        for fault in self._faults(member):
            package = f"workflow_scripts/autojudge/{self.package}/__init__.py"
            raise InputError(f"{path}: {fault}; {package} tells what one needs, docs/extending.md shows one")
        return member.literals

    def defines(self, name: str, function: str) -> bool:
        """Tell whether a member has an optional function. Raises InputError like `expression`."""
        return function in self._read(name).bound

    def expression(self, name: str, variable: str) -> str | None:
        """Return what a member assigns to a variable, as source; None where it does not.

        Raises
        ------
        InputError
            There is no such member, or its source cannot be parsed.
        """
        value = self._read(name).bound.get(variable)
        return ast.unparse(value) if isinstance(value, ast.expr) else None

    def load(self, name: str) -> ModuleType:
        """Import a member. Raises InputError like `check`."""
        self.check(name)
        package, path = f"autojudge.{self.package.replace('/', '.')}", self.path(name)
        if not name.endswith(".py"):
            return importlib.import_module(f"{package}.{name}")
        spec = importlib.util.spec_from_file_location(f"{package}.{path.name}", path)  # no member's name has a dot
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module  # where dataclasses look for the module that defines them
        spec.loader.exec_module(module)
        return module

    def _read(self, name: str) -> "_Source":
        return _Source(self.path(name))

    def _faults(self, member: "_Source") -> Iterator[str]:
        yield from member.missing_imports()
        spared = set(self.optional).union(*(names for name, names in self.instead.items() if name in member.bound))
        for name, count in self.functions.items():
            if name in member.bound:
                yield from _function_faults(name, member.bound[name], count)
            elif name not in spared:
                yield f"{_a(self.kind)} has a function `{name}`; none is defined here, or imported by name"
        for name, kind in self.constants.items():
            if name in member.bound:
                yield from self._constant_faults(name, kind, member)
            elif name not in self.optional:
                yield f"{_a(self.kind)} assigns a literal {kind.__name__} to `{name}`; here is none"

    def _constant_faults(self, name: str, kind: type, member: "_Source") -> Iterator[str]:
        if name not in member.literals:
            yield f"`{name}` is no literal {kind.__name__} assigned once, outside of any block: it is read, not run"
            return
        value: Any = member.literals[name]
        right = type(value) is kind  # not isinstance: a bool is an int, but no version
        if not right:
            hint = " (the empty set is set())" if kind is set and value == {} else ""
            yield f"`{name}` is {value!r}, and must be a literal {kind.__name__}{hint}"
        elif name in self.choices and (unknown := value - self.choices[name]):
            names, known = ", ".join(sorted(map(repr, unknown))), ", ".join(sorted(self.choices[name]))
            yield f"`{name}` names {names}, which nothing provides; known are {known}"


class _Source:
    """What a module binds at its top level. Raises InputError where it cannot be parsed.

    Attributes
    ----------
    bound : dict of str to AST node or None
        What a name is bound to last: a definition, an import, or the expression of an assignment; None where that
        depends on how the module runs.
    literals : dict
        Values of the names that are assigned a literal.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._statements = list(_statements(ast.parse(path.read_bytes(), str(path)).body))
        except OSError as fault:
            raise InputError(f"{path}: cannot be read ({fault}); check what it is, and its permissions") from fault
        except (SyntaxError, ValueError) as fault:  # ValueError: null bytes
            raise InputError(f"{path}: is not Python ({fault}); fix it") from fault
        self.bound: dict[str, ast.AST | None] = {}
        for statement, in_block in self._statements:
            for name, node in _bindings(statement):
                self.bound[name] = None if in_block and isinstance(node, ast.expr) else node
        self.literals: dict[str, Any] = {}
        for name, node in self.bound.items():
            if isinstance(node, ast.expr):
                try:
                    self.literals[name] = ast.literal_eval(node)
                except (ValueError, TypeError):  # TypeError: a set of lists
                    continue

    def missing_imports(self) -> Iterator[str]:
        """Yield a fault for each thing that is imported from the library and not there."""
        for statement, _ in self._statements:
            if isinstance(statement, ast.Import):
                for module in (alias.name for alias in statement.names):
                    if _in_library(module) and not _module_file(module).is_file():
                        yield f"it imports `{module}`, which the library does not have"
            elif isinstance(statement, ast.ImportFrom) and _in_library(statement.module or ""):
                yield from self._missing_names(str(statement.module), [alias.name for alias in statement.names])

    @staticmethod
    def _missing_names(module: str, names: list[str]) -> Iterator[str]:
        file = _module_file(module)
        if not file.is_file():
            yield f"it imports from `{module}`, which the library does not have"
            return
        there = _Source(file).bound
        for name in names if "*" not in there else []:
            if name != "*" and name not in there and not _module_file(f"{module}.{name}").is_file():
                yield f"it imports `{name}` from `{module}`, which has no such name"


def _function_faults(name: str, node: ast.AST | None, count: int) -> Iterator[str]:
    """Yield what keeps a name from being a function that is called with so many arguments, as far as source tells."""
    if isinstance(node, ast.AsyncFunctionDef):
        yield f"`{name}` is `async def`, and must be a function as any"
    elif isinstance(node, ast.ClassDef | ast.Constant | ast.List | ast.Dict | ast.Set | ast.Tuple):
        yield f"`{name}` is no function"
    elif isinstance(node, ast.FunctionDef | ast.Lambda):
        if not _takes(node.args, count):
            yield f"`{name}({ast.unparse(node.args)})` cannot be called with {count} argument{'s' * (count != 1)}"
        elif isinstance(node, ast.FunctionDef) and not any(map(_gives, ast.walk(node))):
            yield f"`{name}` returns nothing"


def _takes(arguments: ast.arguments, count: int) -> bool:
    most = len(arguments.posonlyargs) + len(arguments.args)
    enough = most - len(arguments.defaults) <= count
    keywords_alone = any(default is None for default in arguments.kw_defaults)
    return enough and (count <= most or arguments.vararg is not None) and not keywords_alone


def _gives(node: ast.AST) -> bool:
    return isinstance(node, ast.Yield | ast.YieldFrom) or (isinstance(node, ast.Return) and node.value is not None)


def _statements(body: list[Any], in_block: bool = False) -> Iterator[tuple[ast.stmt, bool]]:
    """Yield the statements that an import runs, and whether each is in a block of another (not of a definition)."""
    for statement in body:
        if isinstance(statement, ast.If | ast.Try | ast.With | ast.For | ast.While | ast.ExceptHandler):
            skipped = isinstance(statement, ast.If) and ast.unparse(statement.test) in NEVER_RUN
            for block in ("body", "handlers", "orelse", "finalbody"):
                if not (skipped and block == "body"):
                    yield from _statements(getattr(statement, block, []), in_block=True)
        else:
            yield statement, in_block


def _bindings(statement: ast.stmt) -> Iterator[tuple[str, ast.AST | None]]:
    """Yield each name that a statement binds, and to what; None where its source does not tell."""
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        yield statement.name, statement
    elif isinstance(statement, ast.Import | ast.ImportFrom):
        for alias in statement.names:
            yield alias.asname or alias.name.split(".")[0], alias
    elif isinstance(statement, ast.Assign | ast.AnnAssign | ast.AugAssign) and statement.value is not None:
        for target in statement.targets if isinstance(statement, ast.Assign) else [statement.target]:
            told = isinstance(target, ast.Name) and not isinstance(statement, ast.AugAssign)
            for node in ast.walk(target):
                if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                    yield node.id, statement.value if told else None


def _in_library(module: str) -> bool:
    return module.split(".")[0] == "autojudge"


def _module_file(module: str) -> Path:
    path = LIBRARY.joinpath(*module.split(".")[1:])
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def _a(kind: str) -> str:
    return f"{'an' if kind[0] in 'aeiou' else 'a'} {kind}"
