"""vLLM's V2 model runner: the judge decides in a logits processor, vLLM's public interface.

The processor sees all rows after penalties and grammar masks and before the temperature, and row j's proposal is the
token that row j + 1 is fed. Nothing of vLLM is patched for judges of the target's scalars; the draft's logits are read
where the runner keeps them; hidden states are noted as models compute logits.
"""

import inspect
from typing import Any

import numpy as np
import torch
import vllm
from vllm.v1.worker.gpu.sample.logits_processor import LogitsProcessor

from autojudge.errors import InputError
from autojudge.serving.vllm.capture import LastStates
from autojudge.serving.vllm.plan import DRAFT_STATES, TARGET_STATES, Plan, admit, read_plan, read_request
from autojudge.serving.vllm.verdict import Bench, Known, Rows, make_rows


def install(runner: Any) -> Bench:
    """Give the judge's logits processor what it reads beside logits; return its bench.

    Raises
    ------
    InputError
        The runner is not as this plugin knows it, or did not load the processor.
    """
    found = [p for p in runner.sampler.logits_processors if isinstance(p, JudgeProcessor)]
    if len(found) != 1:
        raise InputError(
            f"the V2 runner's sampler has {len(found)} of the judge's logits processors, and must have one"
        )
    found[0].attach(runner)
    return found[0].bench


class JudgeProcessor(LogitsProcessor):  # type: ignore[misc]  # Any where vLLM is not installed
    """Makes the target's logits accept what the judge keeps.

    Parameters
    ----------
    vllm_config : VllmConfig
    req_states : LogitsProcRequestState
    """

    def __init__(self, vllm_config: Any, req_states: Any) -> None:
        self.plan = read_plan(vllm_config, vllm.__version__)
        self.device = req_states.device
        self.bench = Bench(self.plan.judge, self.device, vllm_config.parallel_config.rank == 0)
        self._thresholds = np.zeros(req_states.max_num_reqs)
        self._temperatures = np.ones(req_states.max_num_reqs)
        self._on_device = torch.zeros(2, req_states.max_num_reqs, dtype=torch.float64, device=self.device)
        self._is_stale = True
        self._beside: _Beside | None = None

    @classmethod
    def validate_params(cls, sampling_params: Any) -> None:
        """Raise ValueError for a request whose threshold is none."""
        read_request(sampling_params.extra_args, 0.0)

    def attach(self, runner: Any) -> None:
        """Find what the judge reads beside logits in a runner whose models are loaded."""
        self._beside = _Beside(self.plan, runner)

    def add_request(self, req_idx: int, sampling_params: Any) -> bool:
        """Note a request's threshold and temperature; return whether `apply` has to see its rows.

        Where target states are read, all: they are counted through the parts of a large batch, and a part of requests
        that no processor has to see is left out.
        """
        self._thresholds[req_idx] = admit(sampling_params, self.plan)
        self._temperatures[req_idx] = sampling_params.temperature or 1.0
        self._is_stale = True
        return bool(self._thresholds[req_idx] > 0) or self.plan.reads_target_states or Bench.trace is not None

    def apply_staged_writes(self) -> None:
        """Send thresholds and temperatures to the device, which is not waited for."""
        if self._is_stale:
            held = torch.from_numpy(np.stack([self._thresholds, self._temperatures]))
            held = held.pin_memory() if self._on_device.is_cuda else held
            self._on_device.copy_(held, non_blocking=True)
            self._is_stale = False

    def apply(self, logits: torch.Tensor, ctx: Any) -> torch.Tensor:
        """Return logits, (rows, vocabulary), edited in place."""
        requests = ctx.idx_mapping_np
        beside = self._beside
        start = beside.advance(len(logits)) if beside is not None else 0
        is_judged = self._thresholds[requests].any() or Bench.trace is not None
        if len(logits) == len(requests) or not is_judged:  # no proposals, or all lossless
            return logits
        if beside is None and (self.plan.reads_target_states or self.plan.reads_draft):
            raise RuntimeError(
                "autojudge: the judge reads more than the target's logits, and the plugin's entry point did not run in "
                "this worker; check VLLM_PLUGINS and that the package is installed here"
            )
        slot, place = ctx.expanded_idx_mapping.long(), ctx.expanded_local_pos.long()
        rows = self._rows(ctx.input_ids.long(), slot, place, logits.shape[-1])
        temperature = self._on_device[1][slot].float()[:, None]
        known = Known(logits / temperature)
        if beside is not None:
            known = beside.know(known.target_logits, temperature, slot, place, start)
        return self.bench.keep(rows, self.bench.score(rows, known), known.is_known, logits)

    def _rows(
        self,
        fed: torch.Tensor,  # (rows,), the token that each is fed
        slot: torch.Tensor,  # (rows,), of its request
        place: torch.Tensor,  # (rows,)
        vocabulary: int,
    ) -> Rows:
        is_draft = (torch.roll(slot, -1) == slot) & (torch.roll(place, -1) == place + 1)
        is_draft[-1] = False
        return make_rows(torch.roll(fed, -1), is_draft, place, self._on_device[0][slot], vocabulary)


class _Beside:
    """What a judge reads beside the target's logits, in a V2 runner."""

    def __init__(self, plan: Plan, runner: Any) -> None:
        self._plan, self._speculator = plan, runner.speculator
        self._target = LastStates(runner.model) if plan.reads_target_states else None
        self._draft = _DraftStates(plan, runner) if plan.reads_draft_states else None
        self._start = 0
        if plan.reads_draft_logits and getattr(runner.speculator, "draft_logits", None) is None:
            raise InputError(f"the V2 runner's {type(runner.speculator).__name__} keeps no draft logits")

    def advance(self, rows: int) -> int:
        """Return where these rows begin among those of this step: large batches come in several parts."""
        if self._target is None:
            return 0
        if self._target.is_new():
            self._start = 0
        start, self._start = self._start, self._start + rows
        return start

    def know(
        self,
        target_logits: torch.Tensor,  # (rows, vocabulary), divided by the temperature
        temperature: torch.Tensor,  # (rows, 1)
        slot: torch.Tensor,  # (rows,)
        place: torch.Tensor,  # (rows,)
        start: int,
    ) -> Known:
        """Return what is known of rows, of which the first is number `start` of the step."""
        n = len(slot)
        blocks: dict[str, torch.Tensor] = {}
        known = []
        if self._target is not None:
            states = self._target.part(start, start + n)
            known.append(torch.full((n,), states is not None, device=slot.device))
            states = target_logits.new_zeros(n, self._plan.width(*TARGET_STATES)) if states is None else states
            blocks |= {"target_before": states, "target_at_draft": states.roll(-1, 0)}
        draft_logits = None
        if self._plan.reads_draft_logits:
            kept = self._speculator.draft_logits
            at = place.clamp(max=kept.shape[1] - 1)
            draft_logits = kept[slot, at][:, : target_logits.shape[-1]] / temperature
        if self._draft is not None:
            blocks |= self._draft.blocks(slot, place)
            if "draft_at_draft" in self._plan.judge.columns:
                known.append(place < self._plan.window - 1)  # the draft does not read its last proposal
        blocks = {name: block for name, block in blocks.items() if name in self._plan.judge.columns}
        return Known(target_logits, draft_logits, blocks, torch.stack(known).all(0) if known else None)


class _DraftStates:
    """The draft's states as it wrote its latest proposals, by request slot and step."""

    def __init__(self, plan: Plan, runner: Any) -> None:
        speculator = runner.speculator
        found = list(inspect.signature(speculator.sample_draft).parameters)
        wanted = ["hidden_states", "sample_src_positions", "idx_mapping", "temperature", "seeds", "draft_step"]
        if found[:6] != wanted:
            raise InputError(f"{type(speculator).__name__}.sample_draft takes {found}, which this plugin does not know")
        shape = runner.max_num_reqs, plan.window, plan.width(*DRAFT_STATES)
        self._states = torch.zeros(shape, dtype=speculator.draft_model_config.dtype, device=runner.device)
        sample_draft = speculator.sample_draft

        def noted(hidden_states: Any, positions: Any, idx_mapping: Any, *args: Any, **kwargs: Any) -> Any:
            # args: temperature, seeds, draft_step
            step = args[2].long().expand(len(idx_mapping))  # not as it is: an index without dimensions is waited for
            self._states[idx_mapping.long(), step] = hidden_states
            return sample_draft(hidden_states, positions, idx_mapping, *args, **kwargs)

        speculator.sample_draft = noted

    def blocks(self, slot: torch.Tensor, place: torch.Tensor) -> dict[str, torch.Tensor]:
        """Return the draft's states before and at each row's proposal, (rows, hidden)."""
        last = self._states.shape[1] - 1
        return {
            "draft_before": self._states[slot, place.clamp(max=last)],
            "draft_at_draft": self._states[slot, (place + 1).clamp(max=last)],
        }
