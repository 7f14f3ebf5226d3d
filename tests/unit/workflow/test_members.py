"""A slip in a new member of a registry ends with one message that names config key, file and remedy."""

import shutil
import sys

import pytest

from autojudge import registry
from autojudge.errors import InputError
from autojudge.rules import RULES
from autojudge.tasks import TASKS, check_task, describe_task, load_task, prompt_of
from autojudge.workflow.configuration import check_config
from conftest import ROOT
from planted import CLASSIFIER_NAMED, CLASSIFIER_SLIPS, NAMED, SLIPS, TASK, C, R, T, Y, merged, plant

SCHEMA = ROOT / "config/config.schema.yaml"


@pytest.fixture
def library(tmp_path, monkeypatch):
    """A copy of the library, whose members are checked in its place."""
    library = tmp_path / "autojudge"
    shutil.copytree(registry.LIBRARY, library, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(registry, "LIBRARY", library)
    return library


def test_members_without_a_slip_pass_and_are_not_imported(library, config):
    plant(library)
    check_config(merged(config, NAMED), SCHEMA)
    assert "mine" in RULES.names() and "mine" in TASKS.names()
    assert not {"autojudge.rules.mine", "autojudge.tasks.mine"} & sys.modules.keys()


@pytest.mark.parametrize("slip", SLIPS, ids=[slip[0] for slip in SLIPS])
def test_a_slip_is_told_with_key_file_and_remedy(library, config, slip):
    told = plant(library, slip)
    with pytest.raises(InputError, match=told) as fault:
        check_config(merged(config, NAMED), SCHEMA)
    assert "\n" not in str(fault.value) and "; " in str(fault.value), "one line, and a remedy"


def test_a_classifier_without_a_slip_passes(library, config):
    plant(library, members=(R, T, Y, C))
    check_config(merged(config, CLASSIFIER_NAMED), SCHEMA)


@pytest.mark.parametrize("slip", CLASSIFIER_SLIPS, ids=[slip[0] for slip in CLASSIFIER_SLIPS])
def test_a_slip_in_a_classifier_is_told(library, config, slip):
    told = plant(library, slip, members=(C,))
    with pytest.raises(InputError, match=told):
        check_config(merged(config, CLASSIFIER_NAMED), SCHEMA)


@pytest.mark.parametrize(
    "change, told",
    [
        ({"decoding": {"rules": ["lossless", "mine"]}}, "`decoding.rules`: `mine` is not defined under `rules`"),
        ({"rules": {"mine": {}}}, "`rules.mine`: 'thresholds' is a required property"),
        ({"judge": {"feature_sets": {"mine": ["logits"]}}}, r"`judge.feature_sets.mine.*`: .*\blogits\b"),
        ({"judge": {"select": {"feature_sets": ["mine"]}}}, "`mine` is not defined under `judge.feature_sets`"),
        ({"judge": {"select": {"classifiers": ["mine"]}}}, "`mine` is not defined under `judge.classifiers`"),
    ],
)
def test_a_member_that_the_config_names_in_one_of_two_places_is_told(config, change, told):
    with pytest.raises(InputError, match=told):
        check_config(merged(config, change), SCHEMA)


@pytest.fixture
def outside(tmp_path, monkeypatch):
    """The task in a file of its own, its folder's parent the working directory."""
    (tmp_path / "my").mkdir()
    plant(tmp_path, members=(T, Y))
    for name in (T, Y):
        (tmp_path / name).rename(tmp_path / "my" / (tmp_path / name).name)
    (tmp_path / "resources").symlink_to(ROOT / "resources")
    monkeypatch.chdir(tmp_path)
    return "my/mine.py"


def test_a_task_may_be_a_file_outside_of_the_library(outside, config):
    check_config(merged(config, {"datasets": {"mine": NAMED["datasets"]["mine"] | {"task": outside}}}), SCHEMA)
    task = load_task(outside)
    assert [example.gold for example in task.load_examples(None, {}, 0)] == ["yes"]
    assert prompt_of(task).shots == (("Is 4 even?", "yes"),)
    assert describe_task(outside) == "mine.py, scoring version 1"
    assert "mine" not in TASKS.names() and "mine" not in sys.modules


def test_a_dataclass_in_a_task_outside_finds_its_module(outside, tmp_path):
    path = tmp_path / outside
    lines = "from __future__ import annotations\nfrom dataclasses import dataclass\n"
    path.write_text(lines + path.read_text() + "\n\n@dataclass\nclass Answer:\n    text: str\n")
    assert load_task(outside).Answer("yes").text == "yes"


def test_a_task_outside_that_is_missing_or_has_a_slip_is_told(outside, tmp_path):
    with pytest.raises(InputError, match=r"task `my/other.py`: there is no such file in \S+; check the path"):
        check_task("my/other.py")
    (tmp_path / "my/mine.yaml").unlink()
    with pytest.raises(InputError, match=r"my/mine.yaml: not a readable YAML file"):
        check_task(outside)


def test_a_task_may_take_another_ones_wording_or_write_its_own(library):
    plant(library)
    (library / Y).unlink()
    for line in ("from autojudge.tasks.gsm8k import PROMPT", 'PROMPT = Prompt("Is it so? {question}")'):
        (library / T).write_text(TASK.replace("PROMPT = Prompt.load(__file__)", line))
        check_task("mine")


@pytest.mark.parametrize(
    "arguments", ["signals", "signals, /", "signals, t=1", "*all", "signals, *, t=1", "signals, **more"]
)
def test_what_can_be_called_with_one_argument_is_a_score(library, arguments):
    plant(library)
    (library / R).write_text((library / R).read_text().replace("signals: Signals", arguments))
    assert RULES.check("mine")["NEEDS"] == {"target_logits"}


@pytest.mark.parametrize(
    "score", ["from autojudge.rules.always import score", "score = torch.numel", "score = lambda s: s"]
)
def test_a_function_may_be_imported_or_assigned(library, score):
    plant(library)
    text = (library / R).read_text()
    (library / R).write_text(text[: text.index("def")] + score)
    RULES.check("mine")


def test_every_member_of_the_library_is_right():
    for name in RULES.names():
        RULES.check(name)
    for name in TASKS.names():
        check_task(name)
