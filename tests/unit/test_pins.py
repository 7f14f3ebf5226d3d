"""Versions stand in requirements.txt alone: the environments and the locks are written from it (`make envs`)."""

import re
import runpy

import pytest

from conftest import ROOT

WRITE = runpy.run_path(str(ROOT / "envs/write.py"))
REQUIREMENTS = (ROOT / "requirements.txt").read_text(encoding="utf-8")
LOCKS = ("requirements.lock", "requirements-torch.lock")
REMEDY = "it differs from requirements.txt: `make envs` writes it"


def read(name):
    return (ROOT / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["cpu.yaml", "gpu.yaml", "vllm.yaml"])
def test_environments_are_those_of_the_pins(name):
    assert read(f"envs/{name}") == WRITE["environments"](REQUIREMENTS)[name], REMEDY


def test_another_pin_is_another_environment():
    changed = WRITE["environments"](re.sub("pandas==.*", "pandas==0.1", REQUIREMENTS))
    assert all("      - pandas==0.1\n" in text and text != read(f"envs/{name}") for name, text in changed.items())


def test_the_locks_hold_every_pin():
    locked = {pin for name in LOCKS for pin in WRITE["read_pins"](read(name)).values()}
    assert set(WRITE["read_pins"](REQUIREMENTS).values()) <= locked, REMEDY


@pytest.mark.parametrize("name", LOCKS)
def test_every_locked_package_has_hashes(name):
    entries = re.split(r"^(?=\w)", read(name), flags=re.MULTILINE)[1:]
    assert entries and all(re.search(r"--hash=sha256:[0-9a-f]{64}\b", entry) for entry in entries)


def test_the_first_lock_leaves_torch_to_the_second():
    merged = re.sub("^#.*\n", "", "".join(map(read, LOCKS)), flags=re.MULTILINE)
    assert WRITE["split_lock"](merged) == {name: read(name) for name in LOCKS}
    assert "torch" not in WRITE["read_pins"](read(LOCKS[0])) and "torch" in WRITE["read_pins"](read(LOCKS[1]))


def test_no_version_stands_in_two_files():
    both = WRITE["read_pins"](REQUIREMENTS).keys() & WRITE["read_pins"](read("requirements-dev.txt")).keys()
    assert not both, "requirements-dev.txt has those of requirements.txt by `-r`"


@pytest.mark.parametrize("name", [*LOCKS, "requirements.txt", "requirements-dev.txt", "envs/cpu.yaml", "envs/gpu.yaml"])
def test_no_index_and_no_path_is_written_down(name):
    said = re.sub("#.*", "", read(name))
    assert not re.search(r"://|index-url|find-links|^-i|file:|^/", said, re.MULTILINE)
