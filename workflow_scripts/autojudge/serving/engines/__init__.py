"""Engines that decode with a judge: a module each with `decode`, for `autojudge.serving.check`.

All decode greedily and start like vLLM, whose prefill gives the first token without a draft: so their tokens compare.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from autojudge.errors import InputError


@dataclass(frozen=True)
class Request:
    """What an engine is to decode, greedily.

    Attributes
    ----------
    judge, target, draft : str
        Folders or hub names.
    prompts : list of list of int
        Tokens.
    threshold : float or None
        Keep a draft token when p(important) lies below it; None: the judge's recommended one.
    max_new_tokens : int
        Longest response.
    window : int
        Tokens that the draft proposes per cycle.
    """

    judge: str
    target: str
    draft: str
    prompts: list[list[int]]
    threshold: float | None
    max_new_tokens: int
    window: int


@dataclass(frozen=True)
class Decoded:
    """A response.

    Attributes
    ----------
    tokens : list of int
        With the end token, if it ended.
    cycles : int
        Windows verified.
    kept : int
        Mismatches of the response that the judge kept.
    """

    tokens: list[int]
    cycles: int
    kept: int


class PromptError(InputError):
    """A prompt cannot be decoded; `number` is its place in the request, `reason` what it cannot be decoded for."""

    def __init__(self, number: int, reason: str) -> None:
        super().__init__(f"prompt {number}: {reason}")
        self.number, self.reason = number, reason


def check_prompts(prompts: Sequence[Sequence[int]], rows: int) -> None:
    """Raise PromptError for a prompt with a token beyond the models' embeddings, of which there are so many."""
    for number, prompt in enumerate(prompts):
        if max(prompt) >= rows:
            fault = (
                f"token {max(prompt)} is beyond the models' embeddings of {rows} rows; encode it with their tokenizer"
            )
            raise PromptError(number, fault)
