"""BEV's ``.npz``: an SMPL body, with an age, for every person of an image."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from apu_contacts.keypoints import SKELETONS, Keypoints2D
from apu_contacts.sources._numpy_pickle import read_npz
from apu_contacts.sources._records import as_array
from apu_contacts.sources.detection import InitialEstimate
from apu_contacts.sources.errors import NoPeopleError, SourceFormatError, SourceWarning
from apu_contacts.sources.names import SMPL_JOINTS

NUM_JOINTS = 71
NUM_VERTICES = 6890
_FACE_AND_FEET = (
    "nose",
    "right_eye",
    "left_eye",
    "right_ear",
    "left_ear",
    "left_big_toe",
    "left_small_toe",
    "left_heel",
    "right_big_toe",
    "right_small_toe",
    "right_heel",
)
_FINGER_TIPS = tuple(f"{side}_hand_{tip}" for side in ("left", "right") for tip in (4, 8, 12, 16, 20))
BEV_JOINTS: tuple[str, ...] = (*SMPL_JOINTS, *_FACE_AND_FEET, *_FINGER_TIPS)
"""Names of the first 45 of BEV's 71 joints. The other 26 are other data sets' definitions of joints that are
already there (9 of LSP, MPII and Human3.6M, then 17 of Human3.6M) and have no name here. The first 14 of the
last 17 are LSP's, see `BevPerson.lsp_joints`."""

_LSP = slice(54, 68)
_HIPS = (45, 46)  # LSP's right and left hip: BEV's origin is their midpoint
# BEV leaves the hands flat, and SMPL's "hand" joints exist in no other body.
_START_JOINTS = (*SMPL_JOINTS[:22], *_FACE_AND_FEET)

_SHAPES: dict[str, tuple[int, ...]] = {
    "smpl_thetas": (72,),
    "smpl_betas": (11,),
    "cam_trans": (3,),
    "joints": (NUM_JOINTS, 3),
    "pj2d_org": (NUM_JOINTS, 2),
    "center_confs": (),
}


@dataclass(frozen=True, eq=False)
class BevPerson:
    """One person as BEV estimates them.

    Args:
        smpl_thetas: ``(72,)`` axis-angle of SMPL's 24 joints, root first, in the camera frame; the hands are
            0.
        smpl_betas: ``(10,)`` SMPL's shape coefficients.
        age: 0 for an adult to 1 for an infant, the eleventh number of BEV's shape. Adults commonly get 0.05
            to 0.15.
        cam_trans: ``(3,)`` metres; where BEV's origin, the middle of the two hips, lies in the camera frame
            (+X right, +Y down, +Z forward).
        joints: ``(71, 3)`` metres relative to that origin; the names of the first 45 are `BEV_JOINTS`.
        pj2d: ``(71, 2)`` those joints in pixels of the image that BEV was given.
        confidence: of the detection.
        vertices: ``(6890, 3)`` SMPL's mesh relative to the origin, if it was asked for.
    """

    smpl_thetas: NDArray[np.float64]
    smpl_betas: NDArray[np.float64]
    age: float
    cam_trans: NDArray[np.float64]
    joints: NDArray[np.float64]
    pj2d: NDArray[np.float64]
    confidence: float
    vertices: NDArray[np.float64] | None = None

    @property
    def joints_camera(self) -> NDArray[np.float64]:
        """``(71, 3)`` joints in the camera frame."""
        moved: NDArray[np.float64] = self.joints + self.cam_trans
        return moved

    @property
    def lsp_joints(self) -> NDArray[np.float64]:
        """``(14, 3)`` LSP's joints in the camera frame: right ankle, knee, hip, left hip, knee, ankle, right
        wrist, elbow, shoulder, left shoulder, elbow, wrist, neck, top of the head.

        Regressed from SMPL's vertices by Human3.6M's regressor, as published errors of BEV are. The hips lie
        12 to 14 cm from SMPL's own, the top of the head 8 cm below the highest vertex, the others within 6 cm
        of the joints of their names (33 people of two photographs).
        """
        return self.joints_camera[_LSP]

    def named_joints(self, names: Sequence[str] = _START_JOINTS) -> NDArray[np.float64]:
        """``(len(names), 3)`` camera-frame positions of joints of `BEV_JOINTS`.

        Without ``names``: SMPL's first 22 joints, the five points of the face and the six of the feet.

        Raises:
            ValueError: on a name that BEV does not have.
        """
        unknown = [name for name in names if name not in BEV_JOINTS]
        if unknown:
            raise ValueError(f"BEV has no joint named {', '.join(map(repr, unknown))}; see BEV_JOINTS")
        return self.joints_camera[[BEV_JOINTS.index(name) for name in names]]

    def keypoints(self, skeleton: str = "body25") -> Keypoints2D:
        """BEV's projected joints as keypoints, confidence 1 for each joint that BEV has.

        The neck is SMPL's neck joint and the middle of the hips is the origin. A detector's hip lies a little
        outside SMPL's: good enough to tell people apart, not to fit to.
        """
        names = SKELETONS[skeleton].joint_names
        xy, confidence = np.zeros((len(names), 2)), np.zeros(len(names))
        for i, name in enumerate(names):
            if name in BEV_JOINTS:
                xy[i], confidence[i] = self.pj2d[BEV_JOINTS.index(name)], 1.0
            elif name == "mid_hip":
                xy[i], confidence[i] = self.pj2d[list(_HIPS)].mean(0), 1.0
        confidence[~np.isfinite(xy).all(axis=1)] = 0
        return Keypoints2D(skeleton, xy, confidence)

    def initial_estimate(self) -> InitialEstimate:
        """Return the start of a fit: rotations, age and the joints of `named_joints`; nothing, if not
        finite.
        """
        values = (self.smpl_thetas, self.joints_camera, self.pj2d, np.array([self.age]))
        if not all(np.isfinite(value).all() for value in values):
            return InitialEstimate.absent("bev", "its values are not finite")
        return InitialEstimate(
            estimator="bev",
            parameters={
                "global_orient": self.smpl_thetas[:3],
                "body_pose": self.smpl_thetas[3:66],
                "age": np.array([self.age]),
            },
            joint_names=_START_JOINTS,
            joints=self.named_joints(),
            projected=self.keypoints(),
            raw=self,
        )


def read_bev(path: str | Path, *, vertices: bool = False, allow_empty: bool = False) -> list[BevPerson]:
    """Return the people of a BEV ``.npz``, in the file's order (BEV sorts them by confidence).

    The file holds a pickled dictionary under ``results``. It is read without running the pickle; only NumPy
    arrays of numbers are admitted.

    Args:
        path: the file, as BEV or ROMP's ``--show`` pipeline writes it.
        vertices: keep the meshes too.
        allow_empty: return an empty list for a file without people instead of raising.

    Raises:
        SourceMissingError: if there is no such file.
        UnsafePickleError: if the pickle holds anything but arrays; nothing of it was executed.
        SourceFormatError: if an array is missing, has another shape (which is named), or nobody's values are
            finite.
        NoPeopleError: if it holds nobody.

    Warns:
        SourceWarning: for each person whose values are not finite, while others' are.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> import numpy as np
        >>> from apu_contacts import read_bev
        >>> shapes = {"smpl_thetas": (72,), "smpl_betas": (11,), "cam_trans": (3,), "joints": (71, 3)}
        >>> shapes |= {"pj2d_org": (71, 2), "center_confs": ()}
        >>> two_people = {name: np.full((2, *shape), 0.5) for name, shape in shapes.items()}
        >>> path = Path(tempfile.mkdtemp()) / "photo.npz"
        >>> np.savez(path, results=np.array(two_people, dtype=object))
        >>> people = read_bev(path)
        >>> len(people), people[0].age, people[0].joints.shape
        (2, 0.5, (71, 3))
    """
    content = read_npz(path)
    results = content.get("results", content)
    if not isinstance(results, dict):
        came = type(results).__name__
        raise SourceFormatError(f"{path}: expected a dictionary under 'results', got {came}")
    shapes = dict(_SHAPES, **({"verts": (NUM_VERTICES, 3)} if vertices else {}))
    arrays: dict[str, NDArray[np.float64]] = {}
    for key, shape in shapes.items():
        arrays[key] = _array(results, key, shape, f"{path}: results[{key!r}]")
    counts = {key: len(array) for key, array in arrays.items()}
    if len(set(counts.values())) != 1:
        raise SourceFormatError(f"{path}: the arrays disagree on the number of people: {counts}")
    if counts["joints"] == 0 and not allow_empty:
        raise NoPeopleError(f"{path}: BEV found nobody in this image")
    bad = [
        i
        for i in range(counts["joints"])
        if not all(np.isfinite(array[i]).all() for array in arrays.values())
    ]
    if bad and len(bad) == counts["joints"]:
        key = next(key for key, array in arrays.items() if not np.isfinite(array[bad[0]]).all())
        raise SourceFormatError(f"{path}: results[{key!r}] holds a value that is not finite, or huge")
    for i in bad:
        warnings.warn(f"left out: {path}: person {i}: values are not finite", SourceWarning, stacklevel=2)
    return [
        BevPerson(
            smpl_thetas=arrays["smpl_thetas"][i],
            smpl_betas=arrays["smpl_betas"][i, :10],
            age=float(arrays["smpl_betas"][i, 10]),
            cam_trans=arrays["cam_trans"][i],
            joints=arrays["joints"][i],
            pj2d=arrays["pj2d_org"][i],
            confidence=float(arrays["center_confs"][i]),
            vertices=arrays["verts"][i] if vertices else None,
        )
        for i in range(counts["joints"])
    ]


def _array(results: dict[str, Any], key: str, shape: tuple[int, ...], where: str) -> NDArray[np.float64]:
    if key not in results:
        found = ", ".join(sorted(map(str, results)))
        raise SourceFormatError(
            f"{where} is missing; found {found}. Is this a file of BEV (and not of ROMP)?"
        )
    value = results[key]
    if not isinstance(value, np.ndarray) or value.ndim != len(shape) + 1 or value.shape[1:] != shape:
        came = value.shape if isinstance(value, np.ndarray) else type(value).__name__
        hint = "; 10 numbers are ROMP's, BEV has an age after them" if key == "smpl_betas" else ""
        wanted = ", ".join(["people", *map(str, shape)])
        raise SourceFormatError(f"{where} must have shape ({wanted}), got {came}{hint}")
    return as_array(value, where, finite=False)


def bev_focal(width: int, height: int) -> float:
    """BEV's focal length in pixels: a field of view of 60 degrees over the longer side."""
    return max(width, height) / (2 * math.tan(math.radians(30)))


def camera_residual(person: BevPerson, width: int, height: int) -> NDArray[np.float64]:
    """``(71, 2)`` pixels by which ``pj2d`` differs from the joints projected by BEV's camera.

    The camera is a pinhole with `bev_focal` and the principal point at ``(width / 2, height / 2)``. BEV pads
    an image to a square with whole pixels: where the padding is odd, its pixels lie 0.5 further along the
    shorter side. Beyond that the residual of a genuine file is below 0.02 pixels.

    Args:
        width, height: size in pixels of the image that BEV was run on.

    Raises:
        ValueError: if the residual is above 1 pixel on average: these are not the sizes BEV saw, or not its
            camera.
    """
    points = person.joints_camera
    projected = bev_focal(width, height) * points[:, :2] / points[:, 2:] + [width / 2, height / 2]
    residual: NDArray[np.float64] = person.pj2d - projected
    error = float(np.abs(residual).mean())
    if not error <= 1.0:
        raise ValueError(
            f"BEV's joints do not project onto its pixels in an image of {width} x {height}: {error:.1f} px "
            "apart on average. Was BEV run on a resized image, or with another focal length?"
        )
    return residual
