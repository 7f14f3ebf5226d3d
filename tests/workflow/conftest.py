import shutil
from pathlib import Path

import pytest
from clone import Clone


@pytest.fixture(scope="session")
def clone(tmp_path_factory) -> Clone:
    """A copy of the repository in which the whole small experiment has run; tests leave it as it is."""
    clone = Clone(tmp_path_factory.mktemp("clone"))
    result = clone.snakemake("--cores", "all")
    assert result.returncode == 0, result.stdout + result.stderr
    return clone


@pytest.fixture
def finished(clone, tmp_path) -> Clone:
    """A copy of the finished clone that a test may change."""
    shutil.copytree(clone.folder, tmp_path / "finished", symlinks=True)
    return Clone(tmp_path / "finished", filled=True)


@pytest.fixture
def fresh(tmp_path) -> Clone:
    """A copy of the repository in which nothing has run."""
    folder = Path(tmp_path / "fresh")
    folder.mkdir()
    return Clone(folder)
