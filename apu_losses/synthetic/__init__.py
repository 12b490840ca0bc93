"""Scenes of two people whose true meshes and contacts are known: for tests, demos and the benchmark."""

from __future__ import annotations

from apu_losses.synthetic.annotator import MODELS, AnnotatorNoise, SimulatedModel, annotate
from apu_losses.synthetic.dials import Dial, describe
from apu_losses.synthetic.observation_noise import ObservationNoise
from apu_losses.synthetic.observe import Observation, observe
from apu_losses.synthetic.scene_truth import IntendedContact, TruthScene
from apu_losses.synthetic.view import View

__all__ = [
    "MODELS",
    "AnnotatorNoise",
    "Dial",
    "IntendedContact",
    "Observation",
    "ObservationNoise",
    "SimulatedModel",
    "TruthScene",
    "View",
    "annotate",
    "describe",
    "observe",
]
