"""Transformers' own assisted generation, told to do what our decoding does: the baseline of measured speed."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from transformers import GenerationConfig, PreTrainedModel, StoppingCriteria
from transformers.utils import logging

from autojudge.engine.endings import Ending
from autojudge.engine.models import Pair

# Transformers' own defaults of drafting that stops early: the draft's first bar of confidence, and the longest window.
CONFIDENCE, MOST_TOKENS = 0.4, 20


@torch.inference_mode()
def assist(
    pair: Pair, prompt: list[int], window: int, limit: int, stop: Sequence[str] = (), confidence: float = 0.0
) -> list[int]:
    """Generate greedily with transformers' own assisted generation.

    The response is that of `Decoder` for the target alone: the models' own generation settings count for nothing,
    padding rows of a larger head are left out, and it ends where ours end. The models are as before afterwards.

    Parameters
    ----------
    prompt : list of int
        Its tokens.
    window : int
        Tokens that are proposed per cycle, the most where the draft stops early.
    limit : int
        Longest response in tokens.
    stop : sequence of str
        Texts that end a response.
    confidence : float
        The draft stops after a token that it gives less than this probability; transformers sets it anew after every
        cycle, by the tokens that the target kept. At 0 windows have a fixed length.

    Raises
    ------
    Exception
        Of any kind, where transformers cannot generate so with these models.
    """
    assert pair.draft is not None, "assisted generation wants a draft model"
    settings = GenerationConfig(
        max_new_tokens=limit,
        do_sample=False,
        use_cache=True,
        eos_token_id=sorted(pair.end_tokens) or None,
        num_assistant_tokens=window,
        num_assistant_tokens_schedule="constant",
        assistant_confidence_threshold=confidence,
    )
    tokens = torch.tensor([prompt], device=pair.target.device)
    response = _Response(Ending(limit, pair.end_tokens, tuple(stop), pair.decode), len(prompt))
    with ExitStack() as stack:
        stack.enter_context(_quiet())
        for model in (pair.draft, pair.target):
            stack.enter_context(_obeying(model, settings, pair.vocabulary))
        pair.target.generate(
            tokens,
            generation_config=settings,
            attention_mask=torch.ones_like(tokens),
            assistant_model=pair.draft,
            stopping_criteria=[response],
        )
    return response.tokens


class _Response(StoppingCriteria):  # type: ignore[misc]  # transformers has no types
    """The response while it is generated; ends it as the decoder does, within a window too."""

    def __init__(self, ending: Ending, start: int) -> None:
        self.tokens: list[int] = []
        self._ending, self._read = ending, start

    def __call__(self, input_ids: torch.Tensor, *_: Any, **__: Any) -> torch.Tensor:
        self._ending.extend(self.tokens, input_ids[0, self._read :].tolist())
        self._read = input_ids.shape[1]
        return torch.tensor([self._ending.reached(self.tokens)], device=input_ids.device)


@contextmanager
def _obeying(model: PreTrainedModel, settings: GenerationConfig, vocabulary: int) -> Iterator[None]:
    """Let a model generate by these settings alone, and score the first tokens of its vocabulary only.

    `generate` fills what its settings leave open from the model's own, and wants configs of one `vocab_size`.
    """
    config = model.config.get_text_config()
    own = model.generation_config, config.vocab_size
    model.generation_config, config.vocab_size = settings, vocabulary
    hook = model.get_output_embeddings().register_forward_hook(
        lambda _module, _inputs, logits: logits[..., :vocabulary]
    )
    try:
        yield
    finally:
        hook.remove()
        model.generation_config, config.vocab_size = own


@contextmanager
def _quiet() -> Iterator[None]:
    """Hide transformers' warnings: in assisted generation it calls itself in a way that it deprecates."""
    level = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(level)
