"""A window: what a proposer fills and the target verifies."""

from dataclasses import dataclass, field

import numpy as np
import torch

from autojudge.engine.text import CachedText


@dataclass(eq=False)
class Window:
    """A window of proposed tokens after a text.

    Attributes
    ----------
    text : CachedText
        The text, as the draft has read it.
    room : int
        Most tokens that it takes.
    end_tokens : frozenset of int
        Tokens after which nothing is proposed.
    needs : frozenset of str
        What rules read of it, of `autojudge.rules.SIGNALS` and the judge's blocks of hidden states.
    random : Generator
        Of the text's random numbers.
    proposals : list of int
        The draft's tokens.
    logits : list of Tensor of shape (vocabulary,)
        What each proposal was chosen from, if rules or sampling want it.
    hidden : list of Tensor of shape (hidden,)
        The draft's state at the token before the window and at the proposals that it read, if rules want it.
    draft_calls, last_reads : int
        Calls of a draft model: for the proposals, and to read the last one for rules that want the state there.
    """

    text: CachedText
    room: int
    end_tokens: frozenset[int]
    needs: frozenset[str]
    random: np.random.Generator
    proposals: list[int] = field(default_factory=list)
    logits: list[torch.Tensor] = field(default_factory=list)
    hidden: list[torch.Tensor] = field(default_factory=list)
    draft_calls: int = 0
    last_reads: int = 0

    @property
    def is_open(self) -> bool:
        """Tell whether it takes another token."""
        ended = bool(self.proposals) and self.proposals[-1] in self.end_tokens
        return len(self.proposals) < self.room and not ended

    @property
    def lacks_last_state(self) -> bool:
        """Tell whether rules want the draft's state at the last proposal, which it has not read."""
        return "draft_at_draft" in self.needs and len(self.hidden) <= len(self.proposals)
