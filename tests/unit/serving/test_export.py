"""The exported `custom_generate` is whole by itself, and nothing but what it reaches."""

import ast
import re

import pytest

from autojudge.judging.classifiers import CLASSIFIERS
from autojudge.serving.export import custom_generate_files


@pytest.fixture(scope="module")
def files():
    return custom_generate_files()


@pytest.fixture(scope="module")
def trees(files):
    return {name: ast.parse(text) for name, text in files.items() if name.endswith(".py")}


def imports(tree):
    return [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]


def test_all_that_is_imported_is_there(trees):
    for name, tree in trees.items():
        for node in imports(tree):
            if isinstance(node, ast.ImportFrom) and node.level:
                other = trees[f"{node.module}.py"].body
                bound = {n.name for n in other if isinstance(n, ast.FunctionDef | ast.ClassDef)}
                bound |= {n.id for part in other for n in ast.walk(part) if isinstance(n, ast.Name)}
                assert {alias.name for alias in node.names} <= bound, (name, node.module)


def test_it_needs_torch_safetensors_and_transformers_alone(trees):
    packages = set()
    for tree in trees.values():
        for node in imports(tree):
            if isinstance(node, ast.Import):
                packages |= {alias.name.split(".")[0] for alias in node.names}
            elif not node.level:
                packages.add(node.module.split(".")[0])
    standard = {"collections", "contextlib", "dataclasses", "functools", "hashlib", "inspect", "json", "logging"}
    standard |= {"__future__", "math", "numbers", "os", "pathlib", "sys", "types", "typing"}
    assert packages - standard == {
        "torch",
        "safetensors",
        "transformers",
        "huggingface_hub",
    }  # the last by transformers


def test_transformers_finds_the_files_that_are_imported(files, trees):
    """Its own search for relative imports reads lines, and copies what it finds."""
    found, waiting = set(), ["generate"]
    while waiting:
        name = waiting.pop()
        found.add(name)
        text = files[f"{name}.py"]
        waiting += set(re.findall(r"^\s*from\s+\.(\S+)\s+import", text, re.MULTILINE)) - found
    assert {f"{name}.py" for name in found} == trees.keys()


def test_every_classifier_is_there_and_none_of_its_training(files, trees):
    for name in CLASSIFIERS.names():
        functions = {node.name for node in trees[f"{name}.py"].body if isinstance(node, ast.FunctionDef)}
        assert "logits" in functions and "fit" not in functions
    assert files.keys() - trees.keys() == {"requirements.txt"}
