"""How long a text may be, where its rotary positions change with its length."""

import sys

from transformers import PreTrainedConfig


def steady_length(config: PreTrainedConfig) -> int:
    """Return the most tokens of a text whose positions a model encodes in one way, whatever the length.

    `longrope` positions change, for all tokens of a pass, where its longest text goes beyond the length of the
    pretraining: a longer text would change the others of its pass, and what the cache holds of itself.

    Parameters
    ----------
    config : PreTrainedConfig
        Of the text model.
    """
    rope = getattr(config, "rope_parameters", None) or {}
    kinds = [kind for kind in rope.values() if isinstance(kind, dict)] or [rope]  # some have one for each kind of layer
    switches = [kind["original_max_position_embeddings"] for kind in kinds if kind.get("rope_type") == "longrope"]
    return min(map(int, switches), default=sys.maxsize)


def longest_text(config: PreTrainedConfig) -> int:
    """Return the most tokens of a text that a model takes and encodes in one way. `config` is the text model's."""
    return min(getattr(config, "max_position_embeddings", sys.maxsize), steady_length(config))
