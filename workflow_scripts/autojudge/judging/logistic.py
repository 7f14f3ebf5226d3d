"""L2-regularised logistic regression along a path of strengths, for data that fill half of the memory.

scikit-learn's `LogisticRegression` does not carry the paper's size: with StandardScaler it holds several copies in
double precision, its first-order solver needs hundreds of passes over correlated features, and every C starts anew.
Here

- standardisation is folded into the weights: the data are read as they are, in single precision, and never copied;
- the quasi-Newton solver (L-BFGS, scipy's) works in coordinates in which the average curvature is the identity, so that
  a dozen passes suffice where plain coordinates take hundreds. With Z the standardised data of n rows, the Hessian of
  the mean loss is Z' diag(p (1 - p)) Z / n + I / (C n); the coordinates come from the Cholesky factor of h Z' Z / n + I
  / (C n), h being the mean of p (1 - p);
- strengths go from strong to weak regularisation, each starting where the one before ended.

The problem solved is scikit-learn's: C times the sum of the losses plus half the squared weights of standardised
features, the intercept free. Tests compare the two.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.linalg.blas import ssyrk
from scipy.optimize import minimize

GRADIENT_TOLERANCE = 1e-4  # of the mean loss, largest component in the solver's coordinates
CONVERGED = 1e-3  # the same for a fit that counts as converged: the loss is then less than a millionth above the least
LOSS_TOLERANCE = 1e-9  # relative change of the loss
MOST_PASSES = 100  # of the solver for one strength
MEMORY = 20  # of L-BFGS
CHUNK = 2**14  # rows whose Gram matrix is formed at a time


@dataclass(frozen=True)
class Line:
    """Weights (width,) and intercept for data as they are: p(important) = sigmoid(x @ weight + bias)."""

    C: float
    weight: NDArray[np.float32]
    bias: float
    converged: bool

    def logit(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return x @ weight + bias, (n,), for x of (n, width)."""
        return x @ self.weight + np.float32(self.bias)


class LogisticPath:
    """Data of the fits.

    Parameters
    ----------
    x : array of shape (n, width), float32
        Features as they are; neither copied nor changed.
    y : array of shape (n,), bool
        True: important.
    weights : array of shape (n,) or None
        Weight of each row; None: 1.
    """

    def __init__(
        self, x: NDArray[np.float32], y: NDArray[np.bool_], weights: NDArray[np.float64] | None = None
    ) -> None:
        self.x, self.n = torch.from_numpy(x), len(x)
        self.sign = torch.from_numpy(np.where(y, 1.0, -1.0).astype(np.float32))
        rows = np.ones(self.n) if weights is None else weights
        self.share = torch.from_numpy((rows / rows.sum()).astype(np.float32))
        self.total = float(rows.sum())
        self.base_rate = float((rows * y).sum() / self.total)
        self.mean, self.scale = _moments(self.x)
        self._gram: torch.Tensor | None = None

    def fit(self, strengths: Sequence[float]) -> Iterator[Line]:
        """Yield a fit for each C, the smallest first, each started from the one before."""
        weight, bias = torch.zeros(self.x.shape[1]), float(np.log(self.base_rate / (1 - self.base_rate)))
        for C in sorted(strengths):
            factor = self._coordinates(1 / (C * self.total))
            start = np.append((factor.T @ weight).double().numpy(), bias)
            options = {"maxiter": MOST_PASSES, "maxcor": MEMORY, "gtol": GRADIENT_TOLERANCE, "ftol": LOSS_TOLERANCE}
            found = minimize(self._loss, start, (factor, C), "L-BFGS-B", jac=True, options=options)
            weight, bias = self._weights(found.x, factor)
            raw = weight / self.scale
            yield Line(C, raw.numpy(), bias - float(self.mean @ raw), float(np.abs(found.jac).max()) < CONVERGED)

    def _coordinates(self, ridge: float) -> torch.Tensor:
        """Return L, lower triangular (width, width), with L L' = h Z' Z / n + ridge I; weights are L'^-1 u."""
        if self._gram is None:
            self._gram = _gram(self.x, self.mean, self.scale, self.share)
        matrix = self._gram * (self.base_rate * (1 - self.base_rate))
        matrix.diagonal().add_(ridge)
        factor: torch.Tensor
        factor, info = torch.linalg.cholesky_ex(matrix)
        if info:  # single precision, hardly any regularisation: any sensible coordinates will do
            matrix.diagonal().add_(1e-5 * float(matrix.diagonal().mean()))
            factor = torch.linalg.cholesky(matrix)
        return factor

    def _weights(
        self,
        u: NDArray[np.float64],  # (width + 1,), the last the intercept
        factor: torch.Tensor,  # (width, width)
    ) -> tuple[torch.Tensor, float]:
        coordinates = torch.from_numpy(u[:-1]).float()[:, None]
        return torch.linalg.solve_triangular(factor.T, coordinates, upper=True)[:, 0], float(u[-1])

    def _loss(
        self,
        u: NDArray[np.float64],  # (width + 1,), the last the intercept
        factor: torch.Tensor,  # (width, width)
        C: float,
    ) -> tuple[float, NDArray[np.float64]]:
        """Return the regularised mean loss and its gradient in the solver's coordinates."""
        weight, bias = self._weights(u, factor)
        raw = weight / self.scale
        margins = self.sign * (self.x @ raw + (bias - float(self.mean @ raw)))
        loss = float(self.share.double() @ torch.nn.functional.softplus(-margins).double())
        pull = -self.share * self.sign * torch.sigmoid(-margins)  # of each row's loss on its logit
        total = float(pull.double().sum())
        slope = (self.x.T @ pull - self.mean * total) / self.scale + weight / (C * self.total)
        gradient = torch.linalg.solve_triangular(factor, slope[:, None], upper=False)[:, 0]
        loss += float(weight.double() @ weight.double()) / (2 * C * self.total)
        return loss, np.append(gradient.double().numpy(), total)


def _moments(
    x: torch.Tensor,  # (n, width)
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return mean and standard deviation of each column, as StandardScaler has them (1 for a constant column)."""
    total, square = torch.zeros(2, x.shape[1], dtype=torch.float64)
    for part in x.split(CHUNK):
        total += part.sum(0, dtype=torch.float64)
    mean = total / len(x)
    for part in x.split(CHUNK):
        square += (part - mean.float()).square_().sum(0, dtype=torch.float64)
    scale = (square / len(x)).sqrt()
    return mean.float(), torch.where(scale > 1e-7 * mean.abs().clamp(min=1e-7), scale, 1.0).float()


def _gram(
    x: torch.Tensor,  # (n, width)
    mean: torch.Tensor,  # (width,)
    scale: torch.Tensor,  # (width,)
    share: torch.Tensor,  # (n,)
) -> torch.Tensor:
    """Return the lower triangle of the weighted mean of z z' over the standardised rows z, (width, width)."""
    gram = np.zeros((x.shape[1], x.shape[1]), dtype=np.float32, order="F")
    for part, rows in zip(x.split(CHUNK), share.split(CHUNK), strict=True):
        z = (part - mean).div_(scale).mul_(rows.sqrt()[:, None])
        gram = ssyrk(1.0, z.numpy().T, beta=1.0, c=gram, lower=1, overwrite_c=1)
    return torch.from_numpy(gram)
