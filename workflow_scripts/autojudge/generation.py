"""The generation core: batched forward passes over one key-value cache with freely placed slots.

Every row of the cache (a problem) owns numbered slots, each with the keys and values of one token. A text is the array
of its tokens' slots in order, so branches that share a prefix share its slots; a forward pass names, for each request,
the slots it sees and gets free slots for its own tokens. Dropping a branch frees its slots for the next pass: nothing
is cropped, moved or computed twice, and a row never takes more room than the texts that are alive in it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import PreTrainedModel
from transformers.cache_utils import Cache, CacheLayerMixin

Slots = NDArray[np.int64]  # (length,), slot of each token of a text
SPARE = 0  # slot that padding writes to; no text owns it
NO_SLOTS: Slots = np.empty(0, dtype=np.int64)


@dataclass(frozen=True)
class Request:
    """Tokens to evaluate in one row after a context.

    Attributes
    ----------
    row : int
        Row of the cache. Several requests of one pass may name the same row; they do not see each other.
    context : Slots
        Slots of the text before `tokens`; its length is the position of the first token.
    tokens : sequence of int
        Tokens to evaluate, each seeing the context and the tokens before it.
    """

    row: int
    context: Slots
    tokens: Sequence[int]


@dataclass(frozen=True)
class Pass:
    """What a forward pass gave; row i belongs to request i, padded to the longest request.

    Attributes
    ----------
    logits : Tensor of shape (requests, width, vocabulary)
        Scores of the token after each evaluated one. With `last_only`, width is 1: after the last token.
    hidden : Tensor of shape (requests, width, hidden)
        What the head read: the last layer's states after the final norm.
    slots : list of Slots
        Where each request's tokens lie now.
    """

    logits: torch.Tensor
    hidden: torch.Tensor
    slots: list[Slots]


class _SlotLayer(CacheLayerMixin):
    """Keys and values of one layer, (rows, heads, slots, head size), written and read by slot."""

    def __init__(self, plan: "_Plan") -> None:
        super().__init__()
        self.plan = plan

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        shape = (self.plan.rows_total, key_states.shape[1], self.plan.capacity)
        self.keys = key_states.new_zeros(*shape, key_states.shape[3])
        self.values = value_states.new_zeros(*shape, value_states.shape[3])
        self.is_initialized = True

    def update(
        self,
        key_states: torch.Tensor,  # (requests, heads, width, head size)
        value_states: torch.Tensor,
        *_args: object,
        **_kwargs: object,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        plan = self.plan
        if self.keys.shape[2] < plan.capacity:
            room = plan.capacity - self.keys.shape[2]
            self.keys, self.values = (torch.nn.functional.pad(t, (0, 0, 0, room)) for t in (self.keys, self.values))
        rows, slots = plan.rows.to(self.keys.device), plan.slots.to(self.keys.device)
        self.keys[rows[:, None], :, slots] = key_states.transpose(1, 2)
        self.values[rows[:, None], :, slots] = value_states.transpose(1, 2)
        if plan.all_rows:
            return self.keys[:, :, : plan.seen], self.values[:, :, : plan.seen]
        return self.keys[rows, :, : plan.seen], self.values[rows, :, : plan.seen]

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        return self.plan.seen, 0

    def get_seq_length(self) -> int:
        return 0

    def get_max_length(self) -> int:
        return -1


class _Plan:
    """Where the current pass writes and what it reads; shared by all layers."""

    def __init__(self, rows_total: int, capacity: int) -> None:
        self.rows_total, self.capacity = rows_total, capacity
        self.rows = self.slots = torch.empty(0, dtype=torch.long)  # (requests,), (requests, width)
        self.seen, self.all_rows = 0, False


class CachedModel:
    """A model with a slot cache of a fixed number of rows.

    Parameters
    ----------
    model : PreTrainedModel
        A causal language model with full attention in every layer.
    rows : int
        Rows of the cache.
    vocabulary : int
        Number of leading logits to keep.
    """

    def __init__(self, model: PreTrainedModel, rows: int, vocabulary: int, capacity: int = 128) -> None:
        self.model, self.vocabulary = model, vocabulary
        self._plan = _Plan(rows, capacity)
        layers = model.config.get_text_config().num_hidden_layers
        self._cache = Cache(layers=[_SlotLayer(self._plan) for _ in range(layers)])
        self._used = np.zeros((rows, capacity), dtype=bool)
        self._used[:, SPARE] = True

    def release(self, row: int, slots: Slots) -> None:
        """Free slots of a row."""
        self._used[row, slots] = False

    def clear(self, row: int) -> None:
        """Free all slots of a row."""
        self._used[row] = False
        self._used[row, SPARE] = True

    def head(self, hidden: torch.Tensor) -> torch.Tensor:
        """Return the logits, float32, that the model's head gives for hidden states (..., hidden)."""
        return self.model.get_output_embeddings()(hidden)[..., : self.vocabulary].float()

    @torch.inference_mode()
    def forward(self, requests: Sequence[Request], last_only: bool = False) -> Pass:
        """Evaluate the requests' tokens in one pass and keep them in the cache.

        Parameters
        ----------
        requests : sequence of Request
            At least one, each with at least one token.
        last_only : bool
            Compute the head only after each request's last token (for prompts).
        """
        width = max(len(r.tokens) for r in requests)
        slots = [self._allocate(r.row, len(r.tokens)) for r in requests]
        tokens = np.zeros((len(requests), width), dtype=np.int64)
        places = np.full((len(requests), width), SPARE)
        for i, request in enumerate(requests):
            tokens[i, : len(request.tokens)] = request.tokens
            places[i, : len(request.tokens)] = slots[i]
        plan, rows = self._plan, [r.row for r in requests]
        plan.rows, plan.slots = torch.tensor(rows), torch.from_numpy(places)
        plan.all_rows = rows == list(range(plan.rows_total))
        contexts = [r.context for r in requests]
        plan.seen = 1 + int(max(places.max(), *(c.max(initial=0) for c in contexts)))
        last = torch.tensor([len(r.tokens) - 1 for r in requests])
        kept, position = last.unique(return_inverse=True)
        device = self.model.device
        head_input: list[torch.Tensor] = []
        hook = self.model.get_output_embeddings().register_forward_pre_hook(lambda _, args: head_input.append(args[0]))
        logits = self.model(
            input_ids=torch.from_numpy(tokens).to(device),
            position_ids=torch.tensor([[len(c)] for c in contexts], device=device) + torch.arange(width, device=device),
            attention_mask=_mask(contexts, places, plan.seen, self.model.dtype).to(device),
            past_key_values=self._cache,
            use_cache=True,
            logits_to_keep=kept.to(device) if last_only else 0,
        ).logits[..., : self.vocabulary]
        hook.remove()
        hidden = head_input[0]
        if last_only:
            each = torch.arange(len(requests), device=logits.device)
            position = position.to(logits.device)
            logits, hidden = logits[each, position][:, None], hidden[each, position][:, None]
        return Pass(logits, hidden, slots)

    def _allocate(self, row: int, count: int) -> Slots:
        """Take the lowest free slots of a row, doubling the cache where they do not suffice."""
        free = np.flatnonzero(~self._used[row])[:count]
        while len(free) < count:
            self._used = np.pad(self._used, ((0, 0), (0, self._used.shape[1])))
            self._plan.capacity = self._used.shape[1]
            free = np.flatnonzero(~self._used[row])[:count]
        self._used[row, free] = True
        return free


def _mask(contexts: list[Slots], places: NDArray[np.int64], seen: int, dtype: torch.dtype) -> torch.Tensor:
    """Return the additive attention mask (requests, 1, width, seen): 0 where visible, the dtype's minimum elsewhere."""
    requests, width = places.shape
    visible = np.zeros((requests, width, seen), dtype=bool)
    for i, context in enumerate(contexts):
        visible[i, :, context] = True
    each = np.arange(requests)
    for i in range(width):
        visible[each, i:, places[:, i]] = True
    hidden = torch.from_numpy(~visible)[:, None]
    return torch.zeros(hidden.shape, dtype=dtype).masked_fill_(hidden, torch.finfo(dtype).min)


def propose_tail(reference: Sequence[int], expected: int, text: Sequence[int], longest: int = 3) -> int:
    """Return where in `reference` a text seems to go on: after the last n-gram, nearest to the expected place.

    Parameters
    ----------
    reference : sequence of int
        A text that the new one resembles.
    expected : int
        Index where it would go on if one token had been substituted for another.
    text : sequence of int
        The new text; its last tokens are looked for.
    longest : int
        Longest n-gram to try; shorter ones follow, down to 2.
    """
    for n in range(min(longest, len(text)), 1, -1):
        gram = list(text[-n:])
        ends = [i for i in range(n, len(reference) + 1) if list(reference[i - n : i]) == gram]
        if ends:
            return min(ends, key=lambda end: abs(end - expected))
    return expected
