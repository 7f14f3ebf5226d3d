"""No file and no process is read or written in the encoding of the locale, which may be ASCII."""

import ast
import os
import subprocess
import sys

import pytest

from autojudge.registry import LIBRARY
from conftest import ROOT

SCRIPTS = LIBRARY.parent
ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONPATH": str(SCRIPTS)}


def name_of(call):
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", None)


def in_the_locales_encoding(source):
    """Lines of the calls that read or write text and name no encoding."""
    for call in ast.walk(ast.parse(source)):
        if not isinstance(call, ast.Call) or any(word.arg == "encoding" for word in call.keywords):
            continue
        texts = {word.arg for word in call.keywords if word.arg in ("text", "universal_newlines")}
        modes = [value for value in (*call.args, *(w.value for w in call.keywords)) if isinstance(value, ast.Constant)]
        binary = any(isinstance(mode.value, str) and "b" in mode.value for mode in modes)
        opens = name_of(call) in ("open", "fdopen", "NamedTemporaryFile", "TemporaryFile") and not binary
        opens &= isinstance(call.func, ast.Name) or all(isinstance(mode, ast.Constant) for mode in call.args)
        if opens or texts or name_of(call) in ("read_text", "write_text", "FileHandler"):
            yield call.lineno


@pytest.mark.parametrize(
    "source, wrong",
    [
        ("open(path)", True),
        ("path.open('w')", True),
        ("path.open(mode='rb')", False),
        ("Row.open(index, problem)", False),
        ("open(path, encoding='utf-8')", False),
        ("folder.joinpath('a').read_text()", True),
        ("path.write_text(text, encoding='utf-8')", False),
        ("subprocess.run(command, text=True)", True),
        ("subprocess.run(command, encoding='utf-8')", False),
        ("logging.FileHandler(path, mode='w')", True),
    ],
)
def test_what_names_no_encoding_is_found(source, wrong):
    assert bool(list(in_the_locales_encoding(source))) == wrong


def test_every_text_names_its_encoding():
    sources = {file: file.read_text(encoding="utf-8") for file in SCRIPTS.rglob("*.py")}
    found = [
        f"{file.relative_to(ROOT)}:{line}" for file, text in sources.items() for line in in_the_locales_encoding(text)
    ]
    assert found == []
    assert len(sources) > 100


def run_in_ascii(code, *arguments, **given):
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, env=os.environ | ASCII, capture_output=True, encoding="utf-8", **given)


@pytest.mark.parametrize("text", ["Zoë's pens", "价格 3 ¥", "½ \N{MINUS SIGN} π"])
def test_a_job_prints_and_logs_any_text_where_the_locale_is_ascii(tmp_path, text):
    code = (
        "import sys; from autojudge.jobs.progress import job_log, logger\n"
        f"with job_log(sys.argv[1]): print({text!r}); logger.warning('%s', {text!r})"
    )
    result = run_in_ascii(code.encode("ascii", "backslashreplace").decode(), tmp_path / "job.log")
    assert result.returncode == 0 and "Logging error" not in result.stderr, result.stderr
    assert result.stdout.encode().decode("unicode_escape").strip() == text
    assert text in (tmp_path / "job.log").read_text(encoding="utf-8")
