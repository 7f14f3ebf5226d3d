"""Fingerprints change with meaning and with nothing else."""

import ast
import os
import shutil

import pytest

from autojudge.engine import contents
from autojudge.errors import InputError
from autojudge.registry import LIBRARY
from autojudge.workflow import fingerprints
from autojudge.workflow.fingerprints import code_digest, describe_meaning, identify_models, identify_source
from conftest import ROOT

CODE = '''
"""A module."""
import logging
from typing import TYPE_CHECKING

from autojudge.errors import InputError

if TYPE_CHECKING:
    import torch

logger = logging.getLogger("autojudge")


class Box(dict):
    """A box."""

    size: int = 3


def f(a: int, b: "torch.Tensor" = None) -> float:
    """Return something."""
    logger.info("about to compute %s", a)
    if a < 0:
        raise InputError(f"{a}: too small; give more")
    return g(a + 1, doc="what it is", other=[1.5, "x" "y"])


def g(x, doc, other):
    pass
'''
SAME = {
    "comment": ("    return g(", "    # a reason\n    return g("),
    "formatting": ("def f(a: int, b", "def f(\n    a: int,\n    b"),
    "docstring": ('"""Return something."""', '"""Return another thing."""'),
    "docstring gone": ('    """A box."""\n\n', ""),
    "annotation": ("a: int,", "a: float,"),
    "what a column is": ('doc="what it is"', 'doc="what it really is"'),
    "a message": ("too small", "far too small"),
    "a line of the log": ('logger.info("about to compute %s", a)', 'logger.debug("computing")'),
    "quotes": ('"x" "y"', "'xy'"),
    "import for types": ("    import torch", "    import numpy"),
}
OTHER = {
    "number": ("a + 1", "a + 2"),
    "operator": ("a + 1", "a - 1"),
    "string": ('"x" "y"', '"x" "z"'),
    "type of a number": ("1.5", "2"),
    "condition": ("a < 0", "a <= 0"),
    "error": ("raise InputError(", "raise ValueError("),
    "default": ("size: int = 3", "size: int = 4"),
    "name": ("def g(x, doc", "def g(y, doc"),
    "base": ("Box(dict)", "Box(list)"),
    "library": ("from typing import TYPE_CHECKING", "from typing_extensions import TYPE_CHECKING"),
}


def changed(change):
    old, new = change
    assert old in CODE
    return describe_meaning(ast.parse(CODE.replace(old, new)))


@pytest.mark.parametrize("change", SAME.values(), ids=SAME)
def test_what_means_the_same_has_the_same_fingerprint(change):
    assert changed(change) == describe_meaning(ast.parse(CODE))


@pytest.mark.parametrize("change", OTHER.values(), ids=OTHER)
def test_what_means_another_thing_has_another_fingerprint(change):
    assert changed(change) != describe_meaning(ast.parse(CODE))


CACHED = (
    fingerprints.code_digest,
    fingerprints._tree,
    fingerprints._imported,
    fingerprints._meanings,
    fingerprints._own_meaning,
)


@pytest.fixture
def library(tmp_path, monkeypatch):
    """A copy of the library, whose files a test may change; the digests of this process are forgotten."""
    folder = tmp_path / "autojudge"
    shutil.copytree(LIBRARY, folder, ignore=shutil.ignore_patterns("__pycache__"))
    for name in (*ROOT.glob("workflow_scripts/*.py"),):
        shutil.copy(name, tmp_path)
    monkeypatch.setattr(fingerprints, "LIBRARY", folder)

    def digest(script, *members):
        for function in CACHED:
            function.cache_clear()
        return code_digest(tmp_path / f"{script}.py", tuple(folder / f"{member}.py" for member in members))

    yield folder, digest
    for function in CACHED:
        function.cache_clear()


def append(file, text):
    file.write_text(file.read_text() + text)


def test_a_script_depends_on_what_it_reaches_and_on_nothing_else(library):
    folder, digest = library
    before = digest("mine_labels", "tasks/arith")
    for other in ("decoding/decoder", "judging/artifact", "jobs/gpus", "jobs/store", "workflow/configuration"):
        append(folder / f"{other}.py", "\n\nMORE = 1\n")
        assert digest("mine_labels", "tasks/arith") == before, other
    for own in ("mining/miner", "engine/cache", "tasks/arith", "testbed/problems"):
        append(folder / f"{own}.py", "\n\nMORE = 1\n")
        after = digest("mine_labels", "tasks/arith")
        assert after != before, own
        before = after


def test_members_of_registries_count_one_by_one(library):
    folder, digest = library
    one, both = digest("sweep_thresholds", "rules/top_k"), digest("sweep_thresholds", "rules/top_k", "rules/fly")
    append(folder / "rules/fly.py", "\n\nMORE = 1\n")
    assert digest("sweep_thresholds", "rules/top_k") == one
    assert digest("sweep_thresholds", "rules/top_k", "rules/fly") != both


def test_data_beside_a_module_counts_by_its_contents(library):
    folder, digest = library
    before = digest("mine_labels", "tasks/gsm8k")
    wording = folder / "tasks/gsm8k.yaml"
    wording.write_text(f"# a comment\n{wording.read_text()}\n")
    assert digest("mine_labels", "tasks/gsm8k") == before
    wording.write_text(wording.read_text().replace("Given the following", "Given this"))
    assert digest("mine_labels", "tasks/gsm8k") != before


def test_moving_a_module_changes_nothing(library):
    folder, digest = library
    before = digest("mine_labels", "tasks/arith")
    (folder / "engine/endings.py").rename(folder / "mining/ends.py")
    for file in folder.rglob("*.py"):
        text = file.read_text()
        if "autojudge.engine.endings" in text:
            file.write_text(text.replace("autojudge.engine.endings", "autojudge.mining.ends"))
    assert digest("mine_labels", "tasks/arith") == before


def test_two_modules_taken_for_one_another_are_another_meaning(library):
    folder, digest = library
    rule = folder / "rules/mixed.py"
    text = "from autojudge.rules.{} import score as first\nfrom autojudge.rules.{} import score as second\n"
    rule.write_text(text.format("entropy", "top_k"))
    before = digest("mine_labels", "rules/mixed")
    rule.write_text(text.format("top_k", "entropy"))
    assert digest("mine_labels", "rules/mixed") != before
    rule.write_text("from autojudge.rules import entropy, top_k\n")
    before = digest("mine_labels", "rules/mixed")
    for ours, theirs in (("top_k", "kept"), ("entropy", "top_k"), ("kept", "entropy")):
        (folder / f"rules/{ours}.py").rename(folder / f"rules/{theirs}.py")
    assert digest("mine_labels", "rules/mixed") != before, "and two that change names"


@pytest.mark.parametrize(
    "line", ["from . import _helper", "from ._helper import f", "def g():\n    from . import _helper"]
)
def test_relative_imports_are_followed(library, line):
    folder, digest = library
    (folder / "rules/mixed.py").write_text(f"{line}\n")
    (folder / "rules/_helper.py").write_text("f = 1\n")
    before = digest("mine_labels", "rules/mixed")
    (folder / "rules/_helper.py").write_text("f = 2\n")
    assert digest("mine_labels", "rules/mixed") != before


@pytest.mark.parametrize("name", ["miner.py~", "miner.py.orig", ".miner.py.swp", "miner.pyc"])
def test_what_editors_leave_beside_a_module_is_nothing(library, name):
    folder, digest = library
    before = digest("mine_labels", "tasks/arith")
    (folder / "mining" / name).write_text("x")
    assert digest("mine_labels", "tasks/arith") == before


def test_a_file_that_is_not_python_is_named(library):
    folder, digest = library
    append(folder / "mining/continuations.py", "\ndef (")
    with pytest.raises(InputError, match=r"mining/continuations\.py: is not Python .*; fix it"):
        digest("mine_labels", "tasks/arith")


def test_every_script_has_a_fingerprint():
    digests = {script.stem: code_digest(script) for script in (ROOT / "workflow_scripts").glob("*.py")}
    assert len({digests[name] for name in ("mine_labels", "train_judge", "sweep_thresholds", "build_pareto")}) == 4


def model(folder, **settings):
    return {"model": str(folder), "dtype": "float32", "revision": None, **settings}


def pair(folder, **settings):
    return {"draft": {"first_layers": 1}, "target": model(folder, **settings)}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(ROOT / "resources/testbed/draft", tmp_path / "model")
    return tmp_path / "model"


def test_a_copied_touched_or_moved_model_is_the_same(folder, tmp_path):
    before = identify_models(pair(folder))
    assert str(folder) not in str(before)
    for file in folder.iterdir():
        os.utime(file, (1, 1))
    (folder / "README.md").write_text("a card")
    assert identify_models(pair(folder)) == before
    shutil.copytree(folder, tmp_path / "copy")
    assert identify_models(pair(tmp_path / "copy")) == before
    assert identify_models(pair(folder) | {"gpus": 3}) == before


@pytest.mark.parametrize("file", ["model.safetensors", "config.json", "tokenizer.json"])
def test_other_contents_are_another_model(folder, file):
    before = identify_models(pair(folder))
    data = bytearray((folder / file).read_bytes())
    data[len(data) // 2] ^= 1
    (folder / file).write_bytes(data)
    assert identify_models(pair(folder)) != before


@pytest.mark.parametrize("name", [".#config.json", ".#model.safetensors", "._config.json", ".config.json.swp"])
def test_what_editors_leave_beside_a_model_is_no_part_of_it(folder, name):
    before = identify_models(pair(folder))
    (folder / name).symlink_to("someone@host.1:2")
    assert identify_models(pair(folder)) == before
    (folder / name).unlink()
    (folder / name).write_bytes(b"half written")
    assert identify_models(pair(folder)) == before


@pytest.mark.parametrize("file", ["model.safetensors", "config.json", "tokenizer.json"])
def test_a_file_of_a_model_whose_blob_is_gone_is_named(folder, file):
    (folder / file).unlink()
    (folder / file).symlink_to("../blobs/1234")
    with pytest.raises(InputError, match=f"{file}: links to ../blobs/1234, which is gone; copy or download the model"):
        identify_models(pair(folder))


def test_a_linked_model_is_the_same_as_a_copied_one(folder, tmp_path):
    before = identify_models(pair(folder))
    (tmp_path / "linked").mkdir()
    for file in folder.iterdir():
        (tmp_path / "linked" / file.name).symlink_to(file)
    assert identify_models(pair(tmp_path / "linked")) == before


def test_a_file_that_vanishes_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="gone.json: cannot be read .No such file or directory.; put it there"):
        fingerprints.file_digest(tmp_path / "gone.json")


def test_a_tilde_stands_for_the_home_folder(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "plain.jinja").write_text("{{ messages }}")
    expected = identify_models(pair(folder, chat_template=str(tmp_path / "plain.jinja")))
    assert identify_models(pair("~/model", chat_template="~/plain.jinja")) == expected


def test_numerics_count_where_they_are_not_the_default(folder):
    default, asked = (identify_models(pair(folder) | {"numerics": kind}) for kind in ("default", "invariant"))
    assert default == identify_models(pair(folder)) and "numerics" not in str(default)
    assert asked["target"] == default["target"] | {"numerics": asked["target"]["numerics"]}


@pytest.mark.parametrize("module", ["mining/miner.py", "mining/agreement.py", "decoding/sweep.py"])
def test_the_code_of_invariant_numerics_is_no_part_of_what_others_store(module):
    numerics, found = fingerprints.LIBRARY / "engine/numerics.py", [fingerprints.LIBRARY / module]
    for file in found:
        found += {path for files in fingerprints._imported(file).values() for path in files} - {*found}
    assert len(found) > 10 and numerics not in found


def test_settings_that_change_results_count(folder, tmp_path):
    (tmp_path / "template.jinja").write_text("{{ messages }}")
    kinds = [pair(folder), pair(folder, dtype="bfloat16"), pair(folder, chat_template=str(tmp_path / "template.jinja"))]
    kinds += [{**pair(folder), "draft": {"first_layers": 2}}, {**pair(folder), "draft": model(folder)}]
    kinds += [{**pair(folder), "target": model("owner/name", revision=r)} for r in (None, "v1")]
    kinds += [pair(folder, chat_template_kwargs={"enable_thinking": on}) for on in (False, True)]
    found = [str(identify_models(kind)) for kind in kinds]
    assert len(set(found)) == len(found)


@pytest.mark.parametrize(
    "unset", [{"chat_template_kwargs": None}, {"chat_template_kwargs": {}}, {"chat_template": None}]
)
def test_a_template_that_is_given_nothing_is_as_it_was(folder, unset):
    assert identify_models(pair(folder, **unset)) == identify_models(pair(folder))


def test_large_files_are_told_apart_by_samples(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(contents, "SMALL", 1000)
    monkeypatch.setattr(contents, "SAMPLE", 50)
    file = tmp_path / "weights.safetensors"
    found = set()
    for at in (None, 0, 5000, 9999):
        data = bytearray(10_000)
        if at is not None:
            data[at : at + 200] = b"x" * len(data[at : at + 200])
        file.write_bytes(data)
        found.add(contents.read_digest(file))
    assert len(found) == 4
    assert contents.read_digest(file) in found


def test_of_large_weights_the_whole_header_counts(tmp_path, monkeypatch):
    monkeypatch.setattr(contents, "SMALL", 1000)
    monkeypatch.setattr(contents, "SAMPLE", 10)
    file, found = tmp_path / "weights.safetensors", set()
    for name in (b"a", b"b"):
        header = b" " * 400 + name + b" " * 399
        file.write_bytes(len(header).to_bytes(8, "little") + header + bytes(20_000))
        found.add(contents.read_digest(file))
    assert len(found) == 2


def test_digests_are_remembered_and_a_damaged_memory_is_none(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "data.jsonl"
    file.write_text("{}")
    fingerprints._remembered.cache_clear()
    first = fingerprints.file_digest(file)
    reads = []
    monkeypatch.setattr(fingerprints, "read_digest", lambda *args: reads.append(args) or "new")
    fingerprints._remembered.cache_clear()
    assert fingerprints.file_digest(file) == first and not reads
    fingerprints.REMEMBERED.write_text("{")
    fingerprints._remembered.cache_clear()
    assert fingerprints.file_digest(file) == "new" and len(reads) == 1
    fingerprints._remembered.cache_clear()


def test_data_files_count_by_contents_and_the_hub_by_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a.jsonl", "b.jsonl"):
        (tmp_path / name).write_text("{}")
    a, b = (identify_source({"train": name, "test": "a.jsonl"}) for name in ("a.jsonl", "b.jsonl"))
    assert a == b and "a.jsonl" not in str(a)
    (tmp_path / "b.jsonl").write_text("{} ")
    assert identify_source({"train": "b.jsonl", "test": "a.jsonl"}) != a
    assert identify_source("openai/gsm8k") == "openai/gsm8k" and identify_source(None) is None
    part = {"train": {"hub": "owner/name", "revision": "v1"}, "test": "a.jsonl"}
    assert identify_source(part)["train"] == part["train"]


def test_each_file_of_a_source_counts_by_contents(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a.jsonl", "b.jsonl", "c.jsonl"):
        (tmp_path / name).write_text("{}")
    source = {"test": ["a.jsonl", "b.jsonl", {"hub": "owner/name"}], "plus": "c.jsonl", "release": "release_v2"}
    before = identify_source(source)
    assert "jsonl" not in str(before) and before["test"][2] == {"hub": "owner/name"}
    assert before["release"] == "release_v2"
    for name in ("b.jsonl", "c.jsonl"):
        (tmp_path / name).write_text("{} ")
        assert identify_source(source) != before
        (tmp_path / name).write_text("{}")
        assert identify_source(source) == before
