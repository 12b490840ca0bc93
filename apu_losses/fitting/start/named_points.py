"""Points of a body by the names that estimators give them: its joints, else its keypoints."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from apu_losses.bodies.derivatives import BodyDerivatives
from apu_losses.bodies.protocol import BodyModel, PosedBody

KEYPOINTS = "coco_wholebody133"
"""Names that are no joints of the body are looked up among these keypoints."""
_SMALLER = ("body25", "hands")


@dataclass(frozen=True)
class NamedPoints:
    """Named points of a body, P of them: joints or keypoints of ``skeleton``."""

    body: BodyModel
    skeleton: str
    pick: Callable[[Tensor, Callable[[], Tensor]], Tensor]

    def __call__(self, posed: PosedBody) -> Tensor:
        """Return the places of the points: ``(N, P, 3)``."""
        return self.pick(posed.joints, lambda: self.body.keypoints(posed, self.skeleton))

    def derivatives(self, moved: BodyDerivatives) -> Tensor:
        """Return the derivatives of the places: ``(N, P, 3, D)``."""
        return self.pick(moved.joints, lambda: moved.keypoints(self.skeleton))


def named_points(body: BodyModel, names: Sequence[str]) -> tuple[NamedPoints, list[int]]:
    """Return the named points that the body has, and the indices of their names."""
    from apu_contacts.keypoints import SKELETONS

    # of the skeletons that name all that is asked for, the smaller costs a fraction
    asked = {name for name in names if name not in body.joint_names} & set(SKELETONS[KEYPOINTS].joint_names)
    skeleton = next(
        s for s in (*_SMALLER, KEYPOINTS) if asked <= set(SKELETONS[s].joint_names) or s == KEYPOINTS
    )
    keypoint_names = SKELETONS[skeleton].joint_names
    present = body.keypoint_mask(skeleton)
    joint_index: list[int] = []
    keypoint_index: list[int] = []
    source: list[tuple[int, int]] = []
    known: list[int] = []
    for number, name in enumerate(names):
        if name in body.joint_names:
            source.append((0, len(joint_index)))
            joint_index.append(body.joint_names.index(name))
        elif name in keypoint_names and bool(present[keypoint_names.index(name)]):
            source.append((1, len(keypoint_index)))
            keypoint_index.append(keypoint_names.index(name))
        else:
            continue
        known.append(number)
    order = [place if kind == 0 else len(joint_index) + place for kind, place in source]

    def pick(joints: Tensor, keypoints: Callable[[], Tensor]) -> Tensor:
        points = [joints[:, joint_index]]
        if keypoint_index:
            points.append(keypoints()[:, keypoint_index])
        return torch.cat(points, dim=1)[:, order]

    return NamedPoints(body, skeleton, pick), known
