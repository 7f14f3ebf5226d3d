"""Every architecture of the matrix either gives what plain forwards of its own give, or is refused with the reason."""

import copy
import re

import pytest
import torch

import reference
from architectures import ARCHITECTURES, END, VOCABULARY, WINDOW
from autojudge.decoding.branches import Job
from autojudge.decoding.decoder import Decoder
from autojudge.decoding.thresholds import Points
from autojudge.engine.cache import NO_SLOTS, CachedModel, Request
from autojudge.engine.compatibility import check_slot_cache
from autojudge.engine.models import Pair
from autojudge.errors import InputError
from autojudge.mining.miner import Miner
from autojudge.rules import load_rule
from autojudge.scoring.scorer import Scorer
from conftest import ROOT

WORKING = [name for name, architecture in ARCHITECTURES.items() if architecture.refused is None]
REFUSED = [name for name, architecture in ARCHITECTURES.items() if architecture.refused is not None]
LIMIT = 20
TEXTS = [[7 + (31 * i * (row + 1)) % 1000 for i in range(count)] for row, count in enumerate((2 * WINDOW + 5, 9, 25))]


class ByTheEnd:
    """A task whose answer is a digit that hangs on the last tokens."""

    VERSION = 1

    @staticmethod
    def extract_answer(text):
        return str(sum(map(ord, text[-6:])) % 3)

    @staticmethod
    def same_answer(a, b):
        return a == b


@pytest.fixture(scope="module")
def made():
    """Return a function that makes a model of an architecture, of its own attention and of the slot cache's."""

    def make(name, seed, dtype=torch.float32):
        own = ARCHITECTURES[name].make(seed).to(dtype)
        model = copy.deepcopy(own)
        check_slot_cache(model, name)
        return own, model

    return make


def packed_logits(model):
    """Return the logits of `TEXTS`, each read in pieces of its own sizes, all pieces of a kind in one pass."""
    cached = CachedModel(model, len(TEXTS), 80, VOCABULARY)
    read, logits = [0] * len(TEXTS), [[] for _ in TEXTS]
    contexts = [NO_SLOTS] * len(TEXTS)
    for part in (0.4, 0.6, 1.0):
        ends = [max(1, round(part * len(text))) for text in TEXTS]
        pieces = [text[start:end] for text, start, end in zip(TEXTS, read, ends, strict=True)]
        requests = [Request(row, contexts[row], piece) for row, piece in enumerate(pieces)]
        refused = [Request(row, contexts[row], piece[:2][::-1]) for row, piece in enumerate(pieces)]
        found = cached.forward([*requests, *refused], keep_logits=True)
        for row in range(len(TEXTS)):
            cached.release(row, found.slots[len(TEXTS) + row])
            contexts[row] = torch.cat([torch.from_numpy(s) for s in (contexts[row], found.slots[row])]).numpy()
            logits[row].append(found.logits[row])
        read = ends
    return [torch.cat(parts).float() for parts in logits]


def errors(own, model):
    """Return, for each token of `TEXTS`, the largest difference from a plain forward by the spread of the logits."""
    with torch.inference_mode():
        plain = [own(torch.tensor([text]), use_cache=False).logits[0].float() for text in TEXTS]
    pairs = zip(packed_logits(model), plain, strict=True)
    return torch.cat([(found - right).abs().amax(-1) / right.std(-1) for found, right in pairs])


@pytest.mark.parametrize("name", WORKING)
def test_in_float32_decoding_and_mining_equal_plain_forwards_token_for_token(name, made, pair):
    (target, fast_target), (draft, fast_draft) = made(name, 0), made(name, 0)
    for model in (draft, fast_draft):
        blur(model)
    assert errors(target, fast_target).max() < 1e-3
    plain = Pair(draft, target, pair.tokenizer, frozenset({END}), VOCABULARY)
    fast = Pair(fast_draft, fast_target, pair.tokenizer, frozenset({END}), VOCABULARY)
    prompts = [text[: WINDOW + 4] for text in TEXTS]
    right = [reference.greedy(plain, target, prompt, [], LIMIT) for prompt in prompts]
    assert len({token for tokens in right for token in tokens}) > 5, "too dull a text to compare"
    decoder = Decoder(fast, None, 4, LIMIT, 3)
    for jobs in (
        [Job(prompt, {}) for prompt in prompts],
        [Job(p, {load_rule("lossless"): Points((0.0,))}) for p in prompts],
    ):
        assert [found[0].tokens for _, found in sorted(decoder.decode(jobs))] == right
    problems = [
        {"problem_id": str(i), "prompt_tokens": prompt, "gold": "0", "split": "train"}
        for i, prompt in enumerate(prompts[:2])
    ]
    mined = {
        m.response["problem_id"]: reference.mined_result(m)
        for m in Miner(fast, Scorer(ByTheEnd), LIMIT, 2, 10**9).mine(problems)
    }
    wanted = {p["problem_id"]: reference.mine_plainly(plain, ByTheEnd, p["prompt_tokens"], LIMIT) for p in problems}
    assert mined == wanted
    assert sum(len(result["labels"]) for result in mined.values()) > 0


def blur(model):
    """Make a draft of a target: the same model with noise on its weights, the same for the same architecture."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.add_(torch.randn(parameter.shape, generator=generator) * parameter.std() * 0.06)


@pytest.mark.parametrize("name", WORKING)
def test_in_bfloat16_it_works_and_differs_by_rounding_alone(name, made):
    assert errors(*made(name, 0, torch.bfloat16)).median() < 0.15


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["float32", "bfloat16"])
@pytest.mark.parametrize("name", REFUSED)
def test_others_are_refused_with_the_reason(name, dtype, made):
    with pytest.raises(InputError, match=ARCHITECTURES[name].refused):
        made(name, 0, dtype)


def test_the_page_of_models_lists_the_matrix():
    page = (ROOT / "docs/models.md").read_text(encoding="utf-8")
    sections = dict(part.split("\n", 1) for part in re.split(r"^## ", page, flags=re.MULTILINE)[1:])
    for title, names in {"What works": WORKING, "What is refused": REFUSED}.items():
        rows = re.findall(r"^\| ([^|]+) \| ([^|]+) \|", sections[title], re.MULTILINE)
        assert rows[1:] == [(name, ARCHITECTURES[name].models) for name in names]
