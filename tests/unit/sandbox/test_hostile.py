"""Hostile programs (programs.yaml) are held, as root and as an ordinary user, by both means."""

import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import yaml

from autojudge.registry import LIBRARY
from autojudge.sandbox.means import BUBBLEWRAP, LANDLOCK

pytestmark = pytest.mark.skipif(
    platform.machine() != "x86_64", reason="the programs call the kernel by x86_64's numbers"
)
HERE = Path(__file__).parent
PROGRAMS = yaml.safe_load((HERE / "programs.yaml").read_text())
USERS = {"root": 0, "an ordinary user": 65534}
COMBINATIONS = [(user, means) for user in USERS for means in (BUBBLEWRAP, LANDLOCK)]
INTACT = ["passed", "wrong value", 2, []]  # a right program, a wrong one, workers ever started, changes


def identity(user):
    """Arguments of a process that runs as that user; None where this one may not start it."""
    if os.getuid() == 0:
        return {"user": USERS[user], "group": USERS[user], "extra_groups": []}
    return {} if user != "root" else None


def python_of(identity):
    """A Python of ours that the user can start, None where there is none."""
    for python in (os.path.realpath(sys.executable), "/usr/bin/python3", "/usr/local/bin/python3"):
        try:
            command = [python, "-c", "import ctypes, sys; sys.exit(sys.version_info < (3, 11))"]
            if subprocess.run(command, cwd="/", capture_output=True, **identity).returncode == 0:
                return python
        except OSError:
            continue
    return None


def attack(user, means, folder):
    """What came of all programs, or why they could not run."""
    who = identity(user)
    if who is None:
        return {"unavailable": "the tests do not run as root"}
    python = python_of(who)
    if python is None:
        return {"unavailable": f"{user} can start no Python of version 3.11 or later"}
    command = [python, "-B", str(folder / "hostile.py"), str(folder), means, str(HERE)]
    done = subprocess.run(command, input=json.dumps(PROGRAMS), capture_output=True, text=True, cwd="/", **who)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def library():
    """A copy of the library and of hostile.py that all users may read, as pytest's own folders are not for long."""
    folder = Path(tempfile.mkdtemp(prefix="autojudge-"))
    shutil.copytree(LIBRARY / "sandbox", folder / "autojudge/sandbox", ignore=shutil.ignore_patterns("__pycache__"))
    for file in (LIBRARY / "__init__.py", LIBRARY / "errors.py"):
        shutil.copy(file, folder / "autojudge")
    shutil.copy(HERE / "hostile.py", folder)
    for file in [folder, *folder.rglob("*")]:
        file.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def outcomes(library):
    """All programs' outcomes by user and means, whose sandboxes run side by side."""
    with ThreadPoolExecutor(len(COMBINATIONS)) as threads:
        found = threads.map(lambda one: attack(*one, library), COMBINATIONS)
        return dict(zip(COMBINATIONS, found, strict=True))


def held(name, outcome):
    """Whether an outcome is as it should be."""
    kind, _, name = name.partition(": ")
    if kind == "refused":
        as_expected = outcome["ended"] == "ok" and "held" in outcome["said"]
    else:
        as_expected = outcome["ended"] in PROGRAMS[kind][name]["ends"]
    return as_expected and "ESCAPED" not in outcome["said"] and outcome["after"] == INTACT


@pytest.mark.parametrize(("user", "means"), COMBINATIONS)
def test_hostile_programs_are_held(outcomes, user, means):
    found = outcomes[user, means]
    if "unavailable" in found:
        pytest.skip(found["unavailable"])
    assert len(found["programs"]) > 150
    assert {name: outcome for name, outcome in found["programs"].items() if not held(name, outcome)} == {}
    assert found["description"].startswith(means)


def test_verdicts_do_not_depend_on_user_or_means(outcomes):
    reasons = [
        {name: outcome["ended"] for name, outcome in found["programs"].items() if one_end(name)}
        for found in outcomes.values()
        if "programs" in found
    ]
    if len(reasons) < 2:
        pytest.skip("only one user and means can be had here")
    assert all(found == reasons[0] for found in reasons)


def one_end(name):
    """Whether a program can only end in one way, whatever the Python."""
    kind, _, name = name.partition(": ")
    return kind == "refused" or len(PROGRAMS[kind][name]["ends"]) == 1
