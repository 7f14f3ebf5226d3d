"""What a declaration of a table consists of."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import pyarrow as pa

TOKENS = pa.list_(pa.int32())


@dataclass(frozen=True)
class Column:
    """Type of a column, and its meaning."""

    type: pa.DataType
    doc: str = field(kw_only=True)


@dataclass(frozen=True)
class Table:
    """A table's name, its columns in order, and a sentence about its rows."""

    name: str
    columns: Mapping[str, Column]
    doc: str = field(kw_only=True)

    @property
    def schema(self) -> pa.Schema:
        """The Arrow schema."""
        return pa.schema([(name, column.type) for name, column in self.columns.items()])
