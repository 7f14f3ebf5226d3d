"""Greedy speculative decoding with a judge: models of transformers with their ordinary caches, one response at a time.

A cycle waits for the device once, when it reads which proposals are kept; drafting and scoring run ahead of it.
"""

import inspect
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import isnan
from typing import Any

import torch
from transformers import DynamicCache, GenerationConfig, PreTrainedModel, StoppingCriteriaList
from transformers.generation import GenerateDecoderOnlyOutput
from transformers.generation.stopping_criteria import EosTokenCriteria, MaxLengthCriteria

from autojudge.errors import InputError
from autojudge.judging.artifact import Judge
from autojudge.judging.signals import Signals
from autojudge.rules.judge import score
from autojudge.serving.custom_generate.refusals import check_call
from autojudge.serving.served_judge import (
    Model,
    announce,
    check_columns,
    judge_folder,
    serve_judge,
    settle_threshold,
    settle_window,
)

BLOCKS = frozenset({"draft_at_draft", "target_at_draft", "draft_before", "target_before"})


@dataclass
class JudgedOutput(GenerateDecoderOnlyOutput):  # type: ignore[misc]  # transformers has no types
    """Sequences, with counts of what decoding did.

    Attributes
    ----------
    cycles : int
        Windows that were drafted and verified.
    kept : int
        Tokens of the response that the target would not have chosen, kept by the judge.
    not_scored : int
        Tokens refused because the judge's score of them was no number.
    """

    cycles: int | None = None
    kept: int | None = None
    not_scored: int | None = None


@dataclass
class JudgedDecoding:
    """A callable for `custom_generate` of `model.generate`.

    Transformers hands neither `assistant_model` nor `streamer` nor `tokenizer` to a callable, so the first two are
    named here, and others in the call are refused; for stop strings call `autojudge.serving.transformers.generate`.

    Attributes
    ----------
    draft : PreTrainedModel or None
        The judge's draft; none is refused.
    judge : str
        Folder of judge.json, or a hub name.
    threshold : float or None
        Keep a draft token when p(important) lies below it; 0 is lossless. None: the judge's recommended one.
    window : int or None
        Tokens that the draft proposes per cycle. None: as the judge's record recommends, else 8.
    target_first : bool
        Start like vLLM: the target writes the first token, and the first window comes after it.
    streamer
        Gets the prompt, then each cycle's tokens.
    other_models : bool
        The pair is the judge's in another form (quantised, moved to the hub), so its models are not compared.
    """

    draft: PreTrainedModel | None
    judge: str
    threshold: float | None = None
    window: int | None = None
    target_first: bool = False
    streamer: Any = None
    other_models: bool = False

    def __call__(
        self,
        model: PreTrainedModel,
        input_ids: torch.Tensor,  # (1, length)
        logits_processor: Any,
        stopping_criteria: StoppingCriteriaList,
        generation_config: GenerationConfig,
        **model_kwargs: Any,
    ) -> Any:
        """Decode one response: what `model.generate` calls, with what it has prepared.

        Returns
        -------
        Tensor of shape (1, length) or JudgedOutput
            Prompt and response, the latter with `return_dict_in_generate`.

        Raises
        ------
        InputError
            The judge or a setting cannot be used; it says why and what to do.
        """
        check_call(model, self.draft, input_ids, generation_config, logits_processor, model_kwargs)
        given = sys._getframe(1).f_locals  # of `model.generate`
        self._check_lost(given)
        assert self.draft is not None
        models = {"draft": _describe(self.draft), "target": _describe(model)}
        judge, digest = serve_judge(judge_folder(self.judge), models, model.device, self.other_models)
        check_columns(judge, BLOCKS, "transformers")
        threshold, window = settle_threshold(judge, self.threshold), settle_window(judge, self.window)
        announce(digest, threshold)
        if self.streamer is not None and given.get("streamer") is None:  # else transformers has put it in
            self.streamer.put(input_ids.cpu())
        cache = DynamicCache(config=self.draft.config)
        with reading(model, model_kwargs["past_key_values"]) as target, reading(self.draft, cache) as draft:
            decoder = _Decoder(target, draft, judge, threshold, window, self.target_first)
            ending = _Ending(stopping_criteria, input_ids.shape[1])
            text = decoder.decode(input_ids.to(model.device), ending, self.streamer).to(input_ids.device)
        if not generation_config.return_dict_in_generate:
            return text
        counts = {"cycles": decoder.cycles, "kept": decoder.kept, "not_scored": decoder.not_scored}
        return JudgedOutput(sequences=text, past_key_values=target.cache, **counts)

    def _check_lost(self, given: dict[str, Any]) -> None:
        """Refuse a draft or streamer of the call, which transformers does not hand on, other than the one here."""
        own = {"assistant_model": ("draft", self.draft), "streamer": ("streamer", self.streamer)}
        for name, (here, value) in own.items():
            if given.get(name) is not None and given[name] is not value:
                raise InputError(
                    f"transformers passes no `{name}` to a callable: give it to JudgedDecoding(..., {here}={here}), or "
                    "call autojudge.serving.transformers.generate(model, ...)"
                )


def _describe(model: PreTrainedModel) -> Model:
    dtype = str(model.dtype).removeprefix("torch.")
    return Model(model.name_or_path, model.config.get_text_config().hidden_size, dtype)


class Reading:
    """A model, its cache, and the states and logits of what it reads.

    Attributes
    ----------
    count : int
        Tokens of the text that the cache holds.
    """

    def __init__(self, model: PreTrainedModel, cache: Any) -> None:
        self.model, self.cache, self.count = model, cache, 0
        self.vocabulary = model.config.get_text_config().vocab_size
        self._states: torch.Tensor | None = None
        self._limits_logits = "logits_to_keep" in inspect.signature(model.forward).parameters
        cache.activate_past_recording()  # so that sliding windows can drop tokens

    def note(self, _module: Any, _inputs: Any, outputs: Any) -> None:
        """Keep the states that the base model returns, (1, n, hidden): those after the final norm."""
        self._states = outputs[0]

    def read(
        self,
        tokens: torch.Tensor,  # (n,), what follows in the text
        last: int,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return logits (last, vocabulary) and hidden states (last, hidden) at the last of the tokens."""
        options = {"logits_to_keep": last} if self._limits_logits else {}
        tokens = tokens.to(self.model.device)
        logits = self.model(input_ids=tokens[None], past_key_values=self.cache, use_cache=True, **options).logits
        assert self._states is not None
        self.count += len(tokens)
        return logits[0, -last:], self._states[0, -last:]

    def keep(self, count: int) -> None:
        """Drop what was read after so many tokens of the text."""
        self.cache.crop(min(count - self.count, 0))  # 0, too, lets sliding windows forget
        self.count = min(self.count, count)


@contextmanager
def reading(model: PreTrainedModel, cache: Any) -> Iterator[Reading]:
    """Listen to a model's hidden states while it reads."""
    reader = Reading(model, cache)
    hook = model.base_model.register_forward_hook(reader.note)
    try:
        yield reader
    finally:
        hook.remove()


@dataclass
class _Window:
    """What the draft proposes after a text; `states` are those at the token before the window and at its tokens."""

    proposals: torch.Tensor  # (n,)
    logits: torch.Tensor  # (n, vocabulary)
    states: torch.Tensor  # (n, hidden), or (n + 1, hidden) where the judge reads the last


@dataclass
class _Verdict:
    """What comes of a window of n proposals.

    Attributes
    ----------
    tokens : list of int
        Kept proposals and the target's token after them.
    kept : list of bool, one a kept proposal
        Whether the judge kept it.
    not_scored : bool
        The first refused proposal was refused because its score was no number.
    """

    tokens: list[int]
    kept: list[bool]
    not_scored: bool


@dataclass
class _Ending:
    """Where a response ends: at the limit, at an end token, or where another criterion says so."""

    criteria: StoppingCriteriaList
    start: int  # length of the prompt
    limit: int = sys.maxsize
    end_tokens: frozenset[int] = frozenset()
    others: StoppingCriteriaList = field(default_factory=StoppingCriteriaList)

    def __post_init__(self) -> None:
        for criterion in self.criteria:
            if isinstance(criterion, MaxLengthCriteria):
                self.limit = min(self.limit, criterion.max_length - self.start)
            elif isinstance(criterion, EosTokenCriteria):
                self.end_tokens |= set(criterion.eos_token_id.tolist())
            else:
                self.others.append(criterion)

    def cut(
        self,
        text: torch.Tensor,  # (1, length), with tokens that end the response where it does
        count: int,  # tokens of the response that were there before
        tokens: list[int],  # those after them
    ) -> tuple[int, bool]:
        """Return how many of the tokens belong to the response, and whether it ends with them."""
        for i, token in enumerate(tokens, 1):
            length = self.start + count + i
            if count + i >= self.limit or token in self.end_tokens:
                return i, True
            if self.others and bool(self.others(text[:, :length], None).any()):
                return i, True
        return len(tokens), False


class _Decoder:
    """Decodes a response and counts."""

    def __init__(
        self, target: Reading, draft: Reading, judge: Judge, threshold: float, window: int, target_first: bool
    ) -> None:
        self.target, self.draft, self.judge, self.threshold = target, draft, judge, threshold
        self.window, self.target_first = window, target_first
        self.vocabulary = min(target.vocabulary, draft.vocabulary)  # padding rows of the larger head are left out
        self.cycles = self.kept = self.not_scored = 0

    def decode(
        self,
        text: torch.Tensor,  # (1, length), the prompt
        ending: _Ending,
        streamer: Any,
    ) -> torch.Tensor:  # (1, length)
        """Return prompt and response."""
        count, ended = 0, False
        while not ended:
            alone = self.target_first and count == 0
            room = 0 if alone else min(self.window, ending.limit - count)
            window = self._propose(text[0], room)
            verdict = self._verify(text[0], window)
            before = text.shape[1]
            text = torch.cat([text, torch.tensor([verdict.tokens], device=text.device, dtype=text.dtype)], dim=1)
            added, ended = ending.cut(text, count, verdict.tokens)
            text, count = text[:, : before + added], count + added
            self.cycles += room > 0
            self.kept += sum(verdict.kept[:added])
            self.not_scored += verdict.not_scored
            for reader in (self.target, self.draft):
                reader.keep(before + min(len(verdict.kept), added))
            if streamer is not None:
                streamer.put(torch.tensor(verdict.tokens[:added]))
        if streamer is not None:
            streamer.end()
        return text

    def _propose(
        self,
        text: torch.Tensor,  # (length,)
        room: int,
    ) -> _Window | None:
        """Return the draft's window; None where there is no room for one."""
        if not room:
            return None
        proposals: list[torch.Tensor] = []
        scores: list[torch.Tensor] = []
        states: list[torch.Tensor] = []
        unread = text[self.draft.count :]
        reads = room + ("draft_at_draft" in self.judge.columns)  # the state at the last proposal costs a call
        for _ in range(reads):
            logits, state = self.draft.read(unread, 1)
            states.append(state)
            if len(proposals) < room:
                scores.append(logits[:, : self.vocabulary])
                unread = scores[-1].argmax(-1)
                proposals.append(unread)
        return _Window(torch.cat(proposals).to(text.device), torch.cat(scores), torch.cat(states))

    def _verify(
        self,
        text: torch.Tensor,  # (length,)
        window: _Window | None,
    ) -> _Verdict:
        """Let the target read a window, and the judge score it; the only place that waits for the device."""
        unread = text[self.target.count :]
        if window is None:
            logits, _ = self.target.read(unread, 1)
            return _Verdict(logits[:, : self.vocabulary].argmax(-1).tolist(), [], False)
        n = len(window.proposals)
        logits, states = self.target.read(torch.cat([unread, window.proposals]), n + 1)
        logits = logits[:, : self.vocabulary]
        choices, proposals = logits.argmax(-1), window.proposals.to(logits.device)
        probability = self._score(window, logits[:n], states).to(logits.device)
        # float32 holds tokens below 2**24 exactly; thresholds are compared in Python's numbers, as the decoder does.
        told = torch.cat([choices.float(), proposals.float(), probability]).tolist()
        target, proposed, p = [int(t) for t in told[: n + 1]], [int(t) for t in told[n + 1 : -n]], told[-n:]
        place = 0
        while place < n and (proposed[place] == target[place] or p[place] < self.threshold):
            place += 1
        kept = [proposed[i] != target[i] for i in range(place)]
        return _Verdict([*proposed[:place], target[place]], kept, place < n and isnan(p[place]))

    def _score(
        self,
        window: _Window,
        logits: torch.Tensor,  # (n, vocabulary), the target's
        states: torch.Tensor,  # (n + 1, hidden), the target's
    ) -> torch.Tensor:  # (n,)
        """Return p(important) of each proposal, were it a mismatch."""
        n, device = len(logits), self.target.model.device
        hidden = {
            "target_before": states[:n],
            "target_at_draft": states[1:],
            "draft_before": window.states[:n],
            "draft_at_draft": window.states[1:],
        }
        signals = Signals(
            window.proposals.to(device),
            self.judge,
            target_logits=logits.to(device),
            draft_logits=window.logits.to(device),
            hidden={name: part.to(device) for name, part in hidden.items()},
        )
        return score(signals)
