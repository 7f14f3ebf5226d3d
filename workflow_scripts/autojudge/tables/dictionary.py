"""The dictionary of all tables and columns, which results/README.md repeats."""

from autojudge.tables.decoding import SWEEP
from autojudge.tables.engines import VLLM
from autojudge.tables.judging import GRID, SCORES
from autojudge.tables.label_sources import SOURCED_LABELS
from autojudge.tables.mining import FEATURES, PROBLEMS, RESPONSES, TESTS
from autojudge.tables.reporting import CURVE, JUDGES, LEARNING_CURVE, PARETO, SPEED, SUMMARY, TRANSFER, WINDOWS
from autojudge.tables.source_comparison import LABEL_SOURCES
from autojudge.tables.table import Table

OF_MINING = (PROBLEMS, TESTS, RESPONSES, SOURCED_LABELS, FEATURES)
OF_REPORTING = (JUDGES, LEARNING_CURVE, TRANSFER, PARETO, CURVE, SUMMARY, WINDOWS, SPEED, LABEL_SOURCES)
TABLES = {table.name: table for table in (*OF_MINING, GRID, SCORES, SWEEP, *OF_REPORTING, VLLM)}


def describe_tables() -> str:
    """Return the dictionary as Markdown, a section per table."""
    return "\n\n".join(_describe(table) for table in TABLES.values())


def _describe(table: Table) -> str:
    rows = [f"| `{name}` | {column.type} | {in_cell(column.doc)} |" for name, column in table.columns.items()]
    return "\n".join([f"### {table.name}", "", table.doc, "", "| column | type | meaning |", "|---|---|---|", *rows])


def in_cell(text: str) -> str:
    """Return a text as a cell of a Markdown table holds it."""
    return text.replace("|", "\\|")
