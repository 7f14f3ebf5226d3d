from pathlib import Path

import pytest
from experiment import FIGURE, Experiment
from filelock import FileLock


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory, worker_id) -> Path:
    """The folder of an undisturbed run without Slurm, one for all test processes."""
    base = tmp_path_factory.getbasetemp()
    folder = (base if worker_id == "master" else base.parent) / "undisturbed"
    with FileLock(f"{folder}.lock"):
        if not folder.exists():
            Experiment(folder, slurm=False).run(FIGURE)
    return folder
