"""The sandbox, in which the tests of programming tasks run programs."""

import pytest

from autojudge.errors import InputError
from autojudge.sandbox import Sandbox


@pytest.fixture(scope="session")
def sandbox():
    try:
        opened = Sandbox(1).__enter__()
    except InputError as fault:
        pytest.skip(str(fault))
    yield opened
    opened.close()
