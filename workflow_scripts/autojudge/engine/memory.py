"""Memory: how much a model's cache and passes take, measured, and how many rows a budget holds."""

import ctypes
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import psutil
import torch
from transformers import PreTrainedModel

from autojudge.engine.attention import NARROW
from autojudge.engine.cache import NO_SLOTS, CachedModel, Request
from autojudge.errors import InputError

PROBE_ROWS = 16  # rows of the pass that measures a model, each of NARROW tokens
PASS_SHARE = 0.3  # of a budget goes to the activations of a pass, the rest to the caches
MOST_PASS_TOKENS = 4096
GPU_SHARE = 0.8  # of the memory that is free after loading


@dataclass
class Peak:
    """Most bytes that were in use over a span, beyond those at its start."""

    bytes: int = 0


@contextmanager
def measure_peak(device: torch.device, interval: float = 0.002) -> Iterator[Peak]:
    """Measure peak memory: of the GPU by its allocator, of the process by sampling its resident size.

    Parameters
    ----------
    device : torch.device
        Where the work is done.
    interval : float
        Seconds between samples of the resident size.
    """
    peak = Peak()
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        start = torch.cuda.memory_allocated(device)
        yield peak
        peak.bytes = torch.cuda.max_memory_allocated(device) - start
        return
    process, stop = psutil.Process(), threading.Event()
    start = process.memory_info().rss

    def watch() -> None:
        while not stop.is_set():
            peak.bytes = max(peak.bytes, process.memory_info().rss - start)
            time.sleep(interval)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield peak
    finally:
        stop.set()
        thread.join()
        peak.bytes = max(peak.bytes, process.memory_info().rss - start)


@dataclass(frozen=True)
class Footprint:
    """Bytes of a slot in the cache (with attention's copy of one layer), and of a token while it passes the model."""

    slot: int
    token: int

    @classmethod
    def measure(cls, model: PreTrainedModel, vocabulary: int) -> "Footprint":
        """Measure a model by a pass of PROBE_ROWS rows."""
        cache = CachedModel(model, PROBE_ROWS, 2 * NARROW, vocabulary)
        requests = [Request(row, NO_SLOTS, [5] * NARROW) for row in range(PROBE_ROWS)]
        cache.forward(requests)
        for row in range(PROBE_ROWS):
            cache.clear(row)
        with measure_peak(model.device) as peak:
            cache.forward(requests)
        config = model.config.get_text_config()
        least = 4 * model.dtype.itemsize * (getattr(config, "intermediate_size", 0) + config.hidden_size)
        layers = config.num_hidden_layers
        return cls(cache.slot_bytes * (layers + 1) // layers, max(least, peak.bytes // (PROBE_ROWS * NARROW)))


def largest_batch(footprints: Sequence[Footprint], capacity: int, batch: int, memory: int) -> tuple[int, int]:
    """Return how many rows, and how many tokens per pass, a budget holds.

    Parameters
    ----------
    footprints : sequence of Footprint
        Of the models that share the budget; their passes follow one another.
    capacity : int
        Slots of a row.
    batch : int
        Most rows that are wanted.
    memory : int
        Bytes.

    Raises
    ------
    InputError
        Not even one row fits.
    """
    if memory <= 0:
        raise InputError(
            f"the models alone take {-memory / 10**6:.0f} MB more than a mining job has; raise `mining.memory_mb` or "
            "the pair's `mem_mb`"
        )
    row = capacity * sum(f.slot for f in footprints)
    token = max(f.token for f in footprints)
    rows = min(batch, int((1 - PASS_SHARE) * memory) // row)
    pass_tokens = min(MOST_PASS_TOKENS, (memory - rows * row) // token)
    if rows < 1 or pass_tokens < NARROW:
        needed = max(row / (1 - PASS_SHARE), NARROW * token / PASS_SHARE)
        raise InputError(
            f"config key `mining.memory_mb`: {memory / 2**20:.0f} MiB hold not one problem; a row of {capacity} tokens "
            f"and its passes need {needed / 2**20:.0f} MiB: raise it (or the pair's mem_mb), or lower max_new_tokens"
        )
    return rows, int(pass_tokens)


def memory_budget(models: Sequence[PreTrainedModel], mem_mb: int) -> int:
    """Return the bytes that mining may use beside the weights: the job's memory, or the GPUs' where models lie there.

    Parameters
    ----------
    models : sequence of PreTrainedModel
        All models, loaded.
    mem_mb : int
        Memory of the job in MB.
    """
    devices = {parameter.device for model in models for parameter in model.parameters()}
    gpus = [device for device in devices if device.type == "cuda"]
    if gpus:
        free = min(torch.cuda.mem_get_info(device)[0] for device in gpus)
        return int(GPU_SHARE * free * len(gpus))
    _give_back()
    return mem_mb * 10**6 - psutil.Process().memory_info().rss


def _give_back() -> None:
    """Give the system back what was freed, such as weights before they were packed, where the C library can (glibc)."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
