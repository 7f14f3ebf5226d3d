"""A pair's models as the config names them; nothing here loads a model, or torch."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from autojudge.errors import InputError

Models = Mapping[str, Mapping[str, Any]]  # what identifies a pair's models, by role (fingerprints.identify_models)


def own_models(pair: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Return the settings of a pair's models by role; a draft that is part of the target, or none, has no entry."""
    return {role: pair[role] for role in ("draft", "target") if pair[role].get("model")}


def check_model_folder(model: str, key: str, gguf_file: str | None = None) -> None:
    """Check that a local model folder holds what `from_pretrained` needs; names of the hub pass.

    Raises
    ------
    InputError
        The folder is missing, or lacks config, weights or a tokenizer, or the GGUF file that holds all three.
    """
    folder = Path(model).expanduser()
    if not folder.exists():
        local = (".", "~", "/", "models/")  # the folder that docs and presets use
        of_hub = model.count("/") == 1 and not model.startswith(local) and not folder.parent.is_dir()
        if of_hub:
            return
        raise InputError(f"config key `{key}`: no folder {model}; give a local model folder or a hub name (owner/name)")
    if gguf_file:
        if not (folder / gguf_file).is_file():
            raise InputError(f"config key `{key}`: folder {model} has no {gguf_file}; check `gguf_file`")
        return
    wanted = {"config.json": "config", "*.safetensors*": "weights (.safetensors)", "tokenizer*": "tokenizer"}
    for pattern, what in wanted.items():
        if not any(folder.glob(pattern)):
            raise InputError(f"config key `{key}`: folder {model} has no {what}; save the model with save_pretrained")


def describe_models(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return what identifies a pair's models, by role: name, revision and dtype, or how the draft is made."""
    names = ("model", "gguf_file", "revision", "dtype")
    models = own_models(settings)
    draft = {k: settings["draft"].get(k) for k in ("first_layers", "prompt_lookup") if settings["draft"].get(k)}
    return {"draft": draft} | {role: {k: model.get(k) for k in names} for role, model in models.items()}
