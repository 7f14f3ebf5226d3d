"""The workflow runs in folders of odd names, from elsewhere, and where the locale is ASCII."""

import os
import subprocess
import sys
import sysconfig
import venv

import pandas as pd
from clone import ROOT, Clone

PROBLEMS = "results/arith/testbed/problems.parquet"
FEW = "datasets={arith: {problems: {train: 4, validation: 3, test: 2}}}"


def snakemake(folder, *arguments, python=sys.executable, **environment):
    """Run snakemake in a folder, and return its exit status and what it tells."""
    command = [str(python), "-m", "snakemake", *arguments]
    result = subprocess.run(command, cwd=folder, capture_output=True, env=os.environ | environment)
    return result.returncode, (result.stdout + result.stderr).decode(errors="replace")


def test_a_clone_and_its_environment_may_lie_in_a_folder_of_any_name(tmp_path):
    folder = tmp_path / "it's 5 $HOME & Zoë"
    folder.mkdir()
    clone = Clone(folder)
    venv.create(folder / ".venv", symlinks=True)
    python = folder / ".venv/bin/python"
    site = folder / f".venv/lib/python{sysconfig.get_python_version()}/site-packages"
    (site / "packages.pth").write_text(sysconfig.get_path("purelib"), encoding="utf-8")
    status, told = snakemake(folder, "--cores", "1", "--config", FEW, "--", PROBLEMS, python=python)
    assert status == 0, told
    assert len(clone.table("problems")) == 9


def test_a_clone_in_a_folder_with_braces_is_told_on_the_dry_run(tmp_path):
    folder = tmp_path / "a{b}"
    folder.mkdir()
    Clone(folder)
    status, told = snakemake(folder, "-n")
    assert status != 0 and "Traceback" not in told
    assert f"{folder}: snakemake takes braces in a workflow's path for wildcards; rename the folder" in told


def test_it_runs_from_elsewhere_into_another_folder_with_a_config_there_where_the_locale_is_ascii(tmp_path):
    """Results lie in the working directory; the test bed is found in the clone, and a config's paths in either."""
    (tmp_path / "start").mkdir()
    (tmp_path / "results place").mkdir()
    (tmp_path / "start/mine.yaml").write_text("experiment: Zoë\nseed: 3\n", encoding="utf-8")
    environment = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    place = ["--snakefile", os.path.relpath(ROOT / "Snakefile", tmp_path / "start"), "--directory", "../results place"]
    given = ["--configfile", "mine.yaml", "--config", FEW]
    status, told = snakemake(tmp_path / "start", *place, "--cores", "1", *given, "--", PROBLEMS, **environment)
    assert status == 0 and "Logging error" not in told, told
    assert len(pd.read_parquet(tmp_path / "results place" / PROBLEMS)) == 9
    assert sorted(path.name for path in (tmp_path / "start").iterdir()) == ["mine.yaml"]
    status, told = snakemake(
        tmp_path / "start", *place, "-n", *given, "datasets={arith: {source: {train: a, test: b}}}"
    )
    assert status != 0 and f"no such file a in {tmp_path / 'results place'}" in told, told
