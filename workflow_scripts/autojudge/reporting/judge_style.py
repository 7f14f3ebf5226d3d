"""What the figures of judges share: small type, colours."""

from autojudge.reporting.style import RC, TICK_SIZE

SMALL = RC | {"font.size": 7, "axes.titlesize": 7.5, "legend.fontsize": TICK_SIZE, "axes.labelsize": 7}
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")


def short_name(name: str) -> str:
    """Return a feature set's name as legends have room for: dd for draft_at_draft, td for target_at_draft."""
    return name.replace("draft_at_draft", "dd").replace("target_at_draft", "td").replace("_", " ")
