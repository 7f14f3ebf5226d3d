"""What a job tells while it runs: all in its log, what a person should see on the screen, one message when it fails."""

import io
import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from autojudge.errors import InputError

logger = logging.getLogger("autojudge")
LINE_EVERY = 20.0  # seconds between progress lines in a log
SCREEN_EVERY = 60.0  # and on the screen, which the jobs that run side by side share


@contextmanager
def job_log(path: str | Path) -> Iterator[None]:
    """Log a job to its file, and to stderr what `_for_the_screen` lets pass, with the job's name.

    What the locale cannot print is printed as an escape. An InputError ends the process with its message alone.
    """
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # as stderr does
    file = logging.FileHandler(path, "w", encoding="utf-8", errors="backslashreplace")
    screen = logging.StreamHandler(sys.stderr)
    screen.addFilter(_for_the_screen)
    for handler, name in ((file, ""), (screen, f"{_job_name(Path(path))}: ")):
        handler.setFormatter(logging.Formatter(f"%(asctime)s %(levelname)s {name}%(message)s", datefmt="%H:%M:%S"))
        logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    _hide_loading_bars()
    try:
        yield
    except InputError as fault:
        logger.error("%s", fault)
        sys.exit(1)
    except Exception:
        logger.exception("the job failed")
        sys.exit(1)
    finally:
        for handler in (file, screen):
            logger.removeHandler(handler)
            handler.close()


class Progress:
    """Counts finished items, and tells now and then how many there are, their rate and the time left.

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
        self._start = self._logged = time.monotonic()
        self._shown = self._start + LINE_EVERY - SCREEN_EVERY  # so that the first line is shown

    def advance(self, count: int = 1) -> None:
        """Count finished items."""
        self.done += count
        now = time.monotonic()
        finished = self.done == self.total
        if finished or now - self._logged >= LINE_EVERY:
            rate = (self.done - self.resumed) / max(now - self._start, 1e-9)
            left = (self.total - self.done) / max(rate, 1e-9)
            on_screen = not finished and now - self._shown >= SCREEN_EVERY
            message = "%d of %d %ss, %.2f per second, %.0f s left"
            logger.info(message, self.done, self.total, self.unit, rate, left, extra={"on_screen": on_screen})
            self._logged, self._shown = now, now if on_screen else self._shown


def _for_the_screen(record: logging.LogRecord) -> bool:
    """Pass warnings, errors and the progress of long jobs: snakemake itself tells when a job has ended."""
    return record.levelno > logging.INFO or getattr(record, "on_screen", False)


def _job_name(log: Path) -> str:
    """Return `mine_labels arith testbed 1-of-2` for `logs/mine_labels/arith/testbed/1-of-2.log`."""
    parts = log.with_suffix("").parts
    return " ".join(parts[parts.index("logs") + 1 :] if "logs" in parts else parts[-1:])


def _hide_loading_bars() -> None:
    """Hide transformers' bars over the weights of each model that it loads, not those of downloads."""
    if "transformers" not in sys.modules:
        return
    from huggingface_hub.utils.tqdm import are_progress_bars_disabled, enable_progress_bars
    from transformers.utils.logging import disable_progress_bar

    shown = not are_progress_bars_disabled()
    disable_progress_bar()
    if shown:
        enable_progress_bars()
