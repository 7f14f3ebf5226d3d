from pathlib import Path

import pytest
from experiment import FIGURE, Experiment


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory) -> Path:
    """The folder of an undisturbed run without Slurm."""
    experiment = Experiment(tmp_path_factory.mktemp("undisturbed"), slurm=False)
    experiment.run(FIGURE)
    return experiment.folder
