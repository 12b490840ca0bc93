"""The example of a user's own term runs and does what it says."""

from __future__ import annotations

import runpy
from pathlib import Path

EXAMPLE = Path(__file__).parents[2] / "examples" / "02_your_term_in_our_fitter.py"


def test_your_term_in_our_fitter():
    before, after = runpy.run_path(str(EXAMPLE))["main"]()
    assert abs(before - 0.5) < 1e-6 and after < 0.02
