"""The page on mining says where labels come from."""

import pytest

from autojudge.reporting.mining_page import Stops, build_page

STOPS = Stops(200, 50, 0, 0, 0, 10, 0, 12345, 20000)


@pytest.mark.parametrize(
    "sources, told, not_told",
    [
        ({}, ["continued to its end"], ["likelihood", "samples"]),
        ({"likelihood": {"tokens": 7, "threshold": 2.5}}, ["of the 7 tokens after it", "2.5 nats"], ["continued"]),
        ({"samples": {"count": 6, "temperature": 0.7}}, ["continued to its end", "6 more times", "0.7"], ["nats"]),
    ],
)
def test_the_page_says_where_labels_come_from(sources, told, not_told):
    page = build_page(STOPS, "arith, testbed", False, **sources)
    assert "12,345" in page and "50 (25.0 %)" in page
    assert all(words in page for words in told) and not any(words in page for words in not_told)
