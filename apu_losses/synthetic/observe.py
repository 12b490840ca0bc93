"""What tools would have written about a synthetic scene: detections of two people in a picture."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from apu_contacts.keypoints.extent import keypoint_box
from apu_contacts.sources import PersonDetection
from apu_losses.synthetic.detector import detect, detector_points, hidden_keypoints
from apu_losses.synthetic.estimator import estimate
from apu_losses.synthetic.observation_noise import ObservationNoise
from apu_losses.synthetic.scene_truth import TruthScene
from apu_losses.synthetic.view import View, draw_view

Array = NDArray[np.float64]

_VIEWS = 12
_ENOUGH = 7
"""Keypoints of each person that a picture must show: nobody proposes a pair that cannot be seen."""


@dataclass(frozen=True, eq=False)
class Observation:
    """A picture of a scene, as detectors describe it, and what they do not know.

    Attributes:
        detections: of person 0 and person 1 of the scene.
        view: the camera that took the picture; a fitter is not told.
        left: which of the two stands on the left of the picture (by the pelvis).
        joints: ``(2, 55, 3)``, vertices: ``(2, V, 3)``: the truth in the frame of that camera, metres.
        true_xy: ``(2, 17, 2)`` keypoints without noise, by the detector's definitions, pixels.
        hidden: ``(2, 17)`` keypoints behind a surface.
    """

    truth: TruthScene
    detections: tuple[PersonDetection, PersonDetection]
    view: View
    left: int
    joints: Array
    vertices: Array
    true_xy: Array
    hidden: NDArray[np.bool_]


def scene_rng(truth: TruthScene, seed: int, purpose: str) -> np.random.Generator:
    """Draws for one purpose and one scene; the same on every machine, whatever else was drawn."""
    return np.random.default_rng([seed, zlib.crc32(truth.name.encode()), zlib.crc32(purpose.encode())])


def observe(truth: TruthScene, noise: ObservationNoise | None = None, seed: int = 0) -> Observation:
    """Photograph a scene and run a simulated detector and estimator on it.

    Camera, detector and estimator draw from streams of their own: a dial of one leaves the others as they
    are.

    Args:
        truth: the scene.
        noise: the dials; the defaults if None.
        seed: of the noise; the scene's name is mixed into it.
    """
    noise = noise or ObservationNoise()
    points_world = detector_points(truth, noise.definition)
    camera_rng = scene_rng(truth, seed, "camera")
    for _ in range(_VIEWS):
        view = draw_view(truth.vertices, noise, camera_rng)
        points, vertices = view.to_camera(points_world), view.to_camera(truth.vertices)
        hidden = hidden_keypoints(points, vertices, view)
        xy = view.camera.project(points)
        shown = ~hidden & ((xy >= 0) & (xy < [view.width, view.height])).all(-1)
        if shown.sum(1).min() >= _ENOUGH:
            break
    found = detect(points, hidden, view, noise, scene_rng(truth, seed, "detector"))
    estimates = estimate(truth, view, hidden, noise, scene_rng(truth, seed, "estimator"))
    nowhere = np.zeros(4)
    first, second = (
        PersonDetection(
            k, nowhere if (box := keypoint_box(k, min_confidence=0)) is None else box, e, {"simulated": i}
        )
        for i, (k, e) in enumerate(zip(found.keypoints, estimates, strict=True))
    )
    joints = view.to_camera(truth.joints)
    across = joints[:, 0, 0] / joints[:, 0, 2]
    return Observation(
        truth, (first, second), view, int(across[1] < across[0]), joints, vertices, found.true_xy, hidden
    )
