"""Fitting bodies to scenes: `Scene` in, `SceneFitter` over it, `FitResult` out; each piece usable alone."""

from apu_losses.fitting.convert_mesh import MeshConversion, convert_meshes
from apu_losses.fitting.fitter import SceneFitter
from apu_losses.fitting.mesh_regions import posed_mesh_regions
from apu_losses.fitting.objective.batch import SceneBatch, make_batch
from apu_losses.fitting.objective.state import FitState
from apu_losses.fitting.objective.term import Term
from apu_losses.fitting.objective.terms.dense import DenseContact, DenseContactTerm
from apu_losses.fitting.propose.scenes import ProposalReport, find_images, propose_scenes
from apu_losses.fitting.result.findings import Finding, Limits, look_at
from apu_losses.fitting.result.log import FitLog
from apu_losses.fitting.result.measures import SceneMetrics, evaluate
from apu_losses.fitting.result.record import DepthChoice, FitResult, load_parameters
from apu_losses.fitting.result.tracks import FittedTrack, fitted_tracks
from apu_losses.fitting.result.verdict import Verdict, held_share, judge
from apu_losses.fitting.retarget_pair import RetargetedPair, retarget_contacts
from apu_losses.fitting.scene.file import (
    SceneFileError,
    load_scene,
    read_scene_lines,
    save_scene,
    scene_from_dict,
    scene_to_dict,
    write_scene_lines,
)
from apu_losses.fitting.scene.types import (
    InitialBody,
    Joints3D,
    Scene,
    SceneContact,
    ScenePerson,
    sequence,
)
from apu_losses.fitting.several_starts import fit_from_starts, scenes_from_starts
from apu_losses.fitting.solve.presets import PRESET_NAMES, load_preset
from apu_losses.fitting.solve.progress import FitProgress, StageReport
from apu_losses.fitting.solve.stage import Preset, Stage
from apu_losses.fitting.start.from_detections import model_of, posed_estimate, scene_from_detections
from apu_losses.fitting.start.from_keypoints import (
    KeypointStart,
    KeypointStartOptions,
    StartHypothesis,
    start_from_keypoints,
)
from apu_losses.fitting.start.from_tracks import scene_from_tracks
from apu_losses.fitting.start.retarget import RetargetOptions, RetargetReport, initial_parameters
from apu_losses.fitting.start.said import with_people_said
from apu_losses.numerics.least_squares import LeastSquaresResult, levenberg_marquardt

__all__ = [
    "PRESET_NAMES",
    "DenseContact",
    "DenseContactTerm",
    "DepthChoice",
    "Finding",
    "FitLog",
    "FitProgress",
    "FitResult",
    "FitState",
    "FittedTrack",
    "InitialBody",
    "Joints3D",
    "KeypointStart",
    "KeypointStartOptions",
    "LeastSquaresResult",
    "Limits",
    "MeshConversion",
    "Preset",
    "ProposalReport",
    "RetargetOptions",
    "RetargetReport",
    "RetargetedPair",
    "Scene",
    "SceneBatch",
    "SceneContact",
    "SceneFileError",
    "SceneFitter",
    "SceneMetrics",
    "ScenePerson",
    "Stage",
    "StageReport",
    "StartHypothesis",
    "Term",
    "Verdict",
    "convert_meshes",
    "evaluate",
    "find_images",
    "fit_from_starts",
    "fitted_tracks",
    "held_share",
    "initial_parameters",
    "judge",
    "levenberg_marquardt",
    "load_parameters",
    "load_preset",
    "load_scene",
    "look_at",
    "make_batch",
    "model_of",
    "posed_estimate",
    "posed_mesh_regions",
    "propose_scenes",
    "read_scene_lines",
    "retarget_contacts",
    "save_scene",
    "scene_from_detections",
    "scene_from_dict",
    "scene_from_tracks",
    "scene_to_dict",
    "scenes_from_starts",
    "sequence",
    "start_from_keypoints",
    "with_people_said",
    "write_scene_lines",
]
