"""The generation core: packed forward passes over one key-value cache with freely placed slots.

Every row of the cache (a problem) owns numbered slots. A slot keeps what a model knows after reading one token: its
keys and values in every layer, the last hidden state, the greedy next token and how narrowly it won. A text is the
array of its tokens' slots in order, so branches that share a prefix share its slots; a forward pass names, for each
request, the slots it sees and gets free slots for its own tokens. Dropping a branch frees its slots for the next pass:
nothing is cropped, moved or computed twice, and a row never takes more room than the texts that are alive in it.

A pass holds exactly the tokens asked for, one after another, with no padding between requests; only attention, which
sees different slots in each row, sorts them into rows.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedConfig, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from autojudge.errors import InputError

Slots = NDArray[np.int64]  # (length,), slot of each token of a text
NO_SLOTS: Slots = np.empty(0, dtype=np.int64)
SPARE = 0  # slot that no text owns; what a row sees where it has nothing to see
NARROW = 8  # requests of up to this many tokens share one attention call
FUSED = 32  # width of a call from which the fused kernel is worth its start
NO_TOKEN = -1  # end of a text among others
LONGEST_NGRAM = 6  # tokens that are compared in search of a continuation
LONGEST_MATCH = 24  # matches longer than this are as good as it
LONGEST_PROPOSAL = 15  # tokens; with the known one, the longest takes two narrow requests
HEAD_LOGITS = 2**24  # logits that the head computes at a time where they are not kept
ATTENTION = "autojudge_slots"
PROBE_TOLERANCE = {torch.float32: 1e-3, torch.float16: 0.1, torch.bfloat16: 0.6}  # of logits with a spread of 1


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
        At least one token, each seeing the context and the tokens before it.
    last_only : bool
        Compute the head only after the last token (for prompts).
    """

    row: int
    context: Slots
    tokens: Sequence[int]
    last_only: bool = False


@dataclass(frozen=True)
class Pass:
    """What a forward pass gave.

    Attributes
    ----------
    slots : list of Slots
        Where each request's tokens lie now.
    logits : list of Tensor of shape (tokens, vocabulary)
        Per request, the scores of the token after each evaluated one (after the last one, with `last_only`); empty
        unless asked for.
    """

    slots: list[Slots]
    logits: list[torch.Tensor]


@dataclass(frozen=True)
class Saved:
    """What n slots hold: keys and values (heads, n, size) by layer, hidden states (n, hidden), choices and margins."""

    layers: dict[int, tuple[torch.Tensor, torch.Tensor]]
    hidden: torch.Tensor
    choices: NDArray[np.int64]
    margins: NDArray[np.float32]


class CachedModel:
    """A model with a slot cache of a fixed size.

    Parameters
    ----------
    model : PreTrainedModel
        A causal language model that has passed `check_slot_cache`.
    rows, capacity : int
        Rows of the cache and slots of each. Memory is taken as slots are first used (on a GPU, at once).
    vocabulary : int
        Number of leading logits to keep.
    pass_tokens : int
        Most tokens that go through the model at a time; larger passes are cut.
    margins : bool
        Note by how much each greedy choice won.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        rows: int,
        capacity: int,
        vocabulary: int,
        pass_tokens: int = 2**20,
        margins: bool = False,
    ) -> None:
        self.model, self.vocabulary, self.pass_tokens, self.margins = model, vocabulary, pass_tokens, margins
        self._base, self._head, self._device = model.base_model, model.get_output_embeddings(), model.device
        self._layers: dict[int, _LayerCache] = {}
        self._hidden: torch.Tensor | None = None
        self._used = np.zeros((rows, capacity), dtype=bool)
        self._used[:, SPARE] = True
        self._touched = 0
        self._choices = np.zeros((rows, capacity), dtype=np.int64)
        self._margins = np.zeros((rows, capacity), dtype=np.float32)

    def release(self, row: int, slots: Slots) -> None:
        """Free slots of a row."""
        self._used[row, slots] = False

    def clear(self, row: int) -> None:
        """Free all slots of a row."""
        self._used[row, SPARE + 1 :] = False

    @torch.inference_mode()
    def save(self, row: int, slots: Slots) -> "Saved":
        """Return a copy of what some slots of a row hold, to be loaded into another row."""
        assert self._hidden is not None, "a forward pass comes first"
        index = torch.from_numpy(slots)
        layers = {
            number: (layer.keys[row][:, index.to(layer.keys.device)], layer.values[row][:, index.to(layer.keys.device)])
            for number, layer in self._layers.items()
        }
        hidden = self._hidden[row, index.to(self._hidden.device)]
        return Saved(layers, hidden, self._choices[row, slots], self._margins[row, slots])

    @torch.inference_mode()
    def load(self, row: int, saved: "Saved") -> Slots:
        """Put a copy into free slots of a row and return them. Raises RuntimeError for a row without room."""
        assert self._hidden is not None, "a forward pass comes first"
        slots = self._allocate(row, len(saved.choices))
        self._touch(int(slots.max(initial=0)) + 1)
        index = torch.from_numpy(slots)
        for number, (keys, values) in saved.layers.items():
            layer = self._layers[number]
            layer.keys[row][:, index.to(keys.device)] = keys
            layer.values[row][:, index.to(keys.device)] = values
        self._hidden[row, index.to(self._hidden.device)] = saved.hidden
        self._choices[row, slots], self._margins[row, slots] = saved.choices, saved.margins
        return slots

    def choices(self, row: int, slots: Slots) -> list[int]:
        """Return the model's greedy token after each of the slots."""
        return self._choices[row, slots].tolist()

    def least_margin(self, row: int, slots: Slots) -> float:
        """Return the least distance of best and second best logit after any of the slots; infinity for none."""
        assert self.margins, "the model was not asked to note margins"
        return float(self._margins[row, slots].min(initial=np.inf))

    def hidden(self, rows: Sequence[int], slots: Sequence[int]) -> torch.Tensor:
        """Return the states (n, hidden) that the head read at n places: the last layer's, after the final norm."""
        assert self._hidden is not None, "a forward pass comes first"
        return self._hidden[torch.tensor(rows), torch.tensor(slots)]

    def head(self, hidden: torch.Tensor) -> torch.Tensor:
        """Return the logits that the model's head gives for hidden states (..., hidden)."""
        return self._head(hidden)[..., : self.vocabulary]

    @property
    def slot_bytes(self) -> int:
        """Memory of a slot, known after a first pass."""
        assert self._hidden is not None, "a forward pass comes first"
        tensors = [t[0, :, 0] for layer in self._layers.values() for t in (layer.keys, layer.values)]
        return sum(t.element_size() * t.numel() for t in [*tensors, self._hidden[0, 0]])

    @torch.inference_mode()
    def forward(self, requests: Sequence[Request], keep_logits: bool = False) -> Pass:
        """Evaluate the requests' tokens and keep what they give in the cache.

        Parameters
        ----------
        requests : sequence of Request
            At least one.
        keep_logits : bool
            Return the logits; else only the greedy choices and margins are kept.

        Raises
        ------
        RuntimeError
            A row's texts need more slots than it has.
        """
        slots = [self._allocate(r.row, len(r.tokens)) for r in requests]
        logits: list[list[torch.Tensor]] = [[] for _ in requests]
        for pieces in self._cut(requests, slots):
            found = self._run(pieces, keep_logits)
            for piece, rows in zip(pieces, found, strict=False):
                logits[piece.index].append(rows)
        return Pass(slots, [torch.cat(parts) for parts in logits if parts])

    def _allocate(self, row: int, count: int) -> Slots:
        free = np.flatnonzero(~self._used[row])[:count]
        if len(free) < count:
            raise RuntimeError(f"row {row} of the cache is full ({self._used.shape[1]} slots)")
        self._used[row, free] = True
        return free

    def _touch(self, seen: int) -> None:
        """Zero slots before they are first seen: what is hidden by a mask must still be a number."""
        for layer in self._layers.values() if seen > self._touched else ():
            layer.zero(self._touched, seen)
        self._touched = max(seen, self._touched)

    def _cut(self, requests: Sequence[Request], slots: list[Slots]) -> Iterator[list["_Piece"]]:
        """Cut a pass into parts of at most `pass_tokens` tokens, a long request into consecutive ones."""
        part: list[_Piece] = []
        room = self.pass_tokens
        for index, (request, own) in enumerate(zip(requests, slots, strict=True)):
            start = 0
            while start < len(own):
                if room == 0:
                    yield part
                    part, room = [], self.pass_tokens
                end = min(len(own), start + room)
                heads = end == len(own) if request.last_only else True
                context = np.concatenate([request.context, own[:start]]) if start else request.context
                part.append(_Piece(index, request.row, context, request.tokens[start:end], own[start:end], heads))
                if request.last_only:
                    part[-1].first_head = end - start - 1
                room -= end - start
                start = end
        yield part

    def _run(self, pieces: list["_Piece"], keep_logits: bool) -> list[torch.Tensor]:
        """Put the pieces through the model; return the logits of each if they are to be kept."""
        plan = _Plan(self, pieces)
        self._touch(max(bucket.seen for bucket in plan.buckets))
        device = self._device
        hidden = self._base(
            input_ids=torch.tensor([[t for piece in pieces for t in piece.tokens]], device=device),
            position_ids=torch.from_numpy(plan.positions)[None].to(device),
            attention_mask=torch.zeros(1, 1, 1, 1, device=device),  # four dimensions: the model makes none of its own
            use_cache=False,
            slots=plan,
        ).last_hidden_state[0]
        if self._hidden is None:
            self._hidden = hidden.new_empty(*self._used.shape, hidden.shape[-1])
        self._hidden.flatten(0, 1).index_copy_(0, plan.flat.to(hidden.device), hidden)
        counts = [(len(piece.tokens) - piece.first_head) * piece.heads for piece in pieces]
        states, places = hidden, plan.flat
        if sum(counts) < len(hidden):
            ends = np.cumsum([len(piece.tokens) for piece in pieces])
            at = np.concatenate([np.arange(end - count, end) for end, count in zip(ends, counts, strict=True)])
            index = torch.from_numpy(at)
            states, places = hidden[index.to(hidden.device)], places[index]
        chunk = max(1, len(states) if keep_logits else HEAD_LOGITS // self.vocabulary)
        logits = [self._choose(*part) for part in zip(states.split(chunk), places.split(chunk), strict=True)]
        return list(logits[0].split(counts)) if keep_logits else []

    def _choose(self, states: torch.Tensor, flat: torch.Tensor) -> torch.Tensor:
        """Compute the logits after some slots and note the greedy choices and their margins."""
        logits = self.head(states)
        choice, places = logits.argmax(-1, keepdim=True), flat.numpy()
        self._choices.reshape(-1)[places] = choice[:, 0].cpu().numpy()
        if self.margins:
            best = logits.gather(-1, choice)
            second = logits.scatter_(-1, choice, -torch.inf).amax(-1, keepdim=True)
            logits.scatter_(-1, choice, best)
            self._margins.reshape(-1)[places] = (best.float() - second.float())[:, 0].cpu().numpy()
        return logits

    def layer(self, module: torch.nn.Module, key: torch.Tensor, value: torch.Tensor) -> "_LayerCache":
        """Return the cache of an attention layer, made by its first keys and values."""
        index = int(module.layer_idx)  # type: ignore[arg-type]
        if index not in self._layers:
            self._layers[index] = _LayerCache(self._used.shape, key, value)
            self._layers[index].zero(0, self._touched)
        return self._layers[index]


@dataclass
class _Piece:
    """Tokens of request `index` in one part of a pass, the slots they see and take, and where the head is wanted."""

    index: int
    row: int
    context: Slots
    tokens: Sequence[int]
    slots: Slots
    heads: bool
    first_head: int = 0


class _LayerCache:
    """Keys and values of one layer, (rows, heads, capacity, head size)."""

    def __init__(self, shape: tuple[int, int], key: torch.Tensor, value: torch.Tensor) -> None:
        rows, capacity = shape
        self.keys = key.new_empty(rows, key.shape[1], capacity, key.shape[3])
        self.values = value.new_empty(rows, value.shape[1], capacity, value.shape[3])

    def zero(self, start: int, end: int) -> None:
        self.keys[:, :, start:end] = 0
        self.values[:, :, start:end] = 0

    def write(self, places: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> None:
        """Write the keys and values (1, heads, tokens, head size) of a pass into their places."""
        self.keys.flatten(0, 2).index_copy_(0, places, key[0].transpose(0, 1).flatten(0, 1))
        self.values.flatten(0, 2).index_copy_(0, places, value[0].transpose(0, 1).flatten(0, 1))

    def read(self, rows: slice | torch.Tensor, seen: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the first slots of some rows, (rows, heads, seen, head size); a slice of rows is not copied."""
        return self.keys[rows, :, :seen], self.values[rows, :, :seen]


class _Plan:
    """Where the current pass writes and what its tokens see; shared by all layers.

    Attributes
    ----------
    positions : ndarray of shape (tokens,)
    flat : Tensor of shape (tokens,)
        Row and slot of each token, as one number.
    """

    def __init__(self, model: CachedModel, pieces: list[_Piece]) -> None:
        self.model, self._capacity = model, model._used.shape[1]
        lengths = [len(piece.tokens) for piece in pieces]
        self.positions = np.concatenate([len(p.context) + np.arange(n) for p, n in zip(pieces, lengths, strict=True)])
        self._rows = np.repeat([piece.row for piece in pieces], lengths)
        self._slots = np.concatenate([piece.slots for piece in pieces])
        self.flat = torch.from_numpy(self._rows * self._capacity + self._slots)
        starts = np.cumsum([0, *lengths[:-1]])
        widths = [max(NARROW, 2 ** (n - 1).bit_length()) for n in lengths]
        groups = [[i for i, width in enumerate(widths) if width == w] for w in sorted(set(widths))]
        alone = len(groups) == 1
        self.buckets = [_Bucket([pieces[i] for i in group], starts[group], self._capacity, alone) for group in groups]
        self._copies: dict[Any, torch.Tensor] = {}

    def places(self, heads: int, device: torch.device) -> torch.Tensor:
        """Return where each token's heads lie in a layer's cache, (tokens * heads,)."""
        if (heads, device) not in self._copies:
            row_heads = self._rows[:, None] * heads + np.arange(heads)
            places = torch.from_numpy(row_heads * self._capacity + self._slots[:, None]).flatten()
            self._copies[heads, device] = places.to(device)
        return self._copies[heads, device]


class _Bucket:
    """Pieces of similar width, laid out as rows of queries for one attention call.

    Attributes
    ----------
    shape : tuple of int
        Rows and width.
    whole : bool
        The places are the tokens of the pass in order, so that none needs to be looked up.
    index : Tensor of shape (rows, width)
        Token of the pass at each place; the first token stands in for places without one.
    rows : slice or Tensor of shape (rows,)
        Rows of the cache that they see: a slice where most of its rows take part, which saves copying keys and values.
    taken, tokens : Tensors of shape (n,)
        Places (row * width + column) that hold a token, and which token of the pass.
    seen : int
        Number of leading slots among which are all that these pieces see.
    """

    def __init__(self, pieces: list[_Piece], starts: NDArray[np.int64], capacity: int, alone: bool) -> None:
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
        self.whole = alone and len(pieces) == count and bool((lengths == width).all() and (np.diff(places) > 0).all())
        if self.whole:
            own = np.concatenate([piece.slots for piece in pieces]).reshape(count, width)
        else:
            columns = np.concatenate([np.arange(n) for n in lengths])
            of = np.repeat(places, lengths)
            tokens = np.concatenate([start + np.arange(n) for start, n in zip(starts, lengths, strict=True)])
            index, own = np.zeros((count, width), dtype=np.int64), np.full((count, width), SPARE)
            index[of, columns] = tokens
            own[of, columns] = np.concatenate([piece.slots for piece in pieces])
            self.index, self.tokens = torch.from_numpy(index), torch.from_numpy(tokens)
            self.taken = torch.from_numpy(of * width + columns)
        context = np.concatenate([piece.context for piece in pieces])
        seen = 1 + max(context.max(initial=0), own.max())
        self.seen = min(capacity, -(-int(seen) // 8) * 8)  # fused attention likes multiples of 8
        self._own = torch.from_numpy(own)
        self._context = torch.from_numpy(np.repeat(places, [len(p.context) for p in pieces]) * self.seen + context)
        self._copies: dict[Any, tuple[torch.Tensor, ...]] = {}

    def on(self, device: torch.device, dtype: torch.dtype, groups: int) -> tuple[torch.Tensor, ...]:
        """Return the additive mask (rows, 1, width * groups, seen) on a device; if not whole, index, taken, tokens."""
        key = (device, dtype, groups)
        if key not in self._copies:
            moved = () if self.whole else tuple(t.to(device) for t in (self.index, self.taken, self.tokens))
            mask = self._mask(device, dtype)
            grouped = mask.expand(-1, groups, -1) if mask.shape[1] == 1 else mask.repeat_interleave(groups, 1)
            self._copies[key] = (grouped[:, None], *moved)
        return self._copies[key]

    def _mask(self, device: torch.device, dtype: torch.dtype) -> torch.Tensor:
        count, width = self.shape
        hidden = torch.finfo(dtype).min
        context = torch.full((count * self.seen,), hidden, dtype=dtype, device=device)
        context[self._context.to(device)] = 0
        mask = context.view(count, 1, self.seen)
        if width == 1:
            return mask.scatter_(2, self._own.to(device)[:, None], 0)
        mask = mask.repeat(1, width, 1)
        query, key = torch.tril_indices(width, width, device=device)
        slots = self._own.to(device)[:, key]  # (rows, pairs)
        each = torch.arange(count, device=device)[:, None]
        mask[each, query, slots] = 0
        return mask


def _attend(
    module: torch.nn.Module,
    query: torch.Tensor,  # (1, query heads, tokens, head size)
    key: torch.Tensor,  # (1, heads, tokens, head size)
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    slots: _Plan | None = None,
    scaling: float | None = None,
    **options: Any,
) -> tuple[torch.Tensor, None]:
    """Attention of a packed pass over the slot cache; without one, the ordinary attention."""
    if slots is None:
        return sdpa_attention_forward(module, query, key, value, attention_mask, scaling=scaling, **options)
    layer = slots.model.layer(module, key, value)
    heads, size = key.shape[1], query.shape[3]
    groups = query.shape[1] // heads
    layer.write(slots.places(heads, key.device), key, value)
    queries = query[0].transpose(0, 1)  # (tokens, query heads, head size)
    output = queries.new_empty(queries.shape[0], query.shape[1] * value.shape[3])
    for bucket in slots.buckets:
        mask, *found_at = bucket.on(query.device, query.dtype, groups)
        count, width = bucket.shape
        # The query heads that share a key are laid side by side as queries, so that no key is repeated.
        rows = (queries if bucket.whole else queries[found_at[0]]).view(count, width, heads, groups, size)
        rows = rows.transpose(1, 2).reshape(count, heads, -1, size)
        keys, values = layer.read(bucket.rows, bucket.seen)
        # Scores in 16 bits would be too coarse, and for a single row the fused kernel is quick enough.
        written_out = width < FUSED and count > 1 and query.dtype == torch.float32
        attend = _attend_narrowly if written_out else torch.nn.functional.scaled_dot_product_attention
        found = attend(rows, keys, values, attn_mask=mask, scale=scaling)
        found = found.view(count, heads, width, groups, -1).transpose(1, 2).reshape(count * width, -1)
        if bucket.whole:
            output = found
        else:
            _, taken, tokens = found_at
            output.index_copy_(0, tokens, found[taken])
    return output.view(1, queries.shape[0], query.shape[1], -1), None


def _attend_narrowly(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, attn_mask: torch.Tensor, scale: float | None
) -> torch.Tensor:
    """Attention of few queries a row, written out: a fused kernel would spend its time on getting ready."""
    scores = (query * (query.shape[-1] ** -0.5 if scale is None else scale)) @ key.transpose(2, 3)
    return scores.add_(attn_mask).softmax(-1) @ value


AttentionInterface.register(ATTENTION, _attend)
AttentionMaskInterface.register(ATTENTION, sdpa_mask)


def check_layers(config: PreTrainedConfig, name: str) -> None:
    """Refuse a model by its text config where its layers do not keep every past token. Raises InputError."""
    window = getattr(config, "sliding_window", None)
    kinds = set(getattr(config, "layer_types", None) or ["sliding_attention" if window else "full_attention"])
    if kinds != {"full_attention"}:
        raise InputError(
            f"model {name}: its layers ({', '.join(sorted(kinds))}) do not fit a cache with branches; "
            "choose a model with full attention in every layer"
        )


def check_slot_cache(model: PreTrainedModel, name: str) -> None:
    """Give a model the attention of the slot cache and refuse those that do not work with it.

    Raises
    ------
    InputError
        Its layers do not keep every past token (sliding windows, recurrence, a state of fixed size), its code does not
        take another attention, or its logits are not what its head gives for the last hidden state.
    """
    config = model.config.get_text_config()
    check_layers(config, name)
    tokens = [token % config.vocab_size for token in (11, 7, 5, 13, 3, 2, 17)]
    try:
        model.set_attn_implementation(ATTENTION)
        with torch.inference_mode():
            plain = model(torch.tensor([tokens], device=model.device), use_cache=False).logits[0, -2:].float()
        cached = CachedModel(model, 2, 32, plain.shape[-1])
        prompt = cached.forward([Request(1, NO_SLOTS, tokens[:3])]).slots[0]
        cached.release(1, cached.forward([Request(1, prompt, tokens[:4])]).slots[0])
        branches = [Request(1, prompt, tokens[2:5]), Request(1, prompt, tokens[3:])]
        found = cached.forward(branches, keep_logits=True).logits[1][-2:].float()
    except Exception as fault:  # whatever foreign model code raises
        reason = str(fault).strip().splitlines() or [type(fault).__name__]
        raise InputError(
            f"model {name}: it does not work with a cache with branches ({reason[0]}); choose one of a "
            "plainer architecture"
        ) from fault
    error = (found - plain).abs().max().item() / max(plain.std().item(), 1e-6)
    if not error < PROBE_TOLERANCE[model.dtype]:
        raise InputError(
            f"model {name}: with the cache its logits differ from its own by {error:.2g} of their spread; "
            "choose a model with ordinary attention and an ordinary head"
        )


class Continuations:
    """Texts of one problem, and where among them a text that resembles them seems to go on.

    Parameters
    ----------
    texts : sequence of sequences of int
        The text to follow first, then others.
    text : sequence of int
        The text to continue, not empty.
    place : int
        Place of the first text where it goes on if it stays aligned with it.

    Attributes
    ----------
    place : int
        Where the text seems to go on.
    matched : int
        How many tokens before it agree with the text's last ones, found by search up to `LONGEST_NGRAM`.
    """

    def __init__(self, texts: Sequence[Sequence[int]], text: Sequence[int], place: int) -> None:
        self._tokens = np.concatenate([np.array([*other, NO_TOKEN]) for other in texts])
        self.place, self.matched = place, 0
        self._search(text)

    def tokens(self, count: int) -> list[int]:
        """Return up to `count` tokens from the place on, to the end of its text."""
        found = self._tokens[self.place : self.place + count]
        ends = np.flatnonzero(found == NO_TOKEN)
        return found[: ends[0]].tolist() if len(ends) else found.tolist()

    def advance(self, text: Sequence[int], added: int) -> list[bool]:
        """Go on after the last `added` tokens of `text`; return if each was foreseen, up to the first that was not."""
        foreseen = self._tokens[self.place : self.place + added].tolist()
        right = [token == other for token, other in zip(text[len(text) - added :], foreseen, strict=False)]
        self.place += added
        self.matched += added
        if not all(right) or len(right) < added:
            self._search(text)
        return right[: right.index(False) + 1] if False in right else right

    def _search(self, text: Sequence[int]) -> None:
        """Find the place after the longest n-gram that ends the text, of several the nearest to the present place."""
        ends = np.flatnonzero(self._tokens == text[-1])
        best, self.matched = ends, min(len(ends), 1)
        for n in range(1, min(LONGEST_NGRAM, len(text))):
            ends = ends[ends >= n]
            ends = ends[self._tokens[ends - n] == text[-1 - n]]
            if not len(ends):
                break
            best, self.matched = ends, n + 1
        if self.matched:
            self.place = int(best[np.abs(best + 1 - self.place).argmin()]) + 1


class Foresight:
    """How often a continuation's next token is right, counted by how many tokens before it matched."""

    def __init__(self) -> None:
        self._right, self._seen = np.ones(LONGEST_MATCH + 1), np.full(LONGEST_MATCH + 1, 2.0)

    def length(self, matched: int, least: float) -> int:
        """Return how many tokens after a match are all right with a probability of at least `least`."""
        lengths = np.minimum(matched + np.arange(LONGEST_PROPOSAL), LONGEST_MATCH)
        return int((np.cumprod(self._right[lengths] / self._seen[lengths]) >= least).sum())

    def learn(self, matched: int, right: Sequence[bool]) -> None:
        """Count the tokens after a match, of which all but perhaps the last were right."""
        for length, hit in enumerate(right, matched):
            self._right[min(length, LONGEST_MATCH)] += hit
            self._seen[min(length, LONGEST_MATCH)] += 1
