"""The budget of memory counts what was freed as free."""

import platform

import pytest
import torch

from autojudge.engine.memory import memory_budget
from conftest import on_cpu


@on_cpu
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc gives back on demand")
def test_freed_memory_belongs_to_the_budget():
    model = torch.nn.Linear(2, 2)
    before = memory_budget([model], 10_000)
    parts = [torch.ones(250_000) for _ in range(800)]  # 800 MB, each too small to be given back at once
    last = torch.ones(250_000)  # lies above them, so that the heap's top stays
    del parts
    assert memory_budget([model], 10_000) > before - 200 * 10**6
    assert last.sum() == 250_000
