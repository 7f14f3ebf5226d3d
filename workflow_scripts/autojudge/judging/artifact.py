"""The judge's artifact: features of a mismatch -> probability that it is important. No pickle.

Needs torch and safetensors alone, so that an engine can serve a judge.
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
from safetensors.torch import load, save

from autojudge.errors import InputError
from autojudge.judging.classifiers import CLASSIFIERS, place, predict
from autojudge.judging.needs import needs_of_columns
from autojudge.judging.record import Record, read_record, write_record
from autojudge.tables.feature_names import BLOCKS


@dataclass(frozen=True)
class Judge:
    """A trained judge.

    Attributes
    ----------
    tensors : dict of str to Tensor
        Classifier, scaling folded in or beside it, and `calibration`; the names depend on the classifier.
    record : Record
        What judge.json tells: columns, classifier, thresholds, metrics, origin.
    """

    tensors: dict[str, torch.Tensor]
    record: Record

    @property
    def columns(self) -> list[str]:
        """Columns of features.parquet that the judge reads, in order."""
        return self.record.columns

    @property
    def needs(self) -> frozenset[str]:
        """What has to be known of the models, of `needs.EVERY_NEED`."""
        return needs_of_columns(self.columns)

    def probability(self, features: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """Return p(important), float32 of shape (n,).

        Parameters
        ----------
        features : mapping of str to Tensor
            One entry per column of the judge: (n, hidden) for a block, (n,) for a scalar.

        Raises
        ------
        InputError
            A column is missing, or has another size than in training.
        """
        for column, size in zip(self.columns, self.record.sizes, strict=True):
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
        return predict(self.record.classifier, self.tensors, x)

    def to(self, device: torch.device | str) -> "Judge":
        """Return the judge with its tensors on a device, counts apart: see `classifiers.place`."""
        return Judge(place(self.tensors, device), self.record)

    def digest(self) -> str:
        """Return a hash of what the judge's verdicts depend on."""
        return _digest(self.record, save(self.tensors))

    def check_pair(self, models: Mapping[str, Mapping[str, Any]], hidden: Mapping[str, int]) -> None:
        """Refuse a pair that the judge was not trained for.

        Parameters
        ----------
        models : mapping
            What identifies the pair's models, by role: `contents`, a digest of a local folder, or the hub's `model`.
        hidden : mapping of str to int
            Hidden size of each role's model.

        Raises
        ------
        InputError
            A model, or its hidden size, is another.
        """
        for role, trained_for in self.record.models.items():
            key = "contents" if "contents" in trained_for else "model"
            if trained_for.get(key) != models.get(role, {}).get(key):
                here = models.get(role, {}).get("model", "the one here")
                raise InputError(
                    f"the judge was trained for {role} {trained_for.get('model')}, not for {here}; train one for this "
                    "pair, or name the models as the judge does"
                )
        for column, size in zip(self.columns, self.record.sizes, strict=True):
            role = column.split("_")[0]
            if column in BLOCKS and hidden.get(role) != size:
                raise InputError(
                    f"the judge reads `{column}` of {size} numbers, and the {role} here has states of "
                    f"{hidden.get(role)}; train a judge for this pair"
                )

    def save(self, folder: str | Path) -> None:
        """Write judge.safetensors and judge.json, each whole."""
        folder, data = Path(folder), save(self.tensors)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / ".judge.safetensors.partial").write_bytes(data)
        (folder / ".judge.json.partial").write_text(
            write_record(self.record, _digest(self.record, data)), encoding="utf-8"
        )
        for name in ("judge.safetensors", "judge.json"):
            os.replace(folder / f".{name}.partial", folder / name)


def load_judge(folder: str | Path) -> Judge:
    """Read a judge. Raises InputError for a folder without one, or a damaged or foreign file."""
    folder = Path(folder)
    path = folder / "judge.json"
    try:
        text, data = path.read_text(encoding="utf-8"), (folder / "judge.safetensors").read_bytes()
        (record, digest), tensors = read_record(text, str(path)), load(data)
    except InputError:
        raise
    except (OSError, ValueError, SafetensorError) as fault:
        raise InputError(
            f"{folder}: not a readable judge ({fault}); delete the folder and run select_judge again"
        ) from fault
    if record.classifier not in CLASSIFIERS.names():  # never a path, which would be code to run
        raise InputError(f"{path}: no classifier {record.classifier} is known; train the judge again")
    if _digest(record, data) != digest:
        raise InputError(f"{folder}: judge.safetensors and judge.json are not of the same judge; train the judge again")
    return Judge(tensors, record)


def _digest(record: Record, data: bytes) -> str:
    kind = [record.columns, record.sizes, record.classifier]
    return hashlib.sha256(json.dumps(kind).encode() + data).hexdigest()
