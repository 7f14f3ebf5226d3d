"""Classifiers of mismatches. A classifier is one module here: its hyperparameter, how it is fitted and how it scores.

- ``HYPERPARAMETER``: the name of what its grid varies, a str; the config's entry lists positive numbers under it
- ``NEEDS``: a set of what a feature set must end with, names from `KNOWN_NEEDS`
- ``WHOLE = True`` where those have to be whole numbers
- ``fit(values, part, x, columns, seed)`` yields each value with the tensors of its fit, a dict of str to Tensor;
  `fit_grid` tells what the arguments are. A ValueError says that there are too few mismatches
- ``logits(tensors, x)`` returns the logit of p(important), (n,), for features x, (n, width), as they are

Serving a judge imports a member with torch alone, so what only a fit needs is imported inside `fit`. A classifier that
reads few of the features says which in a tensor `reads` of their places.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from types import ModuleType
from typing import TYPE_CHECKING

from autojudge.errors import InputError
from autojudge.registry import Registry
from autojudge.tables.feature_names import SCALARS, expand_blocks

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray

    from autojudge.judging.mismatches import Part

KNOWN_NEEDS = {"scalars"}
CLASSIFIERS = Registry(
    "judging/classifiers",
    "classifier",
    functions={"fit": 5, "logits": 2},
    constants={"HYPERPARAMETER": str, "NEEDS": set, "WHOLE": bool},
    choices={"NEEDS": KNOWN_NEEDS},
    optional={"WHOLE"},
)


@dataclass(frozen=True)
class Declaration:
    """What a classifier's module says of itself."""

    hyperparameter: str
    needs: frozenset[str]
    whole: bool

    def missing(self, blocks: Sequence[str]) -> list[str]:
        """Return the needs that a feature set, a list of blocks, does not end with: all scalars, or single ones."""
        scalars = [column in SCALARS for column in expand_blocks(list(blocks))]
        ends_with = {"scalars"} if scalars[-1] and scalars == sorted(scalars) else set()
        return sorted(self.needs - ends_with)


def check_classifier(name: str) -> Declaration:
    """Return what a classifier declares, its module not imported.

    Raises
    ------
    InputError
        There is no such classifier in the library, or its module is not one.
    """
    if name.endswith(".py"):
        raise InputError(
            f"classifier `{name}`: a judge is served by its classifier's name; put the module into "
            f"workflow_scripts/autojudge/{CLASSIFIERS.package} and name it without .py"
        )
    found = CLASSIFIERS.check(name)
    return Declaration(found["HYPERPARAMETER"], frozenset(found["NEEDS"]), found.get("WHOLE", False))


@cache
def load_classifier(name: str) -> ModuleType:
    """Import the classifier of that name. Raises InputError like `check_classifier`."""
    check_classifier(name)
    return CLASSIFIERS.load(name)


def fit_grid(
    classifier: str,
    values: Sequence[float],
    part: "Part",
    x: "NDArray[np.float32]",  # (n, width)
    columns: Sequence[str],
    seed: int,
) -> "Iterator[tuple[float, dict[str, torch.Tensor]]]":
    """Yield each value with the tensors of its fit.

    Parameters
    ----------
    classifier : str
        A member of CLASSIFIERS.
    values : sequence of float
        Of its hyperparameter.
    part : Part
        Labels, problems and weights of the fit.
    x : array of shape (n, width)
        Its features.
    columns : sequence of str
        What the features are, in order.
    seed : int
        Of classifiers that draw.

    Raises
    ------
    InputError
        There is no such classifier, or it cannot be fitted on so few mismatches.
    """
    fit = load_classifier(classifier).fit
    used = part.weight > 0
    if not used.all():
        part, x = part.thin(used), x[used]
    part.check()
    try:
        yield from fit(values, part, x, columns, seed)
    except ValueError as fault:
        raise InputError(
            f"{classifier} cannot be fitted on {len(part)} mismatches, {int(part.important.sum())} of them important "
            f"({fault}); mine more problems (config key `problems.train`) or leave the classifier out (config key "
            "`judge.classifiers`)"
        ) from fault


def predict(
    classifier: str,
    tensors: "Mapping[str, torch.Tensor]",
    x: "torch.Tensor",  # (n, width)
) -> "torch.Tensor":
    """Return p(important), float32 of shape (n,), for features side by side, float32.

    Parameters
    ----------
    classifier : str
        A member of CLASSIFIERS.
    tensors : mapping of str to Tensor
        Of its fit; maybe with `calibration`, slope and shift of the logit.
    x : Tensor of shape (n, width)

    Raises
    ------
    InputError
        There is no such classifier.
    """
    here = place(tensors, x.device)
    logit: torch.Tensor = load_classifier(classifier).logits(here, x)
    if "calibration" in here:
        slope, shift = here["calibration"]
        logit = slope * logit + shift
    return logit.sigmoid()


def place(
    tensors: "Mapping[str, torch.Tensor]",
    device: "torch.device | str",
) -> "dict[str, torch.Tensor]":
    """Return a fit's tensors on a device; single whole numbers stay, as they steer loops, which would wait for it."""
    return {
        name: tensor if tensor.ndim == 0 and not tensor.is_floating_point() else tensor.to(device)
        for name, tensor in tensors.items()
    }


def features_read(tensors: "Mapping[str, torch.Tensor]", width: int) -> int:
    """Return how many of a mismatch's `width` numbers a fit reads."""
    return len(tensors["reads"]) if "reads" in tensors else width
