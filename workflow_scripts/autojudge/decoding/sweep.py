"""The sweep: what is decoded of each problem, and the rows that its responses become."""

import zlib
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np

from autojudge.decoding.branches import Decoded, Job
from autojudge.decoding.decoder import Decoder, needs_of
from autojudge.decoding.thresholds import INFINITY, Interval, Points, Thresholds
from autojudge.engine.models import Pair
from autojudge.engine.sampling import Sampling
from autojudge.engine.settings import Models
from autojudge.judging.artifact import Judge
from autojudge.rules import Settings, load_rule
from autojudge.scoring.scorer import Scorer
from autojudge.tables.files import read_table, records
from autojudge.tables.mining import LABELS

TARGET, LOSSLESS = "target", "lossless"  # the target alone, and the rule that all are compared with
LOOP, LONGEST_PERIOD = 32, 64  # tokens: of the end that repeats what came before, and of a round


def build_job(
    problem: Mapping[str, Any],
    thresholds: Mapping[str, Thresholds],
    given: Mapping[str, Sequence[float]],
    labels: Mapping[int, bool],
    settings: Mapping[str, Settings],
) -> Job:
    """Return the job that decodes a problem.

    Parameters
    ----------
    problem : mapping
        A row of problems.parquet.
    thresholds : mapping of rule name to Thresholds
        What is to be decoded; empty: the target alone.
    given : mapping of rule name to thresholds
        Those of `expand_thresholds`, taken where a rule would need too many branches for all.
    labels : mapping of position to bool
        Mined labels, for rules that read them.
    settings : mapping of rule name to mapping
        The rule's entry of the config; one that is not modified, or a variant, may be left out.
    """
    rules = {load_rule(name, settings.get(name)): part for name, part in thresholds.items()}
    fallback = {rule: Points((*given[rule.name], INFINITY)) for rule, t in rules.items() if isinstance(t, Interval)}
    seed = zlib.crc32(problem["problem_id"].encode())
    return Job(list(problem["prompt_tokens"]), rules, fallback, seed, labels)


def rows_by_rule(
    problem: Mapping[str, Any], responses: Sequence[Decoded], decoder: Decoder, scorer: Scorer
) -> dict[str, list[dict[str, Any]]]:
    """Return what a job's responses become, by rule: rows of sweep.parquet, the split and comparisons left out.

    A response that was decoded at single thresholds has a row for each, in which `threshold_low` is that threshold too.
    """
    found: dict[str, list[dict[str, Any]]] = {}
    for response in responses:
        answer = scorer.answer(decoder.pair.decode(response.tokens), problem)
        row = {
            "problem_id": problem["problem_id"],
            "answer": answer,
            "correct": scorer.same(answer, problem["gold"]),
            "checked_by": scorer.checked_by,
            "cut_off": decoder.ending.cut_off(response.tokens),
            "response": response.tokens,
        }
        if not response.thresholds:
            counts = response.counts() | {"kept_at": response.kept_at}
            found[TARGET] = [row | {"rule": TARGET} | _held(0, Interval()) | counts]
        for rule, thresholds in response.thresholds.items():
            counts = response.counts("draft_at_draft" in needs_of(rule, decoder.judge)) | {"kept_at": response.kept_at}
            parts = [thresholds] if isinstance(thresholds, Interval) else thresholds.values
            rows = [row | {"rule": rule.name} | _held(decoder.window, part) | counts for part in parts]
            found.setdefault(rule.name, []).extend(rows)
    return {rule: sorted(rows, key=lambda row: row["threshold"]) for rule, rows in found.items()}


def compare_with_lossless(
    rows: Sequence[Mapping[str, Any]], lossless: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Return rows of a problem with what tells them from lossless decoding's: another text, a text that ends in a loop.

    Parameters
    ----------
    lossless : sequence of mapping
        Lossless decoding's rows of the same problem and window; the one that holds for the highest thresholds counts.
    """
    plain = list(lossless[-1]["response"])
    return [
        {**row, "differs": list(row["response"]) != plain, "loops": row["cut_off"] and ends_in_a_loop(row["response"])}
        for row in rows
    ]


def ends_in_a_loop(tokens: Sequence[int]) -> bool:
    """Tell whether a response ends in three rounds or more of the same tokens, of LOOP tokens at least."""
    text = np.asarray(tokens)
    for period in range(1, min(LONGEST_PERIOD, len(text) // 3) + 1):
        again = text[period:] == text[:-period]
        run = len(again) if again.all() else int(np.argmin(again[::-1]))
        if run >= max(LOOP, 2 * period):
            return True
    return False


def _held(window: int, thresholds: Interval | float) -> dict[str, Any]:
    exact = isinstance(thresholds, Interval)
    low, high = (thresholds.low, thresholds.high) if isinstance(thresholds, Interval) else (thresholds, thresholds)
    return {"window": window, "threshold_low": low, "threshold": high, "exact": exact}


def open_decoders(
    load: Callable[[], Pair], models: Models, judge: Judge | None, scorer: Scorer, decoding: Mapping[str, Any]
) -> Callable[[int], Decoder]:
    """Return a function that returns the decoder of a window; it loads the models when first asked.

    Parameters
    ----------
    load : callable
        Returns the pair.
    models : mapping
        What identifies the models; a judge has to be trained for these.
    decoding : mapping
        `max_new_tokens`, `branches`, `temperature`, `top_p` and `batch`; `target_first` where it is true.

    Raises
    ------
    InputError
        The function does, where a model cannot be had, or the judge is of other models.
    """

    @cache
    def load_checked() -> Pair:
        loaded = load()
        if judge:
            judge.check_pair(models, loaded.hidden_sizes)
        return loaded

    return lambda window: Decoder(
        pair=load_checked(),
        judge=judge,
        window=window,
        max_new_tokens=decoding["max_new_tokens"],
        batch=decoding["batch"],
        stop=scorer.prompt.stop,
        sampling=Sampling(decoding["temperature"], decoding["top_p"]) if decoding["temperature"] else None,
        most_branches=decoding["branches"],
        target_first=decoding.get("target_first", False),
    )


def read_labels(path: str) -> dict[str, dict[int, bool]]:
    """Return the mined labels of each problem by position, from labels.parquet. Raises InputError like `read_table`."""
    found: dict[str, dict[int, bool]] = {}
    for row in records(read_table(LABELS, path, ["problem_id", "position", "important"])):
        found.setdefault(row["problem_id"], {})[int(row["position"])] = bool(row["important"])
    return found
