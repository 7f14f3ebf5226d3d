"""The program in a response: in the code block that defines what was asked for, or, without blocks, among the prose."""

import ast
import builtins
import re
import symtable
import textwrap
import warnings
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import groupby

from autojudge.errors import InputError
from autojudge.reading.final_turn import FENCED_THOUGHT, THOUGHT, TURN

BLOCK, UNFINISHED, BARE, BODY, NONE = "code block", "unfinished block", "bare code", "body", "no code block"

FENCE = re.compile(r"^(?P<before>.*?)(?P<fence>`{3,}|~{3,})[ \t]*(?P<info>[^`\n]*)$", re.MULTILINE)
MARKS = re.compile(r"[ \t>]*(?:(?:[-*+]|\d+[.)])[ \t]+)*")  # of quotes and lists, before a fence
PYTHON = re.compile(r"\W*i?py", re.IGNORECASE)
LANGUAGE = re.compile(r"(?i:i?py|\{).*|[a-z][\w+#.-]*")  # what stands after a fence that opens a block
# Python's strings, and its comments, in which a quote opens none; one in triple quotes may stay open.
QUOTED = re.compile(
    r"""(?P<triple>"{3}|'{3})(?:\\.|.)*?(?:(?P<closed>(?P=triple))|\Z)"""
    r"""|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|(?P<comment>\#[^\n]*)""",
    re.DOTALL,
)
STARTS = re.compile(  # lines with which code among prose begins
    r"(?:async\s+)?def\s+\w+\s*\(|class\s+\w+\s*[(:]|@\w|import\s+\w[\w., ]*$|from\s+[\w.]+\s+import\b"
    r"|(?:async|for|while|if|with|try)\b.*:\s*(?:\#.*)?$|[A-Za-z_][\w.]*(?:\(|[\w\[\]., ]*[-+*/%&|^]?=[^=])"
)
ONE_LINE = re.compile(r"^[ \t]*(`+)(?:py(?:thon)?3? )?([^`\n]+)\1[ \t]*$", re.MULTILINE | re.IGNORECASE)
ATTEMPTS = 25  # at finding where code begins or ends among prose, which bounds the time that a response takes
BUILTINS = frozenset(dir(builtins)) | {"__name__", "__file__", "__doc__"}
FOLDED = "details"  # the tag round what a page does not show at first
STATEMENTS = (ast.stmt, ast.excepthandler, ast.match_case)
PROGRAM = "<program>"  # the file that warnings name
warnings.filterwarnings("ignore", module=PROGRAM)  # such as those of escapes that Python does not know
READS = re.compile(r"\binput\s*\(|\bfileinput\b|\bstdin\b|\bopen\s*\(\s*0\b")  # of a script: its input
OUTSIDE = {"input", "open", "print"}  # what a constant does not call
DOCTEST = re.compile(r"[ \t]*(?:>>>|\.\.\.)(?: |$)")


@dataclass(frozen=True)
class Program:
    """What a response holds of a program.

    Attributes
    ----------
    code : str or None
        Its source, with newlines alone at the ends of lines; None where there is none.
    form : str
        "code block", "unfinished block" (not closed), "bare code" (outside of any block), "body" (of the function that
        was asked for; `code` then begins with the stub), or "no code block" (no code at all).
    name : str or None
        Which of the names asked for the code defines; None where it defines none of them.
    """

    code: str | None
    form: str
    name: str | None = None


def read_program(text: str, names: Sequence[str] = (), stub: str = "") -> Program:
    """Read the program from a response's own final turn.

    Of several blocks the last counts that defines what was asked for, by more than a stub; where none does, bare code
    that does; then a body of the stub's function; then an import of that name; then a stub; then the last block. A
    block that is cut off counts without the statement in which it was, if the rest defines what was asked for. What
    the program uses and other blocks alone define is put before it. What stands in <details> counts where nothing
    outside of it defines what was asked for.

    Parameters
    ----------
    names : sequence of str
        Functions, classes, or methods as "Solution.solve", by any one of which the program may be called. None: it is a
        script.
    stub : str
        Source that ends with the head of a function, and maybe its docstring, which a response may go on with.
    """
    text = _normalise(text)
    folds = [False, True] if FOLDED in text.lower() else [False]
    readings = [_Reading.of(text, names, unfolded) for unfolded in folds]
    for reading in readings:
        if chosen := next(_defining(reading.groups, names, _definitions, whole=True), None):
            return _with_helpers(chosen, reading, stub)
        for body in reading.bodies() if stub else []:
            if (program := _complete(stub, body, names)) is not None:
                name = _defined_name(_definitions(_parse(program)), names, whole=True)
                return _with_helpers((_Found(program, BODY), name), reading, stub)
    for define in (_bindings, _definitions):
        for reading in readings:
            for found, name in _defining(reading.groups, names, define, whole=False):
                return Program(found.code, found.form, name)
    for reading in readings:
        if last := reading.last():
            return Program(last[-1].code, last[-1].form)
    return Program(None, NONE)


def put_before(prelude: str, code: str) -> str:
    """Return a program with other source before it, or after its imports from `__future__`, which must come first."""
    if not prelude.strip():
        return code
    tree = _parse(code)
    future = [node for node in (tree.body if tree else []) if _is_future(node)]
    if not future:
        return f"{prelude.rstrip()}\n\n\n{code}"
    lines, last = code.split("\n"), future[-1]
    line = lines[(last.end_lineno or 1) - 1].encode()
    head, rest = line[: last.end_col_offset].decode(), line[last.end_col_offset :].decode().lstrip("; \t")
    return "\n".join([*lines[: (last.end_lineno or 1) - 1], head, prelude.rstrip(), rest, *lines[last.end_lineno :]])


def in_block(code: str) -> str:
    """Return a response that is one code block."""
    fence = "`" * max([3, *(len(run) + 1 for run in re.findall("`{3,}", code))])
    return f"{fence}python\n{code.rstrip()}\n{fence}\n"


def parse_source(code: str, named: str) -> ast.Module:
    """Return the syntax tree of a data set's own code. Raises InputError, which names it, where it is no Python."""
    try:
        return ast.parse(code, PROGRAM)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as fault:
        raise InputError(f"{named} is not Python ({fault}); fix or drop that row") from fault


def _is_future(node: ast.stmt) -> bool:
    return isinstance(node, ast.ImportFrom) and node.module == "__future__"


@dataclass(frozen=True)
class _Found:
    """Code of a response, and what its block says of the language: 2 for Python, 1 for nothing, 0 for another."""

    code: str
    form: str
    language: int = 1


@dataclass(frozen=True)
class _Reading:
    """The code blocks of a response, and without those that are cut off too early; its prose, and the code in that."""

    blocks: list[_Found]
    whole: list[_Found]
    prose: str
    bare: list[_Found]

    @classmethod
    def of(cls, text: str, names: Sequence[str], unfolded: bool) -> "_Reading":
        """Read a response; `unfolded`: what stands in <details> is no thought."""
        blocks, prose = _scan(text, unfolded)
        whole = [found for block in blocks if (found := _without_cut(block, names))]
        return cls(blocks, whole, prose, list(_bare_code(prose)))

    @property
    def groups(self) -> list[list[_Found]]:
        return [self.whole, self.bare]

    def bodies(self) -> list[str]:
        """Return what may be a function's body."""
        return [*(block.code for block in reversed(self.blocks)), *_bodies(self.prose)]

    def last(self) -> list[_Found]:
        return _by_language(self.blocks) or [found for found in self.bare if _definitions(_parse(found.code))]


def _by_language(found: Sequence[_Found]) -> list[_Found]:
    return sorted(found, key=lambda one: one.language)


def _by_input(found: Sequence[_Found]) -> list[_Found]:
    """Sort scripts: those last that read their input."""
    return sorted(_by_language(found), key=lambda one: READS.search(one.code) is not None)


def _defining(
    groups: Sequence[Sequence[_Found]],
    names: Sequence[str],
    define: Callable[[ast.Module | None], dict[str, ast.AST]],
    whole: bool,
) -> Iterator[tuple[_Found, str | None]]:
    """Yield, best first, code that defines one of the names, and which; of scripts, code that does anything."""
    for group in groups:
        for found in reversed(group if names else _by_input(group)):
            tree = _parse(found.code)
            name = _defined_name(define(tree), names, whole)
            if name or (not names and tree and not all(map(_does_nothing, tree.body))):
                yield found, name


def _with_helpers(chosen: tuple[_Found, str | None], reading: _Reading, stub: str) -> Program:
    """Return code as a program, after what it uses and neither it nor the stub defines, but other code does."""
    found, name = chosen
    uses, defines = _global_names(found.code)
    given = _global_names(f"{stub.rstrip()}\n    pass")[1] if stub else ()
    known, taken = {*defines, *given}, set[int]()
    waiting = list(uses - BUILTINS - known)
    others = [one.code for group in reading.groups for one in group if one is not found] if waiting else []
    helpers = [helper for code in others for helper in _helpers(code) if not (helper.runs & (defines | OUTSIDE))]
    while waiting:
        wanted = waiting.pop()
        if wanted in known:
            continue
        known.add(wanted)
        places = [i for i, helper in enumerate(helpers) if wanted in helper.defines]
        if places:
            best = max(places, key=lambda i: (not helpers[i].imports, i))
            taken.add(best)
            waiting += helpers[best].uses - BUILTINS
    prelude = "\n".join(helpers[i].source for i in sorted(taken))
    return Program(put_before(prelude, found.code), found.form, name)


@dataclass(frozen=True)
class _Helper:
    """A statement that may stand before a program: the global names that it defines, uses, and uses when it runs."""

    source: str
    imports: bool
    defines: frozenset[str]
    uses: frozenset[str]
    runs: frozenset[str]


@lru_cache(maxsize=16)
def _helpers(code: str) -> list[_Helper]:
    """Return the imports, functions, classes and assignments at the top level of code."""
    tree, lines = _parse(code), code.split("\n")
    found = []
    for node in tree.body if tree else []:
        imports, assigns = isinstance(node, ast.Import | ast.ImportFrom), isinstance(node, ast.Assign | ast.AnnAssign)
        defined = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and not _is_stub(node)
        if _is_future(node) or not (imports or assigns or defined):
            continue
        source = _source_of(node, lines)
        uses, defines = _global_names(source)
        found.append(_Helper(source, imports, defines, uses, uses if assigns else frozenset()))
    return found


def _source_of(node: ast.stmt, lines: Sequence[str]) -> str:
    """Return the source of a statement, decorators included, from the lines of the code that it is part of."""
    first = min([node.lineno, *(each.lineno for each in getattr(node, "decorator_list", []))])
    kept = [line.encode() for line in lines[first - 1 : node.end_lineno]]
    kept[-1] = kept[-1][: node.end_col_offset]
    if first == node.lineno:
        kept[0] = kept[0][node.col_offset :]
    return b"\n".join(kept).decode()


@lru_cache(maxsize=64)
def _global_names(code: str) -> tuple[frozenset[str], frozenset[str]]:
    """Return the global names that code uses and does not define, and those that it defines."""
    try:
        tables = [symtable.symtable(code, PROGRAM, "exec")]
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return frozenset(), frozenset()
    defines = frozenset(one.get_name() for one in tables[0].get_symbols() if one.is_assigned() or one.is_imported())
    uses: set[str] = set()
    while tables:
        table = tables.pop()
        uses |= {one.get_name() for one in table.get_symbols() if one.is_global()}
        tables += table.get_children()
    return frozenset(uses - defines), defines


def _without_cut(block: _Found, names: Sequence[str]) -> _Found | None:
    """Return a block without the statement in which it was cut off; None for a script, which lacks its end."""
    if block.form != UNFINISHED or _parse(block.code):
        return block
    lines = block.code.split("\n")
    return replace(block, code="\n".join(lines[: _whole_lines(lines)])) if names else None


def _normalise(text: str) -> str:
    return FENCED_THOUGHT.sub("", text.replace("\r\n", "\n").replace("\r", "\n").lstrip("\ufeff"))


def _scan(text: str, unfolded: bool = False) -> tuple[list[_Found], str]:
    """Return the blocks of a response's final turn, and the text outside of them; what <details> hold, if unfolded."""
    blocks: list[_Found] = []
    prose: list[str] = []
    position, thinks, begun = 0, False, False
    found = [event for regex in (FENCE, THOUGHT, TURN) for event in regex.finditer(text)]
    events = sorted((event for event in found if not (unfolded and _folds(event))), key=_at)
    for event in events:
        if _at(event) < position or (thinks and event.re is not THOUGHT):
            continue
        start = max(position, event.start())  # of a fence's line, or of what of it is not read yet
        if event.re is FENCE and not _opens(event, text[start : _at(event)]):
            continue
        if event.re is TURN and _is_comment(event):
            continue
        if not thinks:
            prose.append(text[position:start])
            begun = begun or bool(prose[-1].strip())
        position = event.end()
        if event.re is FENCE:
            block, position = _read_block(text, event, text[start : _at(event)], events)
            blocks += _flatten(block) if block.code.strip() else []
        elif event.re is TURN and (begun or blocks):  # else the head of its own turn
            return blocks, "".join(prose)
        elif event.re is THOUGHT:
            if not event["opens"] and not thinks:  # the prompt opened it
                blocks, prose, begun = [], [], False
            thinks = bool(event["opens"])
    return blocks, "".join(prose if thinks else [*prose, text[position:]])


def _at(event: re.Match[str]) -> int:
    return event.start("fence" if event.re is FENCE else 0)


def _folds(event: re.Match[str]) -> bool:
    return event.re is THOUGHT and FOLDED in event.group().lower()


def _opens(fence: re.Match[str], before: str) -> bool:
    return bool(MARKS.fullmatch(before) or PYTHON.match(fence["info"]))


def _is_comment(turn: re.Match[str]) -> bool:
    """Tell whether what reads like a turn's heading is a comment of bare code."""
    return re.match(r"\n[ \t]*#(?!#)", turn.group()) is not None


def _read_block(text: str, opening: re.Match[str], before: str, events: Sequence[re.Match[str]]) -> tuple[_Found, int]:
    """Return a block whose fence has something before it, and the position in the text where the block ends."""
    start = min(opening.end() + 1, len(text))
    end, after, form = len(text), len(text), UNFINISHED
    if (event := _find_end(text, start, opening["fence"], events)) is not None:
        end = after = event.start()
        if event.re is FENCE:
            end = event.start("fence")
            if not LANGUAGE.fullmatch(event["info"].strip()):  # else another block begins
                after, form = event.end("fence"), BLOCK
    language = 2 if PYTHON.match(opening["info"]) else 0 if opening["info"].strip() else 1
    return _Found(_tidy(_unmark(text[start:end], before)), form, language), after


def _find_end(text: str, start: int, fence: str, events: Sequence[re.Match[str]]) -> re.Match[str] | None:
    """Return what ends a block that starts there: a fence, the end of the turn, or of a thought on a line of its own.

    What stands in a string ends nothing, and a fence in a comment neither.
    """
    quotes = QUOTED.finditer(text, start)
    quote = next(quotes, None)
    for number in range(bisect_left(events, start, key=_at), len(events)):
        event = events[number]
        if event.re is FENCE:
            ends, at = event["fence"].startswith(fence), event.start("fence")
        else:
            ends, at = _ends_turn_or_thought(text, event), event.start()
        while quote is not None and quote.end() <= at:
            quote = next(quotes, None)
        quoted = quote is not None and quote.start() <= at and (not quote["triple"] or quote["closed"])
        if ends and not (quoted and quote is not None and (event.re is FENCE or not quote["comment"])):
            return event
    return None


def _ends_turn_or_thought(text: str, event: re.Match[str]) -> bool:
    if event.re is TURN:
        return event.group().startswith("<")
    return not event["opens"] and _is_line(text, event)


def _is_line(text: str, event: re.Match[str]) -> bool:
    before, after = text.rfind("\n", 0, event.start()) + 1, text.find("\n", event.end())
    return not (text[before : event.start()] + text[event.end() : after if after >= 0 else len(text)]).strip()


def _unmark(code: str, before: str) -> str:
    """Return a block's lines without what a quote or a list puts before each."""
    if ">" in before:
        code = re.sub(r"^[ \t]*>[ \t]?", "", code, flags=re.MULTILINE)
    elif MARKS.fullmatch(before):
        code = re.sub(rf"^[ \t]{{0,{len(before)}}}", "", code, flags=re.MULTILINE)
    return code


def _tidy(code: str) -> str:
    """Return code without empty lines at its ends, a common indentation, and a doctest's prompts and output."""
    code = re.sub(r"\A(?:[ \t\ufeff]*\n)+", "", code.lstrip("\ufeff")).rstrip()
    if _parse(code) is None:
        code = textwrap.dedent(code)
    if _parse(code) is None and ">>>" in code:
        lines = code.split("\n")
        if lines[0].startswith(">>>"):
            return "\n".join(DOCTEST.sub("", line, count=1) for line in lines if DOCTEST.match(line))
        whole = _whole_lines(lines)
        return "\n".join(lines[:whole]) if lines[whole].startswith(">>>") else code
    return code


def _flatten(block: _Found) -> list[_Found]:
    """Return the blocks within a block that is no Python, such as one of Markdown; itself, where it has none."""
    inner = [] if block.language == 2 or _parse(block.code) else _scan(block.code)[0]
    return inner or [block]


def _bare_code(text: str) -> Iterator[_Found]:
    """Yield each stretch of lines among prose that is Python and does something."""
    lines, number, attempts = ONE_LINE.sub(r"\2", text).split("\n"), 0, 0
    while number < len(lines) and attempts < ATTEMPTS:
        begins = STARTS.match(lines[number]) is not None
        attempts += begins
        size = _whole_lines(lines[number:]) if begins else 0
        tree = _parse("\n".join(lines[number : number + size]))
        nodes = tree.body if tree else []
        end = next((i for i, node in enumerate(nodes) if _does_nothing(node)), len(nodes))
        size = nodes[end - 1].end_lineno or 0 if end else 0
        if size:
            yield _Found("\n".join(lines[number : number + size]), BARE)
        number += size or 1


def _does_nothing(node: ast.stmt) -> bool:
    """Tell whether a statement is rather a word or a number on a line of its own, or "Note: this"."""
    if isinstance(node, ast.AnnAssign):
        return node.value is None
    return isinstance(node, ast.Expr) and not isinstance(node.value, ast.Call | ast.Await | ast.Yield | ast.YieldFrom)


def _bodies(text: str) -> list[str]:
    """Return what may be a function's body: the indented lines with which a response begins, all of it, other such."""
    text = text.strip("\n").rstrip()
    stretches = groupby(text.split("\n"), key=lambda line: not line[:1].strip())
    indented = ["\n".join(lines).strip("\n") for is_indented, lines in stretches if is_indented]
    return [re.split(r"\n(?=\S)", text, maxsplit=1)[0], text, *reversed(list(filter(str.strip, indented))[-ATTEMPTS:])]


def _complete(stub: str, body: str, names: Sequence[str]) -> str | None:
    """Return the stub of one of the functions with a body, however that is indented; None where it is none."""
    for code in (body, "    " + body.lstrip(), textwrap.indent(textwrap.dedent(body), "    ")):
        program = f"{stub.rstrip()}\n{code}"
        tree = _parse(program)
        last = tree.body[-1] if tree else None
        if isinstance(last, ast.FunctionDef) and last.name in names and _returns(last.body):
            return program
    return None


def _returns(nodes: Sequence[ast.AST]) -> bool:
    """Tell whether statements return or yield something, functions within them left out."""
    inner = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)
    return any(
        isinstance(node, ast.Return | ast.Yield | ast.YieldFrom)
        or (not isinstance(node, inner) and _returns(list(ast.iter_child_nodes(node))))
        for node in nodes
    )


def _defined_name(defined: Mapping[str, ast.AST], names: Sequence[str], whole: bool) -> str | None:
    """Return the first of some names that is defined, if need be by more than a stub."""
    return next((name for name in names if name in defined and not (whole and _is_stub(defined[name]))), None)


def _definitions(tree: ast.Module | None) -> dict[str, ast.AST]:
    """Return what a module defines at its top level, and the methods of its classes, by name.

    An assignment defines a name where its value may be callable and is not made of what the name stood for.
    """
    found: dict[str, ast.AST] = {}
    waiting: list[tuple[str, ast.AST]] = [("", node) for node in reversed(tree.body)] if tree else []
    while waiting:
        prefix, node = waiting.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found[prefix + node.name] = node
            if isinstance(node, ast.ClassDef):
                waiting += [(f"{node.name}.", inner) for inner in reversed(node.body)] if not prefix else []
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names = [target.id for target in targets if isinstance(target, ast.Name)]
            found |= {prefix + name: node for name in names if _may_define(name, node.value)}
        else:
            inner_nodes = reversed(list(ast.iter_child_nodes(node)))
            waiting += [(prefix, one) for one in inner_nodes if isinstance(one, STATEMENTS)]
    return found


def _may_define(name: str, value: ast.expr | None) -> bool:
    """Tell whether a value may be a function that does not come from the name itself."""
    if not isinstance(value, ast.Lambda | ast.Name | ast.Attribute | ast.Call | ast.IfExp | ast.BoolOp | ast.Subscript):
        return False
    waiting: list[ast.AST] = [value]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Name) and node.id == name:
            return False
        waiting += ast.iter_child_nodes(node) if not isinstance(node, ast.Lambda) else []
    return True


def _bindings(tree: ast.Module | None) -> dict[str, ast.AST]:
    """Return what a module imports or assigns at its top level, by name."""
    found: dict[str, ast.AST] = {}
    waiting: list[ast.AST] = list(tree.body) if tree else []
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.alias):
            found[node.asname or node.name] = node
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found[node.id] = node
        elif not isinstance(node, ast.Lambda | ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            waiting += ast.iter_child_nodes(node)
    return found


def _is_stub(node: ast.AST) -> bool:
    """Tell whether a function is one of which the body is left open."""
    return isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and all(
        isinstance(part, ast.Pass)
        or (isinstance(part, ast.Expr) and isinstance(part.value, ast.Constant))
        or (isinstance(part, ast.Raise) and "NotImplemented" in ast.unparse(part))
        for part in node.body
    )


def _whole_lines(lines: Sequence[str]) -> int:
    """Return how many of the first lines are whole statements; 0 where that is not found soon."""
    end = len(lines)
    for _ in range(ATTEMPTS):
        fault = _fault("\n".join(lines[:end]))
        if not fault:
            return end
        starts = (i for i in range(min(fault - 1, end - 1), -1, -1) if lines[i][:1].strip())
        end = next(starts, 0)
    return 0


def _parse(code: str) -> ast.Module | None:
    parsed = _try_to_parse(code)
    return parsed if isinstance(parsed, ast.Module) else None


def _fault(code: str) -> int:
    """Return the line, from 1, in which code stops being Python; 0 where it does not."""
    parsed = _try_to_parse(code)
    return parsed if isinstance(parsed, int) else 0


@lru_cache(maxsize=64)
def _try_to_parse(code: str) -> ast.Module | int:
    try:
        return ast.parse(code, PROGRAM)
    except SyntaxError as fault:
        return fault.lineno or 1
    except (ValueError, RecursionError, MemoryError):  # null bytes, or too deep
        return 1
