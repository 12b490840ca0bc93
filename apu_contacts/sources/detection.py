"""One detected person: what every source together says of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from apu_contacts.camera import Camera
from apu_contacts.keypoints import SKELETONS, Keypoints2D
from apu_contacts.sources.checks import check_in_front, check_metres
from apu_contacts.sources.conventions import (
    axis_angle_to_matrices,
    change_camera,
    matrices_to_axis_angle,
)


@dataclass(frozen=True, eq=False)
class InitialEstimate:
    """A body that some mesh estimator puts into the image: where a fit can start.

    Args:
        estimator: who made it, ``"bev"``.
        parameters: those that have the same meaning for any SMPL-like body, by their smplx names:
            ``global_orient (3)`` and ``body_pose (63)`` axis-angle in the camera frame, ``age (1)``.
        joint_names: ``(J,)``, as `apu_contacts.keypoints` and smplx name them.
        joints: ``(J, 3)`` metres in the camera frame (+X right, +Y down, +Z forward), translation included.
            A source that gives parameters only has the pelvis alone here.
        projected: the estimated body's joints in the image, to compare with detected keypoints.
        raw: the estimator's own record, `BevPerson` for BEV.
        model: the body model that ``own`` belongs to: ``"smpl"``, ``"smplh"``, ``"smplx"``, ``"mhr"``.
        own: parameters that mean something to ``model`` only, by their smplx names: ``betas``, ``transl``,
            ``left_hand_pose (45)``, ``jaw_pose (3)``, ``expression``, ...
        camera: the camera in whose frame all this is; None where that is the scene's default camera (a field
            of view of 60 degrees over the longer side, as BEV has it).
        vertices: ``(V, 3)`` of the estimator's own mesh in the camera frame, if it gave one.
        bbox: ``(4,)`` x0, y0, x1, y1 of the person's box in pixels, if it gave one.
        confidence: of the detection.
        notes: what was assumed, in words.
        flat_hand_mean: what the hand poses in ``own`` are relative to: True, the flat hand, so that they are
            the rotations themselves; False, the mean hand of ``model`` (smplx's ``flat_hand_mean``, and its
            default). Without hands it says nothing.

    Raises:
        ValueError: on shapes that do not fit.

    Example:
        >>> import numpy as np
        >>> from apu_contacts import InitialEstimate
        >>> pose = {"global_orient": np.zeros(3), "body_pose": np.zeros(63)}
        >>> joints = np.array([[0, 0, 3.0], [0, -0.5, 3.0]])
        >>> estimate = InitialEstimate("mine", pose, ("pelvis", "neck"), joints)
        >>> estimate.estimator, estimate.joints[1].tolist(), estimate.is_absent
        ('mine', [0.0, -0.5, 3.0], False)
    """

    estimator: str
    parameters: Mapping[str, NDArray[np.float64]]
    joint_names: tuple[str, ...]
    joints: NDArray[np.float64]
    projected: Keypoints2D | None = None
    raw: Any = None
    model: str = "smpl"
    own: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    camera: Camera | None = None
    vertices: NDArray[np.float64] | None = None
    bbox: NDArray[np.float64] | None = None
    confidence: float = 1.0
    notes: tuple[str, ...] = ()
    flat_hand_mean: bool = False

    def __post_init__(self) -> None:
        for name in ("parameters", "own"):
            object.__setattr__(self, name, MappingProxyType(dict(getattr(self, name))))
        joints = np.asarray(self.joints, dtype=np.float64)
        if joints.shape != (len(self.joint_names), 3):
            raise ValueError(f"joints must have shape ({len(self.joint_names)}, 3), got {joints.shape}")
        object.__setattr__(self, "joints", joints)
        object.__setattr__(self, "joint_names", tuple(self.joint_names))
        object.__setattr__(self, "notes", tuple(self.notes))

    @classmethod
    def absent(cls, estimator: str, reason: str) -> InitialEstimate:
        """Return the place of a person of whom the file has nothing to use; it has no joints, and says
        why.
        """
        return cls(estimator, {}, (), np.zeros((0, 3)), notes=(reason,))

    @property
    def is_absent(self) -> bool:
        """Whether there is nothing to start from."""
        return not self.joint_names

    def checked(self, where: str) -> InitialEstimate:
        """Return this estimate, if its units and frame are plausible.

        Raises:
            ConventionError: naming what they look like instead.
        """
        # Fewer joints, as of somebody cut off by a reader, may span little.
        if len(self.joint_names) >= 12:
            check_metres(self.joints, f"{where}: joints")
        check_in_front(self.joints[:, 2], where)
        return self

    def keypoints(self, camera: Camera | None = None, skeleton: str = "body25") -> Keypoints2D | None:
        """Return the joints projected: by ``camera``, or by its own; None without either, and without joints
        but the pelvis.
        """
        used = self.camera or camera
        if used is None or len(self.joint_names) < 2:
            return None
        found = {n: i for i, n in enumerate(self.joint_names) if self.joints[i, 2] > 0}
        names = SKELETONS[skeleton].joint_names
        xy, confidence = np.zeros((len(names), 2)), np.zeros(len(names))
        for i, name in enumerate(names):
            joint = "pelvis" if name == "mid_hip" and name not in found else name
            if joint in found:
                xy[i], confidence[i] = used.project(self.joints[found[joint]]), 1.0
        return Keypoints2D(skeleton, xy, confidence)

    def with_projection(self) -> InitialEstimate:
        """Return this estimate with ``projected`` made of its own joints and camera."""
        return replace(self, projected=self.keypoints())

    def in_camera(self, camera: Camera) -> InitialEstimate:
        """Return the same person as another camera would see them at the same place and size in the image.

        Estimators that see a crop assume a long focal length and put people tens of metres away. See
        `apu_contacts.sources.conventions.change_camera`.

        Raises:
            ValueError: without ``self.camera``, unless there are no joints.
        """
        if self.is_absent:
            return self
        if self.camera is None:
            raise ValueError(f"{self.estimator}: changing the camera needs the old one")
        if self.camera == camera:
            return self
        has_pelvis = "pelvis" in self.joint_names
        anchor = self.joints[self.joint_names.index("pelvis")] if has_pelvis else self.joints.mean(0)
        moved, turn = change_camera(anchor, self.camera, camera)
        parameters, own = dict(self.parameters), dict(self.own)
        if "global_orient" in parameters:
            matrix = turn @ axis_angle_to_matrices(parameters["global_orient"])
            parameters["global_orient"] = matrices_to_axis_angle(matrix)
        if "transl" in own:
            # pelvis = transl + J0, and J0 stays what it is
            own["transl"] = own["transl"] + moved - anchor
            if not has_pelvis:
                del own["transl"]

        def move(points: NDArray[np.float64]) -> NDArray[np.float64]:
            result: NDArray[np.float64] = (points - anchor) @ turn.T + moved
            return result

        vertices = None if self.vertices is None else move(self.vertices)
        return replace(
            self, parameters=parameters, own=own, joints=move(self.joints), vertices=vertices, camera=camera
        )


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

    Example:
        >>> import numpy as np
        >>> from apu_contacts import Keypoints2D, PersonDetection
        >>> xy = np.random.default_rng(0).uniform(100, 200, (17, 2))
        >>> left = Keypoints2D("coco17", xy, np.ones(17))
        >>> right = Keypoints2D("coco17", xy + [80.0, 0.0], np.ones(17))
        >>> PersonDetection(left, np.array([100.0, 100.0, 200.0, 200.0])).initial is None
        True
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
