"""How a check loads the models that it is given: as the judge's record says that they were, else in float32."""

from pathlib import Path
from typing import Any

import torch

from autojudge.judging.artifact import load_judge


def model_settings(name: str, role: str, judge: Path) -> dict[str, Any]:
    """Return a model's settings as an entry of the config's `pairs` has them.

    Parameters
    ----------
    role : str
        "draft" or "target".
    judge : Path
        Folder of the judge, whose record names the dtype.
    """
    known = load_judge(judge).record.models.get(role, {})
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return {
        "model": name,
        "revision": None,
        "dtype": known.get("dtype") or "float32",
        "device": device,
        "device_map": None,
        "trust_remote_code": False,
    }
