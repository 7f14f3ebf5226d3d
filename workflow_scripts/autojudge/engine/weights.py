"""Weights against the config: what is missing, what is left over, and how much memory they take."""

import json
import math
import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from transformers import AutoConfig, AutoModelForCausalLM

from autojudge.engine.loading import from_hub, one_message, quantization
from autojudge.engine.settings import WEIGHTS, expand_path
from autojudge.errors import InputError

# For `from_pretrained`, so that `check_filled` is told of everything at once.
LOADING = {"output_loading_info": True, "ignore_mismatched_sizes": True}
# Tables that a model makes itself (masks, rotary frequencies), which older checkpoints hold too.
COMPUTED = re.compile(
    r"(^|\.)(inv_freq|causal_mask|masked_bias|embed_positions|position_ids|version)$|(attn|attention)\.bias$"
)
NAMED = 4  # keys of each kind that a message names


def check_weights(settings: Mapping[str, Any]) -> None:
    """Check the weights of a local folder against its config by their names and shapes; none is read.

    Left to the load are models of the hub, GGUF files, quantized weights and code that comes with a model.

    Raises
    ------
    InputError
        A file is missing or cut off, the config is not usable, or weights are missing, left over or of another shape.
    """
    if _folder(settings) is None:
        return
    config, dtype = from_hub(AutoConfig, settings), getattr(torch, settings["dtype"])
    if quantization(config) or (settings["trust_remote_code"] and getattr(config, "auto_map", None)):
        return
    tensors = {name: torch.empty(shape, dtype=dtype, device="meta") for name, shape in _shapes(settings)}
    with one_message(settings):
        with torch.device("meta"):
            empty = AutoModelForCausalLM.from_config(config, dtype=dtype, trust_remote_code=False)
        options = {"config": empty.config, "state_dict": tensors, "device_map": "meta", "dtype": dtype}
        _, info = type(empty).from_pretrained(None, **options, **LOADING)
    check_filled(info, settings["model"])


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
    return sum(math.prod(shape) for _, shape in _shapes(settings)) * dtype.itemsize


def _folder(settings: Mapping[str, Any]) -> Path | None:
    """Return the local folder whose .safetensors files hold a model's weights, if there is one."""
    folder = expand_path(settings["model"])
    return folder if folder.is_dir() and not settings.get("gguf_file") else None


def _shapes(settings: Mapping[str, Any]) -> Iterator[tuple[str, list[int]]]:
    """Yield the name and shape of each weight in a local folder, by the files' headers."""
    folder = _folder(settings)
    for file in _weight_files(folder) if folder else []:
        try:
            with safe_open(file, "pt") as weights:
                yield from [(key, weights.get_slice(key).get_shape()) for key in weights.keys()]  # noqa: SIM118
        except (OSError, SafetensorError) as fault:
            raise InputError(f"{file}: missing or cut off ({fault}); copy or download the model again") from fault


def _weight_files(folder: Path) -> list[Path]:
    """Return the files of weights that transformers loads from a folder."""
    single, index = (folder / name for name in WEIGHTS)
    if single.is_file() or not index.is_file():
        return [single] if single.is_file() else []
    try:
        return sorted({folder / name for name in json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()})
    except (ValueError, KeyError, TypeError, AttributeError) as fault:
        raise InputError(f"{index}: cut off or no index ({fault}); copy or download the model again") from fault
