"""Load a pair of models and check that they can work together."""

import json
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    GenerationConfig,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils import cached_file

from autojudge.engine.compatibility import check_layers, check_slot_cache
from autojudge.engine.head import shallow_copy
from autojudge.engine.loading import check_quantized, from_hub, one_message, placement, slow_dtype
from autojudge.engine.packing import pack_linears
from autojudge.engine.rope import longest_text
from autojudge.engine.settings import expand_path, own_models
from autojudge.engine.weights import LOADING, check_filled, check_floats
from autojudge.errors import InputError
from autojudge.reading.prompts import check_arguments
from autojudge.reading.turns import end_tokens, hide_end_of_turn

logger = logging.getLogger("autojudge")
TOKENS = ("bos_token_id", "eos_token_id", "pad_token_id")  # all that counts of how a model's files say to generate
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

    def check_tokens(self, tokens: Iterable[int]) -> None:
        """Raise InputError where a model does not embed a token, as a prompt of another tokenizer may hold."""
        check_tokens(tokens, self.tokenizer, _rows(self.draft, self.target))

    def decode(self, tokens: list[int]) -> str:
        """Return the text of response tokens, special tokens left out."""
        text: str = self.tokenizer.decode(tokens, skip_special_tokens=True)
        return text


def load_pair(settings: Mapping[str, Any]) -> Pair:
    """Load both models of a `pairs` entry of the config.

    Raises
    ------
    InputError
        A folder lacks weights or config, a model cannot be had, tokenizers differ or have tokens that a model does not
        embed, or layers do not fit the cache.
    """
    tokenizer = load_tokenizer(settings)
    target = load_model(settings["target"])
    draft = load_draft(settings["draft"], target)
    ends = end_tokens(tokenizer, target.generation_config, settings["target"].get("chat_template_kwargs"))
    vocabulary = min(m.get_output_embeddings().weight.shape[0] for m in (draft, target) if m is not None)
    check_vocabulary(tokenizer, _rows(draft, target))
    return Pair(draft, target, tokenizer, ends, vocabulary)


def _rows(*models: PreTrainedModel | None) -> dict[str, int]:
    """Return how many tokens each model embeds, by its name."""
    return {m.name_or_path: m.get_input_embeddings().weight.shape[0] for m in models if m is not None}


def load_tokenizer(settings: Mapping[str, Any]) -> PreTrainedTokenizerBase:
    """Load the target's tokenizer, checked against the draft's.

    Raises
    ------
    InputError
        The tokenizers differ, in a token's number or in how a text is cut; or the chat template cannot be read, or does
        not read an argument that it is given.
    """
    target = from_hub(AutoTokenizer, settings["target"])
    if template := settings["target"].get("chat_template"):
        target.chat_template = _read_template(template)
    check_arguments(target, settings["target"].get("chat_template_kwargs"))
    hide_end_of_turn(target, settings["target"].get("chat_template_kwargs"))
    if "draft" not in own_models(settings):
        return target
    draft = from_hub(AutoTokenizer, settings["draft"])
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
    """Load one model for inference. Raises InputError like `load_pair`, and where its weights do not fill it."""
    place = placement(settings)
    options: dict[str, Any] = {} if place == "cpu" else {"device_map": place}
    if options and not torch.cuda.is_available():
        raise InputError(f"model {settings['model']}: {place} asked for, but no GPU is visible here")
    if warning := slow_dtype(settings):
        logger.warning("%s", warning)
    if not settings.get("gguf_file"):
        _text_config(settings)
    options |= {"dtype": getattr(torch, settings["dtype"]), "generation_config": load_generation_config(settings)}
    model, info = from_hub(AutoModelForCausalLM, settings, **options, **LOADING)
    check_filled(info, settings["model"], quantized=getattr(model, "hf_quantizer", None) is not None)
    check_floats(model, settings)
    if getattr(model, "_hf_peft_config_loaded", False):
        raise InputError(f"model {settings['model']}: it is an adapter; merge it (merge_and_unload) and save the whole")
    model.eval().requires_grad_(False)
    pack_linears(model)
    check_slot_cache(model, settings["model"])
    return model


def context_length(settings: Mapping[str, Any]) -> int:
    """Return the longest text that a model takes, in tokens. Raises InputError like `load_pair`."""
    return longest_text(_text_config(settings))


def load_generation_config(settings: Mapping[str, Any]) -> GenerationConfig:
    """Return the tokens of a model's generation_config.json, or else of its config; weights are not loaded.

    Other keys count for nothing here, and nor do faults in them.

    Raises
    ------
    InputError
        Like `load_pair`, and where generation_config.json holds no mapping.
    """
    name, revision = str(expand_path(settings["model"])), settings["revision"] or "main"
    try:
        held = json.loads(
            Path(cached_file(name, "generation_config.json", revision=revision)).read_text(encoding="utf-8")
        )
        return GenerationConfig(**{key: held.get(key) for key in TOKENS})
    except OSError:  # it has none of its own
        config = from_hub(AutoConfig, settings)
        known = [{key: getattr(part, key, None) for key in TOKENS} for part in (config, config.get_text_config())]
        return GenerationConfig(**{key: known[1][key] if known[0][key] is None else known[0][key] for key in TOKENS})
    except (ValueError, TypeError, AttributeError) as fault:
        raise InputError(f"model {settings['model']}: generation_config.json is wrong ({fault}); correct it") from fault


def hidden_size(settings: Mapping[str, Any]) -> int:
    """Return the width of a model's hidden states, weights not loaded. Raises InputError like `load_pair`."""
    return _size(settings, "hidden_size")


def embedding_rows(pair: Mapping[str, Any]) -> dict[str, int]:
    """Return how many tokens each of a pair's models embeds, by its name. Raises InputError like `load_pair`."""
    return {model["model"]: _size(model, "vocab_size") for model in own_models(pair).values()}


def _size(settings: Mapping[str, Any], key: str) -> int:
    size = getattr(_text_config(settings), key, None)
    if not isinstance(size, int):
        raise InputError(f"model {settings['model']}: its config.json has no `{key}`; choose another model")
    return size


def _text_config(settings: Mapping[str, Any]) -> PreTrainedConfig:
    config = from_hub(AutoConfig, settings)
    with one_message(settings):
        text = config.get_text_config()
    check_quantized(config, settings)
    check_layers(text, settings["model"])
    return text


def check_vocabulary(tokenizer: PreTrainedTokenizerBase, rows: Mapping[str, int]) -> None:
    """Refuse a tokenizer that cuts texts into tokens beyond a model's embeddings.

    Tokens added to it, which no text holds, may lie beyond them: see `check_tokens`.

    Parameters
    ----------
    rows : mapping of str to int
        Tokens that each model embeds, by its name.

    Raises
    ------
    InputError
        Names the model and the first such token.
    """
    added = tokenizer.added_tokens_decoder
    check_tokens((token for token in tokenizer.get_vocab().values() if token not in added), tokenizer, rows)


def check_tokens(tokens: Iterable[int], tokenizer: PreTrainedTokenizerBase, rows: Mapping[str, int]) -> None:
    """Refuse tokens beyond a model's embeddings, as a template of another model may give. See `check_vocabulary`."""
    largest = max(tokens, default=0)
    for name, count in rows.items():
        if largest >= count:
            raise InputError(
                f"model {name}: token {largest} ({tokenizer.convert_ids_to_tokens(largest)!r}) of the prompts or the "
                f"tokenizer is beyond its embeddings, which have {count} rows; use the tokenizer and chat template "
                "that came with the model, or resize its embeddings (resize_token_embeddings) and save it"
            )


def _read_template(path: str) -> str:
    try:
        return expand_path(path).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as fault:
        raise InputError(
            f"config key `target.chat_template`: {path} cannot be read ({fault}); name another file"
        ) from fault
