"""What the Snakemake Workflow Catalog asks of a repository, and what its page of this one shows."""

import re
import subprocess

import yaml

from conftest import ROOT


def read(name):
    return (ROOT / name).read_text(encoding="utf-8")


def test_the_repository_is_what_the_catalog_looks_for():
    words = read("README.md").lower()
    assert "snakemake" in words and "workflow" in words
    assert 'include: "../Snakefile"' in read("workflow/Snakefile").splitlines()
    assert any((ROOT / "rules").glob("*.smk")) and (ROOT / "LICENSE").exists()


def test_the_catalogs_file_has_its_keys():
    (usage,) = yaml.safe_load(read(".snakemake-workflow-catalog.yml")).values()
    assert usage.keys() == {"mandatory-flags", "software-stack-deployment", "report"}
    assert usage["mandatory-flags"].keys() == {"desc", "flags"}
    assert usage["software-stack-deployment"].keys() == {"conda", "apptainer", "apptainer+conda"}
    assert all(isinstance(value, bool) for value in [*usage["software-stack-deployment"].values(), usage["report"]])


def test_its_page_of_the_configuration_tells_of_every_key():
    told = re.findall(r"^\| (`.*?`) \|", read("config/README.md"), re.MULTILINE)
    keys = yaml.safe_load(read("config/config.schema.yaml"))["properties"]
    assert sorted(re.findall(r"`(\w+)`", " ".join(told))) == sorted(keys)


def list_parts():
    return subprocess.run([ROOT / ".ci/run", "--list"], capture_output=True, text=True, check=True).stdout.split()


def test_the_hosted_ci_runs_parts_that_there_are():
    matrix = yaml.safe_load(read(".github/workflows/ci.yml"))["jobs"]["part"]["strategy"]["matrix"]
    named = {*matrix["part"], *(entry["part"] for entry in matrix["include"])}
    assert {"lint", "tests", "small"} <= named <= set(list_parts())


def test_an_unknown_part_is_refused_before_anything_runs():
    result = subprocess.run([ROOT / ".ci/run", "lint", "smal"], capture_output=True, text=True)
    assert result.returncode == 2 and result.stderr == f"no part smal; there are: {' '.join(list_parts())}\n"
    assert "===" not in result.stdout
