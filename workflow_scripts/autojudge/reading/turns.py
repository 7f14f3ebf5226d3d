"""Where a response ends: the tokens that a model's files list, and the one that its chat template ends a turn with."""

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from autojudge.errors import InputError
from autojudge.reading.prompts import apply_template

if TYPE_CHECKING:
    from transformers import GenerationConfig, PreTrainedTokenizerBase

ASKED, ANSWERED, ASKED_AGAIN = "qxaskedqx", "qxansweredqx", "qxagainqx"  # contents that no template writes or trims


def end_of_turn(tokenizer: "PreTrainedTokenizerBase", arguments: Mapping[str, Any] | None = None) -> int | None:
    """Return the token by which the tokenizer's chat template ends an answer; None where it ends it by text or not.

    It is the first added token behind an answer that is the chat's last turn. Only where there is none, it is the
    first one before the next question: a template may end an answer within a chat by another token (gpt-oss does, by
    the one that also ends its reasoning), or by the next turn's beginning alone (GLM-4).

    Parameters
    ----------
    arguments : mapping, optional
        Of the chat template, by name.
    """
    added = {token.content: number for number, token in tokenizer.added_tokens_decoder.items()}
    known = sorted((text for text in added if text.strip()), key=len, reverse=True)
    any_of = re.compile("|".join(map(re.escape, known)) or "(?!)")
    found = (any_of.search(tail) for tail in _behind_answers(tokenizer, arguments))
    return next((added[match[0]] for match in found if match), None)


def _behind_answers(tokenizer: "PreTrainedTokenizerBase", arguments: Mapping[str, Any] | None) -> Iterator[str]:
    """Yield what the template writes behind an answer, first of chats that end with it; none of chats it refuses."""
    chat = [{"role": "user", "content": ASKED}, {"role": "assistant", "content": ANSWERED}]
    again, system = {"role": "user", "content": ASKED_AGAIN}, {"role": "system", "content": ASKED}
    for messages in (chat, [system, *chat], [*chat, again], [system, *chat, again]):
        try:
            text = apply_template(messages, tokenizer, arguments, tokenize=False)
        except InputError:
            continue
        if ANSWERED in text:
            yield text.rpartition(ANSWERED)[2].partition(ASKED_AGAIN)[0]


def listed_ends(tokenizer: "PreTrainedTokenizerBase", generation: "GenerationConfig") -> set[int]:
    """Return the tokens that end a response by a model's generation config and its tokenizer.

    Raises
    ------
    InputError
        The generation config lists something that is no token's number.
    """
    listed = generation.eos_token_id
    ends = [tokenizer.eos_token_id, *(listed if isinstance(listed, list) else [listed])]
    if wrong := [end for end in ends if not isinstance(end, int | None)]:
        raise InputError(
            f"model of {tokenizer.name_or_path}: generation_config.json has the `eos_token_id` {wrong[0]!r}; it is the "
            "number of a token, or a list of such"
        )
    return {end for end in ends if end is not None}


def end_tokens(
    tokenizer: "PreTrainedTokenizerBase", generation: "GenerationConfig", arguments: Mapping[str, Any] | None = None
) -> frozenset[int]:
    """Return all tokens that end a response: those that are listed, and the chat template's end of a turn."""
    own = end_of_turn(tokenizer, arguments)
    return frozenset(listed_ends(tokenizer, generation) | (set() if own is None else {own}))


def describe_ends(
    tokenizer: "PreTrainedTokenizerBase", generation: "GenerationConfig", arguments: Mapping[str, Any] | None = None
) -> str:
    """Return which tokens end a response, and whether the chat template's had to be added to the model's own."""
    listed, own = listed_ends(tokenizer, generation), end_of_turn(tokenizer, arguments)
    ends = " ".join(map(str, tokenizer.convert_ids_to_tokens(sorted(listed)))) or "no token of the model's files"
    if own is None:
        return f"{ends}; the chat template ends an answer by no token, so that a task's stop strings may be needed"
    if own in listed:
        return ends
    token = tokenizer.convert_ids_to_tokens(own)
    return f"{ends}; and {token}, which the chat template ends an answer with and the model's files do not list: added"


def hide_end_of_turn(tokenizer: "PreTrainedTokenizerBase", arguments: Mapping[str, Any] | None = None) -> None:
    """Make the chat template's end of a turn a special token where it is a plain one, so that no text shows it."""
    own = end_of_turn(tokenizer, arguments)
    if own is not None and own not in tokenizer.all_special_ids:
        token = tokenizer.convert_ids_to_tokens(own)
        tokenizer.add_special_tokens({"extra_special_tokens": [token]}, replace_extra_special_tokens=False)
