"""The tree in CONTRIBUTING.md shows every room of the library."""

import re

from autojudge.registry import LIBRARY
from conftest import ROOT


def test_the_tree_shows_every_room_once():
    rooms = re.findall(r"^  (\w+)/ ", (ROOT / "CONTRIBUTING.md").read_text(), re.MULTILINE)
    assert sorted(rooms) == sorted(path.parent.name for path in LIBRARY.glob("*/__init__.py"))
