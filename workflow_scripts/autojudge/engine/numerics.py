"""Numbers that depend on the text alone (`numerics: invariant`): the same logits, bit for bit, in whatever pass.

By default a token's numbers depend in their last bits on what else is in its pass, as kernels add up in another order
for another shape. Three things do that, and each is exchanged here:

- Products with weights: on a CPU oneDNN's packed layers give a row the same bits among any number of rows from a few
  on; elsewhere the rows go through in blocks of one size.
- Attention: the cache's slots are in no order, so keys and values are read in the order of the text, in float32, in
  blocks of one size.
- Functions of single numbers (activations, rotary positions): vector instructions round otherwise than the scalar ones
  for what is left at the end of a thread's share, so they go through in blocks without an end.

Norms work on each token by itself. On GPUs kernels are left no choice: see `settle`. A probe compares passes of many
shapes when a model is loaded, and refuses it where a bit differs.
"""

import copy
import os
from collections import Counter
from collections.abc import Mapping
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch.nn.functional import linear, pad, scaled_dot_product_attention
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.activations import ACT2CLS
from transformers.masking_utils import sdpa_mask

from autojudge.engine import attention, packing
from autojudge.engine.attention import Bucket, LayerCache, attend
from autojudge.engine.cache import NO_SLOTS, CachedModel, Request
from autojudge.engine.loading import placement
from autojudge.engine.models import Pair, load_pair
from autojudge.engine.packing import PackedLinear
from autojudge.engine.rope import longest_text
from autojudge.errors import InputError

INVARIANT = "autojudge_slots_invariant"
LEAST_ROWS = 4  # of a packed product; fewer may go to another kernel
BLOCK = 64  # rows of a product that is not packed, and tokens of rotary positions
NUMBERS = 2**14  # of a block of activations; PyTorch does not share out so few among threads
VECTOR = 32  # numbers that a vector kernel takes at a time are a divisor of it: two vectors of AVX-512
KEYS = 512  # attention's keys come in multiples of it, the block of PyTorch's fused kernel on a CPU, ...
QUERIES = 8  # ... and its queries
PROBED = (1, 2, 3, 9)  # tokens of the passes that a model is probed with

ACTIVATIONS = {entry[0] if isinstance(entry, tuple) else entry for entry in ACT2CLS.values()}

# A CPU that cannot pack bfloat16 has its layers as they are. Not in packing.py, whose code all stored results name.
if torch.backends.mkldnn.is_available() and not torch.ops.mkldnn._is_mkldnn_bf16_supported():
    packing.DTYPES = (torch.float32,)  # type: ignore[assignment]


def open_pair(settings: Mapping[str, Any]) -> Pair:
    """Load a `pairs` entry of the config as `load_pair` does, with the numbers that it asks for. Raises like it."""
    settle(settings)
    pair = load_pair(settings)
    if is_invariant(settings):
        make_invariant(pair)
    return pair


def is_invariant(settings: Mapping[str, Any]) -> bool:
    """Tell whether a `pairs` entry of the config asks for numbers that depend on the text alone."""
    return settings.get("numerics") == "invariant"


def as_computed(settings: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a model's settings with the dtype of the weights that an invariant model keeps: see `InvariantLinear`."""
    if placement(settings) != "cpu" or not torch.backends.mkldnn.is_available():
        return settings
    return {**settings, "dtype": str(_packed_dtype(getattr(torch, settings["dtype"]))).removeprefix("torch.")}


def _packed_dtype(dtype: torch.dtype) -> torch.dtype:
    """Return the dtype in which a CPU multiplies weights of a dtype."""
    return dtype if dtype in packing.DTYPES else torch.float32


def settle(settings: Mapping[str, Any]) -> None:
    """Leave kernels of a GPU no choice in their order of sums, where a pair asks for it; before it is loaded."""
    if not is_invariant(settings) or not torch.cuda.is_available():
        return
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction = False
    torch.backends.cuda.matmul.allow_fp16_reduced_precision_reduction = False


def make_invariant(pair: Pair) -> None:
    """Exchange a loaded pair's layers that are not invariant, and its attention, in place.

    Raises
    ------
    InputError
        A model's numbers differ between passes all the same.
    """
    models = [model for model in (pair.target, pair.draft) if model is not None]
    _exchange_layers(models)
    for model in models:
        model.set_attn_implementation(INVARIANT)
        check_invariant(model)


def _exchange_layers(models: list[PreTrainedModel]) -> None:
    """Exchange the layers of models, which may share some."""
    parents = dict.fromkeys(module for model in models for module in model.modules())
    uses = Counter(id(parameter) for parent in parents for parameter in parent._parameters.values())
    exchanged: dict[torch.nn.Module, torch.nn.Module] = {}
    for parent in parents:
        for name, module in list(parent.named_children()):
            if module not in exchanged:
                exchanged[module] = _exchange(module, uses)
            if exchanged[module] is not module:
                setattr(parent, name, exchanged[module])


def _exchange(module: Any, uses: Mapping[int, int]) -> torch.nn.Module:
    """Return what takes a module's place: itself where nothing has to."""
    if type(module) in (torch.nn.Linear, PackedLinear):  # no subclasses: they compute otherwise
        return InvariantLinear(module, shared=uses[id(module.weight)] > 1)
    if type(module) in ACTIVATIONS:
        return BlockedActivation(module)
    return BlockedPositions(module) if type(module).__name__.endswith("RotaryEmbedding") else module


class InvariantLinear(torch.nn.Module):
    """A linear layer that gives a row the same bits whatever the other rows; `weight` is that of a `PackedLinear`.

    On a CPU that has no instructions for the weights' 16-bit dtype they are multiplied in float32, of which a packed
    copy is kept: several times faster than emulated, at the memory of float32.

    Parameters
    ----------
    module : Linear or PackedLinear
        Loses its weight if it is to be packed, unless that is shared.
    shared : bool
        Whether another layer has the same weight.
    """

    def __init__(self, module: Any, shared: bool) -> None:
        super().__init__()
        weight, self.bias, self.inner = module.weight, module.bias, module
        self._dtype = _packed_dtype(weight.dtype)
        if type(module) is torch.nn.Linear and weight.device.type == "cpu" and torch.backends.mkldnn.is_available():
            self.inner = PackedLinear(_cast(module, self._dtype), shared=shared and self._dtype == weight.dtype)
            if not shared:
                empty = torch.full((1, 1), torch.nan, dtype=weight.dtype).expand(weight.shape)
                module.weight = weight = torch.nn.Parameter(empty, requires_grad=False)
        self.weight = weight

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return inputs (..., in_features) times the weight, with the bias."""
        rows = inputs.reshape(-1, inputs.shape[-1])
        if isinstance(self.inner, PackedLinear):
            padded = pad(rows, (0, 0, 0, max(0, LEAST_ROWS - len(rows))))
            outputs: torch.Tensor = self.inner(padded.to(self._dtype)).to(inputs.dtype)
        else:
            blocks = pad(rows, (0, 0, 0, -len(rows) % BLOCK)).split(BLOCK)
            outputs = torch.cat([linear(block, self.weight, self.bias) for block in blocks])
        return outputs[: len(rows)].view(*inputs.shape[:-1], len(self.weight))


class BlockedActivation(torch.nn.Module):
    """An activation that takes numbers in blocks of one size.

    Parameters
    ----------
    inner : Module
        A function of each number by itself.
    """

    def __init__(self, inner: torch.nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return what the activation gives for inputs of any shape."""
        blocks = pad(inputs.flatten(), (0, -inputs.numel() % VECTOR)).split(NUMBERS)
        return torch.cat([self.inner(block) for block in blocks])[: inputs.numel()].view(inputs.shape)


class BlockedPositions(torch.nn.Module):
    """Rotary positions of few tokens at a time.

    Parameters
    ----------
    inner : Module
        Takes states and positions (1, tokens), and returns tensors (1, tokens, size), or one.
    """

    def __init__(self, inner: torch.nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, states: torch.Tensor, position_ids: torch.Tensor, *args: Any, **options: Any) -> Any:
        """Return what the model's own module does."""
        parts = [self.inner(states, block, *args, **options) for block in position_ids.split(BLOCK, dim=-1)]
        if isinstance(parts[0], torch.Tensor):
            return torch.cat(parts, 1)
        return tuple(torch.cat(tensors, 1) for tensors in zip(*parts, strict=True))


def _cast(module: Any, dtype: torch.dtype) -> Any:
    """Return a linear layer in another dtype; the layer itself where it has that."""
    if module.weight.dtype == dtype:
        return module
    cast = copy.copy(module)
    cast._parameters = {
        name: None if part is None else torch.nn.Parameter(part.detach().to(dtype), requires_grad=False)
        for name, part in module._parameters.items()
    }
    return cast


class TextOrder:
    """Where the texts of a bucket's rows lie in the cache, by their order, and what each query sees of them.

    Parameters
    ----------
    bucket : Bucket
        Of the running pass.
    """

    def __init__(self, bucket: Bucket) -> None:
        count, width = bucket.shape
        first = bucket._first
        length = int(first.max()) + width
        slots = np.zeros((count, length + -length % KEYS), dtype=np.int64)
        context, before = bucket._context.numpy(), bucket._before
        places = np.concatenate([np.arange(n) for n in before])
        slots[context // bucket.seen, places] = context % bucket.seen
        slots[np.arange(count)[:, None], first[:, None] + np.arange(width)] = bucket._own.numpy()
        self._slots, self._rows = torch.from_numpy(slots), bucket.rows
        self._positions = torch.from_numpy(first[:, None] + np.arange(width))
        self._copies: dict[Any, torch.Tensor] = {}

    def read(self, tensor: torch.Tensor) -> torch.Tensor:
        """Return keys or values (count, heads, length, size) of a layer (rows, heads, capacity, size), in float32."""
        rows, heads, capacity, size = tensor.shape
        key = (heads, capacity, tensor.device)
        if key not in self._copies:
            chosen = torch.arange(rows)[self._rows]
            index = (chosen[:, None] * heads + torch.arange(heads))[:, :, None] * capacity + self._slots[:, None]
            self._copies[key] = index.flatten().to(tensor.device)
        found = tensor.flatten(0, 2).index_select(0, self._copies[key])
        return found.view(len(self._slots), heads, -1, size).float()

    def mask(self, groups: int, window: int | None, device: torch.device) -> torch.Tensor:
        """Return the additive mask (count, 1, width * groups, length), a multiple of QUERIES of them."""
        key = (groups, window, device)
        if key not in self._copies:
            places, last = torch.arange(self._slots.shape[1]), self._positions.repeat_interleave(groups, 1)[..., None]
            last = torch.cat([last, last[:, -1:].expand(-1, -last.shape[1] % QUERIES, -1)], 1)
            hidden = places > last
            if window is not None:
                hidden |= places <= last - window
            mask = torch.zeros(hidden.shape).masked_fill_(hidden, torch.finfo(torch.float32).min)
            self._copies[key] = mask[:, None].to(device)
        return self._copies[key]


_ORDERS: WeakKeyDictionary[Bucket, TextOrder] = WeakKeyDictionary()  # of the running pass, shared by its layers


def _order(bucket: Bucket) -> TextOrder:
    if bucket not in _ORDERS:
        _ORDERS[bucket] = TextOrder(bucket)
    return _ORDERS[bucket]


def attend_invariantly(
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
    """Attention as `attend` has it, of which a token's result depends on its text alone."""
    plan = attention._PASS.get()
    if plan is None:
        return attend(module, query, key, value, attention_mask, scaling, softcap, s_aux, sliding_window, **options)
    layer = plan.layers.of(module, key, value)
    heads, size = key.shape[1], query.shape[3]
    groups = query.shape[1] // heads
    layer.write(plan.places(heads, key.device), key, value)
    queries = query[0].transpose(0, 1)  # (tokens, query heads, head size)
    output = queries.new_empty(queries.shape[0], query.shape[1] * value.shape[3])
    for bucket in plan.buckets:
        (count, width), layout = bucket.shape, bucket.layout and bucket.layout.to(query.device)
        rows = (queries if layout is None else queries[layout.index]).view(count, width, heads, groups, size)
        rows = rows.transpose(1, 2).reshape(count, heads, -1, size).float()
        sinks = None if s_aux is None else s_aux.view(1, heads, 1, groups).expand(-1, -1, width, -1).flatten(2)
        found = _attend(rows, layer, _order(bucket), groups, sliding_window, scaling, softcap, sinks)
        found = found.reshape(count, heads, width, groups, -1).transpose(1, 2).reshape(count * width, -1)
        if layout is None:
            output = found.to(query.dtype)
        else:
            output.index_copy_(0, layout.tokens, found[layout.taken].to(query.dtype))
    return output.view(1, queries.shape[0], query.shape[1], -1), None


def _attend(
    rows: torch.Tensor,  # (count, heads, width * groups, head size)
    layer: LayerCache,
    order: TextOrder,
    groups: int,
    window: int | None,
    scaling: float | None,
    softcap: float | None,
    sinks: torch.Tensor | None,  # (1, heads, width * groups)
) -> torch.Tensor:
    """Return what the rows of queries attend to, (count, heads, width * groups, value size)."""
    count, heads, wanted, _ = rows.shape
    rows = pad(rows, (0, 0, 0, -wanted % QUERIES))
    keys, values, mask = order.read(layer.keys), order.read(layer.values), order.mask(groups, window, rows.device)
    if softcap is not None or sinks is not None:
        sinks = None if sinks is None else pad(sinks, (0, -wanted % QUERIES))
        return attention._attend_specially(rows, keys, values, mask, scaling, softcap, sinks)[:, :, :wanted]
    if count * heads == 1:  # two, as all threads would share the work of one
        rows, keys, values, mask = (part.expand(2, -1, -1, -1) for part in (rows, keys, values, mask))
    found = scaled_dot_product_attention(rows, keys, values, attn_mask=mask, scale=scaling)
    return found[:count, :, :wanted]


@torch.inference_mode()
def check_invariant(model: PreTrainedModel) -> None:
    """Refuse a model whose logits of a text differ between passes of other shapes. Raises InputError."""
    vocabulary = model.get_output_embeddings().weight.shape[0]
    tokens = [(7919 * place + 11) % min(vocabulary, model.config.get_text_config().vocab_size) for place in range(15)]
    cached = CachedModel(model, 4, 4 * len(tokens), vocabulary)
    expected = cached.forward([Request(0, NO_SLOTS, tokens)], keep_logits=True).logits[0]
    own = cached.forward([Request(row, NO_SLOTS, tokens[: 5 * row]) for row in (1, 2, 3)]).slots
    long = max(1, min(longest_text(model.config.get_text_config()), KEYS + len(tokens)) - len(tokens))
    contexts = [own[0], own[1], np.resize(own[2], long)]  # a text may name a slot twice, which makes a long one
    for size in PROBED:
        cached.clear(0)
        others = [Request(row, context, tokens[:row]) for row, context in zip((1, 2, 3), contexts, strict=True)]
        if not torch.equal(_read_in_passes(cached, tokens, size, others), expected):
            raise InputError(
                f"config key `numerics`: with `invariant` the logits of {model.name_or_path} still differ between "
                "passes of other shapes on this machine; set `numerics: default`, and `dtype: float32`, where they "
                "differ by little"
            )


def _read_in_passes(cached: CachedModel, tokens: list[int], size: int, others: list[Request]) -> torch.Tensor:
    """Return the logits (tokens, vocabulary) of a text in row 0 in passes of `size` tokens, others in every second."""
    slots, parts = NO_SLOTS, []
    for number, start in enumerate(range(0, len(tokens), size)):
        beside = others if number % 2 else []
        given = cached.forward([*beside, Request(0, slots, tokens[start : start + size])], keep_logits=True)
        for request, taken in zip(beside, given.slots, strict=False):
            cached.release(request.row, taken)
        slots = np.concatenate([slots, given.slots[-1]])
        parts.append(given.logits[-1])
    return torch.cat(parts)


AttentionInterface.register(INVARIANT, attend_invariantly)
AttentionMaskInterface.register(INVARIANT, sdpa_mask)
