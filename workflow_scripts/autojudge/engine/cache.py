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

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import PreTrainedModel

from autojudge.engine.attention import SPARE, LayerCaches, PassPlan, Piece, Slots
from autojudge.engine.head import Head
from autojudge.engine.rope import steady_length
from autojudge.errors import InputError

NO_SLOTS: Slots = np.empty(0, dtype=np.int64)
HEAD_LOGITS = 2**24  # logits that the head computes at a time where they are not kept


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
        self._base, self._head, self._device = model.base_model, Head(model), model.device
        self._longest = steady_length(model.config.get_text_config())
        self._layers = LayerCaches(rows, capacity)
        self._hidden: torch.Tensor | None = None
        self._used = np.zeros((rows, capacity), dtype=bool)
        self._used[:, SPARE] = True
        self._choices = np.zeros((rows, capacity), dtype=np.int64)
        self._margins = np.zeros((rows, capacity), dtype=np.float32)

    def release(self, row: int, slots: Slots) -> None:
        """Free slots (n,) of a row."""
        self._used[row, slots] = False

    def clear(self, row: int) -> None:
        """Free all slots of a row."""
        self._used[row, SPARE + 1 :] = False

    @torch.inference_mode()
    def save(self, row: int, slots: Slots) -> "Saved":
        """Return a copy of what some slots (n,) of a row hold, to be loaded into another row."""
        assert self._hidden is not None, "a forward pass comes first"
        index = torch.from_numpy(slots)
        layers = {
            number: (layer.keys[row][:, index.to(layer.keys.device)], layer.values[row][:, index.to(layer.keys.device)])
            for number, layer in self._layers.layers.items()
        }
        hidden = self._hidden[row, index.to(self._hidden.device)]
        return Saved(layers, hidden, self._choices[row, slots], self._margins[row, slots])

    @torch.inference_mode()
    def load(self, row: int, saved: "Saved") -> Slots:
        """Put a copy into free slots of a row and return them. Raises RuntimeError for a row without room."""
        assert self._hidden is not None, "a forward pass comes first"
        slots = self._allocate(row, len(saved.choices))
        self._layers.see(int(slots.max(initial=0)) + 1)
        index = torch.from_numpy(slots)
        for number, (keys, values) in saved.layers.items():
            layer = self._layers.layers[number]
            layer.keys[row][:, index.to(keys.device)] = keys
            layer.values[row][:, index.to(keys.device)] = values
        self._hidden[row, index.to(self._hidden.device)] = saved.hidden
        self._choices[row, slots], self._margins[row, slots] = saved.choices, saved.margins
        return slots

    def choices(self, row: int, slots: Slots) -> list[int]:
        """Return the model's greedy token after each of the slots (n,)."""
        tokens: list[int] = self._choices[row, slots].tolist()
        return tokens

    def least_margin(self, row: int, slots: Slots) -> float:
        """Return the least distance of best and second best logit after any of the slots (n,); infinity for none."""
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
        tensors = [t[0, :, 0] for layer in self._layers.layers.values() for t in (layer.keys, layer.values)]
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
        InputError
            A text is longer than the model encodes in one way.
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

    def _cut(self, requests: Sequence[Request], slots: list[Slots]) -> Iterator[list[Piece]]:
        """Cut a pass into parts of at most `pass_tokens` tokens, a long request into consecutive ones."""
        part: list[Piece] = []
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
                part.append(Piece(index, request.row, context, request.tokens[start:end], own[start:end], heads))
                if request.last_only:
                    part[-1].first_head = end - start - 1
                room -= end - start
                start = end
        yield part

    def _run(self, pieces: list[Piece], keep_logits: bool) -> list[torch.Tensor]:
        """Put the pieces through the model; return the logits (tokens, vocabulary) of each if they are to be kept."""
        plan = PassPlan(self._layers, pieces, self._used.shape[1])
        self._layers.see(max(bucket.seen for bucket in plan.buckets))
        if (length := 1 + int(plan.positions.max())) > self._longest:
            raise InputError(
                f"model {self.model.name_or_path}: a text of {length} tokens, but it encodes positions in one way "
                f"only up to {self._longest}; lower max_new_tokens, or take shorter prompts"
            )
        device = self._device
        with plan.running():
            hidden = self._base(
                input_ids=torch.tensor([[t for piece in pieces for t in piece.tokens]], device=device),
                position_ids=torch.from_numpy(plan.positions)[None].to(device),
                attention_mask=torch.zeros(1, 1, 1, 1, device=device),  # four dimensions: the model makes none itself
                use_cache=False,
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
        parts = zip(torch.split(states, chunk), torch.split(places, chunk), strict=True)
        logits = [self._choose(*part) for part in parts]
        return list(torch.split(logits[0], counts)) if keep_logits else []

    def _choose(
        self,
        states: torch.Tensor,  # (n, hidden)
        flat: torch.Tensor,  # (n,), row and slot as one number
    ) -> torch.Tensor:
        """Return the logits (n, vocabulary) after some slots and note the greedy choices and their margins."""
        logits = self.head(states)
        choice, places = logits.argmax(-1, keepdim=True), flat.numpy()
        self._choices.reshape(-1)[places] = choice[:, 0].cpu().numpy()
        if self.margins:
            best = logits.gather(-1, choice)
            second = logits.scatter_(-1, choice, -torch.inf).amax(-1, keepdim=True)
            logits.scatter_(-1, choice, best)
            self._margins.reshape(-1)[places] = (best.float() - second.float())[:, 0].cpu().numpy()
        return logits
