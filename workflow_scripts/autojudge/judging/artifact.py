"""The judge's artifact: features of a mismatch -> probability that it is important. No pickle.

Needs torch and safetensors alone, so that an engine can serve a judge with this file, `feature_names` and `errors`.
"""

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
from autojudge.tables.feature_names import BLOCKS, SCALARS

FORMAT = 3
REQUIRED: dict[str, Any] = {
    "columns": list,
    "sizes": list,
    "classifier": str,
    "threshold": (int, float),
    "thresholds": list,
    "models": dict,
    "digest": str,
}


@dataclass(frozen=True)
class Judge:
    """A trained judge.

    Attributes
    ----------
    tensors : dict of str to Tensor
        Classifier, scaling folded in or beside it, and `calibration`; the names depend on the classifier.
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

        Raises
        ------
        InputError
            A column is missing, or has another size than in training.
        """
        for column, size in zip(self.columns, self.info["sizes"], strict=True):
            found = features[column].shape[1:] if column in features else None
            if found != ((size,) if column in BLOCKS else ()):
                shape = f"(n, {size})" if column in BLOCKS else "(n,)"
                raise InputError(f"the judge reads `{column}` of shape {shape}; give it that")
        parts = [features[c].float() if c in BLOCKS else features[c].float()[:, None] for c in self.columns]
        return self.predict(torch.cat([part.to(parts[0].device) for part in parts], dim=1))

    def predict(self, x: torch.Tensor) -> torch.Tensor:
        """Return p(important), float32 of shape (n,), for features side by side in the order of `columns`.

        Parameters
        ----------
        x : Tensor of shape (n, width), float32
        """
        tensors = {name: tensor.to(x.device) for name, tensor in self.tensors.items()}
        logit = _LOGITS[self.info["classifier"]](tensors, x)
        slope, shift = tensors.get("calibration", torch.tensor([1.0, 0.0], device=x.device))
        return torch.sigmoid(slope * logit + shift)

    def digest(self) -> str:
        """Return a hash of what the judge's verdicts depend on."""
        kind = [self.columns, self.info["sizes"], self.info["classifier"]]
        return hashlib.sha256(json.dumps(kind).encode() + save(dict(sorted(self.tensors.items())))).hexdigest()

    def check_pair(self, models: Mapping[str, Mapping[str, Any]], hidden: Mapping[str, int]) -> None:
        """Refuse a pair that the judge was not trained for.

        Parameters
        ----------
        models : mapping
            `describe_models` of the pair.
        hidden : mapping of str to int
            Hidden size of each role's model.

        Raises
        ------
        InputError
            A model's name or hidden size is another.
        """
        for role, model in self.info["models"].items():
            if model.get("model") != models.get(role, {}).get("model"):
                raise InputError(
                    f"the judge was trained for {role} {model.get('model')}, not for "
                    f"{models.get(role, {}).get('model')}; train one for this pair, or name the "
                    "models as the judge does"
                )
        for column, size in zip(self.columns, self.info["sizes"], strict=True):
            role = column.split("_")[0]
            if column in BLOCKS and hidden.get(role) != size:
                raise InputError(
                    f"the judge reads `{column}` of {size} numbers, and the {role} here has states of "
                    f"{hidden.get(role)}; train a judge for this pair"
                )

    def save(self, folder: str | Path) -> None:
        """Write judge.safetensors and judge.json, each whole."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        save_file(self.tensors, folder / ".judge.safetensors.partial")
        (folder / ".judge.json.partial").write_text(json.dumps(self.info | {"digest": self.digest()}, indent=2) + "\n")
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
    if not isinstance(info, dict) or info.get("format") != FORMAT:
        found = info.get("format") if isinstance(info, dict) else None
        raise InputError(f"{folder}/judge.json: format {found} is not {FORMAT}; train the judge again")
    for key, kind in REQUIRED.items():
        if not isinstance(info.get(key), kind):
            raise InputError(f"{folder}/judge.json: `{key}` is missing or of another type; train the judge again")
    if info["classifier"] not in _LOGITS:
        raise InputError(f"{folder}/judge.json: no classifier {info['classifier']} is known; train the judge again")
    judge = Judge(tensors, info)
    if judge.digest() != info["digest"]:
        raise InputError(f"{folder}: judge.safetensors and judge.json are not of one judge; train the judge again")
    return judge


def _linear(tensors: Mapping[str, torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    return x @ tensors["weight"] + tensors["bias"]


def _mlp(tensors: Mapping[str, torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    z = (x - tensors["mean"]) / tensors["scale"]
    hidden = torch.relu(z @ tensors["weight_0"].T + tensors["bias_0"])
    return (hidden @ tensors["weight_1"].T + tensors["bias_1"])[:, 0]


def _forest(tensors: Mapping[str, torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    return torch.logit(_leaves(tensors, x).mean(1), eps=1e-6)


def _boosting(tensors: Mapping[str, torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    score = x @ tensors["line_weight"] + tensors["line_bias"]
    scalars = x[:, x.shape[1] - int(tensors["n_scalars"]) :]
    return tensors["start"] + _leaves(tensors, torch.cat([score[:, None], scalars], dim=1)).sum(1)


def _leaves(tensors: Mapping[str, torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    """Return the value of the leaf that each row reaches in each tree, (n, trees)."""
    node = tensors["roots"].expand(len(x), -1)
    for _ in range(int(tensors["depth"])):
        goes_left = x.gather(1, tensors["feature"][node]) <= tensors["cut"][node]
        node = torch.where(goes_left, tensors["left"][node], tensors["right"][node])
    return tensors["value"][node]


_LOGITS = {
    "logistic_regression": _linear,
    "sparse_regression": _linear,
    "boosting": _boosting,
    "mlp": _mlp,
    "random_forest": _forest,
}
