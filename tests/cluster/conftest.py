"""Tests here need a Slurm; `make test-cluster` starts one on this machine alone."""

import os

import pytest


def pytest_collection_modifyitems(items):
    if not os.environ.get("AUTOJUDGE_SLURM"):
        for item in items:
            item.add_marker(pytest.mark.skip(reason="no Slurm: run `make test-cluster`"))
