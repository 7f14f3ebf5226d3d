"""Load a pair of models and check that they can work together."""

import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError, safe_open
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    GenerationConfig,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from autojudge.engine.compatibility import check_layers, check_slot_cache
from autojudge.engine.head import shallow_copy
from autojudge.engine.rope import longest_text
from autojudge.engine.settings import check_model_folder, own_models
from autojudge.errors import InputError
from autojudge.reading.prompts import check_arguments
from autojudge.reading.turns import end_tokens, hide_end_of_turn

PROBE = "A test of 12,345 words: x = 3/4, naïve café.\n\tThe final answer is 42."


@dataclass(frozen=True)
class Pair:
    """A draft and a target that share a tokenizer.

    Attributes
    ----------
    draft : PreTrainedModel or None
        None where drafts come from prompt lookup.
    end_tokens : frozenset of int
        Tokens that end a response.
    vocabulary : int
        Number of tokens that both models score; padding rows of the larger head are left out.
    """

    draft: PreTrainedModel | None
    target: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    end_tokens: frozenset[int]
    vocabulary: int

    @property
    def hidden_sizes(self) -> dict[str, int]:
        """Hidden size of each model, by role."""
        models = {"draft": self.draft, "target": self.target}
        return {role: model.config.get_text_config().hidden_size for role, model in models.items() if model is not None}

    def decode(self, tokens: list[int]) -> str:
        """Return the text of response tokens, special tokens left out."""
        text: str = self.tokenizer.decode(tokens, skip_special_tokens=True)
        return text


def load_pair(settings: Mapping[str, Any]) -> Pair:
    """Load both models of a `pairs` entry of the config.

    Raises
    ------
    InputError
        A folder lacks weights or config, a model cannot be had, tokenizers differ, or layers do not fit the cache.
    """
    tokenizer = load_tokenizer(settings)
    target = load_model(settings["target"])
    draft = load_draft(settings["draft"], target)
    ends = end_tokens(tokenizer, target.generation_config, settings["target"].get("chat_template_kwargs"))
    vocabulary = min(m.get_output_embeddings().weight.shape[0] for m in (draft, target) if m is not None)
    return Pair(draft, target, tokenizer, ends, vocabulary)


def load_tokenizer(settings: Mapping[str, Any]) -> PreTrainedTokenizerBase:
    """Load the target's tokenizer, checked against the draft's.

    Raises
    ------
    InputError
        The tokenizers differ, in a token's number or in how a text is cut; or the chat template cannot be read, or does
        not read an argument that it is given.
    """
    target = _from_hub(AutoTokenizer, settings["target"])
    if template := settings["target"].get("chat_template"):
        target.chat_template = _read_template(template)
    check_arguments(target, settings["target"].get("chat_template_kwargs"))
    hide_end_of_turn(target, settings["target"].get("chat_template_kwargs"))
    if "draft" not in own_models(settings):
        return target
    draft = _from_hub(AutoTokenizer, settings["draft"])
    ours, theirs = draft.get_vocab(), target.get_vocab()
    if ours != theirs:
        token = min(t for t in ours.keys() | theirs.keys() if ours.get(t) != theirs.get(t))
        raise InputError(
            f"pair of {settings['draft']['model']} and {settings['target']['model']}: tokenizers differ, first at "
            f"token {token!r} (draft {ours.get(token)}, target {theirs.get(token)}); choose two models of one family"
        )
    if draft.encode(PROBE) != target.encode(PROBE):
        raise InputError(
            f"pair of {settings['draft']['model']} and {settings['target']['model']}: tokenizers cut the same text "
            "differently; choose two models of one family"
        )
    return target


def load_draft(settings: Mapping[str, Any], target: PreTrainedModel) -> PreTrainedModel | None:
    """Load a pair's draft: a model, the target's first layers, or none where drafts come from prompt lookup."""
    if settings.get("prompt_lookup"):
        return None
    if settings.get("first_layers"):
        return first_layers(target, settings["first_layers"])
    return load_model(settings)


def first_layers(model: PreTrainedModel, count: int) -> PreTrainedModel:
    """Return a model of the first layers of another, its norm and its head (early exit); it shares all weights.

    Raises
    ------
    InputError
        The model has no more layers than that, or no list of them.
    """
    layers = getattr(model.base_model, "layers", None)
    if layers is None or not 0 < count < len(layers):
        have = "no list of layers" if layers is None else f"{len(layers)} layers"
        raise InputError(f"config key `draft.first_layers`: {count}, but the target has {have}; choose fewer")
    part, base = shallow_copy(model), shallow_copy(model.base_model)
    base._modules["layers"] = layers[:count]
    part._modules[model.base_model_prefix] = base
    check_slot_cache(part, f"the first {count} layers of {model.name_or_path}")
    return part


def load_model(settings: Mapping[str, Any]) -> PreTrainedModel:
    """Load one model for inference. Raises InputError like `load_pair`."""
    placement = {"device_map": settings["device_map"] or settings["device"]}
    if placement["device_map"] == "cpu":
        placement = {}
    elif not torch.cuda.is_available():
        raise InputError(f"model {settings['model']}: {placement['device_map']} asked for, but no GPU is visible here")
    model = _from_hub(AutoModelForCausalLM, settings, dtype=getattr(torch, settings["dtype"]), **placement)
    model.eval().requires_grad_(False)
    check_slot_cache(model, settings["model"])
    return model


def context_length(settings: Mapping[str, Any]) -> int:
    """Return the longest text that a model takes, in tokens. Raises InputError like `load_pair`."""
    return longest_text(_text_config(settings))


def load_generation_config(settings: Mapping[str, Any]) -> GenerationConfig:
    """Return how a model generates by its files, weights not loaded. Raises InputError like `load_pair`."""
    try:
        return GenerationConfig.from_pretrained(
            os.path.expanduser(settings["model"]), revision=settings["revision"] or "main"
        )
    except OSError:  # it has none of its own
        return GenerationConfig.from_model_config(_from_hub(AutoConfig, settings))
    except (ValueError, TypeError) as fault:
        raise InputError(
            f"model {settings['model']}: generation_config.json is not right ({fault}); mend it"
        ) from fault


def hidden_size(settings: Mapping[str, Any]) -> int:
    """Return the width of a model's hidden states, weights not loaded. Raises InputError like `load_pair`."""
    size: int = _text_config(settings).hidden_size
    return size


def _text_config(settings: Mapping[str, Any]) -> PreTrainedConfig:
    config = _from_hub(AutoConfig, settings).get_text_config()
    check_layers(config, settings["model"])
    return config


def _weight_files(folder: Path) -> list[Path]:
    """Return the files of weights that transformers loads from a folder."""
    single, index = folder / "model.safetensors", folder / "model.safetensors.index.json"
    if single.is_file() or not index.is_file():
        return [single] if single.is_file() else []
    try:
        return sorted({folder / name for name in json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()})
    except (ValueError, KeyError) as fault:
        raise InputError(f"{index}: cut off or no index ({fault}); copy or download the model again") from fault


def weight_bytes(settings: Mapping[str, Any]) -> int:
    """Return the bytes that a local folder's weights take once loaded; 0 for a model of the hub and for GGUF.

    Raises
    ------
    InputError
        A file of weights is missing or cut off.
    """
    folder, numbers = Path(settings["model"]).expanduser(), 0
    if settings.get("gguf_file") or not folder.is_dir():
        return 0
    for file in _weight_files(folder):
        try:
            with safe_open(file, "pt") as weights:
                numbers += sum(math.prod(weights.get_slice(key).get_shape()) for key in weights.keys())  # noqa: SIM118
        except (OSError, SafetensorError) as fault:
            raise InputError(f"{file}: missing or cut off ({fault}); copy or download the model again") from fault
    dtype: torch.dtype = getattr(torch, settings["dtype"])
    return numbers * dtype.itemsize


def _read_template(path: str) -> str:
    try:
        return Path(path).expanduser().read_text(encoding="utf-8-sig")
    except (OSError, RuntimeError, UnicodeDecodeError) as fault:  # RuntimeError: no such user's home
        raise InputError(
            f"config key `target.chat_template`: {path} cannot be read ({fault}); name another file"
        ) from fault


def _from_hub(kind: Any, settings: Mapping[str, Any], **options: Any) -> Any:
    name, gguf = settings["model"], settings.get("gguf_file")
    check_model_folder(name, "model", gguf)
    if gguf:
        options |= {"gguf_file": gguf}
    try:
        return kind.from_pretrained(
            name, revision=settings["revision"] or "main", trust_remote_code=settings["trust_remote_code"], **options
        )
    except (OSError, ValueError, SafetensorError, StrictDataclassError) as fault:
        raise InputError(f"model {name}: {_explain(str(fault), name)}") from fault


def _explain(reason: str, model: str) -> str:
    """Return what is wrong with a model that cannot be loaded, and the remedy."""
    first = reason.strip().splitlines()[0]
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
    return f"cannot be loaded ({first}); check the folder or the name"
