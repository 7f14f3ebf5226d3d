"""A pair's models as the config names them, and their folders; nothing here loads a model, or torch."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from autojudge.errors import InputError, refuse_pointer

Models = Mapping[str, Mapping[str, Any]]  # what identifies a pair's models, by role (fingerprints.identify_models)
# Suffixes of the files that loading a model may read.
READ = {".json", ".safetensors", ".gguf", ".model", ".txt", ".jinja", ".tiktoken", ".py"}
WEIGHTS = ("model.safetensors", "model.safetensors.index.json")  # the first of them that is there is loaded
ADAPTER = "adapter_config.json"
# Files that hold a mapping. Without a readable generation_config.json transformers goes on without its end tokens.
MAPPINGS = ("config.json", "generation_config.json", "tokenizer_config.json", "special_tokens_map.json")
AGAIN = "copy or download the model again"


def own_models(pair: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Return the settings of a pair's models by role; a draft that is part of the target, or none, has no entry."""
    return {role: pair[role] for role in ("draft", "target") if pair[role].get("model")}


def expand_path(path: str) -> Path:
    """Return a path of the config with `~` expanded; one of an unknown user stays as it is."""
    return Path(os.path.expanduser(path))


def model_files(folder: Path) -> list[Path]:
    """Return the files of a model folder that loading may read, by name; hidden ones, such as editors' locks, are none.

    Raises
    ------
    InputError
        The folder cannot be read, or a link's file is gone.
    """
    try:
        files = sorted(file for file in folder.iterdir() if file.suffix in READ and not file.name.startswith("."))
    except OSError as fault:
        raise InputError(f"{folder}: cannot be read ({fault.strerror}); check its permissions") from fault
    for file in files:
        _check_link(file)
    return [file for file in files if file.is_file()]


def _check_link(path: Path) -> None:
    if path.is_symlink() and not path.exists():
        raise InputError(
            f"{path}: links to {os.readlink(path)}, which is gone; {AGAIN} (`hf download`), or remove the link"
        )


def check_model_folder(model: str, key: str, gguf_file: str | None = None) -> None:
    """Check that a local model folder holds what `from_pretrained` needs; names of the hub pass.

    Raises
    ------
    InputError
        The folder is missing, lacks config, weights or a tokenizer, or the GGUF file that holds all three, has a link
        whose file is gone, a Git LFS pointer, or JSON that is not what it has to be, or holds an adapter.
    """
    folder = expand_path(model)
    _check_link(folder)
    if not folder.exists():
        local = (".", "~", "/", "models/")  # the folder that docs and presets use
        of_hub = model.count("/") == 1 and not model.startswith(local) and not folder.parent.is_dir()
        if of_hub:
            return
        raise InputError(f"config key `{key}`: no folder {model}; give a local model folder or a hub name (owner/name)")
    if not folder.is_dir():
        raise InputError(f"config key `{key}`: {model} is a file; name its folder (and a GGUF file in `gguf_file`)")
    names = {file.name for file in model_files(folder)}
    _check_adapter(folder, names, key)
    if gguf_file:
        if not (folder / gguf_file).is_file():
            raise InputError(f"config key `{key}`: folder {model} has no {gguf_file}; check `gguf_file`")
        refuse_pointer(folder / gguf_file)
        return
    held = {
        "config": "config.json" in names,
        "weights (model.safetensors, or its index)": not names.isdisjoint(WEIGHTS),
        "tokenizer": any(name.startswith("tokenizer") for name in names),
    }
    for what, there in held.items():
        if not there:
            raise InputError(f"config key `{key}`: folder {model} has no {what}; save the model with save_pretrained")
    _check_files(folder, names)


def _check_files(folder: Path, names: set[str]) -> None:
    """Check the files of a model that are read in no time; a damaged tokenizer.json is told by the load."""
    for name in MAPPINGS:
        _check_json(folder / name)
    _check_quantization(folder / "config.json")
    tokenizer = next((name for name in ("tokenizer.json", "tokenizer.model") if name in names), None)
    for file in weight_files(folder) + ([folder / tokenizer] if tokenizer else []):
        if not file.is_file():
            raise InputError(f"{file}: missing or cut off ({WEIGHTS[1]} names it); {AGAIN}")
        refuse_pointer(file)
    index = folder / WEIGHTS[1]
    if WEIGHTS[0] not in names and not isinstance(_check_json(index).get("metadata"), dict):  # transformers asks for it
        raise InputError(f'{index}: has no mapping `metadata`; add `"metadata": {{}}`, or {AGAIN}')


def weight_files(folder: Path) -> list[Path]:
    """Return the .safetensors files that transformers loads from a folder; one may be missing.

    Raises
    ------
    InputError
        The index of several is none.
    """
    single, index = (folder / name for name in WEIGHTS)
    if single.is_file() or not index.is_file():
        return [single] if single.is_file() else []
    files = _check_json(index, "index").get("weight_map")
    if not isinstance(files, dict) or not files or not all(isinstance(name, str) for name in files.values()):
        raise InputError(f"{index}: has no `weight_map`, the file of each weight by its name; {AGAIN}")
    return sorted({folder / name for name in files.values()})


def _check_quantization(file: Path) -> None:
    held = _check_json(file)
    for part in (held, *(entry for entry in held.values() if isinstance(entry, dict))):
        told = part.get("quantization_config")
        if told is not None and not (isinstance(told, dict) and told):
            raise InputError(
                f"{file}: `quantization_config` is {json.dumps(told)}, not a mapping with a `quant_method`; take it "
                f"out if the weights are not quantized, or {AGAIN}"
            )


def _check_adapter(folder: Path, names: set[str], key: str) -> None:
    if ADAPTER not in names:
        return
    base = _check_json(folder / ADAPTER).get("base_model_name_or_path")
    merge = (
        f"merge it (PeftModel.from_pretrained(model, {str(folder)!r}).merge_and_unload().save_pretrained(...)) and "
        "name that folder"
    )
    if "config.json" in names:
        raise InputError(
            f"config key `{key}`: folder {folder} holds an adapter ({ADAPTER}) beside a model; {merge}, or move the "
            "adapter's files out"
        )
    raise InputError(f"config key `{key}`: folder {folder} holds an adapter of {base}, and no model; {merge}")


def _check_json(file: Path, kind: str = "JSON") -> dict[str, Any]:
    """Return what a JSON file of a model folder holds, if it is there; raise InputError where it is damaged."""
    if not file.exists():
        return {}
    refuse_pointer(file)
    try:
        held = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as fault:
        raise InputError(f"{file}: cut off or no {kind} ({fault}); {AGAIN}") from fault
    if not isinstance(held, dict):
        raise InputError(f"{file}: holds no mapping but {json.dumps(held):.40}; {AGAIN}")
    return held


def describe_models(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return what identifies a pair's models, by role: name, revision and dtype, or how the draft is made."""
    names = ("model", "gguf_file", "revision", "dtype")
    models = own_models(settings)
    draft = {k: settings["draft"].get(k) for k in ("first_layers", "prompt_lookup") if settings["draft"].get(k)}
    return {"draft": draft} | {role: {k: model.get(k) for k in names} for role, model in models.items()}
