"""Where an artifact comes from."""

import hashlib
import json
import platform
import subprocess
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

PACKAGES = ("torch", "transformers", "scikit-learn", "numpy", "safetensors")


def describe_run(seed: int, config: Mapping[str, Any]) -> dict[str, object]:
    """Return commit, package versions, seed and a hash of the settings of the running code."""
    return {
        "config": hashlib.sha256(json.dumps(config, sort_keys=True, default=str).encode()).hexdigest()[:16],
        "commit": current_commit(),
        "python": platform.python_version(),
        "packages": {name: version(name) for name in PACKAGES},
        "seed": seed,
    }


def current_commit() -> str | None:
    """Return the commit of this checkout, with "-dirty" where files differ from it; None outside of git."""
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    try:
        return subprocess.run(command, capture_output=True, encoding="utf-8", check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None
