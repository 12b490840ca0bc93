"""One detected person: what every source together says of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from apu_contacts.keypoints import Keypoints2D


@dataclass(frozen=True, eq=False)
class InitialEstimate:
    """A body that some mesh estimator puts into the image: where a fit can start.

    Args:
        estimator: who made it, ``"bev"``.
        parameters: those that have the same meaning for any SMPL-like body, by their smplx names:
            ``global_orient (3)`` and ``body_pose (63)`` axis-angle in the camera frame, ``age (1)``. Shape
            coefficients are not among them: they only mean something to the estimator's own body model.
        joint_names: ``(J,)``, as `apu_contacts.keypoints` and smplx name them.
        joints: ``(J, 3)`` metres in the camera frame (+X right, +Y down, +Z forward), translation included.
        projected: the estimated body's joints in the image, to compare with detected keypoints.
        raw: the estimator's own record, `BevPerson` for BEV.
    """

    estimator: str
    parameters: Mapping[str, NDArray[np.float64]]
    joint_names: tuple[str, ...]
    joints: NDArray[np.float64]
    projected: Keypoints2D | None = None
    raw: Any = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "parameters", MappingProxyType(dict(self.parameters)))
        joints = np.asarray(self.joints, dtype=np.float64)
        if joints.shape != (len(self.joint_names), 3):
            raise ValueError(f"joints must have shape ({len(self.joint_names)}, 3), got {joints.shape}")
        object.__setattr__(self, "joints", joints)


@dataclass(frozen=True, eq=False)
class PersonDetection:
    """One person of an image.

    Args:
        keypoints: the keypoints that a fit should explain.
        bbox: ``(4,)`` x0, y0, x1, y1 in pixels: the box that was given for the person, else that of the
            keypoints.
        initial: where a fit can start; None if no estimator found this person.
        source: file kind -> this person's position in that file, as ``{"openpose": 3, "vitpose": 0, "bev":
            5}``.
        margins: file kind -> how clear it was that this is the same person (`Match.margin`); absent for the
            file that the others were matched to.
        notes: what is missing and why, in words.
    """

    keypoints: Keypoints2D
    bbox: NDArray[np.float64]
    initial: InitialEstimate | None = None
    source: Mapping[str, int] = field(default_factory=dict)
    margins: Mapping[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        bbox = np.asarray(self.bbox, dtype=np.float64)
        if bbox.shape != (4,):
            raise ValueError(f"bbox must have shape (4,): x0, y0, x1, y1, got {bbox.shape}")
        object.__setattr__(self, "bbox", bbox)
        object.__setattr__(self, "source", MappingProxyType(dict(self.source)))
        object.__setattr__(self, "margins", MappingProxyType(dict(self.margins)))
        object.__setattr__(self, "notes", tuple(self.notes))
