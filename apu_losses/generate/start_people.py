"""Where the fit of people starts of whom nothing is known but keypoints."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from apu_contacts.keypoints import SKELETONS, Keypoints2D, convert_keypoints
from apu_losses.bodies.protocol import BodyModel
from apu_losses.fitting.scene.types import InitialBody, Joints3D, SceneCamera

_SKELETON = "body25"
_SEEN = 0.3
"""Confidence from which a keypoint counts, as in the proposal of pairs."""
_LIMBS = (
    ("neck", "mid_hip"),
    *(
        (f"{side}_{a}", f"{side}_{b}")
        for side in ("left", "right")
        for a, b in (("shoulder", "elbow"), ("elbow", "wrist"), ("hip", "knee"), ("knee", "ankle"))
    ),
)
_FAR = 4.0
"""Metres, for somebody of whom no limb is seen whole."""


class StartPeople(Protocol):
    """What finds a start for people: `start_people`, or another that takes and returns the same."""

    def __call__(
        self,
        people: Sequence[Keypoints2D],
        size: tuple[int, int],
        camera: SceneCamera,
        body: BodyModel,
    ) -> list[InitialBody]:
        """Find a start for each person of one picture."""
        ...


def start_people(
    people: Sequence[Keypoints2D], size: tuple[int, int], camera: SceneCamera, body: BodyModel
) -> list[InitialBody]:
    """A start for each person of one picture, from keypoints alone.

    Each stands upright, turned to the camera or away from it as the shoulders say, as far away as the limb
    that looks longest for its length; the joints lie on the keypoints' rays at that depth.

    Args:
        people: keypoints of each, pixels.
        size: width and height of the picture, pixels.
        camera: of the scene.
        body: the body that is fitted: its limbs are the measure.
    """
    lengths = _limb_lengths(body)
    return [_start(convert_keypoints(k, _SKELETON), camera, lengths) for k in people]


def _limb_lengths(body: BodyModel) -> dict[tuple[str, str], float]:
    """Metres between the keypoints of a body at rest."""
    with torch.no_grad():
        posed = body.pose({"transl": torch.zeros(1, 3, device=body.faces.device)})
        points = body.keypoints(posed, _SKELETON)[0].double().cpu().numpy()
    names = SKELETONS[_SKELETON].joint_names
    return {(a, b): float(np.linalg.norm(points[names.index(a)] - points[names.index(b)])) for a, b in _LIMBS}


def _start(keypoints: Keypoints2D, camera: SceneCamera, lengths: dict[tuple[str, str], float]) -> InitialBody:
    names = SKELETONS[_SKELETON].joint_names
    seen = {name: keypoints.xy[i] for i, name in enumerate(names) if keypoints.confidence[i] >= _SEEN}
    across = [
        float(np.linalg.norm(seen[a] - seen[b])) / length
        for (a, b), length in lengths.items()
        if a in seen and b in seen
    ]
    # a limb looks shorter than it is and never longer, but for noise
    depth = camera.focal / max(float(np.quantile(across, 0.8)), 1e-6) if across else _FAR
    depth = min(depth, 100.0)
    places: dict[str, NDArray[np.float64]] = {
        name: np.append((xy - np.asarray(camera.center)) / camera.focal * depth, depth)
        for name, xy in seen.items()
    }
    away = all(f"{side}_shoulder" in seen for side in ("left", "right")) and (
        seen["left_shoulder"][0] < seen["right_shoulder"][0]
    )
    # smplx stands with +Y up and looks along +Z: half a turn about X faces a camera that looks along +Z
    turn = np.array([0.0, 0.0, np.pi]) if away else np.array([np.pi, 0.0, 0.0])
    middle = np.mean(list(places.values()), 0) if places else np.array([0.0, 0.0, depth])
    joints = {name: place for name, place in places.items() if name not in ("mid_hip", "neck")}
    found = Joints3D(tuple(joints), np.array(list(joints.values()))) if len(joints) >= 4 else None
    return InitialBody({"global_orient": turn, "transl": middle}, found)
