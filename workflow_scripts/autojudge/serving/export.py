"""The folder `custom_generate` as text that needs no `autojudge`: the library's own code, only what it reaches.

A module becomes one file beside generate.py, as transformers copies and downloads no others, cut down to the statements
that are reached: of a classifier its `logits`, not its fit. Nothing is written twice, and nothing is written here.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

from autojudge.judging.classifiers import CLASSIFIERS
from autojudge.registry import LIBRARY

REQUIREMENTS = LIBRARY / "serving/custom_generate/requirements.txt"
ENTRY = ("autojudge.serving.custom_generate.generate", "generate")
MEMBERS = "autojudge.judging.classifiers"
LISTED = {"CLASSIFIERS", "load_classifier"}  # of MEMBERS: they look for files, which an export lists
HEAD = "# Made by autojudge.serving.export of the package autojudge: what serving a judge needs of it. Apache-2.0.\n"
LIST = """
_MEMBERS = {{{members}}}
CLASSIFIERS = SimpleNamespace(names=lambda: sorted(_MEMBERS))
load_classifier = _MEMBERS.__getitem__
"""


def custom_generate_files() -> dict[str, str]:
    """Return the text of each file of a folder `custom_generate` by its name, generate.py among them.

    The folder beside judge.json and judge.safetensors is what `custom_generate=` of transformers takes, and the hub.
    """
    files = {f"{_stem(module)}.py": text for module, text in _assemble().items()}
    return files | {REQUIREMENTS.name: REQUIREMENTS.read_text(encoding="utf-8")}


def _assemble() -> dict[str, str]:
    """Return the text of each module that ENTRY reaches, by its name in the library."""
    module, name = ENTRY
    wanted: dict[str, set[str]] = {module: {name}}
    done: dict[str, _Part] = {}
    waiting = [module]
    while waiting:
        module = waiting.pop()
        part = done[module] = _Part(module, wanted[module])
        for other, names in part.reached.items():
            if not names <= wanted.setdefault(other, set()):
                wanted[other] |= names
                waiting.append(other)
    stems = [_stem(module) for module in done]
    assert len(set(stems)) == len(stems), f"two modules would be one file: {sorted(stems)}"
    return {module: part.text() for module, part in done.items()}


def _stem(module: str) -> str:
    return module.rpartition(".")[2]


class _Part:
    """What of a module is reached from some of its names.

    Attributes
    ----------
    reached : dict of str to set of str
        Names that it reads of other modules of the library.
    """

    def __init__(self, module: str, names: set[str]) -> None:
        self.module = module
        self.source = _file(module).read_text(encoding="utf-8")
        self.statements = ast.parse(self.source).body
        self.names = self._reach(names)
        self.reached: dict[str, set[str]] = {}
        for node in self._imports():
            if node.module and node.module.split(".")[0] == "autojudge":
                self.reached.setdefault(node.module, set()).update(alias.name for alias in node.names)
        if self._lists:
            self.reached |= {f"{MEMBERS}.{name}": {"logits"} for name in CLASSIFIERS.names()}

    @property
    def _lists(self) -> bool:
        return self.module == MEMBERS

    def _reach(self, names: set[str]) -> set[str]:
        """Return the names, and all that the statements that bind them read."""
        reached, size = set(names), -1
        while size != len(reached):
            size = len(reached)
            for node in self.statements:
                if reached & _bound(node) and not (self._lists and LISTED & _bound(node)):
                    reached |= {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}
        return reached

    def _imports(self) -> Iterator[ast.ImportFrom]:
        """Yield imports from modules, with the names that are reached alone."""
        for node in self.statements:
            if isinstance(node, ast.ImportFrom):
                names = [alias for alias in node.names if (alias.asname or alias.name) in self.names]
                if names or node.module == "__future__":
                    yield ast.ImportFrom(node.module, names or node.names, 0)

    def text(self) -> str:
        """Return the file's text."""
        imports = [
            ast.unparse(node) for node in self.statements if isinstance(node, ast.Import) and self._is_kept(node)
        ]
        imports += [_relative(node) for node in self._imports()]
        if self._lists:
            imports += ["from types import SimpleNamespace"]
            imports += [f"from .{name} import logits as {name}" for name in CLASSIFIERS.names()]
        imports.sort(key=lambda line: "__future__" not in line)
        body = [self._lines(node) for node in self.statements if self._is_kept(node) and not _is_import(node)]
        if self._lists:
            members = ", ".join(f'"{name}": SimpleNamespace(logits={name})' for name in CLASSIFIERS.names())
            body.insert(0, LIST.format(members=members).strip("\n"))
        doc = self._lines(self.statements[0])
        return HEAD + "\n".join([doc, "", *imports]) + "\n\n\n" + "\n\n\n".join(body) + "\n"

    def _is_kept(self, node: ast.stmt) -> bool:
        bound = _bound(node)
        return bool(bound & self.names) and not (self._lists and bound & LISTED)

    def _lines(self, node: ast.stmt) -> str:
        """Return a statement as it is written, decorators with it."""
        first = min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", []))])
        return "\n".join(self.source.splitlines()[first - 1 : node.end_lineno])


def _file(module: str) -> Path:
    path = LIBRARY.joinpath(*module.split(".")[1:])
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def _is_import(node: ast.stmt) -> bool:
    return isinstance(node, ast.Import | ast.ImportFrom)


def _bound(node: ast.stmt) -> set[str]:
    """Return the names that a statement of a module binds; none of a block for types."""
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return {node.name}
    if isinstance(node, ast.Import | ast.ImportFrom):
        return {alias.asname or alias.name.split(".")[0] for alias in node.names}
    if isinstance(node, ast.Assign | ast.AnnAssign):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        return {n.id for target in targets for n in ast.walk(target) if isinstance(n, ast.Name)}
    return set()


def _relative(node: ast.ImportFrom) -> str:
    """Return an import as the exported file has it: of the library's modules, those beside it."""
    module = node.module or ""
    own = module.split(".")[0] == "autojudge"
    return ast.unparse(ast.ImportFrom(f".{_stem(module)}" if own else module, node.names, 0))
