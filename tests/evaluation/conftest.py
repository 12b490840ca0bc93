"""Scenes with known truth for the evaluations."""

from __future__ import annotations

import pytest

from apu_losses.synthetic import TruthScene, load_truth_scenes


@pytest.fixture(scope="session")
def scenes() -> list[TruthScene]:
    """Four scenes in contact."""
    found = load_truth_scenes("held_out", per_type=1)
    return [scene for scene in found if len(scene.contact_regions) > 1][:4]
