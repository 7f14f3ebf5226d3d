"""Load a pair of models and check that they can work together."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from autojudge.configuration import check_model_folder
from autojudge.errors import InputError
from autojudge.generation import check_slot_cache

PROBE = "A test of 12,345 words: x = 3/4, naïve café.\n\tThe final answer is 42."


@dataclass(frozen=True)
class Pair:
    """A draft and a target that share a tokenizer.

    Attributes
    ----------
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

    def decode(self, tokens: list[int]) -> str:
        """Return the text of response tokens, special tokens left out."""
        return self.tokenizer.decode(tokens, skip_special_tokens=True)


def load_pair(settings: Mapping[str, Any]) -> Pair:
    """Load both models of a `pairs` entry of the config.

    Raises
    ------
    InputError
        A folder lacks weights or config, a model cannot be had, tokenizers differ, or layers do not fit the cache.
    """
    tokenizer = load_tokenizer(settings)
    draft, target = load_model(settings["draft"]), load_model(settings["target"])
    ends = target.generation_config.eos_token_id
    ends = {ends} if isinstance(ends, int) else set(ends or ())
    if tokenizer.eos_token_id is not None:
        ends.add(tokenizer.eos_token_id)
    vocabulary = min(draft.get_output_embeddings().weight.shape[0], target.get_output_embeddings().weight.shape[0])
    return Pair(draft, target, tokenizer, frozenset(ends), vocabulary)


def load_tokenizer(settings: Mapping[str, Any]) -> PreTrainedTokenizerBase:
    """Load the target's tokenizer, checked against the draft's.

    Raises
    ------
    InputError
        The tokenizers differ, in a token's number or in how a text is cut.
    """
    draft, target = (_from_hub(AutoTokenizer, settings[role]) for role in ("draft", "target"))
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
    return _from_hub(AutoConfig, settings).get_text_config().max_position_embeddings


def _from_hub(kind: Any, settings: Mapping[str, Any], **options: Any) -> Any:
    check_model_folder(settings["model"], "model")
    try:
        return kind.from_pretrained(
            settings["model"],
            revision=settings["revision"] or "main",
            trust_remote_code=settings["trust_remote_code"],
            **options,
        )
    except (OSError, ValueError) as fault:
        reason = str(fault).strip().splitlines()[0]
        raise InputError(
            f"model {settings['model']}: cannot be loaded ({reason}); check the name, access to the "
            f"hub (`hf auth login` for gated models){_local_hint(settings['model'])}"
        ) from fault


def _local_hint(model: str) -> str:
    return "" if Path(model).expanduser().exists() else "; there is no local folder of that name either"
