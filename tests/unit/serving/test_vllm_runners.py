"""In stand-ins of vLLM's two runners, each row of a verification gets the signals of its own proposal."""

import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import torch

from autojudge.judging.artifact import Judge
from autojudge.serving.vllm.plan import Plan
from autojudge.serving.vllm.v1 import Judging
from autojudge.serving.vllm.verdict import Bench
from conftest import make_record

WINDOW, VOCABULARY, HIDDEN, CPU = 4, 11, 3, torch.device("cpu")
META = torch.device("meta")  # tensors without numbers: whatever waits for one raises
COLUMNS = ["target_before", "target_at_draft", "draft_before", "draft_at_draft", "kl_divergence"]


def make_plan(columns=COLUMNS, threshold=0.5, is_v2=False):
    sizes = [1 if column == "kl_divergence" else HIDDEN for column in columns]
    tensors = {"weight": torch.zeros(sum(sizes)), "bias": torch.tensor(0.0)}
    return Plan(Judge(tensors, make_record(columns=columns, sizes=sizes)), threshold, WINDOW, is_v2, "")


def state(model: str, request: int, step: int) -> torch.Tensor:
    """A hidden state that tells where it comes from."""
    return torch.tensor([{"target": 0.0, "draft": 1.0}[model], request, step])


def draft_row(request: int, step: int) -> torch.Tensor:
    """Draft logits of a request's proposal."""
    return torch.randn(VOCABULARY, generator=torch.Generator().manual_seed(100 * request + step))


class Model:
    """Computes logits of zeros."""

    def compute_logits(self, states):
        return torch.zeros(len(states), VOCABULARY)


class Drafter:
    """Proposes for requests 0, 1, ... in rows."""

    def __init__(self):
        self.model = SimpleNamespace(compute_logits=None)

    def propose(self, requests):
        for step in range(WINDOW):
            self.model.inner = torch.stack([draft_row(request, step) for request in requests])
            self.model.compute_logits(torch.stack([state("draft", request, step) for request in requests]))


@pytest.fixture
def watched(monkeypatch):
    """What the judge was asked, instead of a verdict."""
    seen = []

    def score(self, rows, signals):
        seen.append((rows, signals))
        return torch.full((len(rows.token),), 0.1)

    monkeypatch.setattr(Bench, "score", score)
    return seen


def make_v1(plan, names, processors=lambda logits, *_: logits, device=CPU):
    drafter = Drafter()
    drafter.model.compute_logits = lambda states: drafter.model.inner.clone()
    params = SimpleNamespace(temperature=0.0, extra_args=None)
    runner = SimpleNamespace(
        device=device,
        model=Model(),
        drafter=drafter,
        input_batch=SimpleNamespace(req_ids=list(names)),
        requests={name: SimpleNamespace(sampling_params=params) for name in "abcd"},
    )
    return Judging(plan, runner, processors, False), runner


def verify_v1(judging, runner, requests, counts):
    """One verification: each request's rows are its proposals' and a bonus token's."""
    rows = [(r, j) for r, count in zip(requests, counts, strict=True) for j in range(count + 1)]
    runner.model.compute_logits(torch.stack([state("target", r, j) for r, j in rows]))
    drafted = [i for i, (r, j) in enumerate(rows) if j < counts[requests.index(r)]]
    metadata = SimpleNamespace(
        num_draft_tokens=counts,
        draft_token_ids=torch.tensor([j + 1 for i, (_, j) in enumerate(rows) if i in drafted], dtype=torch.int32),
        target_logits_indices=torch.tensor(drafted, dtype=torch.int32),
        logits_indices=torch.arange(len(rows)),
    )
    logits = torch.zeros(len(drafted), VOCABULARY)
    return judging.apply(logits, None, metadata), [rows[i] for i in drafted]


def test_v1_rows_get_their_own_signals_though_requests_come_and_go(watched):
    judging, runner = make_v1(make_plan(), "abc")
    runner.drafter.propose([0, 1, 2])
    runner.input_batch.req_ids = list("cad")  # b has left, d is new and was not drafted for
    logits, rows = verify_v1(judging, runner, [2, 0, 3], [4, 2, 1])
    ((asked, signals),) = watched
    assert asked.place.tolist() == [j for _, j in rows] and asked.is_draft.all()
    assert signals.is_known.tolist() == [r != 3 and j < WINDOW - 1 for r, j in rows]
    for i, (r, j) in enumerate(rows):
        assert signals.blocks["target_before"][i].equal(state("target", r, j))
        assert signals.blocks["target_at_draft"][i].equal(state("target", r, j + 1))
        if r != 3:
            assert signals.blocks["draft_before"][i].equal(state("draft", r, j))
            assert signals.draft_logits[i].equal(draft_row(r, j))
            assert j == WINDOW - 1 or signals.blocks["draft_at_draft"][i].equal(state("draft", r, j + 1))
    kept = (logits.argmax(-1) == asked.token).tolist()
    assert kept == signals.is_known.tolist(), "what is not known is refused"


def test_v1_notes_nothing_that_the_judge_does_not_read(watched):
    judging, runner = make_v1(make_plan(["target_at_draft"]), "a")
    runner.drafter.propose([0])
    verify_v1(judging, runner, [0], [4])
    ((_, signals),) = watched
    assert list(signals.blocks) == ["target_at_draft"] and signals.draft_logits is None and signals.is_known.all()


def test_v1_without_a_window_drafted_or_states_refuses(watched):
    judging, runner = make_v1(make_plan(), "a")
    logits, _ = verify_v1(judging, runner, [0], [2])
    assert not watched[0][1].is_known.any() and logits.abs().sum() == 0
    judging, runner = make_v1(make_plan(["target_at_draft"]), "a")
    runner.drafter.propose([0])
    metadata = SimpleNamespace(
        num_draft_tokens=[1],
        draft_token_ids=torch.tensor([1]),
        target_logits_indices=torch.tensor([0]),
        logits_indices=torch.arange(2),
    )
    assert judging.apply(torch.zeros(1, VOCABULARY), None, metadata).abs().sum() == 0


def test_v1_asks_no_judge_for_lossless_or_unknown_requests(watched):
    judging, runner = make_v1(make_plan(), "ab")
    runner.requests["a"].sampling_params = SimpleNamespace(temperature=0.0, extra_args={"autojudge_threshold": 0.0})
    runner.requests["b"].sampling_params = SimpleNamespace(temperature=0.9, extra_args=None)
    runner.drafter.propose([0, 1])
    logits, _ = verify_v1(judging, runner, [0, 1], [4, 4])
    assert not watched and logits.abs().sum() == 0
    runner.input_batch.req_ids = []  # a dummy run
    verify_v1(judging, runner, [0, 1], [1, 1])
    assert not watched


@pytest.mark.parametrize("columns", [COLUMNS, ["target_at_draft"]])
@pytest.mark.parametrize("threshold", [0.0, 0.5])
def test_v1_refuses_what_nobody_proposed(watched, columns, threshold):
    """Zeros stand for proposals where a text is too long for the draft."""
    judging, runner = make_v1(make_plan(columns), "a")
    params = runner.requests["a"].sampling_params
    runner.drafter.propose([0])
    runner.requests["a"].sampling_params = SimpleNamespace(
        temperature=0.0, extra_args={"autojudge_threshold": threshold}
    )
    verify_v1(judging, runner, [0], [2])
    runner.requests["a"].sampling_params = params
    logits, _ = verify_v1(judging, runner, [0], [2])
    assert not watched[-1][1].is_known.any() and logits.abs().sum() == 0


def test_v1_asks_about_a_request_anew_where_its_name_comes_again(watched):
    judging, runner = make_v1(make_plan(["target_at_draft"]), "a")
    runner.drafter.propose([0])
    verify_v1(judging, runner, [0], [2])
    runner.drafter.propose([0])
    runner.requests["a"].sampling_params = SimpleNamespace(temperature=0.0, extra_args={"autojudge_threshold": 0.25})
    verify_v1(judging, runner, [0], [2])
    assert [rows.threshold.tolist() for rows, _ in watched] == [[0.5, 0.5], [0.25, 0.25]]


def test_v1_marks_placeholders_as_no_drafts(watched):
    judging, runner = make_v1(make_plan(["target_at_draft"]), "a")
    runner.drafter.propose([0])
    runner.model.compute_logits(torch.zeros(3, HIDDEN))
    metadata = SimpleNamespace(
        num_draft_tokens=[2],
        draft_token_ids=torch.tensor([4, -1]),
        target_logits_indices=torch.tensor([0, 1]),
        logits_indices=torch.arange(3),
    )
    logits = judging.apply(torch.zeros(2, VOCABULARY), None, metadata)
    assert watched[0][0].is_draft.tolist() == [True, False]
    assert logits[0].argmax() == 4 and logits[1].abs().sum() == 0


def test_v1_scores_and_edits_logits_after_penalties_and_masks(watched):
    def forbid(logits, _sampling, _metadata):
        logits[:, 1] = -torch.inf
        return logits

    judging, runner = make_v1(make_plan(["target_at_draft"]), "a", forbid)
    runner.drafter.propose([0])
    logits, _ = verify_v1(judging, runner, [0], [2])
    assert logits[0, 1] == -torch.inf and logits[1].argmax() == 2
    assert (watched[0][1].target_logits[:, 1] == -torch.inf).all()


def test_v1_waits_for_no_device():
    judging, runner = make_v1(make_plan(), "a", device=META)
    notes = judging._draft
    for _ in range(WINDOW):
        notes._note(torch.zeros(1, HIDDEN, device=META), torch.zeros(1, VOCABULARY, device=META))
    notes._requests = ["a"]
    runner.model.compute_logits(torch.zeros(WINDOW + 1, HIDDEN, device=META))
    metadata = SimpleNamespace(
        num_draft_tokens=[WINDOW],
        draft_token_ids=torch.zeros(WINDOW, dtype=torch.int32, device=META),
        target_logits_indices=torch.arange(WINDOW, device=META),
        logits_indices=torch.arange(WINDOW + 1, device=META),
    )
    assert judging.apply(torch.zeros(WINDOW, VOCABULARY, device=META), None, metadata).device == META


@pytest.fixture
def v2(monkeypatch):
    """The V2 module, on stand-ins of vLLM's."""
    names = ["vllm", "vllm.v1", "vllm.v1.worker", "vllm.v1.worker.gpu", "vllm.v1.worker.gpu.sample"]
    names.append("vllm.v1.worker.gpu.sample.logits_processor")
    for name in names:
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    sys.modules["vllm"].__version__ = "0.32.0"
    sys.modules[names[-1]].LogitsProcessor = type("LogitsProcessor", (), {})
    monkeypatch.delitem(sys.modules, "autojudge.serving.vllm.v2", raising=False)
    import autojudge.serving.vllm.v2 as module

    yield module
    del sys.modules["autojudge.serving.vllm.v2"]


class Speculator:
    """Keeps draft logits by request slot."""

    def __init__(self, slots):
        self.draft_model_config = SimpleNamespace(dtype=torch.float32)
        self.draft_logits = torch.stack([torch.stack([draft_row(s, j) for j in range(WINDOW)]) for s in range(slots)])

    def sample_draft(self, hidden_states, sample_src_positions, idx_mapping, temperature, seeds, draft_step, cache):
        return hidden_states


def make_v2(v2, monkeypatch, plan, slots=5, device=CPU):
    monkeypatch.setattr(v2, "read_plan", lambda *_: plan)
    states = SimpleNamespace(device=device, max_num_reqs=slots, vocab_size=VOCABULARY)
    processor = v2.JudgeProcessor(SimpleNamespace(parallel_config=SimpleNamespace(rank=1)), states)
    speculator = Speculator(slots)
    speculator.draft_logits = speculator.draft_logits.to(device)
    sampler = SimpleNamespace(logits_processors=[object(), processor])
    runner = SimpleNamespace(model=Model(), speculator=speculator, sampler=sampler, max_num_reqs=slots, device=device)
    assert v2.install(runner) is processor.bench
    return processor, runner


def draft_v2(runner, slots):
    for step in range(WINDOW):
        states = torch.stack([state("draft", slot, step) for slot in slots])
        runner.speculator.sample_draft(states, None, torch.tensor(slots), None, None, torch.tensor(step), None)


def context(slots, counts):
    rows = [(slot, j) for slot, count in zip(slots, counts, strict=True) for j in range(count + 1)]
    return rows, SimpleNamespace(
        idx_mapping_np=np.array(slots),
        expanded_idx_mapping=torch.tensor([slot for slot, _ in rows]),
        expanded_local_pos=torch.tensor([j for _, j in rows]),
        input_ids=torch.tensor([j for _, j in rows]),
    )


def admit(processor, slots, threshold=None, temperature=0.0):
    extra = None if threshold is None else {"autojudge_threshold": threshold}
    params = SimpleNamespace(temperature=temperature, extra_args=extra)
    found = [processor.add_request(slot, params) for slot in slots]
    processor.apply_staged_writes()
    return found


def check_v2(rows, counts_by_slot, watched, start=0):
    asked, signals = watched[-1]
    assert asked.is_draft.tolist() == [j < counts_by_slot[s] for s, j in rows]
    for i, (s, j) in enumerate(rows):
        if j < counts_by_slot[s]:
            assert int(asked.token[i]) == j + 1
            assert signals.blocks["target_before"][i].equal(state("target", s, j))
            assert signals.blocks["target_at_draft"][i].equal(state("target", s, j + 1))
            assert signals.blocks["draft_before"][i].equal(state("draft", s, j))
            assert signals.is_known[i] == (j < WINDOW - 1)
            assert j == WINDOW - 1 or signals.blocks["draft_at_draft"][i].equal(state("draft", s, j + 1))


def test_v2_rows_get_their_own_signals_also_in_parts(v2, monkeypatch, watched):
    processor, runner = make_v2(v2, monkeypatch, make_plan(is_v2=True))
    assert admit(processor, [0, 1, 2, 3, 4]) == [True] * 5
    draft_v2(runner, [3, 1, 4])
    slots, counts = [3, 0, 1, 4], [4, 0, 2, 4]
    rows, ctx = context(slots, counts)
    for parts in ([(0, 4)], [(0, 2), (2, 4)]):  # large batches come in parts of whole requests
        runner.model.compute_logits(torch.stack([state("target", s, j) for s, j in rows]))
        for first, last in parts:
            part_rows, ctx = context(slots[first:last], counts[first:last])
            edited = processor.apply(torch.zeros(len(part_rows), VOCABULARY), ctx)
            check_v2(part_rows, dict(zip(slots, counts, strict=True)), watched)
            asked, signals = watched[-1]
            kept = asked.is_draft & signals.is_known
            assert (edited.argmax(-1) == asked.token)[kept].all() and edited[~kept].abs().sum() == 0
            for i, (s, j) in enumerate(part_rows):
                assert j >= WINDOW or signals.draft_logits[i].equal(runner.speculator.draft_logits[s, j])


def test_v2_waits_for_no_device(v2, monkeypatch):
    processor, runner = make_v2(v2, monkeypatch, make_plan(is_v2=True), device=META)
    admit(processor, [0])
    for step in range(WINDOW):
        states, slots = torch.zeros(1, HIDDEN, device=META), torch.zeros(1, dtype=torch.int64, device=META)
        runner.speculator.sample_draft(states, None, slots, None, None, torch.tensor(step, device=META), None)
    runner.model.compute_logits(torch.zeros(WINDOW + 1, HIDDEN, device=META))
    _, ctx = context([0], [WINDOW])
    for name in ("expanded_idx_mapping", "expanded_local_pos", "input_ids"):
        setattr(ctx, name, getattr(ctx, name).to(META))
    assert processor.apply(torch.zeros(WINDOW + 1, VOCABULARY, device=META), ctx).device == META


def test_v2_divides_logits_by_the_temperature_before_the_judge_sees_them(v2, monkeypatch, watched):
    processor, _ = make_v2(v2, monkeypatch, make_plan(["kl_divergence"], is_v2=True))
    admit(processor, [0], temperature=0.5)
    _, ctx = context([0], [2])
    processor.apply(torch.ones(3, VOCABULARY), ctx)
    assert (watched[0][1].target_logits == 2).all()
    assert watched[0][1].draft_logits[0].equal(draft_row(0, 0) / 0.5)


def test_v2_declines_lossless_requests_and_leaves_their_rows(v2, monkeypatch, watched):
    plan = make_plan(["target_at_draft"], is_v2=True)
    assert admit(make_v2(v2, monkeypatch, make_plan(["kl_divergence"]))[0], [0, 1], threshold=0.0) == [False, False]
    processor, runner = make_v2(v2, monkeypatch, plan)
    assert admit(processor, [0, 1], threshold=0.0) == [True, True], "rows are counted through parts of a batch"
    assert admit(processor, [2]) == [True]
    _, ctx = context([0, 1], [2, 2])
    assert processor.apply(torch.zeros(6, VOCABULARY), ctx).abs().sum() == 0 and not watched
    rows, ctx = context([0, 2], [2, 2])
    runner.model.compute_logits(torch.stack([state("target", s, j) for s, j in rows]))
    edited = processor.apply(torch.zeros(6, VOCABULARY), ctx)
    assert edited[:3].abs().sum() == 0 and edited[3:5].sum() > 0


def test_v2_marks_placeholders_as_no_drafts(v2, monkeypatch, watched):
    processor, runner = make_v2(v2, monkeypatch, make_plan(["target_at_draft"], is_v2=True))
    admit(processor, [0])
    rows, ctx = context([0], [2])
    ctx.input_ids = torch.tensor([3, -1, -1])
    runner.model.compute_logits(torch.stack([state("target", s, j) for s, j in rows]))
    assert processor.apply(torch.zeros(3, VOCABULARY), ctx).abs().sum() == 0
    assert not watched[0][0].is_draft.any()


def test_v2_refuses_to_decide_without_what_the_judge_reads(v2, monkeypatch, watched):
    processor, _ = make_v2(v2, monkeypatch, make_plan(is_v2=True))
    processor._beside = None
    admit(processor, [0])
    _, ctx = context([0], [2])
    with pytest.raises(RuntimeError, match="entry point did not run"):
        processor.apply(torch.zeros(3, VOCABULARY), ctx)
    with pytest.raises(ValueError, match=r"`autojudge_threshold` -1: must be 0 \(lossless\) or more"):
        v2.JudgeProcessor.validate_params(SimpleNamespace(extra_args={"autojudge_threshold": -1}))
