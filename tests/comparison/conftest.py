"""What tests of comparisons share."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest


@pytest.fixture
def garbage_left_alone() -> Iterator[None]:
    """Let statsmodels, which collects garbage at each call, look at few objects."""
    gc.freeze()
    yield
    gc.unfreeze()
