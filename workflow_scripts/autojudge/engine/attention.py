"""Attention of a packed pass over the slot cache: what the pass holds, where it writes, what its tokens see."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

Slots = NDArray[np.int64]  # (length,), slot of each token of a text
SPARE = 0  # slot that no text owns; what a row sees where it has nothing to see
NARROW = 8  # requests of up to this many tokens share one attention call
FUSED = 32  # width of a call from which the fused kernel is worth its start
ATTENTION = "autojudge_slots"


@dataclass
class Piece:
    """Tokens of request `index` in one part of a pass, the slots they see and take, and where the head is wanted.

    Attributes
    ----------
    context : Slots
        Of the text before the tokens.
    slots : Slots
        One for each of the tokens.
    heads : bool
        The head is wanted after the tokens from number `first_head` on.
    """

    index: int
    row: int
    context: Slots
    tokens: Sequence[int]
    slots: Slots
    heads: bool
    first_head: int = 0


class LayerCache:
    """Keys and values of one layer, (rows, heads, capacity, head size).

    Parameters
    ----------
    rows, capacity : int
        Rows of the cache and slots of each.
    key, value : Tensor of shape (1, heads, tokens, head size)
        Any of the layer, which give heads, size, dtype and device.
    """

    def __init__(self, rows: int, capacity: int, key: torch.Tensor, value: torch.Tensor) -> None:
        self.keys = key.new_empty(rows, key.shape[1], capacity, key.shape[3])
        self.values = value.new_empty(rows, value.shape[1], capacity, value.shape[3])

    def zero(self, start: int, end: int) -> None:
        """Zero the slots from `start` up to `end` in every row."""
        self.keys[:, :, start:end] = 0
        self.values[:, :, start:end] = 0

    def write(
        self,
        places: torch.Tensor,  # (tokens * heads,)
        key: torch.Tensor,  # (1, heads, tokens, head size)
        value: torch.Tensor,  # (1, heads, tokens, head size)
    ) -> None:
        """Write the keys and values of a pass into their places."""
        self.keys.flatten(0, 2).index_copy_(0, places, key[0].transpose(0, 1).flatten(0, 1))
        self.values.flatten(0, 2).index_copy_(0, places, value[0].transpose(0, 1).flatten(0, 1))

    def read(
        self,
        rows: slice | torch.Tensor,  # (rows,)
        seen: int,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the first slots of some rows, (rows, heads, seen, head size); a slice of rows is not copied."""
        return self.keys[rows, :, :seen], self.values[rows, :, :seen]


class LayerCaches:
    """Keys and values of all layers of a model, each made by its first pass.

    Attributes
    ----------
    layers : dict of int to LayerCache
        By number of the layer.
    """

    def __init__(self, rows: int, capacity: int) -> None:
        self._rows, self._capacity, self._seen = rows, capacity, 0
        self.layers: dict[int, LayerCache] = {}

    def see(self, count: int) -> None:
        """Zero the first `count` slots of each row before they are first seen: what a mask hides must be a number."""
        for layer in self.layers.values() if count > self._seen else ():
            layer.zero(self._seen, count)
        self._seen = max(count, self._seen)

    def of(
        self,
        module: torch.nn.Module,
        key: torch.Tensor,  # (1, heads, tokens, head size)
        value: torch.Tensor,  # (1, heads, tokens, head size)
    ) -> LayerCache:
        """Return the cache of an attention layer, made by its first keys and values."""
        number = int(module.layer_idx)  # type: ignore[arg-type]
        if number not in self.layers:
            self.layers[number] = LayerCache(self._rows, self._capacity, key, value)
            self.layers[number].zero(0, self._seen)
        return self.layers[number]


# Not handed down as an argument: some architectures hand their layers none but those that they know.
_PASS: ContextVar["PassPlan | None"] = ContextVar("_PASS", default=None)


class PassPlan:
    """Where the current pass writes and what its tokens see; shared by all layers.

    Attributes
    ----------
    positions : ndarray of shape (tokens,)
    flat : Tensor of shape (tokens,)
        Row and slot of each token, as one number.
    """

    def __init__(self, layers: LayerCaches, pieces: list[Piece], capacity: int) -> None:
        self.layers, self._capacity = layers, capacity
        lengths = [len(piece.tokens) for piece in pieces]
        self.positions = np.concatenate([len(p.context) + np.arange(n) for p, n in zip(pieces, lengths, strict=True)])
        self._rows = np.repeat([piece.row for piece in pieces], lengths)
        self._slots = np.concatenate([piece.slots for piece in pieces])
        self.flat = torch.from_numpy(self._rows * self._capacity + self._slots)
        starts = np.cumsum([0, *lengths[:-1]])
        widths = [max(NARROW, 2 ** (n - 1).bit_length()) for n in lengths]
        groups = [[i for i, width in enumerate(widths) if width == w] for w in sorted(set(widths))]
        alone = len(groups) == 1
        self.buckets = [Bucket([pieces[i] for i in group], starts[group], self._capacity, alone) for group in groups]
        self._copies: dict[Any, torch.Tensor] = {}

    @contextmanager
    def running(self) -> Iterator[None]:
        """Let the attention of models that run meanwhile be this pass's."""
        token = _PASS.set(self)
        try:
            yield
        finally:
            _PASS.reset(token)

    def places(self, heads: int, device: torch.device) -> torch.Tensor:
        """Return where each token's heads lie in a layer's cache, (tokens * heads,)."""
        if (heads, device) not in self._copies:
            row_heads = self._rows[:, None] * heads + np.arange(heads)
            places = torch.from_numpy(row_heads * self._capacity + self._slots[:, None]).flatten()
            self._copies[heads, device] = places.to(device)
        return self._copies[heads, device]


@dataclass(frozen=True)
class Layout:
    """Which tokens of a pass lie at which places of a bucket.

    Attributes
    ----------
    index : Tensor of shape (rows, width)
        Token of the pass at each place; the first token stands in for places without one.
    taken, tokens : Tensors of shape (n,)
        Places (row * width + column) that hold a token, and which token of the pass.
    """

    index: torch.Tensor
    taken: torch.Tensor
    tokens: torch.Tensor

    def to(self, device: torch.device) -> "Layout":
        """Return it on a device."""
        return Layout(self.index.to(device), self.taken.to(device), self.tokens.to(device))


class Bucket:
    """Pieces of similar width, laid out as rows of queries for one attention call.

    Parameters
    ----------
    pieces : list of Piece
        Of one pass.
    starts : ndarray of shape (pieces,)
        Which token of the pass is the first of each.
    capacity : int
        Slots of a row of the cache.
    alone : bool
        The pass has no other pieces.

    Attributes
    ----------
    shape : tuple of int
        Rows and width.
    layout : Layout or None
        None: the places are the tokens of the pass in order, so that none needs to be looked up.
    rows : slice or Tensor of shape (rows,)
        Rows of the cache that they see: a slice where most of its rows take part, which saves copying keys and values.
    seen : int
        Number of leading slots among which are all that these pieces see.
    """

    def __init__(self, pieces: list[Piece], starts: NDArray[np.int64], capacity: int, alone: bool) -> None:
        owners = [piece.row for piece in pieces]
        low, high = min(owners), max(owners) + 1
        lengths = np.array([len(piece.tokens) for piece in pieces])
        if len(set(owners)) == len(owners) and 2 * len(owners) > high - low:
            self.rows: slice | torch.Tensor = slice(low, high)
            places, count = np.array(owners) - low, high - low
        else:
            self.rows = torch.tensor(owners)
            places, count = np.arange(len(pieces)), len(pieces)
        self.shape = count, width = count, int(lengths.max())
        self.layout: Layout | None = None
        if alone and len(pieces) == count and bool((lengths == width).all() and (np.diff(places) > 0).all()):
            own = np.concatenate([piece.slots for piece in pieces]).reshape(count, width)
        else:
            columns = np.concatenate([np.arange(n) for n in lengths])
            of = np.repeat(places, lengths)
            tokens = np.concatenate([start + np.arange(n) for start, n in zip(starts, lengths, strict=True)])
            index, own = np.zeros((count, width), dtype=np.int64), np.full((count, width), SPARE)
            index[of, columns] = tokens
            own[of, columns] = np.concatenate([piece.slots for piece in pieces])
            taken = torch.from_numpy(of * width + columns)
            self.layout = Layout(torch.from_numpy(index), taken, torch.from_numpy(tokens))
        context, before = np.concatenate([piece.context for piece in pieces]), [len(piece.context) for piece in pieces]
        seen = 1 + max(context.max(initial=0), own.max())
        self.seen = min(capacity, -(-int(seen) // 8) * 8)  # fused attention likes multiples of 8
        self._own = torch.from_numpy(own)
        self._context = torch.from_numpy(np.repeat(places, before) * self.seen + context)
        self._before = before
        self._first = np.zeros(count, dtype=np.int64)  # position of each row's first token
        self._first[places] = before
        self._copies: dict[Any, tuple[torch.Tensor, Layout | None]] = {}

    def on(
        self, device: torch.device, dtype: torch.dtype, groups: int, window: int | None
    ) -> tuple[torch.Tensor, Layout | None]:
        """Return the additive mask (rows, 1, width * groups, seen) and the layout on a device.

        Parameters
        ----------
        groups : int
            Query heads that share a key.
        window : int or None
            Tokens that a token sees, itself among them; None for all before it.
        """
        if window is not None and window >= self._first.max() + self.shape[1]:
            window = None
        key = (device, dtype, groups, window)
        if key not in self._copies:
            mask = self._mask(device, dtype, window)
            grouped = mask.expand(-1, groups, -1) if mask.shape[1] == 1 else mask.repeat_interleave(groups, 1)
            self._copies[key] = (grouped[:, None], self.layout and self.layout.to(device))
        return self._copies[key]

    def _mask(self, device: torch.device, dtype: torch.dtype, window: int | None) -> torch.Tensor:
        """Return the additive mask (rows, width, seen): 0 where a query sees a slot."""
        count, width = self.shape
        hidden = torch.finfo(dtype).min
        context = torch.full((count * self.seen,), hidden, dtype=dtype, device=device)
        context[self._context.to(device)] = 0
        mask = context.view(count, 1, self.seen)
        if width > 1:
            mask = mask.repeat(1, width, 1)
        if window is not None:
            mask = mask.masked_fill(self._too_far(window).to(device), hidden)
        if width == 1:
            return mask.scatter_(2, self._own.to(device)[:, None], 0)
        query, key = torch.tril_indices(width, width, device=device)
        if window is not None:
            near = query - key < window
            query, key = query[near], key[near]
        slots = self._own.to(device)[:, key]  # (rows, pairs)
        each = torch.arange(count, device=device)[:, None]
        mask[each, query, slots] = 0
        return mask

    def _too_far(self, window: int) -> torch.Tensor:
        """Return which slots of the context (rows, width, seen) lie before the window of a query."""
        count, width = self.shape
        positions = torch.zeros(count * self.seen, dtype=torch.int64)
        positions[self._context] = torch.from_numpy(np.concatenate([np.arange(n) for n in self._before]))
        queries = torch.from_numpy(self._first)[:, None, None] + torch.arange(width)[:, None]
        return positions.view(count, 1, self.seen) <= queries - window


def attend(
    module: torch.nn.Module,
    query: torch.Tensor,  # (1, query heads, tokens, head size)
    key: torch.Tensor,  # (1, heads, tokens, head size)
    value: torch.Tensor,  # (1, heads, tokens, head size)
    attention_mask: torch.Tensor | None,  # (1, 1, tokens, tokens), of the ordinary attention
    scaling: float | None = None,
    softcap: float | None = None,
    s_aux: torch.Tensor | None = None,  # (query heads,)
    sliding_window: int | None = None,
    **options: Any,
) -> tuple[torch.Tensor, None]:
    """Attention of the running pass over the slot cache; without one, the ordinary attention.

    The arguments' names are those by which transformers' models call their attention: `softcap` bounds the scores by a
    hyperbolic tangent, `s_aux` holds each head's score of an attention sink, which takes its share of the softmax and
    gives nothing.
    """
    plan = _PASS.get()
    if plan is None:
        return _attend_ordinarily(module, query, key, value, attention_mask, scaling, softcap, s_aux, **options), None
    layer = plan.layers.of(module, key, value)
    heads, size = key.shape[1], query.shape[3]
    groups = query.shape[1] // heads
    layer.write(plan.places(heads, key.device), key, value)
    queries = query[0].transpose(0, 1)  # (tokens, query heads, head size)
    output = queries.new_empty(queries.shape[0], query.shape[1] * value.shape[3])
    for bucket in plan.buckets:
        mask, layout = bucket.on(query.device, query.dtype, groups, sliding_window)
        count, width = bucket.shape
        # The query heads that share a key are laid side by side as queries, so that no key is repeated.
        rows = (queries if layout is None else queries[layout.index]).view(count, width, heads, groups, size)
        rows = rows.transpose(1, 2).reshape(count, heads, -1, size)
        keys, values = layer.read(bucket.rows, bucket.seen)
        if softcap is not None or s_aux is not None:
            sinks = None if s_aux is None else s_aux.view(1, heads, 1, groups).expand(-1, -1, width, -1).flatten(2)
            found = _attend_specially(rows, keys, values, mask, scaling, softcap, sinks)
        else:
            # Scores in 16 bits would be too coarse, and for a single row the fused kernel is quick enough.
            written_out = width < FUSED and count > 1 and query.dtype == torch.float32
            attend = _attend_narrowly if written_out else torch.nn.functional.scaled_dot_product_attention
            found = attend(rows, keys, values, attn_mask=mask, scale=scaling)
        found = found.view(count, heads, width, groups, -1).transpose(1, 2).reshape(count * width, -1)
        if layout is None:
            output = found
        else:
            output.index_copy_(0, layout.tokens, found[layout.taken])
    return output.view(1, queries.shape[0], query.shape[1], -1), None


def _attend_narrowly(
    query: torch.Tensor,  # (rows, heads, width * groups, head size)
    key: torch.Tensor,  # (rows, heads, seen, head size)
    value: torch.Tensor,  # (rows, heads, seen, head size)
    attn_mask: torch.Tensor,  # (rows, 1, width * groups, seen)
    scale: float | None,
) -> torch.Tensor:
    """Attention of few queries per row, written out: a fused kernel would spend its time on getting ready."""
    scores = (query * (query.shape[-1] ** -0.5 if scale is None else scale)) @ key.transpose(2, 3)
    return scores.add_(attn_mask).softmax(-1) @ value


def _attend_specially(
    query: torch.Tensor,  # (rows, heads, queries, head size)
    key: torch.Tensor,  # (rows, heads, seen, head size)
    value: torch.Tensor,  # (rows, heads, seen, head size)
    mask: torch.Tensor,  # (rows or 1, 1, queries, seen), additive
    scale: float | None,
    softcap: float | None,
    sinks: torch.Tensor | None,  # (1, heads, queries)
) -> torch.Tensor:
    """Attention that no fused kernel has: its scores capped, or a sink beside the keys; scores in float32."""
    scores = query.float() @ key.float().transpose(2, 3) * (query.shape[-1] ** -0.5 if scale is None else scale)
    if softcap is not None:
        scores = torch.tanh(scores / softcap) * softcap
    scores = scores + mask
    if sinks is not None:
        beside = sinks[..., None].float().expand(len(scores), -1, scores.shape[2], -1)
        scores = torch.cat([scores, beside], -1)
    shares = scores.softmax(-1)[..., : key.shape[2]].to(value.dtype)
    return shares @ value


def _attend_ordinarily(
    module: torch.nn.Module,
    query: torch.Tensor,  # (batch, query heads, queries, head size)
    key: torch.Tensor,  # (batch, heads, keys, head size)
    value: torch.Tensor,  # (batch, heads, keys, head size)
    mask: torch.Tensor | None,  # (batch, 1, queries, keys), True where a query sees a key; None: causal
    scaling: float | None,
    softcap: float | None,
    s_aux: torch.Tensor | None,  # (query heads,)
    **options: Any,
) -> torch.Tensor:
    """Return what a model outside of packed passes attends to, (batch, queries, query heads, head size)."""
    if softcap is None and s_aux is None:
        output: torch.Tensor = sdpa_attention_forward(module, query, key, value, mask, scaling=scaling, **options)[0]
        return output
    queries, keys, groups = query.shape[2], key.shape[2], query.shape[1] // key.shape[1]
    if mask is None:
        mask = torch.ones(queries, keys, dtype=torch.bool, device=query.device).tril(keys - queries)[None, None]
    added = torch.zeros_like(mask, dtype=torch.float32).masked_fill(~mask, torch.finfo(torch.float32).min)
    key, value = key.repeat_interleave(groups, 1), value.repeat_interleave(groups, 1)
    sinks = None if s_aux is None else s_aux.view(1, -1, 1).expand(-1, -1, queries)
    return _attend_specially(query, key, value, added, scaling, softcap, sinks).transpose(1, 2).contiguous()


AttentionInterface.register(ATTENTION, attend)
AttentionMaskInterface.register(ATTENTION, sdpa_mask)
