"""The example of a foreign loop runs and does what it says."""

from __future__ import annotations

import runpy
from pathlib import Path

EXAMPLE = Path(__file__).parents[2] / "examples" / "01_our_term_in_your_loop.py"


def test_our_term_in_your_loop():
    before, after = runpy.run_path(str(EXAMPLE))["main"](iterations=40)
    assert before > 15 and after < 2
