"""What the store of finished work holds, and which of it a config uses.

What a config uses is told by the results that lie there: they have to be up to date for that config.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tabulate import tabulate

from autojudge.decoding.sweep import read_labels
from autojudge.engine.settings import Models
from autojudge.jobs.store import Store, describe_bytes
from autojudge.judging.artifact import load_judge
from autojudge.tables.files import read_table, records
from autojudge.tables.folds import list_parts
from autojudge.tables.mining import PROBLEMS
from autojudge.tables.pair_names import join_source
from autojudge.workflow.configuration import agreement_of, likelihood_of, samples_of
from autojudge.workflow.label_sources import list_sources, mined_for
from autojudge.workflow.work import mining_work, sweep_work

STAGES = ("mining", "sweep")
NO_RUN = "of no run of this config"


@dataclass
class Stock:
    """A store of a dataset and pair.

    Attributes
    ----------
    folder : Path
        Its files.
    store : Store
        Open to be read.
    used : set of str or None
        Keys that the config uses; None where that cannot be told.
    note : str
        Why not.
    """

    folder: Path
    store: Store
    used: set[str] | None
    note: str

    @property
    def unused(self) -> set[str]:
        """Keys of the pieces that the config does not use; none where that cannot be told."""
        return set() if self.used is None else set(self.store.places) - self.used

    def bytes(self, keys: set[str]) -> int:
        """Return what some pieces take on disk."""
        return sum(self.store.places[key].bytes for key in keys)


def find_stocks(config: Mapping[str, Any], models: Mapping[str, Models], results: Path) -> list[Stock]:
    """Return every store below a folder of results, with what the config's runs use of it.

    Parameters
    ----------
    models : mapping of str
        `identify_models` of each pair of the runs.
    """
    runs = {(run["dataset"], pair) for run in config["runs"] for pair in run["pairs"]}
    stocks = []
    for folder in sorted(path for stage in STAGES for path in results.glob(f"*/*/store/{stage}")):
        pair, dataset = folder.parents[1].name, folder.parents[2].name
        if (dataset, pair) in runs:
            used, note = _used(config, dataset, models[pair], folder)
        else:
            used, note = None, NO_RUN
        stocks.append(Stock(folder, Store(folder), used, note))
    return stocks


def _used(config: Mapping[str, Any], dataset: str, models: Models, folder: Path) -> tuple[set[str] | None, str]:
    """Return the keys that a run uses, all acceptance rules of the config counted, or why that cannot be told.

    Sources of labels share the store: what each mines counts as used, and where it has been swept what it decodes.
    """
    made, entry = folder.parents[1], config["datasets"][dataset]
    of_sources = [made.with_name(join_source(made.name, name)) for name in list_sources(config)]
    swept = [made, *(place for place in of_sources if (place / "sweep").exists())]
    judges = [Path(f"{place}{part}/judge") for place in swept for part in list_parts(entry.get("folds"))]
    judges += [file.parent for place in swept for file in sorted(place.glob("serves/*/judge/judge.json"))]
    needed = [made / "problems.parquet"]
    if folder.name == "sweep":
        needed += [made / "labels.parquet", *(judge / "judge.json" for judge in judges)]
    if absent := [str(file) for file in needed if not file.is_file()]:
        return None, f"not told, as {', '.join(absent)} is not made yet"
    problems = records(read_table(PROBLEMS, needed[0]))
    wanted = {split: count for split, count in entry["problems"].items() if count}
    if Counter("test" if entry.get("folds") else problem["split"] for problem in problems) != wanted:
        return None, f"not told, as {needed[0]} is of another config"
    if folder.name == "mining":
        minings = [mined_for(config, place.name) for place in (made, *of_sources)]
        sources = [(agreement_of(mining), likelihood_of(mining), samples_of(mining)) for mining in minings]
        works = [mining_work(entry["task"], entry["max_new_tokens"], models, *source) for source in sources]
        return {key for work in works for problem in problems for key in work.all_keys(problem)}, ""
    decoding, labels = config["decoding"] | {"max_new_tokens": entry["max_new_tokens"]}, read_labels(str(needed[1]))
    used: set[str] = set()
    for judge in judges:
        sweep = sweep_work(entry["task"], models, decoding, config["rules"], load_judge(judge), labels)
        used |= {key for problem in sweep.swept(problems) for key in problem.all_keys()}
    return used, ""


def describe_stocks(stocks: list[Stock]) -> str:
    """Return what stores hold as a table."""
    rows = []
    for stock in stocks:
        held, unused = set(stock.store.places), stock.unused
        told = stock.note or f"{len(unused)} pieces, {describe_bytes(stock.bytes(unused))}"
        rows.append(
            {
                "store": stock.folder,
                "pieces": len(held),
                "size": describe_bytes(stock.bytes(held)),
                "not used by this config": told,
            }
        )
    note = "Told by the results that lie here; `snakemake -n` tells whether they are up to date for this config."
    return f"{tabulate(rows, 'keys', 'github')}\n\n{note}" if rows else "The store is empty."
