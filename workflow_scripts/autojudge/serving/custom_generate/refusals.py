"""What decoding with a judge does not take of transformers' `generate`, refused by name with the remedy."""

from collections.abc import Mapping
from typing import Any

import torch
from transformers import DynamicCache, GenerationConfig, PreTrainedModel

from autojudge.errors import InputError

HARMLESS = {"LogitNormalization"}  # changes no order of tokens
# Settings by which transformers makes a logits processor, and the value with which it makes none.
PROCESSORS = {
    "RepetitionPenaltyLogitsProcessor": "repetition_penalty=1.0",
    "EncoderRepetitionPenaltyLogitsProcessor": "encoder_repetition_penalty=1.0",
    "NoRepeatNGramLogitsProcessor": "no_repeat_ngram_size=0",
    "EncoderNoRepeatNGramLogitsProcessor": "encoder_no_repeat_ngram_size=0",
    "MinLengthLogitsProcessor": "min_length=0 and min_new_tokens=None",
    "MinNewTokensLengthLogitsProcessor": "min_new_tokens=None",
    "NoBadWordsLogitsProcessor": "bad_words_ids=None",
    "SequenceBiasLogitsProcessor": "sequence_bias=None",
    "SuppressTokensLogitsProcessor": "suppress_tokens=None",
    "SuppressTokensAtBeginLogitsProcessor": "begin_suppress_tokens=None",
    "ForcedBOSTokenLogitsProcessor": "forced_bos_token_id=None",
    "ForcedEOSTokenLogitsProcessor": "forced_eos_token_id=None",
    "ExponentialDecayLengthPenalty": "exponential_decay_length_penalty=None",
    "InfNanRemoveLogitsProcessor": "remove_invalid_values=False",
    "UnbatchedClassifierFreeGuidanceLogitsProcessor": "guidance_scale=None",
    "WatermarkLogitsProcessor": "watermarking_config=None",
    "PrefixConstrainedLogitsProcessor": "prefix_allowed_tokens_fn=None",
}
# Settings, what they may be, and what to do.
SETTINGS: dict[str, tuple[set[Any], str]] = {
    "do_sample": ({None, False}, "decoding is greedy; set do_sample=False"),
    "num_beams": ({None, 1}, "set num_beams=1"),
    "num_return_sequences": ({None, 1}, "set num_return_sequences=1 and call it again for each"),
    "use_cache": ({None, True}, "set use_cache=True"),
    "cache_implementation": ({None, "dynamic", "dynamic_full"}, "leave it out"),
    "prefill_chunk_size": ({None}, "leave it out"),
    "token_healing": ({None, False}, "leave it out"),
    "output_scores": ({None, False}, "leave it out"),
    "output_logits": ({None, False}, "leave it out"),
    "output_attentions": ({None, False}, "leave it out"),
    "output_hidden_states": ({None, False}, "leave it out"),
    "use_mtp": ({None, False}, "the draft is a model; leave it out"),
    "prompt_lookup_num_tokens": ({None}, "the draft is a model; leave it out"),
    "assistant_early_exit": ({None}, "the draft is a model; leave it out"),
    "speculation_type": ({None}, "the draft is a model; leave it out"),
    "assistant_ensemble_weight": ({None}, "it is another lossy method; leave it out"),
    "num_assistant_tokens": ({None, 20}, "set `window`, the tokens that are drafted per cycle"),  # 20: the default
    "num_assistant_tokens_schedule": ({None, "constant"}, "windows have a fixed length; leave it out"),
    "assistant_confidence_threshold": ({None, 0.4}, "windows have a fixed length; leave it out"),  # 0.4: the default
    "penalty_alpha": ({None, 0}, "leave it out"),
    "dola_layers": ({None}, "leave it out"),
    "constraints": ({None}, "leave it out"),
    "force_words_ids": ({None}, "leave it out"),
}
CACHE_LAYERS = {"DynamicLayer", "DynamicSlidingWindowLayer"}  # those that can drop their last tokens
MADE_BY_GENERATE = {
    "attention_mask",
    "position_ids",
    "past_key_values",
    "use_cache",
    "logits_to_keep",
    "cache_position",
}


def check_call(
    model: PreTrainedModel,
    draft: PreTrainedModel | None,
    input_ids: torch.Tensor,
    config: GenerationConfig,
    processors: Any,
    inputs: dict[str, Any],
) -> None:
    """Refuse what decoding with a judge does not take.

    Parameters
    ----------
    input_ids : Tensor of shape (rows, length)
    processors : LogitsProcessorList
    inputs : dict
        What `generate` has prepared for the model.

    Raises
    ------
    InputError
        Names it, and the remedy.
    """
    if draft is None:
        raise InputError(
            "no draft model: add `assistant_model=draft`; transformers does not pass it on to a callable, so give it "
            "to JudgedDecoding(draft, ...)"
        )
    if getattr(draft, "config", None) is None:
        raise InputError(f"the draft {draft!r} is not a model: give what AutoModelForCausalLM.from_pretrained returns")
    check_settings({name: getattr(config, name, None) for name in SETTINGS})
    _check_processors(processors)
    _check_models(model, draft)
    _check_cache(inputs.get("past_key_values"))
    _check_inputs(input_ids, inputs)


def check_settings(settings: Mapping[str, Any]) -> None:
    """Refuse a setting of `generate` that decoding with a judge does not take. Raises InputError, with the remedy."""
    for name, (allowed, remedy) in SETTINGS.items():
        value = settings.get(name)
        if not _is_one_of(value, allowed):
            raise InputError(f"`{name}={value!r}` (of the call or of a generation config) is not supported: {remedy}")


def _is_one_of(value: Any, allowed: set[Any]) -> bool:
    return isinstance(value, str | int | float | None) and value in allowed


def _check_processors(processors: Any) -> None:
    names = [type(processor).__name__ for processor in processors]
    for name in names:
        if name not in HARMLESS:
            made = PROCESSORS.get(name)
            remedy = (
                f"set {made} in the call or the generation config" if made else "leave it out of `logits_processor`"
            )
            raise InputError(f"{name} changes which tokens are chosen, which the judge knows nothing about: {remedy}")


def _check_models(model: PreTrainedModel, draft: PreTrainedModel) -> None:
    for role, part in (("target", model), ("draft", draft)):
        if part.config.is_encoder_decoder:
            raise InputError(f"the {role} is an encoder-decoder; a judge is for decoder-only models")
        if part.base_model is part:
            raise InputError(f"the {role} ({type(part).__name__}) has no base model whose hidden states could be read")


def _check_inputs(input_ids: torch.Tensor, inputs: dict[str, Any]) -> None:
    if unknown := sorted(name for name in inputs.keys() - MADE_BY_GENERATE if inputs[name] is not None):
        raise InputError(
            f"`{unknown[0]}` is not supported: prompts are `input_ids` and their `attention_mask`, nothing else"
        )
    if input_ids.shape[0] != 1:
        raise InputError(f"{input_ids.shape[0]} prompts in a batch: give one prompt per call")
    if not input_ids.shape[1]:
        raise InputError("the prompt (`input_ids`) is empty: give at least one token")
    mask, positions, length = inputs.get("attention_mask"), inputs.get("position_ids"), input_ids.shape[1]
    if mask is not None and (mask == 0).any():
        raise InputError("`attention_mask` has zeros: give the prompt without padding")
    if positions is not None and not torch.equal(positions[0].cpu(), torch.arange(length)):
        raise InputError("`position_ids` other than 0, 1, 2, ... are not supported; leave them out")


def _check_cache(cache: Any) -> None:
    layers = {type(layer).__name__ for layer in getattr(cache, "layers", [])} - CACHE_LAYERS
    if type(cache) is not DynamicCache or layers:
        held = ", ".join(sorted(layers)) or "such"
        raise InputError(
            f"a cache of {type(cache).__name__} ({held} layers) is not supported, as tokens must be dropped from it: "
            "use a model with attention layers only, and no `cache_implementation` or `past_key_values`"
        )
    if cache.get_seq_length():
        raise InputError("`past_key_values` that are not empty are not supported: give the whole prompt and no cache")
