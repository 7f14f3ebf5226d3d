"""The judge's artifact: standardised features of a mismatch -> probability that it is important. No pickle."""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save, save_file

from autojudge.errors import InputError
from autojudge.schemas import BLOCKS, SCALARS

FORMAT = 1


@dataclass(frozen=True)
class Judge:
    """A trained judge.

    Attributes
    ----------
    tensors : dict of str to Tensor
        Scaling and classifier; the names depend on the classifier.
    info : dict
        Contents of judge.json: `columns` in order, `sizes`, `classifier`, `threshold`, `thresholds`, metrics, origin.
    """

    tensors: dict[str, torch.Tensor]
    info: dict[str, Any]

    @property
    def columns(self) -> list[str]:
        """Columns of features.parquet that the judge reads, in order."""
        return self.info["columns"]

    @property
    def needs_scalars(self) -> bool:
        """Tell whether any of the columns is a scalar."""
        return any(column in SCALARS for column in self.columns)

    def probability(self, features: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """Return p(important), float32 of shape (n,).

        Parameters
        ----------
        features : mapping of str to Tensor
            One entry a column of the judge: (n, hidden) for a block, (n,) for a scalar.
        """
        parts = [features[c].float() if c in BLOCKS else features[c].float()[:, None] for c in self.columns]
        return self.predict(torch.cat([part.to(parts[0].device) for part in parts], dim=1))

    def predict(self, x: torch.Tensor) -> torch.Tensor:
        """Return p(important), float32 of shape (n,), for features side by side in the order of `columns`.

        Parameters
        ----------
        x : Tensor of shape (n, width), float32
        """
        tensors = {name: tensor.to(x.device) for name, tensor in self.tensors.items()}
        return _PREDICT[self.info["classifier"]](tensors, (x - tensors["mean"]) / tensors["scale"])

    def digest(self) -> str:
        """Return a hash of what the judge's verdicts depend on."""
        parts = [json.dumps([self.columns, self.info["classifier"]]).encode(), save(dict(sorted(self.tensors.items())))]
        return hashlib.sha256(b"".join(parts)).hexdigest()

    def save(self, folder: str | Path) -> None:
        """Write judge.safetensors and judge.json, each whole."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        save_file(self.tensors, folder / ".judge.safetensors.partial")
        (folder / ".judge.json.partial").write_text(json.dumps(self.info, indent=2) + "\n")
        for name in ("judge.safetensors", "judge.json"):
            os.replace(folder / f".{name}.partial", folder / name)


def load_judge(folder: str | Path) -> Judge:
    """Read a judge. Raises InputError for a folder without one, or a damaged or foreign file."""
    folder = Path(folder)
    try:
        info = json.loads((folder / "judge.json").read_text())
        tensors = load_file(folder / "judge.safetensors")
    except (OSError, ValueError, SafetensorError) as fault:
        raise InputError(
            f"{folder}: no readable judge ({fault}); delete the folder and run select_judge again"
        ) from fault
    if info.get("format") != FORMAT or info.get("classifier") not in _PREDICT:
        raise InputError(f"{folder}/judge.json: format {info.get('format')} is not {FORMAT}; train the judge again")
    return Judge(tensors, info)


def _predict_linear(tensors: dict[str, torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    return torch.sigmoid(x @ tensors["weight"][0] + tensors["bias"][0])


def _predict_mlp(tensors: dict[str, torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    hidden = torch.relu(x @ tensors["weight_0"].T + tensors["bias_0"])
    return torch.sigmoid((hidden @ tensors["weight_1"].T + tensors["bias_1"])[:, 0])


def _predict_forest(tensors: dict[str, torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    node = tensors["roots"].expand(len(x), -1)
    for _ in range(int(tensors["depth"])):
        goes_left = x.gather(1, tensors["feature"][node]) <= tensors["cut"][node]
        node = torch.where(goes_left, tensors["left"][node], tensors["right"][node])
    return tensors["important"][node].mean(1)


_PREDICT = {"logistic_regression": _predict_linear, "random_forest": _predict_forest, "mlp": _predict_mlp}
