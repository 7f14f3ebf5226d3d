"""vLLM's V1 model runner: the judge decides among the rejection sampler's logits processors.

`RejectionSampler.apply_logits_processors` gets the rows of all proposals, without those of bonus tokens, after grammar
masks; what is edited there leaves raw log probabilities as they are. What the draft knows is noted as it drafts.
"""

import inspect
from collections.abc import Sequence
from typing import Any

import torch

from autojudge.errors import InputError
from autojudge.serving.vllm.capture import LastStates, tap_logits
from autojudge.serving.vllm.plan import DRAFT_STATES, TARGET_STATES, Plan, admit
from autojudge.serving.vllm.verdict import Bench, Known, Rows, make_rows


def install(plan: Plan, runner: Any, is_told: bool) -> Bench:
    """Put a judge into a V1 model runner whose models are loaded; return its bench.

    Raises
    ------
    InputError
        The runner is not as this plugin knows it.
    """
    from vllm.v1.sample.rejection_sampler import RejectionSampler

    sampler: Any = getattr(runner, "rejection_sampler", None)
    if type(sampler) is not RejectionSampler:
        raise InputError(
            f"the V1 runner's rejection sampler is {type(sampler).__name__}, which this plugin does not know"
        )
    found = list(inspect.signature(sampler.apply_logits_processors).parameters)
    if found != ["logits", "sampling_metadata", "metadata"]:
        raise InputError(f"RejectionSampler.apply_logits_processors takes {found}, which this plugin does not know")
    judging = Judging(plan, runner, sampler.apply_logits_processors, is_told)
    sampler.apply_logits_processors = judging.apply
    return judging.bench


class Judging:
    """Decides on the proposals of a step.

    Parameters
    ----------
    plan : Plan
    runner : GPUModelRunner
        Of vLLM, V1.
    processors : callable
        vLLM's own logits processors.
    is_told : bool
        Whether this process tells counts.
    """

    def __init__(self, plan: Plan, runner: Any, processors: Any, is_told: bool) -> None:
        self.plan, self._runner, self._processors = plan, runner, processors
        self.bench = Bench(plan.judge, runner.device, is_told)
        self._admitted: dict[str, tuple[Any, float]] = {}  # of the latest step: parameters and threshold by request
        self._target = LastStates(runner.model) if plan.reads_target_states else None
        self._draft = DraftNotes(runner, plan)

    def apply(
        self,
        logits: torch.Tensor,  # (proposals, vocabulary)
        sampling_metadata: Any,
        metadata: Any,
    ) -> torch.Tensor:
        """Return processed logits, (proposals, vocabulary), which accept what the judge keeps."""
        processed: torch.Tensor = self._processors(logits, sampling_metadata, metadata)
        thresholds = self._thresholds(len(metadata.num_draft_tokens))
        if not sum(metadata.num_draft_tokens) or (not any(thresholds) and Bench.trace is None):
            self._draft.forget()
            return processed
        rows = self._rows(metadata, thresholds, processed.shape[-1])
        known = self._know(rows, processed, metadata)
        return self.bench.keep(rows, self.bench.score(rows, known), known.is_known, processed)

    def _thresholds(self, requests: int) -> list[float]:
        """Return each request's threshold; 0 where it is not known, as in a dummy run."""
        names, requested = self._runner.input_batch.req_ids, self._runner.requests
        if len(names) != requests:
            return [0.0] * requests
        self._admitted = {name: self._admit(name, requested[name].sampling_params) for name in names}
        return [threshold for _, threshold in self._admitted.values()]

    def _admit(self, name: str, params: Any) -> tuple[Any, float]:
        known, threshold = self._admitted.get(name, (None, 0.0))
        return params, threshold if known is params else admit(params, self.plan)

    def _rows(self, metadata: Any, thresholds: Sequence[float], vocabulary: int) -> Rows:
        counts, device = metadata.num_draft_tokens, self._runner.device
        place = [j for count in counts for j in range(count)]
        threshold = [t for t, count in zip(thresholds, counts, strict=True) for _ in range(count)]
        return make_rows(
            metadata.draft_token_ids,
            torch.ones(len(place), dtype=torch.bool, device=device),
            send(place, torch.int64, device),
            send(threshold, torch.float64, device),
            vocabulary,
        )

    def _know(self, rows: Rows, logits: torch.Tensor, metadata: Any) -> Known:
        blocks: dict[str, torch.Tensor] = {}
        known: list[torch.Tensor] = []
        if self._target is not None:
            states = self._target.take(len(metadata.logits_indices))
            at = metadata.target_logits_indices.long()
            if states is None:
                states, at = logits.new_zeros(1, self.plan.width(*TARGET_STATES)), torch.zeros_like(at) - 1
                known.append(torch.zeros_like(rows.is_draft))
            blocks = {"target_before": states[at], "target_at_draft": states[at + 1]}
        draft_logits, noted, drafted = self._draft.recall(metadata.num_draft_tokens, logits.shape[-1])
        blocks |= noted
        known.append(drafted)
        blocks = {name: block for name, block in blocks.items() if name in self.plan.judge.columns}
        return Known(logits, draft_logits, blocks, torch.stack(known).all(0))


class DraftNotes:
    """Whose the latest proposals are, and what a draft model knew of them, until the target has verified them.

    Near the longest text that a draft can read, vLLM proposes nothing and lets zeros be verified: those are nobody's.
    Where the judge reads the draft's logits, all are kept: (requests, window, vocabulary) numbers.
    """

    def __init__(self, runner: Any, plan: Plan) -> None:
        self._runner, self._plan = runner, plan
        self._steps: list[tuple[torch.Tensor | None, torch.Tensor | None]] = []  # of (requests, ...) each
        self._requests: list[str] = []
        propose = runner.drafter.propose

        def noted(*args: Any, **kwargs: Any) -> Any:
            self._steps = []
            proposals = propose(*args, **kwargs)
            self._requests = list(runner.input_batch.req_ids)
            return proposals

        runner.drafter.propose = noted
        if plan.reads_draft:
            tap_logits(runner.drafter.model, self._note)

    def forget(self) -> None:
        """Know nothing of what is verified next, unless something is proposed before."""
        self._requests = []

    def _note(self, states: torch.Tensor, logits: torch.Tensor) -> None:
        """Note a step of drafting; copies, as a graph's next run writes over its states, and sampling over logits."""
        self._steps.append(
            (
                logits.clone() if self._plan.reads_draft_logits else None,
                states.clone() if self._plan.reads_draft_states else None,
            )
        )

    def recall(
        self, counts: Sequence[int], vocabulary: int
    ) -> tuple[torch.Tensor | None, dict[str, torch.Tensor], torch.Tensor]:
        """Return, once, draft logits (n, vocabulary), states (n, hidden) and where all that is read is known (n,).

        Parameters
        ----------
        counts : sequence of int
            Proposals of each request that are verified now, n in all.
        vocabulary : int
            Of the target's logits.
        """
        device, known_steps = self._runner.device, len(self._steps) if self._plan.reads_draft else self._plan.window
        line = {name: i for i, name in enumerate(self._requests)}
        self.forget()
        names, at = self._runner.input_batch.req_ids, "draft_at_draft" in self._plan.judge.columns
        names = names if len(names) == len(counts) else [""] * len(counts)
        found = [(line.get(name, -1), j) for name, count in zip(names, counts, strict=True) for j in range(count)]
        last = known_steps - 1 - at  # a window's last proposal is not read by the draft
        known = send([row >= 0 and step <= last for row, step in found], torch.bool, device)
        rows = send([max(row, 0) for row, _ in found], torch.int64, device)
        steps = [min(step, max(known_steps - 1, 0)) for _, step in found]
        here = send(steps, torch.int64, device)
        after = send([min(step + 1, max(known_steps - 1, 0)) for step in steps], torch.int64, device)
        logits = self._stack(0, vocabulary)
        states = self._stack(1, self._plan.width(*DRAFT_STATES) if self._plan.reads_draft_states else 0)
        blocks = {} if states is None else {"draft_before": states[rows, here], "draft_at_draft": states[rows, after]}
        return None if logits is None else logits[rows, here], blocks, known

    def _stack(self, part: int, width: int) -> torch.Tensor | None:
        """Return a part of all steps, (requests, steps, width), zeros if none was noted; None if it is not read."""
        wanted = (self._plan.reads_draft_logits, self._plan.reads_draft_states)[part]
        if not wanted:
            return None
        noted = [step[part] for step in self._steps]
        if not noted:
            return torch.zeros(1, 1, width, device=self._runner.device)
        return torch.stack([step for step in noted if step is not None], dim=1)


def send(values: Sequence[Any], dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    """Return values as a tensor (n,) on a device, which is not waited for."""
    held = torch.tensor(values, dtype=dtype, pin_memory=device.type == "cuda")
    return held.to(device, non_blocking=True)
