"""The program in a response: in the code block that defines what was asked for, or, without blocks, among the prose."""

import ast
import re
import textwrap
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

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
    r"(?:async|def|class|import|from|for|while|if|with) .|try:|@\w|[A-Za-z_][\w.]*(?:\(|[\w\[\]., ]*[-+*/%&|^]?=[^=])"
)
ONE_LINE = re.compile(r"^[ \t]*(`+)(?:py(?:thon)?3? )?([^`\n]+)\1[ \t]*$", re.MULTILINE | re.IGNORECASE)
PROGRAM = "<program>"  # the file that warnings name
warnings.filterwarnings("ignore", module=PROGRAM)  # such as those of escapes that Python does not know
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
    that does; then a body of the stub's function; then a stub; then the last block. A block that is cut off counts
    without the statement in which it was, if the rest defines what was asked for.

    Parameters
    ----------
    names : sequence of str
        Functions, classes, or methods as "Solution.solve", by any one of which the program may be called. None: it is a
        script.
    stub : str
        Source that ends with the head of a function, and maybe its docstring, which a response may go on with.
    """
    blocks, prose = _scan(_normalise(text))
    bare = list(_bare_code(prose))
    groups = [[found for block in blocks if (found := _without_cut(block, names))], bare]
    for found, name in _defining(groups, names, whole=True):
        return Program(found.code, found.form, name)
    for body in [*(block.code for block in reversed(blocks)), *_leading_body(prose)] if stub else []:
        if (program := _complete(stub, body, names)) is not None:
            return Program(program, BODY, _defined_name(program, names, whole=True))
    for found, name in _defining(groups, names, whole=False):
        return Program(found.code, found.form, name)
    last = _by_language(blocks) or [found for found in bare if _definitions(_parse(found.code))]
    return Program(last[-1].code, last[-1].form) if last else Program(None, NONE)


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
        raise InputError(f"{named} is no Python ({fault}); fix or drop that row") from fault


def _is_future(node: ast.stmt) -> bool:
    return isinstance(node, ast.ImportFrom) and node.module == "__future__"


@dataclass(frozen=True)
class _Found:
    """Code of a response, and what its block says of the language: 2 for Python, 1 for nothing, 0 for another."""

    code: str
    form: str
    language: int = 1


def _by_language(found: Sequence[_Found]) -> list[_Found]:
    return sorted(found, key=lambda one: one.language)


def _defining(
    groups: Sequence[Sequence[_Found]], names: Sequence[str], whole: bool
) -> Iterator[tuple[_Found, str | None]]:
    """Yield, best first, code that defines one of the names, and which; of scripts, code that does anything."""
    for group in groups:
        for found in reversed(group if names else _by_language(group)):
            tree = _parse(found.code)
            name = _defined_name(found.code, names, whole)
            if name or (not names and tree and not all(map(_does_nothing, tree.body))):
                yield found, name


def _without_cut(block: _Found, names: Sequence[str]) -> _Found | None:
    """Return a block without the statement in which it was cut off; None for a script, which lacks its end."""
    if block.form != UNFINISHED or _parse(block.code):
        return block
    lines = block.code.split("\n")
    return replace(block, code="\n".join(lines[: _whole_lines(lines)])) if names else None


def _normalise(text: str) -> str:
    return FENCED_THOUGHT.sub("", text.replace("\r\n", "\n").replace("\r", "\n").lstrip("\ufeff"))


def _scan(text: str) -> tuple[list[_Found], str]:
    """Return the blocks of a response's final turn, and the text outside of them."""
    blocks: list[_Found] = []
    prose: list[str] = []
    position, thinks = 0, False
    events = [event for regex in (FENCE, THOUGHT, TURN) for event in regex.finditer(text)]
    for event in sorted(events, key=lambda event: event.start()):
        if event.start() < position or (thinks and event.re is not THOUGHT):
            continue
        if event.re is FENCE and not _opens(event) or event.re is TURN and _is_comment(event):
            continue
        if not thinks:
            prose.append(text[position : event.start()])
        position = event.end()
        if event.re is FENCE:
            block, position = _read_block(text, event)
            blocks += _flatten(block) if block.code.strip() else []
        elif event.re is TURN and (blocks or "".join(prose).strip()):  # else the head of its own turn
            return blocks, "".join(prose)
        elif event.re is THOUGHT:
            if not event["opens"] and not thinks:  # the prompt opened it
                blocks, prose = [], []
            thinks = bool(event["opens"])
    return blocks, "".join(prose if thinks else [*prose, text[position:]])


def _opens(fence: re.Match[str]) -> bool:
    return bool(MARKS.fullmatch(fence["before"]) or PYTHON.match(fence["info"]))


def _is_comment(turn: re.Match[str]) -> bool:
    """Tell whether what reads like a turn's heading is a comment of bare code."""
    return re.match(r"\n[ \t]*#(?!#)", turn.group()) is not None


def _read_block(text: str, opening: re.Match[str]) -> tuple[_Found, int]:
    """Return a block, and the position in the text where it ends."""
    start = min(opening.end() + 1, len(text))
    end, after, form = len(text), len(text), UNFINISHED
    for event in _ends(text, start, opening["fence"]):
        end = after = event.start()
        if event.re is FENCE:
            end = event.start("fence")
            if not LANGUAGE.fullmatch(event["info"].strip()):  # else another block begins
                after, form = event.end("fence"), BLOCK
        break
    language = 2 if PYTHON.match(opening["info"]) else 0 if opening["info"].strip() else 1
    return _Found(_tidy(_unmark(text[start:end], opening["before"])), form, language), after


def _ends(text: str, start: int, fence: str) -> Iterator[re.Match[str]]:
    """Yield what may end a block that starts there: fences, ends of turns, ends of thoughts on lines of their own."""
    quoted = [found for found in QUOTED.finditer(text, start) if not found["triple"] or found["closed"]]

    def within(event: re.Match[str]) -> bool:
        at = event.start("fence") if event.re is FENCE else event.start()
        return any(q.start() <= at < q.end() and (event.re is FENCE or not q["comment"]) for q in quoted)

    events = [event for event in FENCE.finditer(text, start) if event["fence"].startswith(fence)]
    events += [event for event in TURN.finditer(text, start) if event.group().startswith("<")]
    events += [event for event in THOUGHT.finditer(text, start) if not event["opens"] and _is_line(text, event)]
    yield from (event for event in sorted(events, key=lambda event: event.start()) if not within(event))


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
    lines, number = ONE_LINE.sub(r"\2", text).split("\n"), 0
    while number < len(lines):
        size = _whole_lines(lines[number:]) if STARTS.match(lines[number]) else 0
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


def _leading_body(text: str) -> list[str]:
    """Return what may be a function's body with which a response begins: its indented lines, or all of it."""
    text = text.strip("\n").rstrip()
    return [re.split(r"\n(?=\S)", text, maxsplit=1)[0], text]


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


def _defined_name(code: str, names: Sequence[str], whole: bool) -> str | None:
    """Return the first of some names that code defines, if need be by more than a stub."""
    defined = _definitions(_parse(code))
    return next((name for name in names if name in defined and not (whole and _is_stub(defined[name]))), None)


def _definitions(tree: ast.Module | None) -> dict[str, ast.AST]:
    """Return what a module defines at its top level, and the methods of its classes, by name."""
    found: dict[str, ast.AST] = {}
    waiting: list[tuple[str, ast.AST]] = [("", node) for node in reversed(tree.body)] if tree else []
    while waiting:
        prefix, node = waiting.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found[prefix + node.name] = node
            if isinstance(node, ast.ClassDef):
                waiting += [(f"{node.name}.", inner) for inner in reversed(node.body)] if not prefix else []
        elif isinstance(node, ast.alias):
            found[prefix + (node.asname or node.name)] = node
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found[prefix + node.id] = node
        elif not isinstance(node, ast.Lambda):
            waiting += [(prefix, inner) for inner in reversed(list(ast.iter_child_nodes(node)))]
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
    """Return how many of the first lines are whole statements."""
    end = len(lines)
    while end and (fault := _fault("\n".join(lines[:end]))):
        starts = (i for i in range(min(fault - 1, end - 1), -1, -1) if lines[i][:1].strip())
        end = next(starts, 0)
    return end


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
