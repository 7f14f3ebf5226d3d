"""The tables of a shard of mining."""

import logging
from collections.abc import Mapping, Sequence

from autojudge.mining.miner import Mined
from autojudge.tables.files import write_table
from autojudge.tables.mining import FEATURES, LABELS, RESPONSES

logger = logging.getLogger("autojudge")


def write_shard(mined: Sequence[Mined], splits: Mapping[str, str], outputs: Mapping[str, str]) -> None:
    """Write labels, features and responses of mined problems, and log what is in them.

    Parameters
    ----------
    splits : mapping of problem to split
        The present ones; a problem's results do not depend on its split.
    outputs : mapping of table to path
        `labels`, `features` and `responses`.
    """
    responses = [m.response | {"split": splits[m.response["problem_id"]]} for m in mined]
    labels = [label | {"split": splits[label["problem_id"]]} for m in mined for label in m.labels]
    write_table(RESPONSES, responses, outputs["responses"])
    write_table(LABELS, labels, outputs["labels"])
    write_table(FEATURES, [row for m in mined for row in m.features], outputs["features"])
    unanswered = sum(response["target_answer"] is None for response in responses)
    important = sum(label["important"] for label in labels)
    message = "%d problems, %d mismatches, %d important; %d target responses without an answer"
    logger.info(message, len(mined), len(labels), important, unanswered)
