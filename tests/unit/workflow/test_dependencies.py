"""A rule's library inputs are what its script imports, directly or not."""

from pathlib import Path

from autojudge.workflow.dependencies import library_of
from conftest import ROOT

SCRIPTS = ROOT / "workflow_scripts"


def names(script, *members):
    paths = library_of(SCRIPTS / f"{script}.py", members)
    return {str(Path(path).relative_to(SCRIPTS / "autojudge")) for path in paths}


def test_imports_are_followed_and_data_files_belong_to_their_module():
    found = names("mine_labels", "tasks.arith")
    assert {"mining/miner.py", "engine/cache.py", "errors.py", "tasks/arith.py", "testbed/problems.yaml"} <= found
    assert not {"tasks/gsm8k.py", "decoding/decoder.py", "reporting/pareto_figure.py"} & found


def test_every_script_finds_its_library():
    for script in SCRIPTS.glob("*.py"):
        assert names(script.stem), script
