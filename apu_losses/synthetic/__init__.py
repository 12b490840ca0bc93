"""Scenes of two people whose true meshes and contacts are known: for tests, demos and the benchmark."""

from __future__ import annotations

from apu_losses.synthetic.scene_truth import IntendedContact, TruthScene

__all__ = ["IntendedContact", "TruthScene"]
