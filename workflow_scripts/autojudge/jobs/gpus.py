"""GPUs of a node, shared out among jobs that run side by side where no scheduler does it."""

import logging
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import torch
from filelock import FileLock, Timeout

from autojudge.errors import InputError

VISIBLE = "CUDA_VISIBLE_DEVICES"
POLL = 1.0  # seconds
logger = logging.getLogger("autojudge")


@contextmanager
def claim_gpus(count: int) -> Iterator[None]:
    """Let the process see `count` GPUs that no other job of this user has claimed here; wait until they are free.

    A lock per GPU, in the machine's folder for temporary files, falls with its process, however that ends. In a Slurm
    job nothing is done: Slurm shows each job its own GPUs. It must be entered before CUDA is used.

    Parameters
    ----------
    count : int
        GPUs of the job; with 0 nothing is done.

    Raises
    ------
    InputError
        The node has fewer GPUs.
    """
    if count == 0 or "SLURM_JOB_ID" in os.environ:
        if count:
            logger.info("GPUs given by Slurm: %s %s", VISIBLE, os.environ.get(VISIBLE, "none"))
        yield
        return
    given = os.environ.get(VISIBLE)
    names = given.split(",") if given else [str(i) for i in range(torch.cuda.device_count())]
    if count > len(names):
        raise InputError(
            f"config key `pairs`: a pair asks for {count} GPUs a job (`gpus`), {len(names)} are visible here: "
            f"lower it, set {VISIBLE}, or use a cluster profile"
        )
    with _claim(names, count) as claimed:
        os.environ[VISIBLE] = ",".join(claimed)
        try:
            yield
        finally:
            os.environ.pop(VISIBLE)
            os.environ |= {VISIBLE: given} if given else {}


@contextmanager
def _claim(names: list[str], count: int) -> Iterator[list[str]]:
    """Hold the locks of `count` of the named GPUs: all of them or, while too few are free, none."""
    waiting = False
    while True:
        with ExitStack() as stack:
            claimed: list[str] = []
            for name in names:
                if len(claimed) < count and _lock(name, stack):
                    claimed.append(name)
            if len(claimed) == count:
                yield claimed
                return
        if not waiting:
            message = "waits for %d of %d GPUs; `--resources gpu=%d` starts fewer jobs"
            logger.info(message, count, len(names), len(names))
        waiting = True
        time.sleep(POLL)


def _lock(name: str, stack: ExitStack) -> bool:
    """Lock a GPU until the stack closes; tell whether it was free."""
    folder = Path(tempfile.gettempdir()) / f"autojudge-gpus-{os.getuid()}"  # in containers users may have no name
    folder.mkdir(exist_ok=True)
    try:
        stack.enter_context(FileLock(folder / f"{name}.lock", timeout=0))
    except Timeout:
        return False
    return True
