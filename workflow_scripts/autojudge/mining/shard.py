"""The tables of a shard of mining."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from autojudge.mining.miner import Mined
from autojudge.tables.files import write_table
from autojudge.tables.label_sources import OF_SOURCES, SOURCED_LABELS
from autojudge.tables.mining import FEATURES, RESPONSES

logger = logging.getLogger("autojudge")
EXACT_LABEL = {"stopped": False, "audited": False}


def write_shard(mined: Sequence[Mined], splits: Mapping[str, str], outputs: Mapping[str, str]) -> None:
    """Write labels, features and responses of mined problems, and log what is in them.

    Parameters
    ----------
    splits : mapping of problem to split
        The present ones; a problem's results do not depend on its split.
    outputs : mapping of table to path
        `labels`, `features` and `responses`.
    """
    responses = [{"mined_again": False} | m.response | {"split": splits[m.response["problem_id"]]} for m in mined]
    known: dict[str, Any] = EXACT_LABEL | dict.fromkeys(OF_SOURCES)
    labels = [known | label | {"split": splits[label["problem_id"]]} for m in mined for label in m.labels]
    write_table(RESPONSES, responses, outputs["responses"])
    write_table(SOURCED_LABELS, labels, outputs["labels"])
    write_table(FEATURES, [row for m in mined for row in m.features], outputs["features"])
    unanswered = sum(response["target_answer"] is None for response in responses)
    important = sum(label["important"] for label in labels)
    message = "%d problems, %d mismatches, %d important; %d target responses without an answer"
    logger.info(message, len(mined), len(labels), important, unanswered)
