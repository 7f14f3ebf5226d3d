"""`make demo` works in folders of any name, or says in one message why not; nothing is installed here."""

import shutil
import subprocess
import sys

import pytest

from conftest import ROOT

STAND_IN = """#!/bin/sh
# A python that installs nothing: `-m venv` puts a copy of it in the environment, everything else is noted.
if [ "$2" = venv ]; then mkdir -p "$3/bin" && cp "$0" "$3/bin/python"; fi
echo "$*" >> "$NOTES"
"""


def make(folder, *arguments):
    folder.mkdir()
    for name in ("Makefile", "requirements.txt"):
        shutil.copy(ROOT / name, folder)
    python = folder.parent / "python"
    python.write_text(STAND_IN, encoding="utf-8")
    python.chmod(0o755)
    notes = folder.parent / "notes"
    notes.touch()
    command = ["make", *arguments, f"PYTHON={python}"]
    result = subprocess.run(
        command, cwd=folder, capture_output=True, encoding="utf-8", env={"PATH": "/usr/bin:/bin", "NOTES": str(notes)}
    )
    return result, notes.read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize("name", ["plain", "a b", "it's $HOME", "Zoë#1", "-a", 'a"b&;c', "a%b"])
def test_the_demo_installs_and_runs_in_a_folder_of_any_other_name(tmp_path, name):
    result, notes = make(tmp_path / name, "demo")
    assert result.returncode == 0, result.stderr
    assert notes[1] == "-m venv .venv" and notes[2].startswith("-m pip ") and notes[3].startswith("-m snakemake ")


@pytest.mark.parametrize("name", ["a{b}", "{", "a:b"])
def test_a_folder_that_cannot_be_is_told_before_anything_is_installed(tmp_path, name):
    result, notes = make(tmp_path / name, "demo")
    assert result.returncode != 0 and notes == [] and not (tmp_path / name / ".venv").exists()
    assert result.stderr.count("rename the folder") == 1 and f"{tmp_path / name}: " in result.stderr
    assert ("or make an environment elsewhere" in result.stderr) == (":" in name)


COMPARE = """
import sys
sys.path.insert(0, sys.argv[1])
from autojudge.reading.math_equality import MathEquality
print(MathEquality().same("x + 1", "1 + x"))
"""


def test_in_a_folder_with_a_colon_formulas_are_compared_too(tmp_path):
    library = shutil.copytree(ROOT / "workflow_scripts/autojudge", tmp_path / "a:b" / "autojudge")
    command = [sys.executable, "-c", COMPARE, str(library.parent)]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, encoding="utf-8")
    assert result.stdout == "True\n", result.stderr
