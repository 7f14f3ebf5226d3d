"""Where an artifact comes from."""

import platform
import subprocess
from importlib.metadata import version
from pathlib import Path

PACKAGES = ("torch", "transformers", "scikit-learn", "numpy", "safetensors")


def describe_run(seed: int) -> dict[str, object]:
    """Return commit, package versions and seed of the running code."""
    return {
        "commit": current_commit(),
        "python": platform.python_version(),
        "packages": {name: version(name) for name in PACKAGES},
        "seed": seed,
    }


def current_commit() -> str | None:
    """Return the commit of this checkout, with "-dirty" where files differ from it; None outside of git."""
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None
