"""Scenes of two people whose true meshes and contacts are known: for tests, demos and the benchmark.

`load_truth_scenes` reads the ones that come with the package; `draw_scene` makes more. `observe` says what
detectors and an estimator would see of a scene, `annotate` what a vision language model would answer.
"""

from __future__ import annotations

from apu_losses.synthetic.annotator import MODELS, AnnotatorNoise, SimulatedModel, annotate
from apu_losses.synthetic.build import draw_scene, draw_scenes
from apu_losses.synthetic.dials import Dial, describe
from apu_losses.synthetic.interaction import Interaction, Touch
from apu_losses.synthetic.interactions import DEVELOPMENT_TYPES, HELD_OUT_TYPES, INTERACTIONS
from apu_losses.synthetic.measured import measured_scenes
from apu_losses.synthetic.observation_noise import ESTIMATORS, ObservationNoise
from apu_losses.synthetic.observe import Observation, observe
from apu_losses.synthetic.places import PLACES
from apu_losses.synthetic.scene_file import load_truth_scenes, read_truth_scenes, write_truth_scenes
from apu_losses.synthetic.scene_truth import IntendedContact, Rejected, TruthScene
from apu_losses.synthetic.truth_body import EXTRA_SHAPE_NAMES, extra_shape_directions, load_truth_body
from apu_losses.synthetic.view import View

__all__ = [
    "DEVELOPMENT_TYPES",
    "ESTIMATORS",
    "EXTRA_SHAPE_NAMES",
    "HELD_OUT_TYPES",
    "INTERACTIONS",
    "MODELS",
    "PLACES",
    "AnnotatorNoise",
    "Dial",
    "IntendedContact",
    "Interaction",
    "Observation",
    "ObservationNoise",
    "Rejected",
    "SimulatedModel",
    "Touch",
    "TruthScene",
    "View",
    "annotate",
    "describe",
    "draw_scene",
    "draw_scenes",
    "extra_shape_directions",
    "load_truth_body",
    "load_truth_scenes",
    "measured_scenes",
    "observe",
    "read_truth_scenes",
    "write_truth_scenes",
]
