"""The table of labels with what single sources of labels add.

Apart from `mining`, whose digest decoded work depends on.
"""

import pyarrow as pa

from autojudge.tables.mining import LABELS
from autojudge.tables.table import Column, Table

OF_SOURCES = {
    "likelihood_change": Column(
        pa.float32(),
        doc="change of the target's log likelihood of the response's next tokens by the swap, nats; below the negative "
        "threshold the label is important (config: mining.likelihood); null for labels by answers",
    ),
    "kept_share": Column(
        pa.float32(),
        doc="share of the sampled continuations of the swap whose answer is the target's own (config: mining.samples); "
        "null where nothing was sampled",
    ),
}
SOURCED_LABELS = Table(LABELS.name, {**LABELS.columns, **OF_SOURCES}, doc=LABELS.doc)
