"""Five scenes put together by hand, and what is seen of them, for all tests of this folder."""

from __future__ import annotations

import pytest
from synthetic_scenes import scenes

from apu_losses.synthetic import TruthScene


@pytest.fixture(scope="session")
def made_scenes() -> list[TruthScene]:
    return scenes(5)
