"""The workflow starts wherever its files and its environment lie and whoever runs it, or says why not."""

import getpass
import os
import shlex
import shutil
import subprocess
import sys

import pytest
from snakemake.exceptions import WorkflowError
from snakemake.sourcecache import LocalSourceFile

from autojudge.workflow import source
from conftest import ROOT

ODD = ["a b", "it's", 'a "b" c', "$HOME", "a#b&c;d", "Zoë 日本", "-a", "a%20b", "a`b`", "a\nb", "a\\b", "(a)*[b]?"]


@pytest.mark.parametrize("name", ["a{b}", "{}", "a{", "{{dataset}}"])
def test_braces_in_the_path_are_told(tmp_path, name):
    with pytest.raises(WorkflowError) as told:
        source.find_repository(LocalSourceFile(str(tmp_path / name / "rules")))
    assert f"{tmp_path / name}: " in str(told.value) and "rename the folder" in str(told.value)


@pytest.mark.parametrize("name", ODD)
def test_a_shell_finds_the_environments_python_by_its_quoted_path(tmp_path, monkeypatch, name):
    """As snakemake starts a script: the path stands in a command for bash as it is."""
    (tmp_path / name).mkdir()
    python = tmp_path / name / "python"
    python.symlink_to(shutil.which("echo"))
    monkeypatch.setattr(sys, "executable", str(python))
    for _ in range(2):  # another workflow's module starts again
        source.start_anywhere()
    told = subprocess.run(["bash", "-c", f"{sys.executable} started"], capture_output=True, encoding="utf-8")
    assert told.stdout == "started\n", told.stderr


def test_a_path_that_needs_no_quotes_stays_as_it_is(monkeypatch):
    monkeypatch.setattr(sys, "executable", str(ROOT / "Makefile"))
    assert shlex.quote(sys.executable) == sys.executable, "the test's own folder is odd"
    source.start_anywhere()
    assert sys.executable == str(ROOT / "Makefile")


@pytest.mark.parametrize("fault", [KeyError("getpwuid(): uid not found"), OSError("no username")])
def test_a_user_without_a_name_is_called_by_the_number(monkeypatch, fault):
    def fail(uid):
        raise fault

    monkeypatch.setattr(sys, "executable", sys.executable)
    monkeypatch.setattr("pwd.getpwuid", fail)
    for name in ("USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LOGNAME", "")
    source.start_anywhere()
    assert getpass.getuser() == str(os.getuid())


def test_a_user_with_a_name_keeps_it(monkeypatch):
    monkeypatch.setattr(sys, "executable", sys.executable)
    monkeypatch.setenv("LOGNAME", "somebody")
    source.start_anywhere()
    assert getpass.getuser() == "somebody"


@pytest.mark.parametrize(
    "arguments, key, value",
    [
        (["decoding={shards: 16}"], "shards", 16),
        (['decoding={"shards": 16}'], "shards", 16),
        (["decoding={temperature: 0.5, shards: 4}"], "temperature", 0.5),
        (["decoding={rules: [lossless, always]}"], "rules", ["lossless", "always"]),
        (["decoding={shards: 4}", "decoding={shards: 6}"], "shards", 6),
        (["decoding={branches: null}"], "branches", None),
        (["decoding={top_p: {a: [1, yes]}}"], "top_p", {"a": [1, True]}),
    ],
)
def test_nested_values_of_arguments_are_read_as_in_a_file(arguments, key, value):
    of_snakemake = {"decoding": {"shards": "text"}}
    decoding = source.with_defaults(of_snakemake, ROOT, arguments)["decoding"]
    assert decoding[key] == value and decoding["shards"] != ("text" if "shards" in arguments[0] else "")
    assert "rules" in decoding, "the default ones stay"


@pytest.mark.parametrize("argument", ["seed=7", "experiment=2024-13-45", "experiment={a: b", "experiment=[2024-13-45]"])
def test_other_arguments_stay_as_snakemake_reads_them(argument):
    assert source.with_defaults({"seed": 3, "experiment": "mine"}, ROOT, [argument]) == source.with_defaults(
        {"seed": 3, "experiment": "mine"}, ROOT
    )
