"""A slip in a new member of a registry ends the dry run with one message; loading the workflow stays light."""

import re

import pytest
import yaml
from clone import Clone

from planted import CLASSIFIER_NAMED, CLASSIFIER_SLIPS, NAMED, SLIPS, C, plant

SHOWN = {"a typo in NEEDS", "score of two", "a syntax error", "no VERSION", "no system", "a shot's answer a boolean"}


@pytest.fixture(scope="module")
def clone(tmp_path_factory) -> Clone:
    return Clone(tmp_path_factory.mktemp("slips"))


def dry_run(clone, named, **environment):
    (clone.folder / "mine.yaml").write_text(yaml.safe_dump(named))
    return clone.snakemake("-n", "--configfile", "mine.yaml", small=False, **environment)


def the_message(result):
    """The one line that snakemake shows of a config that is wrong."""
    shown = result.stdout + result.stderr
    assert result.returncode != 0 and "Traceback" not in shown, shown
    (line,) = [line for line in shown.splitlines() if "config key" in line]
    return line


@pytest.mark.parametrize("slip", [slip for slip in SLIPS if slip[0] in SHOWN], ids=lambda slip: slip[0])
def test_a_slip_ends_the_dry_run_with_one_message(clone, slip):
    told = plant(clone.folder / "workflow_scripts/autojudge", slip)
    message = the_message(dry_run(clone, NAMED))
    assert re.search(told, message), message


def test_a_slip_in_a_classifier_ends_the_dry_run_with_one_message(clone):
    slip = next(slip for slip in CLASSIFIER_SLIPS if slip[0] == "no logits")
    told = plant(clone.folder / "workflow_scripts/autojudge", slip, members=(C,))
    message = the_message(dry_run(clone, CLASSIFIER_NAMED))
    assert re.search(told, message), message


def test_a_classifier_of_the_config_alone_ends_the_dry_run(clone):
    message = the_message(dry_run(clone, {"judge": {"classifiers": {"ridge": {"strength": [1]}}}}))
    assert "config key `judge.classifiers.ridge`: classifier `ridge` is unknown" in message


def test_loading_the_workflow_imports_no_torch_and_no_member(clone):
    plant(clone.folder / "workflow_scripts/autojudge")
    result = dry_run(clone, NAMED, PYTHONPROFILEIMPORTTIME="1")
    assert result.returncode == 0, result.stderr[-2000:]
    imported = {line.rpartition("|")[2].strip() for line in result.stderr.splitlines() if "import time:" in line}
    assert "autojudge.workflow.configuration" in imported
    assert not {"torch", "transformers", "sklearn", "autojudge.rules.mine", "autojudge.tasks.mine"} & imported
