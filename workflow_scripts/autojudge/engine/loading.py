"""Load a part of a model from a folder or the hub, or say in one message why not and what to do."""

import copy
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors import SafetensorError, safe_open
from tokenizers import Tokenizer
from transformers import PreTrainedConfig
from transformers.quantizers import AutoHfQuantizer

from autojudge.engine.settings import AGAIN, check_model_folder, expand_path, weight_files
from autojudge.errors import InputError

# What computes in bfloat16, as torch.cpu.get_capabilities names it; elsewhere it is emulated.
BFLOAT16 = {
    "x86_64": ("avx512_bf16", "amx_bf16", "avx_ne_convert", "avx10_2"),
    "aarch64": ("bf16", "sve_bf16"),
    "arm64": ("bf16", "sve_bf16"),
}


def from_hub(kind: Any, settings: Mapping[str, Any], **options: Any) -> Any:
    """Return what a class of transformers loads of a model, from a local folder or the hub.

    Parameters
    ----------
    kind : class
        With `from_pretrained`.
    settings : mapping
        A model's entry of the config.
    options
        For `from_pretrained`.

    Raises
    ------
    InputError
        Whatever the reason: the message names the model and the remedy.
    """
    name, gguf = settings["model"], settings.get("gguf_file")
    check_model_folder(name, "model", gguf)
    if gguf:
        options |= {"gguf_file": gguf}
    with one_message(settings):
        return kind.from_pretrained(
            str(expand_path(name)) if name.startswith("~") else name,
            revision=settings["revision"] or "main",
            trust_remote_code=settings["trust_remote_code"],
            **options,
        )


@contextmanager
def one_message(settings: Mapping[str, Any]) -> Iterator[None]:
    """Turn whatever loading a model raises into an InputError that names the model and the remedy."""
    try:
        yield
    except Exception as fault:  # what transformers, the libraries below it and a model's own code raise has no end
        raise InputError(f"model {settings['model']}: {_explain(fault, settings)}") from fault


def local_folder(settings: Mapping[str, Any]) -> Path | None:
    """Return the local folder whose .safetensors files hold a model's weights, if there is one."""
    folder = expand_path(settings["model"])
    return folder if folder.is_dir() and not settings.get("gguf_file") else None


def weight_headers(folder: Path) -> Iterator[tuple[str, list[int], str]]:
    """Yield the name, shape and dtype (`F32`, `I8` and the like) of each weight in a folder, by the files' headers.

    Raises
    ------
    InputError
        A file of weights is missing or cut off.
    """
    for file in weight_files(folder):
        try:
            with safe_open(file, "pt") as weights:
                for key in weights.keys():  # noqa: SIM118
                    weight = weights.get_slice(key)
                    yield key, weight.get_shape(), weight.get_dtype()
        except (OSError, SafetensorError) as fault:
            raise InputError(f"{file}: missing or cut off ({fault}); {AGAIN}") from fault


def placement(settings: Mapping[str, Any]) -> str:
    """Return where a model goes: `cpu`, a GPU, or `auto` for all of them."""
    place: str = settings["device_map"] or settings["device"]
    return place


def check_quantized(config: PreTrainedConfig, settings: Mapping[str, Any]) -> None:
    """Check that weights that are quantized can be used, as far as the config tells; others pass.

    Raises
    ------
    InputError
        The method is unknown, or needs a package or a device that is not here.
    """
    quantized = quantization(config)
    if quantized is None:
        return
    place = placement(settings)
    try:
        if not AutoHfQuantizer.supports_quant_method(quantized):
            raise ValueError(f"transformers {transformers.__version__} does not know this method")
        quantizer = AutoHfQuantizer.from_config(copy.deepcopy(quantized), pre_quantized=True)
        quantizer.validate_environment(device_map="auto" if place == "auto" else {"": place}, weights_only=True)
    except Exception as fault:  # each method's own
        if place != "cpu" and not torch.cuda.is_available() and "pip install" not in str(fault):
            return  # may be a fault of this machine alone: it has no GPU, the job's has one
        method = quantized.get("quant_method") if isinstance(quantized, Mapping) else quantized
        raise InputError(
            f"model {settings['model']}: its weights are quantized ({method}) and cannot be loaded on `{place}` "
            f"({_first_line(fault)}); choose the model without quantization or as GGUF (`gguf_file`), or install what "
            "the method needs"
        ) from fault


def quantization(config: PreTrainedConfig) -> Any:
    """Return how a model's weights are quantized as its config says, or None."""
    return getattr(config, "quantization_config", None) or getattr(
        config.get_text_config(), "quantization_config", None
    )


def slow_dtype(settings: Mapping[str, Any]) -> str | None:
    """Return a warning where a model is in bfloat16 on a CPU that has no instructions for it, else None."""
    if settings["dtype"] != "bfloat16" or placement(settings) != "cpu":
        return None
    able = torch.cpu.get_capabilities()
    native = BFLOAT16.get(str(able.get("architecture")))
    if native is None or any(able.get(feature) for feature in native):
        return None
    return (
        f"model {settings['model']}: bfloat16 is emulated on this CPU (it has none of {', '.join(native[:2])}), "
        "several times slower than float32; set `dtype: float32`, which takes twice the memory"
    )


def _explain(fault: Exception, settings: Mapping[str, Any]) -> str:
    """Return what is wrong with a model that cannot be loaded, and the remedy."""
    reason, first, model = str(fault), _first_line(fault), settings["model"]
    if "gated repo" in reason:
        return (
            f"its licence has to be accepted first; do so at https://huggingface.co/{model}, then log in with "
            "`hf auth login` or set HF_TOKEN"
        )
    if "couldn't connect" in reason or "offline mode" in reason.lower():
        return (
            f"the hub cannot be reached and the model is not in the cache ({first}); run `hf download {model}` where "
            "there is a network, or name a local folder"
        )
    if "not a valid model identifier" in reason:
        return f"neither a local folder nor a model on the hub ({first}); check the name, or log in if it is private"
    if "trust_remote_code" in reason:
        return (
            f"needs code that comes with it ({first}); read that, then set `trust_remote_code: true`, or choose another"
        )
    if "conversion of the weights" in reason:  # which joins those of experts, for example
        return "weights that belong together differ, or one is missing (the table above names them); download it again"
    if isinstance(fault, MemoryError | torch.OutOfMemoryError):
        return f"does not fit into the memory ({first}); give the job more, or take another `dtype` or a smaller model"
    if isinstance(fault, ImportError):
        return f"cannot be loaded ({first}); install that, or choose another model"
    if isinstance(fault, KeyError) and (keys := _keys_with(fault.args[0], settings)):
        return (
            f"cannot be loaded: its config.json has {' and '.join(f'`{key}`' for key in keys)} {fault}, unknown to "
            f"transformers {transformers.__version__}; correct config.json or choose another model"
        )
    damage = _damage(fault, local_folder(settings))
    return f"cannot be loaded: {damage}" if damage else f"cannot be loaded ({first}); check the folder or the name"


def _damage(fault: Exception, folder: Path | None) -> str | None:
    """Return which large file of a local folder is damaged, too slow to be read before each load; None if none is."""
    if folder is None:
        return None
    if isinstance(fault, SafetensorError):
        try:
            list(weight_headers(folder))
        except InputError as named:
            return str(named)
    file = folder / "tokenizer.json"
    try:
        if file.is_file():
            Tokenizer.from_file(str(file))
            lacking = {"added_tokens"} - json.loads(file.read_text(encoding="utf-8")).keys()
            return f'{file} has no list `{lacking.pop()}`; add `"added_tokens": []`, or {AGAIN}' if lacking else None
    except Exception as reason:  # tokenizers raises no kind of its own
        return f"{file} holds no tokenizer ({reason}); {AGAIN}"
    return None


def _first_line(fault: Exception) -> str:
    """Return the first line of an error, with the next where it ends with a colon; its kind where text says little."""
    lines = [line.strip() for line in str(fault).splitlines() if line.strip()] or [""]
    line = " ".join(lines[:2]) if lines[0].endswith(":") else lines[0]
    return line if isinstance(fault, OSError | ValueError | ImportError) and line else f"{type(fault).__name__}: {line}"


def _keys_with(value: Any, settings: Mapping[str, Any]) -> list[str]:
    """Return the keys of a local model's config.json, such as `rope_parameters.rope_type`, that hold a value."""

    def search(entry: Any, path: tuple[str, ...]) -> Iterator[str]:
        if isinstance(entry, dict):
            for key, part in entry.items():
                yield from search(part, (*path, key))
        elif entry == value:
            yield ".".join(path)

    try:
        return list(
            search(json.loads((expand_path(settings["model"]) / "config.json").read_text(encoding="utf-8")), ())
        )
    except (OSError, ValueError):
        return []
