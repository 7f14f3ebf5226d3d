"""The sweep: what is decoded of each problem, and the rows that its responses become."""

import logging
import zlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from autojudge.decoding.branches import Decoded, Job
from autojudge.decoding.decoder import Decoder, needs_of
from autojudge.decoding.thresholds import EVERY, INFINITY, Interval, Points
from autojudge.rules import Rule, load_rule
from autojudge.tables.schemas import read_table, records
from autojudge.tasks import Task

TARGET = "target"  # the target alone, as a reference
logger = logging.getLogger("autojudge")


def build_jobs(
    problems: Sequence[Mapping[str, Any]],
    given: Mapping[str, Sequence[float]],
    labels: Mapping[str, Mapping[int, bool]],
) -> list[Job]:
    """Return two jobs a problem: the target alone, and every threshold of every rule.

    Parameters
    ----------
    problems : sequence of mapping
        Rows of problems.parquet.
    given : mapping of rule name to thresholds
        Those of `expand_thresholds`, taken where a problem would need too many branches for all.
    labels : mapping of problem to mapping of position to bool
        Mined labels, for rules that read them.
    """
    rules = {load_rule(name): Points((*thresholds, INFINITY)) for name, thresholds in given.items()}
    jobs = []
    for problem in problems:
        prompt, name = list(problem["prompt_tokens"]), problem["problem_id"]
        seed = zlib.crc32(name.encode())
        jobs += [
            Job(prompt, {}, seed=seed),
            Job(prompt, dict.fromkeys(rules, EVERY), rules, seed, labels.get(name, {})),
        ]
    return jobs


def sweep_rows(
    problem: Mapping[str, Any], responses: Sequence[Decoded], decoder: Decoder, task: Task
) -> Iterator[dict[str, Any]]:
    """Yield the rows of sweep.parquet that a job's responses become."""
    for response in responses:
        answer = task.extract_answer(decoder.pair.decode(response.tokens))
        row = {
            "problem_id": problem["problem_id"],
            "split": problem["split"],
            "answer": answer,
            "correct": answer is not None and task.same_answer(answer, problem["gold"]),
            "cut_off": decoder.ending.cut_off(response.tokens),
            "response": response.tokens,
        }
        if not response.thresholds:
            no_cycles = {"cycles": 0, "accepted": 0, "emitted": 0}
            yield row | _holding(TARGET, 0, EVERY, True) | response.counts() | no_cycles
        for rule, thresholds in response.thresholds.items():
            counts = response.counts("draft_at_draft" in needs_of(rule, decoder.judge))
            exact = isinstance(thresholds, Interval)
            for interval in [thresholds] if isinstance(thresholds, Interval) else _between(rule, thresholds, responses):
                yield row | _holding(rule.name, decoder.window, interval, exact) | counts


def _holding(rule: str, window: int, interval: Interval, exact: bool) -> dict[str, Any]:
    return {
        "rule": rule,
        "window": window,
        "threshold_low": interval.low,
        "threshold": interval.high,
        "exact": exact,
    }


def _between(rule: Rule, points: Points, responses: Sequence[Decoded]) -> list[Interval]:
    """Return, for each given threshold, those from the one before it on, for which it stands."""
    held = [response.thresholds.get(rule) for response in responses]
    known = sorted(value for p in held if isinstance(p, Points) for value in p.values)
    before = dict(zip(known, [-INFINITY, *known], strict=False))
    return [Interval(before[value], value) for value in points.values]


def sweep(
    decoder: Decoder,
    problems: Sequence[Mapping[str, Any]],
    given: Mapping[str, Sequence[float]],
    labels: Mapping[str, Mapping[int, bool]],
    task: Task,
    done: Collection[int] = (),
) -> Iterator[tuple[int, list[dict[str, Any]]]]:
    """Decode problems with every rule and threshold, job by job, two a problem.

    Yields
    ------
    (int, list of dict)
        Number of the job, and its rows of sweep.parquet; the jobs in `done` are left out.
    """
    jobs = build_jobs(problems, given, labels)
    remaining = [number for number in range(len(jobs)) if number not in done]
    for index, responses in decoder.decode([jobs[number] for number in remaining]):
        number = remaining[index]
        problem = problems[number // 2]
        if any(isinstance(t, Points) for response in responses for t in response.thresholds.values()):
            message = "problem %s: more than %d branches, decoded at the given thresholds only"
            logger.warning(message, problem["problem_id"], decoder.most_branches)
        yield number, list(sweep_rows(problem, responses, decoder, task))


def read_labels(path: str) -> dict[str, dict[int, bool]]:
    """Return the mined labels of each problem by position, from labels.parquet. Raises InputError like `read_table`."""
    found: dict[str, dict[int, bool]] = {}
    for row in records(read_table("labels", path, ["problem_id", "position", "important"])):
        found.setdefault(row["problem_id"], {})[int(row["position"])] = bool(row["important"])
    return found
