"""A pair's models as the config names them, and their folders; nothing here loads a model, or torch."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from autojudge.errors import InputError

Models = Mapping[str, Mapping[str, Any]]  # what identifies a pair's models, by role (fingerprints.identify_models)
# Suffixes of the files that loading a model may read.
READ = {".json", ".safetensors", ".gguf", ".model", ".txt", ".jinja", ".tiktoken", ".py"}
WEIGHTS = ("model.safetensors", "model.safetensors.index.json")  # the first of them that is there is loaded
ADAPTER = "adapter_config.json"


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
            f"{path}: links to {os.readlink(path)}, which is gone; copy or download the model again (`hf download`), "
            "or remove the link"
        )


def check_model_folder(model: str, key: str, gguf_file: str | None = None) -> None:
    """Check that a local model folder holds what `from_pretrained` needs; names of the hub pass.

    Raises
    ------
    InputError
        The folder is missing, lacks config, weights or a tokenizer, or the GGUF file that holds all three, has a link
        whose file is gone, or holds an adapter.
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
        return
    held = {
        "config": "config.json" in names,
        "weights (model.safetensors, or its index)": not names.isdisjoint(WEIGHTS),
        "tokenizer": any(name.startswith("tokenizer") for name in names),
    }
    for what, there in held.items():
        if not there:
            raise InputError(f"config key `{key}`: folder {model} has no {what}; save the model with save_pretrained")
    _check_json(folder / "generation_config.json")  # else transformers goes on without it, and its end tokens


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


def _check_json(file: Path) -> dict[str, Any]:
    """Return what a JSON file of a model folder holds, if it is there; raise InputError where it is damaged."""
    try:
        held = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    except (OSError, ValueError, RecursionError) as fault:
        raise InputError(f"{file}: cut off or no JSON ({fault}); copy or download the model again") from fault
    if not isinstance(held, dict):
        raise InputError(f"{file}: holds no mapping; copy or download the model again")
    return held


def describe_models(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return what identifies a pair's models, by role: name, revision and dtype, or how the draft is made."""
    names = ("model", "gguf_file", "revision", "dtype")
    models = own_models(settings)
    draft = {k: settings["draft"].get(k) for k in ("first_layers", "prompt_lookup") if settings["draft"].get(k)}
    return {"draft": draft} | {role: {k: model.get(k) for k in names} for role, model in models.items()}
