"""Decode prompts with a judge in an engine, to compare engines: `python -m autojudge.serving.check --help`."""

import argparse
import importlib
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from autojudge.errors import InputError
from autojudge.judging.artifact import load_judge
from autojudge.serving.engines import Decoded, PromptError, Request
from autojudge.serving.served_judge import WINDOW, judge_folder, settle_window

ENGINES = ("vllm", "transformers", "own")
MAX_NEW_TOKENS = 256


def read_prompts(file: Path) -> tuple[list[int], list[list[int]]]:
    """Return line numbers and prompts of a file of rows `{"prompt_tokens": [...]}`; other keys count for nothing.

    Raises
    ------
    InputError
        The file cannot be read, holds no row, or a row is none; it names the line.
    """
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as fault:
        raise InputError(f"{file}: cannot be read ({fault}); name a file of JSON lines") from fault
    rows = {number: _prompt(line, f"{file}:{number}") for number, line in enumerate(lines, 1) if line.strip()}
    if not rows:
        raise InputError(f'{file}: holds no rows; write one {{"prompt_tokens": [...]}} per line')
    return list(rows), list(rows.values())


def _prompt(line: str, where: str) -> list[int]:
    try:
        row = json.loads(line)
    except ValueError as fault:
        raise InputError(f'{where}: is not JSON ({fault}); write a row {{"prompt_tokens": [...]}}') from fault
    tokens = row.get("prompt_tokens") if isinstance(row, dict) else None
    if not isinstance(tokens, list) or not tokens:
        raise InputError(f"{where}: has no list `prompt_tokens` with tokens in it; write the prompt's tokens there")
    for token in tokens:
        if type(token) is not int or token < 0:
            raise InputError(
                f"{where}: `prompt_tokens` holds {token!r}, which is not a token; tokens are whole numbers, 0 or larger"
            )
    return tokens


def load_engine(name: str) -> Any:
    """Import an engine's module. Raises InputError where what it needs is not installed."""
    try:
        return importlib.import_module(f"autojudge.serving.engines.{name}")
    except ImportError as fault:
        extra = "transformers" if name == "own" else name
        raise InputError(f"engine {name} cannot be used here ({fault}); pip install 'autojudge[{extra}]'") from fault


def check(request: Request, engine: str, lines: Sequence[int], prompts: Path) -> Iterator[Decoded]:
    """Yield what an engine decodes for each prompt, in order.

    Parameters
    ----------
    lines : sequence of int
        Of the prompts in their file, for errors.
    prompts : Path
        That file.

    Raises
    ------
    InputError
        Something of the request cannot be used; a prompt is named by file and line.
    """
    try:
        for _, decoded in zip(lines, load_engine(engine).decode(request), strict=True):
            yield decoded
    except PromptError as fault:
        raise InputError(f"{prompts}:{lines[fault.number]}: {fault.reason}") from fault


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m autojudge.serving.check",
        description="Decode prompts greedily with a judge in an engine; each starts like vLLM, the target first.",
    )
    parser.add_argument("--judge", required=True, help="folder of judge.json, or a hub name")
    parser.add_argument("--target", required=True, help="folder of the target model, or a hub name")
    parser.add_argument("--draft", required=True, help="folder of the draft model, or a hub name")
    parser.add_argument("--prompts", required=True, type=Path, help='JSON lines {"prompt_tokens": [...]}')
    parser.add_argument("--engine", required=True, choices=ENGINES)
    parser.add_argument("--out", required=True, type=Path, help='JSON lines {"tokens": [...], "cycles": n, "kept": n}')
    parser.add_argument("--threshold", type=float, help="0 is lossless; the judge's recommended one by default")
    parser.add_argument("--max-new-tokens", type=_positive, default=MAX_NEW_TOKENS, help="default: %(default)s")
    parser.add_argument(
        "--window",
        type=_positive,
        help=f"tokens drafted per cycle; default: those of the judge's operating point, {WINDOW} where it has none",
    )
    return parser.parse_args(arguments)


def _positive(text: str) -> int:
    number = int(text) if text.isdecimal() else 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a whole number of at least 1")
    return number


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command; a fault of the input ends it with its message and status 1."""
    given = _parse(arguments)
    try:
        lines, prompts = read_prompts(given.prompts)
        window = settle_window(load_judge(judge_folder(given.judge)), given.window)
        names = ("judge", "target", "draft", "threshold", "max_new_tokens")
        request = Request(prompts=prompts, window=window, **{name: getattr(given, name) for name in names})
        _write(given.out, check(request, given.engine, lines, given.prompts), len(prompts), given.engine)
    except InputError as fault:
        sys.exit(f"error: {fault}")


def _write(out: Path, responses: Iterator[Decoded], count: int, engine: str) -> None:
    """Write each response as it is decoded."""
    from tqdm import tqdm

    try:
        file = out.open("w", encoding="utf-8")
    except OSError as fault:
        raise InputError(f"{out}: cannot be written ({fault.strerror}); choose another --out") from fault
    with file:
        for decoded in tqdm(responses, total=count, desc=engine, unit="prompt"):
            file.write(json.dumps(asdict(decoded)) + "\n")
            file.flush()


if __name__ == "__main__":
    main()
