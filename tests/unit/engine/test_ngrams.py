"""Search of n-grams: the longest that ends a text, at every place where it occurs."""

import numpy as np
import pytest

from autojudge.decoding.proposers import LOOKUP_NGRAM, look_up
from autojudge.engine.ngrams import find_ngram


def occurrences(tokens, text, longest):
    """Places after the longest n-gram of a text's last tokens, by comparing every slice."""
    for n in range(min(longest, len(text)), 0, -1):
        places = [end for end in range(n, len(tokens) + 1) if tokens[end - n : end] == text[-n:]]
        if places:
            return places, n
    return [], 0


@pytest.mark.parametrize("longest", [1, 3, 6])
def test_the_longest_ngram_is_found_wherever_it_occurs(longest):
    rng, lengths = np.random.default_rng(0), set()
    for _ in range(600):
        tokens, text = (rng.integers(0, 3, size=n).tolist() for n in (rng.integers(0, 30), rng.integers(1, 9)))
        places, length = find_ngram(np.array(tokens, dtype=np.int64), text, longest)
        assert (places.tolist(), length) == occurrences(tokens, text, longest)
        lengths.add(length)
    assert lengths == set(range(longest + 1))


def test_prompt_lookup_takes_what_followed_the_latest_place():
    rng = np.random.default_rng(1)
    for _ in range(600):
        text, count = rng.integers(0, 4, size=rng.integers(1, 30)).tolist(), int(rng.integers(0, 6))
        places, _ = occurrences(text[:-1], text, LOOKUP_NGRAM)
        assert look_up(np.array(text), count) == (text[places[-1] :][:count] if places else [])
