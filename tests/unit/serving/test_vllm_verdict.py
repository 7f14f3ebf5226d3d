"""The judge's verdict on a verification's rows equals a plain walk through each window, and masks and faults win."""

import pytest
import torch

from autojudge.engine.features import compare_distributions
from autojudge.judging.artifact import Judge
from autojudge.judging.needs import TARGET_SCALARS
from autojudge.serving.vllm import verdict
from autojudge.serving.vllm.verdict import Bench, Known, Rows, Trace
from autojudge.tables.feature_names import SCALARS
from conftest import make_record

VOCABULARY, CPU = 20, torch.device("cpu")


def make_judge(columns=("draft_token_probability", "target_entropy"), sizes=None, weight=(-3.0, 1.0), bias=0.0):
    record = make_record(columns=list(columns), sizes=sizes or [1] * len(columns))
    return Judge({"weight": torch.tensor(weight), "bias": torch.tensor(bias)}, record)


def make_rows(counts, thresholds, seed=0):
    """Rows of requests with so many proposals and a bonus row each, and logits that often agree."""
    generator = torch.Generator().manual_seed(seed)
    place = torch.tensor([j for count in counts for j in range(count + 1)])
    n = len(place)
    logits = 2 * torch.randn(n, VOCABULARY, generator=generator)
    agrees = torch.rand(n, generator=generator) < 0.6
    token = torch.where(agrees, logits.argmax(-1), torch.randint(VOCABULARY, (n,), generator=generator))
    is_draft = torch.tensor([j < count for count in counts for j in range(count + 1)])
    threshold = torch.tensor([t for count, t in zip(counts, thresholds, strict=True) for _ in range(count + 1)])
    return Rows(token, is_draft, place, threshold.double()), logits


def walk(judge, counts, thresholds, rows, logits):
    """Accepted tokens of each request and counts, mismatch by mismatch."""
    accepted, kept, asked, start = [], 0, 0, 0
    for count, threshold in zip(counts, thresholds, strict=True):
        accepted.append(0)
        for row in range(start, start + count):
            if int(logits[row].argmax()) != int(rows.token[row]):
                found = compare_distributions(logits[row : row + 1], logits[row : row + 1], rows.token[row : row + 1])
                keeps = float(judge.probability(found)) < threshold
                asked += threshold > 0
                kept += keeps
                if not keeps:
                    break
            accepted[-1] += 1
        start += count + 1
    return accepted, kept, asked


def accepted_by(counts, rows, logits):
    """Accepted tokens of each request, as a greedy rejection sampler takes them."""
    agrees, found, start = (logits.argmax(-1) == rows.token).tolist(), [], 0
    for count in counts:
        window = agrees[start : start + count]
        found.append(window.index(False) if False in window else count)
        start += count + 1
    return found


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("numbers", [2**25, 3 * VOCABULARY, 1])
def test_edited_logits_accept_what_a_plain_walk_accepts_and_counts_are_its(seed, numbers, monkeypatch):
    monkeypatch.setattr(verdict, "MOST_NUMBERS", numbers)
    counts, thresholds = [4, 0, 8, 1, 8, 3], [0.9, 0.5, 0.0, 1.0, 0.85, 0.95]
    judge, (rows, logits) = make_judge(), make_rows(counts, thresholds, seed)
    bench = Bench(judge, CPU, False)
    plain, kept, asked = walk(judge, counts, thresholds, rows, logits)
    before = accepted_by(counts, rows, logits)
    p = bench.score(rows, Known(logits))
    edited = bench.keep(rows, p, None, logits.clone())
    assert accepted_by(counts, rows, edited) == plain
    assert kept and plain != before, "the judge keeps something here"
    told = bench.counts.read()
    assert (told["kept"], told["asked"], told["nan"], told["missing"]) == (kept, asked, 0, 0)
    assert told["windows"] == 4, "of the requests that have proposals and are not lossless"
    assert torch.equal(edited[~rows.is_draft], logits[~rows.is_draft]), "bonus rows stay as they are"


def test_at_threshold_zero_no_logit_is_changed():
    rows, logits = make_rows([8, 8], [0.0, 0.0])
    bench = Bench(make_judge(bias=-100.0), CPU, False)
    assert torch.equal(bench.keep(rows, bench.score(rows, Known(logits)), None, logits.clone()), logits)


def test_a_kept_token_is_certain_at_any_temperature_and_under_truncation():
    rows, logits = make_rows([8], [1.0])
    bench = Bench(make_judge(bias=-100.0), CPU, False)
    edited = bench.keep(rows, bench.score(rows, Known(logits)), None, logits.clone())
    for temperature in (0.01, 1.0, 5.0):
        chosen = (edited / temperature).softmax(-1).gather(1, rows.token[:, None])[rows.is_draft]
        assert torch.equal(chosen, torch.ones_like(chosen))


def test_what_a_grammar_forbids_is_refused_and_its_mask_makes_no_nan():
    rows, logits = make_rows([8], [1.0])
    logits[torch.arange(9), (rows.token + 1) % VOCABULARY] = -torch.inf
    logits[3, rows.token[3]] = -torch.inf
    bench = Bench(make_judge(TARGET_SCALARS, weight=(0.0, 0.0, 0.1, 0.0), bias=-5.0), CPU, False)
    p = bench.score(rows, Known(logits))
    assert torch.isfinite(p).all()
    edited = bench.keep(rows, p, None, logits.clone())
    assert edited[3, rows.token[3]] == -torch.inf
    assert accepted_by([8], rows, edited) == [3]


def test_a_score_that_is_no_number_and_a_missing_signal_refuse_and_are_counted():
    rows, logits = make_rows([4, 4], [1.0, 1.0])
    rows.token[[1, 6]] = (logits[[1, 6]].argmax(-1) + 1) % VOCABULARY
    bench = Bench(make_judge(bias=-100.0), CPU, False)
    p, known = bench.score(rows, Known(logits)), torch.ones(10, dtype=torch.bool)
    p[1], known[6] = torch.nan, False
    edited = bench.keep(rows, p, known, logits.clone())
    assert accepted_by([4, 4], rows, edited) == [1, 1]
    told = bench.counts.read()
    assert (told["nan"], told["missing"]) == (1, 1)


def read_scalars(columns, target, draft, token):
    """What a judge of these scalars is asked, as the bench has it."""
    bench = Bench(make_judge(columns, weight=[0.0] * len(columns)), CPU, False)
    n = len(token)
    rows = Rows(token, torch.ones(n, dtype=torch.bool), torch.zeros(n, dtype=torch.int64), torch.ones(n).double())
    return bench._compute_scalars(rows, Known(target, draft))


@pytest.mark.parametrize("columns, reads_draft", [(SCALARS, True), (TARGET_SCALARS, False)])
@pytest.mark.parametrize("numbers", [2**25, 150])
def test_scalars_are_those_of_mining(columns, reads_draft, numbers, monkeypatch):
    monkeypatch.setattr(verdict, "MOST_NUMBERS", numbers)
    torch.manual_seed(0)
    target, draft = 3 * torch.randn(2, 30, 50)
    token = torch.randint(50, (30,))
    wanted = compare_distributions(target, draft, token)
    found = read_scalars(columns, target, draft if reads_draft else None, token)
    assert found.keys() == set(columns) and all(torch.equal(found[name], wanted[name]) for name in columns)


def test_scalars_of_masked_logits_are_those_of_the_tokens_that_are_left():
    torch.manual_seed(0)
    target, draft, token = 3 * torch.randn(30, 50), 3 * torch.randn(30, 50), torch.randint(25, (30,))
    masked = target.clone()
    masked[:, 25:] = -torch.inf
    found = read_scalars(SCALARS, masked, draft, token)
    left = read_scalars(TARGET_SCALARS, target[:, :25], None, token)
    assert all(torch.isfinite(values).all() for values in found.values())
    assert all(torch.allclose(found[name], left[name]) for name in TARGET_SCALARS)


def test_nothing_waits_for_the_device():
    """A meta tensor has no numbers, so that whatever asks for one raises."""
    rows, logits = make_rows([4, 8], [0.5, 0.0])
    rows = Rows(*(part.to("meta") for part in (rows.token, rows.is_draft, rows.place, rows.threshold)))
    judge = make_judge(["target_before", *SCALARS], sizes=[3, *[1] * len(SCALARS)], weight=[0.0] * (3 + len(SCALARS)))
    bench, n = Bench(judge, torch.device("meta"), False), len(logits)
    states, known = torch.zeros(n, 3, device="meta"), torch.ones(n, dtype=torch.bool, device="meta")
    given = Known(logits.to("meta"), logits.to("meta"), {"target_before": states}, known)
    assert bench.keep(rows, bench.score(rows, given), known, logits.to("meta")).shape == logits.shape


def test_a_trace_has_each_window_as_it_was_verified(monkeypatch):
    counts, thresholds = [3, 0, 5], [0.5, 0.5, 0.0]
    judge, (rows, logits) = make_judge(), make_rows(counts, thresholds, seed=3)
    monkeypatch.setattr(Bench, "trace", trace := Trace())
    bench = Bench(judge, CPU, False)
    matches = logits.argmax(-1) == rows.token
    edited = bench.keep(rows, bench.score(rows, Known(logits)), None, logits.clone())
    passes = edited.argmax(-1) == rows.token
    assert [len(window) for window in trace.windows] == [3, 5]
    wanted = [(bool(p), bool(p and not m)) for p, m, d in zip(passes, matches, rows.is_draft, strict=True) if d]
    assert sum(trace.windows, []) == wanted


def test_a_judge_keeps_its_counts_on_the_host_when_it_moves():
    record = make_record(columns=["target_entropy"], sizes=[1], classifier="random_forest")
    tensors = {"depth": torch.tensor(2), "feature": torch.tensor([0]), "value": torch.tensor([0.5])}
    moved = Judge(tensors, record).to("meta").tensors
    assert {name: tensor.device.type for name, tensor in moved.items()} == {
        "depth": "cpu",
        "feature": "meta",
        "value": "meta",
    }
