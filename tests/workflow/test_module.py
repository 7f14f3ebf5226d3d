"""The workflow as a module of another one, in another folder: by a path, from a git repository, from a hosted one."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from clone import ROOT, Clone
from snakemake.exceptions import WorkflowError
from snakemake.sourcecache import GenericSourceFile

from autojudge.workflow import source

EXAMPLE = dict(re.findall(r"```\w+\n# (\S+)\n(.*?)```", (ROOT / "docs/module.md").read_text(), re.DOTALL))


class Outer:
    """Another workflow that uses this one from somewhere."""

    def __init__(self, folder: Path, snakefile: str) -> None:
        self.folder = folder / "outer"
        self.folder.mkdir()
        text = EXAMPLE["Snakefile"].replace('"../autojudge/Snakefile"', snakefile)
        assert snakefile in text, "the example names another path"
        (self.folder / "Snakefile").write_text(text)
        (self.folder / "config.yaml").write_text(EXAMPLE["config.yaml"])
        self.cache = folder / "cache"

    def snakemake(self, *arguments: str) -> str:
        start = [sys.executable, "-m", "snakemake", "--cores", "2", *arguments]
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        environment = os.environ | {"PATH": path, "XDG_CACHE_HOME": str(self.cache), "PYTHONPATH": ""}
        result = subprocess.run(start, cwd=self.folder, capture_output=True, text=True, env=environment)
        assert result.returncode == 0, result.stdout + result.stderr
        return result.stdout + result.stderr


def git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), "-c", "user.name=test", "-c", "user.email=test@example.org", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture(scope="module")
def repository(tmp_path_factory) -> tuple[Path, str]:
    """A git repository of the working tree, and its commit, which is not what is checked out there."""
    folder = tmp_path_factory.mktemp("repository")
    Clone(folder)
    git(folder, "init", "--quiet")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "all")
    commit = git(folder, "rev-parse", "HEAD")
    (folder / "Snakefile").write_text("broken")
    git(folder, "commit", "--quiet", "--all", "--message", "broken")
    return folder, commit


def test_another_workflow_uses_it_by_a_path(tmp_path):
    outer = Outer(tmp_path, repr(str(ROOT / "Snakefile")))
    outer.snakemake()
    labels = pd.read_parquet(outer.folder / "results/arith/testbed/labels.parquet")
    assert int((outer.folder / "important.txt").read_text()) == labels["important"].sum() > 0
    assert set(pd.read_csv(outer.folder / "results/arith_pareto.csv")["rule"]) == {
        "target",
        "lossless",
        "top_k",
        "oracle",
    }
    assert "Nothing to be done" in outer.snakemake()
    plan = outer.snakemake("-n", "results/arith/testbed/judges.md")
    assert "autojudge_train_judge" in plan
    assert "localrules directive" not in plan, "it names rules as they are called here; `localrule: True` does not"


def test_rules_keep_their_names_where_they_are_used_without_new_ones(tmp_path):
    outer = Outer(tmp_path, repr(str(ROOT / "Snakefile")))
    snakefile = outer.folder / "Snakefile"
    snakefile.write_text(snakefile.read_text().replace(" as autojudge_*", "").replace('config["autojudge"]', "{}"))
    rows = [line.split() for line in outer.snakemake("-n", "--quiet", "rules").splitlines()]
    assert ["mine_labels", "2"] in rows and ["count_important", "1"] in rows


def test_what_snakedeploy_writes_makes_everything(tmp_path):
    """Its Snakefile names `workflow/Snakefile`, takes all rules as they are called, and has none itself."""
    outer = Outer(tmp_path, repr(str(ROOT / "workflow/Snakefile")))
    snakefile = outer.folder / "Snakefile"
    text = snakefile.read_text().replace(" as autojudge_*", "").split("rule count_important")[0]
    snakefile.write_text(text.replace('config["autojudge"]', "config"))
    (outer.folder / "config.yaml").write_text((ROOT / "config/config.yaml").read_text())
    rows = [line.split() for line in outer.snakemake("-n", "--quiet", "rules").splitlines()]
    assert ["all", "1"] in rows and ["mine_labels", "2"] in rows


def test_another_workflow_uses_a_commit_of_a_hosted_repository(tmp_path, repository):
    """Snakemake finds a bare clone in its cache, as if it had fetched it, and asks no network."""
    folder, commit = repository
    outer = Outer(tmp_path, f'github("owner/autojudge", path="Snakefile", commit="{commit}")')
    clone = outer.cache / "snakemake/snakemake/source-cache/snakemake-git-cache/github.com/owner/autojudge"
    clone.parent.mkdir(parents=True)
    git(tmp_path, "clone", "--quiet", "--bare", str(folder), str(clone))
    outer.snakemake("results/arith/testbed/labels.parquet")
    assert len(pd.read_parquet(outer.folder / "results/arith/testbed/labels.parquet")) > 0
    (checkout,) = (outer.folder / source.CHECKOUTS).iterdir()
    assert checkout.name == commit
    described = git(checkout / "workflow_scripts", "describe", "--always", "--dirty", "--abbrev=40")
    assert described == commit, "what provenance asks"


def test_a_commit_is_checked_out_once(tmp_path, repository):
    folder, commit = repository
    found = source.check_out(folder, commit, tmp_path)
    assert found == tmp_path / commit and (found / "Snakefile").read_text() == (ROOT / "Snakefile").read_text()
    (found / "mark").touch()
    assert (source.check_out(folder, commit[:12], tmp_path) / "mark").exists()
    assert (source.check_out(folder, "HEAD", tmp_path) / "Snakefile").read_text() == "broken"
    assert len(list(tmp_path.iterdir())) == 2, "nothing half made is left"


def test_what_is_no_source_is_told(tmp_path, repository):
    with pytest.raises(WorkflowError, match="use the workflow by a path, github"):
        source.find_repository(GenericSourceFile("https://example.org/rules"))
    with pytest.raises(WorkflowError, match="git rev-parse failed for .*repository"):
        source.check_out(repository[0], "v9", tmp_path)


def test_defaults_fill_a_config_and_leave_it_as_it_is():
    config = {"mining": {"shards": 7}, "judge": {"feature_sets": {"scalars": None}}}
    merged = source.with_defaults(config, ROOT)
    assert merged["mining"]["shards"] == 7 and merged["mining"]["batch"] > 0 and merged["runs"]
    assert merged["judge"]["feature_sets"]["scalars"] is None and "target_at_draft" in merged["judge"]["feature_sets"]
    assert config == {"mining": {"shards": 7}, "judge": {"feature_sets": {"scalars": None}}}
    assert source.with_defaults(merged, ROOT) == merged


def test_paths_of_the_repository_are_taken_where_the_working_directory_has_none(tmp_path, monkeypatch):
    repository, outer = tmp_path / "repository", tmp_path / "outer"
    for file in (repository / "resources/a", repository / "resources/b", outer / "resources/b"):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    monkeypatch.chdir(outer)
    config = {"files": ["resources/a", "resources/b", "owner/model", "resources", 3], "of": {"draft": "resources/a"}}
    found = source.own_paths(config, repository)
    assert found["files"] == ["../repository/resources/a", "resources/b", "owner/model", "resources", 3]
    assert found["of"]["draft"] == "../repository/resources/a"


def test_the_library_comes_before_an_installed_one(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", ["", "/installed"])
    monkeypatch.setenv("PYTHONPATH", "/theirs")
    for _ in range(2):
        source.use_library(tmp_path)
    assert sys.path == [str(tmp_path), "", "/installed"]
    assert os.environ["PYTHONPATH"] == f"{tmp_path}{os.pathsep}/theirs"
