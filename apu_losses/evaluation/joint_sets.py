"""Which joints an error is taken over, and how they are found on an estimate and on the truth alike.

The published errors of two people are over 14 + 14 joints of LSP, regressed from SMPL-X's vertices by a file
called ``SMPLX_to_J14.pkl``. Another choice of joints gives other figures: the 25 joints of the model gave
84.0 mm where these gave 80.6 on the same fits. So each report names its joints and where they are from.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

from apu_contacts.digest import file_digest
from apu_contacts.keypoints.skeletons import mirror_name
from apu_contacts.reading import read_array
from apu_contacts.sources import SourceFormatError, read_numpy_pickle
from apu_losses.bodies import LinearBlendBody
from apu_losses.bodies.keypoints import SMPL_VERTEX_COUNT
from apu_losses.evaluation.frames import FittedPair, FloatArray, TruthFrame

LIMBS = tuple(
    f"{side}_{joint}"
    for joint in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
    for side in ("left", "right")
)
"""The twelve joints that every skeleton means alike, as far as any two do."""

LSP14 = (
    "right_ankle",
    "right_knee",
    "right_hip",
    "left_hip",
    "left_knee",
    "left_ankle",
    "right_wrist",
    "right_elbow",
    "right_shoulder",
    "left_shoulder",
    "left_elbow",
    "left_wrist",
    "neck",
    "head_top",
)
"""LSP's joints in its order, which is that of the rows of ``SMPLX_to_J14.pkl``."""

_FAR = 0.2
"""Metres: further than this from the model's joint of its name, a row of a regressor is another joint. Of 33
people whom BEV found in two photographs, LSP's hips lie 12 to 14 cm from SMPL's own, the others up to 8 cm.
What is nearer must be nearest to its own name, too, which tells left from right and knee from hip."""
_NEAR = 0.1
"""Metres: as near as this nothing else counts, for hands may be folded and feet crossed."""
_NEIGHBOURS = {
    "ankle": ("{side}_knee",),
    "knee": ("{side}_hip", "{side}_ankle"),
    "hip": ("{side}_knee",),
    "wrist": ("{side}_elbow",),
    "elbow": ("{side}_shoulder", "{side}_wrist"),
    "shoulder": ("{side}_elbow",),
    "neck": ("head_top",),
    "top": ("neck",),
}


class Joints(Protocol):
    """A way to find the joints of both people."""

    @property
    def names(self) -> tuple[str, ...]:
        """The joints, in order."""
        ...

    @property
    def provenance(self) -> str:
        """One line for the report."""
        ...

    def of_fit(self, fit: FittedPair) -> FloatArray:
        """``(2, J, 3)`` of an estimate."""
        ...

    def of_truth(self, frame: TruthFrame) -> FloatArray:
        """``(2, J, 3)`` of the truth."""
        ...


@dataclass(frozen=True)
class NamedJoints:
    """Joints that both sides have by name.

    Args:
        names: which, such as `LIMBS`.
    """

    names: tuple[str, ...]

    @property
    def provenance(self) -> str:
        """One line for the report."""
        called = {LIMBS: "12 limb joints", LSP14: "LSP's 14 joints"}.get(
            self.names, f"{len(self.names)} joints"
        )
        return f"{called} a person by name, each body's own; not regressed from vertices"

    def of_fit(self, fit: FittedPair) -> FloatArray:
        """``(2, J, 3)``.

        Raises:
            ValueError: the estimate lacks a joint.
        """
        return _pick(fit.points, self.names, "the fit")

    def of_truth(self, frame: TruthFrame) -> FloatArray:
        """``(2, J, 3)``.

        Raises:
            ValueError: the data set lacks a joint.
        """
        return _pick(frame.points, self.names, f"the truth of {frame.key}")


@dataclass(frozen=True, eq=False)
class RegressedJoints:
    """Joints as weighted means of vertices.

    Args:
        names: J joints, in the order of the rows.
        matrix: ``(J, V)``; the weights of a row sum to 1.
        origin: name of the file and the start of its digest.
    """

    names: tuple[str, ...]
    matrix: FloatArray
    origin: str

    @property
    def provenance(self) -> str:
        """One line for the report."""
        joints, vertices = self.matrix.shape
        return f"{joints} joints a person, regressed from {vertices} vertices by {self.origin}"

    def of_fit(self, fit: FittedPair) -> FloatArray:
        """``(2, J, 3)``; LSP's joints that the estimate's own file has, where it has them.

        Raises:
            ValueError: the estimate has no mesh, or another one.
        """
        if fit.lsp_joints is not None and self.names == LSP14:
            return fit.lsp_joints
        return self._of(fit.vertices, "the fit")

    def of_truth(self, frame: TruthFrame) -> FloatArray:
        """``(2, J, 3)``.

        Raises:
            ValueError: the truth has no mesh, or another one.
        """
        return self._of(frame.vertices, f"the truth of {frame.key}")

    def _of(self, vertices: FloatArray | None, whose: str) -> FloatArray:
        count = self.matrix.shape[1]
        if vertices is None or vertices.shape[1] != count:
            has = "no mesh" if vertices is None else f"{vertices.shape[1]} vertices"
            hint = "; for SMPL's mesh, name the file that leads from it to the body's: --transfer"
            smpl = vertices is not None and vertices.shape[1] == SMPL_VERTEX_COUNT
            raise ValueError(
                f"{whose} has {has}, but the regressor {self.origin} is for {count}{hint if smpl else ''}"
            )
        joints: FloatArray = self.matrix @ vertices
        return joints


def load_regressor(path: str | Path, body: LinearBlendBody, names: Sequence[str] = LSP14) -> RegressedJoints:
    """Return a regressor such as ``SMPLX_to_J14.pkl``, checked against the unposed body.

    Every copy of that file in circulation is somebody's mirror. So its shape, its sums and where its joints
    lie on the body are looked at: rows in another order, of another mesh or of other joints are refused.

    Args:
        path: ``.pkl`` of one array, or ``.npy``; ``(J, V)``.
        body: the body whose vertices it is for.
        names: the joints of its rows.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is something else; the message names the row and the joint that it is nearest to.
    """
    path = Path(path)
    content: Any = read_array(path, SourceFormatError) if path.suffix == ".npy" else read_numpy_pickle(path)
    matrix = np.asarray(content, dtype=np.float64) if isinstance(content, np.ndarray) else np.zeros(0)
    expected = (len(names), body.num_vertices)
    if matrix.shape != expected:
        came = matrix.shape if isinstance(content, np.ndarray) else type(content).__name__
        raise ValueError(
            f"{path}: expected a regressor of shape {expected} (joints, vertices of the body {body.name!r}), "
            f"got {came}"
        )
    sums = matrix.sum(1)
    if not (np.abs(sums - 1) < 1e-2).all():
        row = int(np.abs(sums - 1).argmax())
        raise ValueError(f"{path}: the weights of row {row} must sum to 1, got {sums[row]:.4f}")
    _check_places(path, matrix, body, tuple(names))
    return RegressedJoints(tuple(names), matrix, f"{path.name} (digest {file_digest(path)[:12]})")


def _check_places(path: Path, matrix: FloatArray, body: LinearBlendBody, names: tuple[str, ...]) -> None:
    template = np.asarray(body.data.v_template, dtype=np.float64)
    known = {name: value[0] for name, value in body_points(body, template[None].repeat(2, 0)).items()}
    fault = misplaced(matrix @ template, names, {name: known[name] for name in names if name in known})
    if fault is not None:
        raise ValueError(
            f"{path}: row {fault.row} should be {names[fault.row]}, but on the unposed body it lies "
            f"{100 * fault.far:.0f} cm from there, nearest to {fault.nearest}: "
            "are its joints in another order, or is it for another mesh?"
        )


class Misplaced(NamedTuple):
    """A joint that is not where its name is: which, how far in metres, and what it is nearest to."""

    row: int
    far: float
    nearest: str


def misplaced(joints: FloatArray, names: Sequence[str], known: Mapping[str, FloatArray]) -> Misplaced | None:
    """Return the first of the joints ``(J, 3)`` that lies more than 20 cm from the place that is known of its
    name, or 10 cm and nearer to its partner's or a neighbour's; None where all are where they should be.

    Args:
        joints: of one person.
        names: J names.
        known: ``(3,)`` places by name; a joint without one is not looked at.

    Example:
        >>> known = {"left_knee": np.array([0.1, 0.5, 0.0]), "right_knee": np.array([-0.1, 0.5, 0.0])}
        >>> misplaced(np.array([[0.12, 0.5, 0.0]]), ["left_knee"], known) is None
        True
        >>> found = misplaced(np.array([[0.12, 0.5, 0.0]]), ["right_knee"], known)
        >>> found.row, round(found.far, 2), found.nearest
        (0, 0.22, 'left_knee')
    """
    for row, name in enumerate(names):
        if name not in known:
            continue
        rivals = [name, mirror_name(name), *_NEIGHBOURS.get(name.split("_")[-1], ())]
        side = name.split("_")[0]
        rivals = [other.format(side=side) for other in rivals]
        away = {
            other: float(np.linalg.norm(joints[row] - known[other])) for other in rivals if other in known
        }
        nearest = min(away, key=lambda other: away[other])
        if away[name] > _FAR or (nearest != name and away[name] > _NEAR):
            everywhere = {other: float(np.linalg.norm(joints[row] - place)) for other, place in known.items()}
            return Misplaced(row, away[name], min(everywhere, key=lambda other: everywhere[other]))
    return None


def body_points(
    body: LinearBlendBody, vertices: FloatArray, joints: FloatArray | None = None
) -> dict[str, FloatArray]:
    """``(2, 3)`` joints of two bodies by name, with ``head_top``.

    Args:
        body: whose joints they are.
        vertices: ``(2, V, 3)``.
        joints: ``(2, J, 3)`` posed joints; None for bodies at rest, whose joints follow from the vertices.
    """
    if joints is None:
        joints = np.asarray(body.data.joint_regressor, dtype=np.float64) @ vertices
    points = {name: joints[:, index] for index, name in enumerate(body.joint_names)}
    points["head_top"] = vertices[:, head_top_vertex(body)]
    return points


def head_top_vertex(body: LinearBlendBody) -> int:
    """Return the highest vertex of the unposed body, which stands for the top of the head."""
    return int(np.asarray(body.data.v_template)[:, 1].argmax())


def common_joints(fit: Mapping[str, Any], truth: Mapping[str, Any]) -> NamedJoints:
    """LSP's joints, or as many of them as both sides have; the twelve limb joints at least.

    Raises:
        ValueError: a limb joint is missing; the first is named.
    """
    for whose, points in (("the fits", fit), ("the truth", truth)):
        missing = [name for name in LIMBS if name not in points]
        if missing:
            raise ValueError(
                f"{whose} lack the joint {missing[0]} and {len(missing) - 1} more of the 12 limb joints"
            )
    if all(name in fit and name in truth for name in LSP14):
        return NamedJoints(LSP14)
    return NamedJoints(LIMBS)


def _pick(points: Mapping[str, FloatArray], names: tuple[str, ...], whose: str) -> FloatArray:
    missing = [name for name in names if name not in points]
    if missing:
        raise ValueError(
            f"{whose} has no joint {missing[0]!r}; it has {', '.join(list(points)[:8]) or 'none'}"
        )
    return np.stack([points[name] for name in names], 1)
