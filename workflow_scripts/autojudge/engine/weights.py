"""Weights against the config: what is missing, what is left over, and how much memory they take."""

import math
import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import try_to_load_from_cache
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

from autojudge.engine.loading import from_hub, local_folder, one_message, quantization, weight_headers
from autojudge.engine.settings import expand_path
from autojudge.errors import InputError

# For `from_pretrained`, so that `check_filled` is told of everything at once.
LOADING = {"output_loading_info": True, "ignore_mismatched_sizes": True}
# Tables that a model makes itself (masks, rotary frequencies), which older checkpoints hold too.
COMPUTED = re.compile(
    r"(^|\.)(inv_freq|causal_mask|masked_bias|embed_positions|position_ids|version)$|(attn|attention)\.bias$"
)
FLOATS = {"F64", "F32", "F16", "BF16", "F8_E4M3", "F8_E5M2"}  # as headers name what can be cast to another float
NAMED = 4  # keys of each kind that a message names


def check_weights(settings: Mapping[str, Any]) -> None:
    """Check the weights of a local folder against its config by their names, shapes and dtypes; none is read.

    Left to the load are models of the hub, GGUF files, quantized weights and code that comes with a model.

    Raises
    ------
    InputError
        A file is missing or cut off, the config is not usable, or weights are missing, left over, of another shape or
        whole numbers.
    """
    folder = local_folder(settings)
    if folder is None:
        return
    config, dtype = from_hub(AutoConfig, settings), getattr(torch, settings["dtype"])
    if quantization(config) or (settings["trust_remote_code"] and getattr(config, "auto_map", None)):
        return
    tensors = {name: torch.empty(shape, dtype=dtype, device="meta") for name, shape, _ in weight_headers(folder)}
    with one_message(settings):
        with torch.device("meta"):
            empty = AutoModelForCausalLM.from_config(config, dtype=dtype, trust_remote_code=False)
        options = {"config": empty.config, "state_dict": tensors, "device_map": "meta", "dtype": dtype}
        _, info = type(empty).from_pretrained(None, **options, **LOADING)
    check_filled(info, settings["model"])
    check_floats(empty, settings)


def check_filled(info: Mapping[str, Any], name: str, quantized: bool = False) -> None:
    """Refuse a model that its weights do not fill, or whose file holds more.

    Parameters
    ----------
    info : mapping
        What `from_pretrained` returns for `LOADING`; what a class of transformers lets pass is in none of its sets.
    name : str
        Of the model.
    quantized : bool
        Its file holds scales besides, which may be left over.

    Raises
    ------
    InputError
        Names the keys and the remedy.
    """
    missing = sorted(info["missing_keys"])
    left_over = [] if quantized else sorted(key for key in info["unexpected_keys"] if not COMPUTED.search(key))
    shapes = sorted(f"{key}: {_by(found)}, not {_by(wanted)}" for key, found, wanted in info["mismatched_keys"])
    kinds = {"missing": missing, "unexpected": left_over, "of another shape": shapes}
    faults = [f"{len(keys)} {kind} ({_first(keys)})" for kind, keys in kinds.items() if keys]
    if faults:
        raise InputError(
            f"model {name}: its weights are not those that its config.json describes: {', '.join(faults)}; "
            f"{_remedy(missing, left_over)}"
        )


def check_floats(model: PreTrainedModel, settings: Mapping[str, Any]) -> None:
    """Refuse a model whose files hold whole numbers where it has floats, which a load would cast without a word.

    Those of the hub are checked in the cache, once loaded; GGUF files and quantized weights pass.

    Raises
    ------
    InputError
        Names the keys and the remedy.
    """
    folder = local_folder(settings) or _cached(settings)
    if folder is None or quantization(model.config):
        return
    whole = tuple(f".{key}" for key, tensor in model.state_dict().items() if not tensor.is_floating_point())
    odd = [
        f"{key}: {dtype}"
        for key, _, dtype in weight_headers(folder)
        if dtype not in FLOATS and not COMPUTED.search(key) and not f".{key}".endswith(whole)
    ]
    if odd:
        raise InputError(
            f"model {settings['model']}: {len(odd)} of its weights are not floats ({_first(odd)}), and its config.json "
            "has no `quantization_config` that tells what they stand for; copy that over from where the weights were "
            "quantized, or save the model in float32, bfloat16 or float16"
        )


def _cached(settings: Mapping[str, Any]) -> Path | None:
    """Return the folder of the hub's cache that holds a model, if there is one."""
    if settings.get("gguf_file") or expand_path(settings["model"]).exists():
        return None
    config = try_to_load_from_cache(settings["model"], "config.json", revision=settings["revision"] or "main")
    return Path(config).parent if isinstance(config, str) else None


def _by(shape: Collection[int]) -> str:
    return " x ".join(map(str, shape))


def _first(keys: list[str]) -> str:
    return ", ".join(keys[:NAMED]) + (", ..." if len(keys) > NAMED else "")


def _remedy(missing: list[str], left_over: list[str]) -> str:
    prefixes = {left_over[0].removesuffix(key) for key in missing if left_over and left_over[0].endswith(f".{key}")}
    if prefixes:
        return f"they were saved with the prefix `{min(prefixes, key=len)}`: unwrap the model, then save_pretrained"
    if len(missing) == 1 and not left_over and missing[0].endswith("head.weight"):
        return "save the model with its head, or set `tie_word_embeddings` in config.json if it shares the embeddings"
    return "save the whole model with save_pretrained, or copy or download both again"


def weight_bytes(settings: Mapping[str, Any]) -> int:
    """Return the bytes that a local folder's weights take once loaded; 0 for a model of the hub and for GGUF.

    Raises
    ------
    InputError
        A file of weights is missing or cut off.
    """
    dtype: torch.dtype = getattr(torch, settings["dtype"])
    folder = local_folder(settings)
    return sum(math.prod(shape) for _, shape, _ in (weight_headers(folder) if folder else ())) * dtype.itemsize
