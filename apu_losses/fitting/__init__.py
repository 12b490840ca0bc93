"""Fitting bodies to scenes: `Scene` in, `SceneFitter` over it, `FitResult` out; each piece usable alone."""

from apu_losses.fitting.batch import SceneBatch, make_batch
from apu_losses.fitting.evaluate import SceneMetrics, evaluate
from apu_losses.fitting.filter import Verdict, held_share, judge
from apu_losses.fitting.fitter import SceneFitter
from apu_losses.fitting.from_detections import model_of, posed_estimate, scene_from_detections
from apu_losses.fitting.least_squares import LeastSquaresResult, levenberg_marquardt
from apu_losses.fitting.log import FitLog
from apu_losses.fitting.mesh_regions import posed_mesh_regions
from apu_losses.fitting.presets import PRESET_NAMES, load_preset
from apu_losses.fitting.progress import FitProgress, StageReport
from apu_losses.fitting.propose import ProposalReport, find_images, propose_scenes
from apu_losses.fitting.result import FitResult, load_parameters
from apu_losses.fitting.retarget import RetargetOptions, RetargetReport, initial_parameters
from apu_losses.fitting.scene import (
    InitialBody,
    Joints3D,
    Scene,
    SceneCamera,
    SceneContact,
    ScenePerson,
    sequence,
)
from apu_losses.fitting.scene_io import (
    SceneFileError,
    load_scene,
    read_scene_lines,
    save_scene,
    scene_from_dict,
    scene_to_dict,
    write_scene_lines,
)
from apu_losses.fitting.stage import Preset, Stage
from apu_losses.fitting.state import FitState
from apu_losses.fitting.term import Term

__all__ = [
    "PRESET_NAMES",
    "FitLog",
    "FitProgress",
    "FitResult",
    "FitState",
    "InitialBody",
    "Joints3D",
    "LeastSquaresResult",
    "Preset",
    "ProposalReport",
    "RetargetOptions",
    "RetargetReport",
    "Scene",
    "SceneBatch",
    "SceneCamera",
    "SceneContact",
    "SceneFileError",
    "SceneFitter",
    "SceneMetrics",
    "ScenePerson",
    "Stage",
    "StageReport",
    "Term",
    "Verdict",
    "evaluate",
    "find_images",
    "held_share",
    "initial_parameters",
    "judge",
    "levenberg_marquardt",
    "load_parameters",
    "load_preset",
    "load_scene",
    "make_batch",
    "model_of",
    "posed_estimate",
    "posed_mesh_regions",
    "propose_scenes",
    "read_scene_lines",
    "save_scene",
    "scene_from_detections",
    "scene_from_dict",
    "scene_to_dict",
    "sequence",
    "write_scene_lines",
]
