from itertools import count

import pytest

from autojudge.jobs.store import Store
from autojudge.jobs.sweep_work import SweepWork


@pytest.fixture
def sweep(tmp_path):
    """Decodes problems by rules with given thresholds, and labels for the oracle; returns rows of sweep.parquet."""
    stores = count()

    def sweep(decoder, rows, given, task, labels=None):
        work = SweepWork(
            code="code",
            max_new_tokens=decoder.ending.limit,
            models={"draft": {}, "target": {}},
            sampling={},
            window=decoder.window,
            branches=decoder.most_branches,
            rules=dict.fromkeys(given, "code"),
            given=given,
            labels={"oracle": labels} if labels else {},
        )
        with Store(tmp_path / f"{next(stores)}", "shard") as store:
            return work.decode(rows, store, task, lambda: decoder)

    return sweep
