"""The project's own decoder, started like vLLM."""

from collections.abc import Iterator

import torch

from autojudge.decoding.branches import Branch, Cycle, Job, Outcome
from autojudge.decoding.decoder import Decoder
from autojudge.decoding.thresholds import Points
from autojudge.engine.models import load_pair
from autojudge.rules import load_rule
from autojudge.serving.engines import Decoded, Request, check_prompts
from autojudge.serving.engines.loading import model_settings
from autojudge.serving.served_judge import (
    Model,
    announce,
    check_columns,
    judge_folder,
    serve_judge,
    settle_threshold,
)

BLOCKS = frozenset({"draft_at_draft", "target_at_draft", "draft_before", "target_before"})


def decode(request: Request) -> Iterator[Decoded]:
    """Yield the response to each prompt. Raises InputError where a model, the judge or a prompt cannot be used."""
    folder = judge_folder(request.judge)
    names = {"draft": request.draft, "target": request.target}
    pair = load_pair({role: model_settings(name, role, folder) for role, name in names.items()})
    check_prompts(request.prompts, pair.vocabulary)
    models = {role: Model(names[role], size) for role, size in pair.hidden_sizes.items()}
    judge, digest = serve_judge(folder, models, torch.device(pair.target.device))
    check_columns(judge, BLOCKS, "the decoder")
    threshold = settle_threshold(judge, request.threshold)
    announce(digest, threshold)
    rule = load_rule("judge")
    for prompt in request.prompts:
        decoder = _CountingDecoder(pair, judge, request.window, request.max_new_tokens, 1, target_first=True)
        ((_, (found,)),) = decoder.decode([Job(prompt, {rule: Points((threshold,))})])
        yield Decoded(found.tokens, found.cycles, decoder.kept)


class _CountingDecoder(Decoder):
    """The decoder of one response, which counts the mismatches that it keeps."""

    kept = 0

    def _end_cycle(self, branch: Branch, cycle: Cycle, outcome: Outcome) -> None:
        before = len(branch.tokens)
        super()._end_cycle(branch, cycle, outcome)
        most = min(outcome.kept, len(branch.tokens) - before)
        self.kept += sum(place < most for place in cycle.mismatches)
