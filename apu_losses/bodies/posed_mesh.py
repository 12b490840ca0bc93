"""Meshes that are already posed, such as SAM 3D Body's (MHR): only orientation and place can still change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from apu_contacts.sources.detection import InitialEstimate
from apu_losses.bodies.keypoints import KeypointTable, Landmarks, keypoint_table
from apu_losses.bodies.protocol import CalledByName, ParameterSpec, PosedBody
from apu_losses.geometry.orientation import REMEDY, signed_volumes
from apu_losses.numerics.ordered import ordered_matmul
from apu_losses.numerics.precision import say_if_far
from apu_losses.numerics.rotations import rotation_matrix


class PosedMeshBody(CalledByName):
    """A body model whose bodies are given meshes: each can be turned about its centre and moved.

    Contact, penetration and keypoint losses then work on the output of any estimator, without its parametric
    model. Vertices must be in the frame of the losses (OpenCV camera, metres): for SAM 3D Body that is
    ``pred_vertices + pred_cam_t[:, None]``; `from_estimates` takes what its reader gives.

    The parameter ``mesh`` says which mesh a row is; left out, row n is mesh n (or all rows the only one).

    Args:
        vertices: ``(M, V, 3)`` posed meshes of one topology, metres.
        faces: ``(F, 3)`` triangles, counter-clockwise seen from outside.
        joints: ``(M, J, 3)`` named points of each mesh, such as the estimator's 3D keypoints, or None.
        joint_names: J names, those of keypoints (``"left_wrist"``) or of SMPL-X's joints.
        landmarks: further named points, on the surface.
        stature: ``(M,)`` standing heights in metres; None: the greatest extent of each mesh, which is the
            height only of a person who stands straight.
        name: short name for reports; ``"mhr"`` for SAM 3D Body's meshes.

    Raises:
        ValueError: on shapes that do not agree, values that are not finite, meshes not of human size, or
            meshes that are inside out.
    """

    def __init__(
        self,
        vertices: Tensor | NDArray[np.floating],
        faces: ArrayLike | Tensor,
        *,
        joints: Tensor | None = None,
        joint_names: Sequence[str] = (),
        landmarks: Landmarks | None = None,
        stature: Tensor | None = None,
        name: str = "posed mesh",
    ) -> None:
        if not isinstance(vertices, Tensor):
            vertices = torch.tensor(np.asarray(vertices), dtype=torch.float32, device="cpu")
        if not isinstance(faces, Tensor):
            faces = torch.from_numpy(np.array(faces, dtype=np.int64))
        if vertices.ndim != 3 or vertices.shape[2] != 3 or not bool(torch.isfinite(vertices).all()):
            raise ValueError(f"vertices must be finite and of shape (M, V, 3), got {tuple(vertices.shape)}")
        if vertices.dtype == torch.float32:
            say_if_far(vertices, wait=True)
        count = len(vertices)
        if faces.ndim != 2 or faces.shape[1] != 3 or not len(faces):
            raise ValueError(f"faces must have shape (F, 3), F > 0, got {tuple(faces.shape)}; triangles?")
        if int(faces.max()) >= vertices.shape[1] or int(faces.min()) < 0:
            raise ValueError(
                f"faces must have shape (F, 3) and name {vertices.shape[1]} vertices, got "
                f"{tuple(faces.shape)} from {int(faces.min())} to {int(faces.max())}; faces of another mesh?"
            )
        if joints is None:
            joints, joint_names = vertices.mean(1, keepdim=True), ("centre",)
        if joints.shape != (count, len(joint_names), 3):
            raise ValueError(
                f"joints must have shape ({count}, {len(joint_names)}, 3) for as many joint_names, "
                f"got {tuple(joints.shape)}"
            )
        _check_size(vertices, joints)
        _check_orientation(vertices, faces)
        self._name = name
        self._vertices = vertices.detach()
        self._faces = faces.to(torch.int64)
        self._joints = joints.detach().to(vertices)
        self._names = tuple(joint_names)
        self._landmarks = landmarks or Landmarks.none()
        self._centre = self._joints[:, self._names.index("pelvis")] if "pelvis" in self._names else (
            self._vertices.mean(1)
        )  # fmt: skip
        extent = self._vertices.amax(1) - self._vertices.amin(1)
        self._stature = extent.amax(1) if stature is None else stature.detach().to(vertices)
        if self._stature.shape != (count,):
            raise ValueError(f"stature must have shape ({count},), got {tuple(self._stature.shape)}")
        self._tables: dict[str, KeypointTable] = {}
        self._parameters = {
            "global_orient": ParameterSpec(
                3, True, (0.0,) * 3, "rotation about the pelvis, or the mean vertex"
            ),
            "transl": ParameterSpec(
                3, False, (0.0,) * 3, "translation from where the mesh was given, metres"
            ),
            "mesh": ParameterSpec(1, False, (-1.0,), "number of the given mesh; -1: the number of the row"),
        }

    @classmethod
    def from_estimates(
        cls, estimates: Sequence[InitialEstimate], faces: ArrayLike, *, name: str | None = None
    ) -> PosedMeshBody:
        """Return the meshes of an estimator's people, in the order of the list, with their named 3D points.

        Args:
            estimates: what a reader of `apu_contacts.sources` gave, with ``vertices`` of one topology. People
                of different cameras are moved into one first (`InitialEstimate.in_camera`).
            faces: ``(F, 3)`` triangles, which estimators keep beside their results (``estimator.faces`` of
                SAM 3D Body, ``faces`` of an smplx object).
            name: short name for reports; the estimates' own body model if None.

        Raises:
            ValueError: nobody, somebody without vertices, people of different topologies, points or cameras,
                and as the class.
        """
        if not estimates:
            raise ValueError("estimates must hold somebody, got an empty list")
        first = estimates[0]
        meshes = []
        for number, each in enumerate(estimates):
            if each.vertices is None:
                raise ValueError(f"estimates[{number}] of {each.estimator!r} has no vertices: only joints")
            meshes.append(each.vertices)
            if len(each.vertices) != len(meshes[0]) or each.joint_names != first.joint_names:
                raise ValueError(
                    f"estimates[{number}] has {len(each.vertices)} vertices and {len(each.joint_names)} "
                    f"named points, estimates[0] {len(meshes[0])} and {len(first.joint_names)}: another "
                    "topology, or another estimator"
                )
            if each.camera != first.camera:
                raise ValueError(
                    f"estimates[{number}] is in another camera than estimates[0]: move all into one, "
                    "[e.in_camera(camera) for e in estimates]"
                )
        return cls(
            torch.tensor(np.array(meshes), dtype=torch.float32, device="cpu"),
            torch.tensor(np.asarray(faces).astype(np.int64), dtype=torch.int64, device="cpu"),
            joints=torch.tensor(
                np.array([each.joints for each in estimates]), dtype=torch.float32, device="cpu"
            ),
            joint_names=first.joint_names,
            name=name or first.model,
        )

    @property
    def name(self) -> str:
        """Short name for reports and records."""
        return self._name

    @property
    def num_vertices(self) -> int:
        """V, the number of vertices."""
        return self._vertices.shape[1]

    @property
    def faces(self) -> Tensor:
        """``(F, 3)`` int64 triangles."""
        return self._faces

    @property
    def joint_names(self) -> tuple[str, ...]:
        """Names of the given points."""
        return self._names

    @property
    def parameter_specs(self) -> Mapping[str, ParameterSpec]:
        """``global_orient``, ``transl`` and ``mesh``."""
        return self._parameters

    def pose(self, params: Mapping[str, Tensor]) -> PosedMeshes:
        """Turn and move meshes.

        Args:
            params: ``global_orient (N, 3)``, ``transl (N, 3)``, ``mesh (N, 1)``; each may be left out or
                have a single row.

        Raises:
            ValueError: on an unknown parameter, a wrong shape, or rows that are no mesh.
        """
        unknown = sorted(params.keys() - self._parameters.keys())
        if unknown:
            raise ValueError(
                f"params holds {unknown}; a posed mesh has only {sorted(self._parameters)}: its shape and "
                "pose are fixed. Fit a parametric body to change them"
            )
        rows = max((len(value) for value in params.values()), default=len(self._vertices))
        full = {}
        for name, spec in self._parameters.items():
            value = params.get(name, self._vertices.new_tensor([spec.default]))
            if value.ndim != 2 or value.shape[1] != spec.size or len(value) not in (1, rows):
                raise ValueError(f"{name} must have shape ({rows}, {spec.size}), got {tuple(value.shape)}")
            full[name] = value.expand(rows, -1)
        which = full["mesh"].detach()[:, 0].round().long()
        own = torch.arange(rows, device=which.device) if len(self._vertices) > 1 else torch.zeros_like(which)
        which = torch.where(which < 0, own, which)
        if bool((which >= len(self._vertices)).any()):
            raise ValueError(
                f"mesh must name one of the {len(self._vertices)} given meshes, got {int(which.max())}; with "
                f"{rows} rows and no parameter 'mesh', as many meshes are needed"
            )
        return PosedMeshes(
            self._vertices, self._joints, which, self._centre, full["global_orient"], full["transl"]
        )

    def keypoints(self, posed: PosedBody, skeleton: str) -> Tensor:
        """``(N, K, 3)`` keypoints of a skeleton; those that were not given are zero without gradient."""
        return self._table(skeleton).evaluate(posed)

    def keypoint_mask(self, skeleton: str) -> Tensor:
        """``(K,)`` bool: the keypoints of the skeleton that were given."""
        return self._table(skeleton).mask

    def stature(self, params: Mapping[str, Tensor]) -> Tensor:
        """``(N,)`` the given standing heights: no parameter changes them."""
        return self._stature[self.pose(params).which]

    def _table(self, skeleton: str) -> KeypointTable:
        if skeleton not in self._tables:
            table = keypoint_table(skeleton, self._names, self._landmarks)
            self._tables[skeleton] = table.to(self._vertices.dtype, self._vertices.device)
        return self._tables[skeleton]


class PosedMeshes:
    """N meshes, turned and moved; vertices are computed when they are asked for."""

    def __init__(
        self,
        vertices: Tensor,
        joints: Tensor,
        which: Tensor,
        centre: Tensor,
        global_orient: Tensor,
        transl: Tensor,
    ) -> None:
        self.which = which
        self._vertices = vertices
        self._rotation = rotation_matrix(global_orient)
        self._centre = centre[which]
        self._to = self._centre + transl
        self._joints = self._move(joints[which])

    def __len__(self) -> int:
        return len(self.which)

    @property
    def joints(self) -> Tensor:
        """``(N, J, 3)`` the given points, moved."""
        return self._joints

    def vertices(self, ids: Tensor | None = None) -> Tensor:
        """``(N, V, 3)`` all vertices, or ``(N, M, 3)`` those of ``ids (M,)``."""
        given = self._vertices if ids is None else self._vertices.index_select(1, ids)
        return self._move(given[self.which])

    def select(self, rows: Tensor, vertex_ids: Tensor) -> Tensor:
        """``(K, 3)`` vertex ``vertex_ids[k]`` of body ``rows[k]``."""
        off = self._vertices[self.which[rows], vertex_ids] - self._centre[rows]
        return ordered_matmul(self._rotation[rows], off[..., None])[..., 0] + self._to[rows]

    def _move(self, points: Tensor) -> Tensor:
        off = points - self._centre[:, None]
        return ordered_matmul(off, self._rotation.transpose(1, 2)) + self._to[:, None]


def _check_orientation(vertices: Tensor, faces: Tensor) -> None:
    """Refuse meshes whose faces look inwards: nothing would count as inside them."""
    volume, size = signed_volumes(vertices, faces.to(vertices.device, torch.int64))
    inward = torch.nonzero(volume < -0.1 * size)[:, 0].tolist()
    if inward:
        raise ValueError(
            f"vertices, faces must be meshes whose faces look outwards, got {inward} inside out; the "
            f"cause is {REMEDY}"
        )


def _check_size(vertices: Tensor, joints: Tensor) -> None:
    """Refuse meshes that are not of human size or stand apart from their joints, naming the likely cause."""
    low, high = vertices.amin(1), vertices.amax(1)
    for index, extent in enumerate((high - low).amax(1).tolist()):
        if 0.4 <= extent <= 2.6:
            continue
        cause = "is it one whole body?"
        for factor, unit in ((1e-3, "millimetres"), (1e-2, "centimetres"), (0.0254, "inches")):
            if 0.5 <= extent * factor <= 2.6:
                cause = f"are these {unit}?"
                break
        raise ValueError(f"vertices[{index}] extends over {extent:.4g}, expected 0.4 to 2.6 metres: {cause}")
    outside = (low[:, None] - joints).clamp_min(0) + (joints - high[:, None]).clamp_min(0)
    for index, off in enumerate(outside.amax((1, 2)).tolist()):
        if off > 0.3:
            raise ValueError(
                f"joints[{index}] lie up to {off:.2f} m outside of the mesh; are the joints relative to the "
                "pelvis and the vertices in the camera's frame, or is the y axis of one of them flipped?"
            )
