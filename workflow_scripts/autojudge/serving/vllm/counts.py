"""How often the judge kept a token: sums on the device, told now and then in the log and to Prometheus.

Nothing waits for the device: sums are copied to the host in the background and read once they are there.
"""

import logging
import time
from collections.abc import Mapping
from typing import Any

import torch

logger = logging.getLogger("vllm.autojudge")
INTERVAL = 10.0  # seconds between two tellings
NAMES = {
    "windows": "Windows of requests that the judge decides on, verified by the target",
    "asked": "Mismatches that were reached in these windows, on which the judge decided",
    "kept": "Mismatches that the judge kept, so that the draft's token was emitted",
    "nan": "Proposals whose score was no number; they were refused",
    "missing": "Proposals without a signal that the judge reads; they were refused",
}


class Counts:
    """Sums of what happened, by the names of NAMES.

    Parameters
    ----------
    device : torch.device
    is_told : bool
        Whether this process tells them: one of several that decide alike.
    """

    def __init__(self, device: torch.device, is_told: bool) -> None:
        self._sums = torch.zeros(len(NAMES), dtype=torch.int64, device=device)
        self._told = dict.fromkeys(NAMES, 0)
        self._copy: tuple[torch.Tensor, Any] | None = None
        self._last = time.monotonic()
        self._counters = _counters() if is_told else None

    def add(self, found: torch.Tensor) -> None:
        """Add counts, int64 of shape (len(NAMES),), on the device."""
        self._sums += found
        if self._counters is not None and time.monotonic() - self._last > INTERVAL:
            self._tell()

    def read(self) -> dict[str, int]:
        """Return the sums; waits for the device."""
        return dict(zip(NAMES, self._sums.tolist(), strict=True))

    def _tell(self) -> None:
        """Tell the copy that has arrived, and start another."""
        if self._copy is not None:
            held, event = self._copy
            if event is not None and not event.query():
                return
            self._publish(dict(zip(NAMES, held.tolist(), strict=True)))
        self._last = time.monotonic()
        if self._sums.is_cuda:
            held = torch.empty(len(NAMES), dtype=torch.int64, pin_memory=True)
            held.copy_(self._sums, non_blocking=True)
            event = torch.cuda.Event()
            event.record()
            self._copy = held, event
        else:
            self._copy = None
            self._publish(self.read())

    def _publish(self, sums: Mapping[str, int]) -> None:
        assert self._counters is not None
        new = {name: sums[name] - self._told[name] for name in NAMES}
        self._told = dict(sums)
        for name, count in new.items():
            self._counters[name].inc(count)
        if new["windows"]:
            kept = 100 * new["kept"] / max(new["asked"], 1)
            logger.info(
                "autojudge: %d of %d mismatches kept (%.1f %%) in %d windows; refused for a score that is no number: "
                "%d, for a missing signal: %d",
                *(new["kept"], new["asked"], kept, new["windows"], new["nan"], new["missing"]),
            )


def _counters() -> dict[str, Any]:
    """Return Prometheus counters, made once a process; where prometheus_client is missing, stand-ins."""
    try:
        from prometheus_client import REGISTRY, Counter
    except ImportError:
        return {name: _NoCounter() for name in NAMES}
    known = getattr(REGISTRY, "_names_to_collectors", {})
    return {name: known.get(f"autojudge:{name}") or Counter(f"autojudge:{name}", text) for name, text in NAMES.items()}


class _NoCounter:
    def inc(self, _count: int) -> None:
        """Count nothing."""
