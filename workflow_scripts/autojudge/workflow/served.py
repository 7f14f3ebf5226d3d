"""Digests of the code that serves an exported judge, for the rules that write it and measure it."""

import ast
import hashlib

from autojudge.judging.classifiers import CLASSIFIERS
from autojudge.registry import LIBRARY
from autojudge.serving.export import custom_generate_files
from autojudge.workflow.fingerprints import code_digest, describe_meaning


def digest_served_files() -> dict[str, str]:
    """Return a digest of each file of transformers' `custom_generate`, by name; of code its meaning counts."""
    meanings = {
        name: describe_meaning(ast.parse(text)) if name.endswith(".py") else text
        for name, text in custom_generate_files().items()
    }
    return {name: hashlib.sha256(meaning.encode()).hexdigest() for name, meaning in meanings.items()}


def measuring_code(*classifiers: str) -> dict[str, str]:
    """Return digests of what measures in vLLM: the `process`, and the `plugin` with some classifiers."""
    serving, members = LIBRARY / "serving", tuple(map(CLASSIFIERS.path, classifiers))
    return {
        "process": code_digest(serving / "measuring/process.py"),
        "plugin": code_digest(serving / "vllm/hooks.py", members),
    }
