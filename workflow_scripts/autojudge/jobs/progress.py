"""What a job tells while it runs: a bar on a terminal, plain lines in its log, one message when it fails."""

import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tqdm import tqdm

from autojudge.errors import InputError

logger = logging.getLogger("autojudge")
LINE_EVERY = 20.0  # seconds between progress lines in a log


@contextmanager
def job_log(path: str | Path) -> Iterator[None]:
    """Log a job to its file and to stderr; an InputError ends the process with its message alone."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    console = logging.StreamHandler(sys.stderr)
    if sys.stderr.isatty():
        console.setLevel(logging.WARNING)  # the progress bar tells the rest
    handlers: list[logging.Handler] = [logging.FileHandler(path, mode="w"), console]
    formatter = logging.Formatter("%(asctime)s %(levelname)s %(message)s", datefmt="%H:%M:%S")
    for handler in handlers:
        handler.setFormatter(formatter)
        logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    except InputError as fault:
        logger.error("%s", fault)
        sys.exit(1)
    except Exception:
        logger.exception("the job failed")
        sys.exit(1)
    finally:
        for handler in handlers:
            logger.removeHandler(handler)
            handler.close()


class Progress:
    """Counts finished items: a tqdm bar where stderr is a terminal, periodic lines with rate and time left in the log.

    Parameters
    ----------
    total : int
        Items to come.
    unit : str
        Name of an item.
    resumed : int
        Items that an earlier run finished; the rate leaves them out.
    """

    def __init__(self, total: int, unit: str, resumed: int = 0) -> None:
        self.total, self.unit, self.done, self.resumed = total, unit, resumed, resumed
        self._start = self._last = time.monotonic()
        self._bar = tqdm(total=total, initial=resumed, unit=unit, disable=not sys.stderr.isatty(), dynamic_ncols=True)

    def advance(self, count: int = 1) -> None:
        """Count finished items."""
        self.done += count
        self._bar.update(count)
        now = time.monotonic()
        if now - self._last >= LINE_EVERY or self.done == self.total:
            rate = (self.done - self.resumed) / max(now - self._start, 1e-9)
            left = (self.total - self.done) / max(rate, 1e-9)
            message = "%d of %d %ss, %.2f a second, %.0f s left"
            logger.info(message, self.done, self.total, self.unit, rate, left)
            self._last = now
        if self.done == self.total:
            self._bar.close()
