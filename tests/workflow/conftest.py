import os
import shutil
from pathlib import Path

import pytest
from clone import Clone
from filelock import FileLock


@pytest.fixture(scope="session")
def clone(tmp_path_factory) -> Clone:
    """A copy of the repository in which the whole small experiment has run; tests leave it as it is.

    It runs once for all processes of pytest; each has a copy.
    """
    base = tmp_path_factory.getbasetemp()
    shared = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "experiment"
    with FileLock(f"{shared}.lock"):
        if not shared.exists():
            running = Clone(tmp_path_factory.mktemp("running"))
            result = running.snakemake("--cores", "all")
            assert result.returncode == 0, result.stdout + result.stderr
            running.folder.rename(shared)
    return _copy(shared, tmp_path_factory.mktemp("clone") / "finished")


def _copy(clone: Path, folder: Path) -> Clone:
    shutil.copytree(clone, folder, symlinks=True)
    return Clone(folder, filled=True)


@pytest.fixture
def finished(clone, tmp_path) -> Clone:
    """A copy of the finished clone that a test may change."""
    return _copy(clone.folder, tmp_path / "finished")


@pytest.fixture
def fresh(tmp_path) -> Clone:
    """A copy of the repository in which nothing has run."""
    folder = Path(tmp_path / "fresh")
    folder.mkdir()
    return Clone(folder)
