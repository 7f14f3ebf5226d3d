"""Snakemake's messages in one short line per job: `PYTHONPATH=workflow_scripts snakemake --cores all --logger brief`.

Only what goes well is made shorter: warnings, errors, what snakemake says of its own accord, and dry runs look as
without the plugin, and the file that "Complete log(s)" names at the end holds everything.
"""

import logging
import sys
import textwrap
import time
from threading import Timer
from typing import Any

from snakemake.logging import ColorizingTextHandler, DefaultFormatter
from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.common import LogEvent

UNTOLD = {
    LogEvent.WORKFLOW_STARTED, LogEvent.JOB_STARTED, LogEvent.GROUP_INFO, LogEvent.PROGRESS, LogEvent.SHELLCMD,
    LogEvent.RESOURCES_INFO, LogEvent.RULEGRAPH,
}  # fmt: skip
CHATTER = (  # how messages begin that tell nothing about this run; one that is not here is shown
    "Assuming unrestricted shared filesystem", "Building DAG of jobs", "Conda environments: ignored", "Config file ",
    "Select jobs to execute", "Singularity containers: ignored", "Using shell:",
    "Using workflow specific profile",
)  # fmt: skip
WIDTH = 100  # of the list of jobs
LONG = 10.0  # seconds after which a rule at work is told before one of its jobs has ended


class LogHandler(LogHandlerBase, ColorizingTextHandler):
    """What snakemake loads for `--logger brief`."""

    writes_to_stream = True
    writes_to_file = False
    has_filter = False  # snakemake's own, so --quiet and --verbose work
    has_formatter = True
    needs_rulegraph = False

    def __post_init__(self) -> None:
        settings = self.common_settings
        self._brief = BriefFormatter(settings.quiet, settings.show_failed_logs)
        ColorizingTextHandler.__init__(
            self,
            nocolor=settings.nocolor,
            stream=sys.stdout if settings.stdout else sys.stderr,
            formatter=DefaultFormatter(settings.quiet, False) if settings.dryrun else self._brief,
        )
        self._awaited: set[str] = set()  # rules of which a job has started

    def emit(self, record: logging.LogRecord) -> None:
        """Write what the formatter makes of a record, if anything; warnings and errors in their colour."""
        if self.common_settings.dryrun:
            ColorizingTextHandler.emit(self, record)
            return
        try:
            text = self.format(record)
            self._write(self.decorate(record, text) if text and record.levelno > logging.INFO else text)
            if getattr(record, "event", None) == LogEvent.JOB_INFO:
                self._await(record.__dict__["rule_name"])
        except Exception:
            self.handleError(record)

    def _write(self, text: str) -> None:
        if text:
            self.stream.write(f"{text}\n")
            self.flush()

    def _await(self, rule: str) -> None:
        """Tell once that a rule is at work, unless its jobs end before."""
        if rule not in self._awaited:
            self._awaited.add(rule)
            timer = Timer(LONG, self._tell_running, [rule])
            timer.daemon = True
            timer.start()

    def _tell_running(self, rule: str) -> None:
        with self.lock:
            self._write(self._brief.format_running(rule))


class BriefFormatter(DefaultFormatter):
    """A line per job that ends: how many have ended of how many, its name, its seconds."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._total = self._ended = 0
        self._counts: dict[str, int] = {}  # jobs by rule
        self._running: dict[int, tuple[str, str, float]] = {}  # rule, wildcards and start by job

    def format(self, record: logging.LogRecord) -> str:
        """Return a record as text; nothing for what a person need not see."""
        event = getattr(record, "event", None)
        calm = event is None and record.levelno == logging.INFO
        if event in UNTOLD or (calm and record.getMessage().startswith(CHATTER)):
            return ""
        return super().format(record)

    def format_run_info(self, msg: dict[str, Any]) -> str:
        """Return which jobs will run, with their number where a rule has several."""
        self._counts = dict(msg["stats"])
        self._total = self._counts.pop("total")
        names = [name if count == 1 else f"{count} {name}" for name, count in self._counts.items()]
        return textwrap.fill(f"{self._total} jobs: {', '.join(names)}", WIDTH, subsequent_indent="    ")

    def format_job_info(self, msg: dict[str, Any]) -> str:
        """Remember that a job runs."""
        wildcards = " ".join(map(str, dict(msg["wildcards"] or {}).values()))
        self._running[msg["jobid"]] = (msg["rule_name"], wildcards, time.monotonic())
        return ""

    def format_running(self, rule: str) -> str:
        """Return that a rule's jobs are at work, if any is."""
        count = self._counts.get(rule, 1)
        at_work = any(name == rule for name, _, _ in self._running.values())
        return _line("running", rule if count == 1 else f"{rule} ({count} jobs)") if at_work else ""

    def format_job_finished(self, msg: dict[str, Any]) -> str:
        """Return how many jobs have ended, and which one did after how long."""
        self._ended += 1
        rule, wildcards, start = self._running.pop(msg["job_id"])
        name = " ".join(filter(None, [rule, wildcards]))
        return _line(f"{self._ended} of {self._total}", f"{name}, {time.monotonic() - start:.0f} s")

    def _format_job_error(self, msg: dict[str, Any]) -> list[str]:
        self._running.pop(msg["jobid"], None)
        return super()._format_job_error(
            msg | {"input": [], "output": []}
        )  # walls of names; the log says what is wrong


def _line(state: str, text: str) -> str:
    return f"{time.strftime('%H:%M:%S')} {state:>9}  {text}"
