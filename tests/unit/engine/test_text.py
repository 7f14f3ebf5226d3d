"""A text knows what its model has read of it, and what of that is shared, dropped or copied."""

import numpy as np
import pytest

from autojudge.engine.cache import CachedModel
from autojudge.engine.text import NO_ROW, CachedText, read_texts

PROMPT = [5, 6, 7]


@pytest.fixture
def model(pair):
    return CachedModel(pair.draft, rows=2, capacity=32, vocabulary=pair.vocabulary, margins=True)


@pytest.fixture
def text(model):
    """A text of which the prompt and the first two of four tokens are read."""
    text = CachedText(PROMPT, [10, 11, 12, 13], row=0)
    read_texts(model, [(text, text.unread()[:5])])
    return text


def test_what_is_unread_follows_from_what_is_read():
    text = CachedText(PROMPT, [10, 11])
    wanted = [5, 6, 7, 10, 11, 12, 13]
    for read in range(8):
        text.slots = np.arange(1, read + 1)
        assert text.unread([12, 13]) == wanted[read:]
        assert text.unread() == wanted[read:5]


def test_tokens_are_read_after_what_was_read_before(model, text):
    assert (text.n_read, text.unread()) == (2, [12, 13])
    once = CachedText(PROMPT, text.tokens, row=1)
    read_texts(model, [(text, [12, 13]), (once, once.unread())])
    assert not text.unread() and not once.unread()
    assert model.choices(0, text.slots[-1:]) == model.choices(1, once.slots[-1:])


def test_slots_are_found_by_the_place_in_the_response(text):
    assert text.slot(-1) == text.slots[2] and text.slot(1) == text.slots[4]
    assert text.slots_before(1).tolist() == text.slots[3:5].tolist()
    text.tokens = text.tokens[:2]
    assert text.slots_before(0).tolist() == text.slots[2:4].tolist(), "nothing was chosen after the last token"


def test_a_branch_shares_its_beginning_and_what_is_dropped_after_it_is_free_again(model, text):
    branch = text.branch(1, [10, 20])
    assert branch.unread() == [20] and branch.slots.tolist() == text.slots[:4].tolist()
    dropped = text.slots[4]
    text.keep(model, 1)
    assert text.unread() == [11, 12, 13]
    text.keep(model, 3)
    assert text.n_read == 1, "no more is kept than was read"
    read_texts(model, [(branch, branch.unread())])
    assert branch.slots[-1] == dropped


def test_a_saved_text_goes_on_in_another_row(model, text):
    saved = text.save(model, 1, [10, 20])
    assert saved.row == NO_ROW and not len(saved.slots)
    model.clear(0)
    saved.load(model, 1)
    assert (saved.row, saved.n_read, saved.unread()) == (1, 1, [20])
    other = CachedText(PROMPT, [10, 20], row=0)
    read_texts(model, [(saved, saved.unread()), (other, other.unread())])
    assert model.choices(1, saved.slots[-1:]) == model.choices(0, other.slots[-1:])
