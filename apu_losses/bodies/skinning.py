"""Linear blend skinning of all vertices of many bodies, or of a few chosen ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from apu_losses.bodies.articulate import articulate
from apu_losses.bodies.blend import Influences, blend_items, blend_mesh
from apu_losses.bodies.families import SMPLX, Family
from apu_losses.bodies.keypoints import KeypointTable, Landmarks, keypoint_table
from apu_losses.bodies.kinematics import KinematicTree
from apu_losses.bodies.offsets import offset_items
from apu_losses.bodies.protocol import CalledByName, ParameterSpec, PosedBody
from apu_losses.bodies.skinning_derivatives import (
    LinearBlendDerivatives,
    PosedSkeleton,
    RestVertices,
    parameter_blocks,
)
from apu_losses.numerics.compiled import BODY_BACKENDS
from apu_losses.numerics.ordered import RowMatrix, SparseRows

Array = NDArray[np.floating]


@dataclass(frozen=True)
class HandSpace:
    """How the pose of one hand is written: 45 axis-angle values, or fewer PCA coefficients.

    Args:
        mean: ``(45,)`` axis-angle values that are added to the pose.
        components: ``(C, 45)`` PCA components, or None where the parameter is axis-angle itself.
        model_mean: ``(45,)`` the mean hand of the model, also where ``mean`` leaves it out; None: not known.
    """

    mean: Array
    components: Array | None = None
    model_mean: Array | None = None


@dataclass(frozen=True)
class BodyData:
    """The arrays of a linear blend body, in metres; read by ``smplx_format`` or taken from an smplx object.

    Args:
        name: short name for reports.
        v_template: ``(V, 3)`` mean body.
        faces: ``(F, 3)`` triangles.
        joint_names: J names.
        parents: J parents, -1 for the root.
        joint_regressor: ``(J, V)``.
        weights: ``(V, J)`` skinning weights.
        shapedirs: ``(V, 3, B)`` shape directions.
        age_direction: ``(V, 3)`` offset of the infant from the mean body, or None.
        expressiondirs: ``(V, 3, E)``, or None.
        posedirs: ``(V, 3, 9 (J - 1))`` pose correctives, or None.
        left_hand: how ``left_hand_pose`` is written; None for a body without that parameter.
        right_hand: how ``right_hand_pose`` is written, likewise.
        landmarks: named points on the surface.
        keypoint_joints: ``(J,)`` weights of the joints by keypoint, for keypoints that lie beside a joint.
        defaults: values that stand in for parameters that are not given (zeros where absent).
        family: SMPL, SMPL-H or SMPL-X: which parameters turn which joints.
    """

    name: str
    v_template: Array
    faces: NDArray[np.integer]
    joint_names: tuple[str, ...]
    parents: tuple[int, ...]
    joint_regressor: Array
    weights: Array
    shapedirs: Array
    age_direction: Array | None
    expressiondirs: Array | None
    posedirs: Array | None
    left_hand: HandSpace | None
    right_hand: HandSpace | None
    landmarks: Landmarks
    defaults: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    family: Family = SMPLX
    keypoint_joints: Mapping[str, Array] = field(default_factory=dict)


_MEANING = {
    "global_orient": "rotation of the pelvis",
    "body_pose": "rotations of {joints} body joints relative to their parents",
    "betas": "shape coefficients, in standard deviations",
    "age": "interpolation from the adult (0) to the infant template (1)",
    "expression": "facial expression coefficients",
    "transl": "translation in metres, added after the pose; the body turns about its pelvis joint",
    "left_hand_pose": "rotations of the 15 joints of the left hand",
    "right_hand_pose": "rotations of the 15 joints of the right hand",
    "jaw_pose": "rotation of the jaw",
    "leye_pose": "rotation of the left eye",
    "reye_pose": "rotation of the right eye",
}


_COEFFICIENTS = ("betas", "age", "expression")
"""The parameters that move the rest body, in the order of its directions."""


class LinearBlendBody(CalledByName):
    """A body of the SMPL family: shape directions, a joint regressor, skinning weights, pose correctives.

    Vertices follow the published SMPL-X equations (Pavlakos et al. 2019, section 3.1): the template plus
    shape, age and expression offsets plus pose correctives, moved by the weighted transforms of the joints.
    Objects are not changed by use; ``to`` returns another one.

    Args:
        data: the arrays.
        dtype: floating-point type of the computation.
        device: where it happens.
        backend: how bodies are posed and skinned: ``"cpu"`` compiled, ``"torch"`` plain PyTorch, ``"auto"``
            compiled for bodies on the CPU, except under forward-mode differentiation and in ``torch.func``
            transforms.

    Example:
        >>> import torch
        >>> from apu_losses import load_body
        >>> body = load_body()
        >>> posed = body(transl=torch.tensor([[0.0, 0.0, 3.0]]))
        >>> posed.vertices().shape, posed.select(torch.tensor([0]), torch.tensor([5])).shape
        (torch.Size([1, 12242, 3]), torch.Size([1, 3]))
    """

    def __init__(
        self,
        data: BodyData,
        *,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
        backend: str = "auto",
    ) -> None:
        if backend not in ("auto", *BODY_BACKENDS):
            raise ValueError(f"backend must be 'auto' or one of {BODY_BACKENDS}, got {backend!r}")
        self._backend = backend
        self._data = data
        self._dtype = dtype
        self._tables = _Tables.build(data, dtype, torch.device(device))
        self._device = self._tables.template.device  # "cuda" is some GPU, here it has its number
        self._parameters = _parameter_specs(data)
        self._keypoint_tables: dict[str, KeypointTable] = {}

    @property
    def name(self) -> str:
        """Short name for reports and records."""
        return self._data.name

    @property
    def num_vertices(self) -> int:
        """V, the number of vertices."""
        return len(self._data.v_template)

    @property
    def faces(self) -> Tensor:
        """``(F, 3)`` int64 triangles."""
        return self._tables.faces

    @property
    def joint_names(self) -> tuple[str, ...]:
        """Names of the joints, in smplx's vocabulary."""
        return self._data.joint_names

    @property
    def body_pose_joints(self) -> tuple[str, ...]:
        """Names of the joints that ``body_pose`` turns: 21 of SMPL-X and SMPL-H, 23 of SMPL."""
        return self._data.joint_names[1 : 1 + dict(self._data.family.pose_layout)["body_pose"]]

    @property
    def parents(self) -> tuple[int, ...]:
        """The parent of each joint, -1 for the root."""
        return self._data.parents

    @property
    def parameter_specs(self) -> Mapping[str, ParameterSpec]:
        """The parameters by name."""
        return self._parameters

    @property
    def data(self) -> BodyData:
        """The arrays that the body was made from (template, weights, regressor), as NumPy."""
        return self._data

    @property
    def dtype(self) -> torch.dtype:
        """Floating-point type of the computation."""
        return self._dtype

    @property
    def device(self) -> torch.device:
        """Where the computation happens."""
        return self._device

    def __repr__(self) -> str:
        names = ", ".join(f"{name} ({spec.size})" for name, spec in self._parameters.items())
        return f"{type(self).__name__}({self.name!r}, {self.num_vertices} vertices; {names})"

    def to(
        self, device: torch.device | str | None = None, dtype: torch.dtype | None = None
    ) -> LinearBlendBody:
        """Return the same body on another device or in another floating-point type."""
        return LinearBlendBody(
            self._data, dtype=dtype or self._dtype, device=device or self._device, backend=self._backend
        )

    def pose(self, params: Mapping[str, Tensor]) -> LinearBlendPose:
        """Pose N bodies.

        Args:
            params: ``(N, size)`` per parameter of ``parameter_specs``. One that is left out takes its
                default; one with a single row is shared by all bodies.

        Returns:
            The posed bodies; vertices are computed when they are asked for.

        Raises:
            ValueError: on an unknown parameter, a wrong shape, or numbers of rows that do not agree.
            TypeError: on a tensor of another type or device than the body's.
        """
        full = self._complete(params)
        rotvec = self._rotation_vectors(full)
        return LinearBlendPose(self._tables, self._coefficients(full), rotvec, full["transl"], self._backend)

    def derivatives(self, params: Mapping[str, Tensor], names: Sequence[str]) -> LinearBlendDerivatives:
        """How joints, keypoints and vertices move with the parameters ``names``, in closed form.

        Args:
            params: as for ``pose``.
            names: the parameters to differentiate by, in this order.
        """
        with torch.no_grad():
            full = {name: value.detach() for name, value in self._complete(params).items()}
            rotvec = self._rotation_vectors(full)
            posed = LinearBlendPose(
                self._tables, self._coefficients(full), rotvec, full["transl"], self._backend
            )
        places, first = {}, 0
        for name in _COEFFICIENTS:
            if name in full:
                places[name] = range(first, first + full[name].shape[1])
                first += full[name].shape[1]
        blocks = parameter_blocks(
            names, self._data.family.pose_layout, self._tables.hands, places, self._device
        )

        def weights_of(skeleton: str) -> tuple[SparseRows, Tensor, SparseRows]:
            table = self._keypoint_table(skeleton)
            return table.joint_mix, table.vertex_ids, table.vertex_mix

        return LinearBlendDerivatives(posed.skeleton(rotvec), blocks, posed.rest_vertices, weights_of)

    def _rotation_vectors(self, full: Mapping[str, Tensor]) -> Tensor:
        """``(N, J, 3)`` the rotation of each joint relative to its parent."""
        parts = []
        for name, _ in self._data.family.pose_layout:
            value = full[name]
            if name in self._tables.hands:
                mean, components = self._tables.hands[name]
                value = (value if components is None else components.times(value, self._backend)) + mean
            parts.append(value)
        return torch.cat(parts, 1).unflatten(1, (-1, 3))

    def keypoints(self, posed: PosedBody, skeleton: str) -> Tensor:
        """Keypoints of a skeleton on posed bodies.

        Args:
            posed: what ``pose`` returned.
            skeleton: ``"body25"``, ``"coco17"``, ``"coco_wholebody133"``, ``"halpe26"``.

        Returns:
            ``(N, K, 3)``; keypoints that the body lacks (see ``keypoint_mask``) are zero without gradient.
        """
        return self._keypoint_table(skeleton).evaluate(posed)

    def keypoint_mask(self, skeleton: str) -> Tensor:
        """``(K,)`` bool: the keypoints of the skeleton that this body has."""
        return self._keypoint_table(skeleton).mask

    def stature(self, params: Mapping[str, Tensor]) -> Tensor:
        """Standing height of the unposed body: from the lowest to the highest vertex along y.

        Only the vertices that can be the highest or the lowest for shapes within three standard deviations
        and any age are evaluated; beyond that range the result may be short by millimetres.

        Args:
            params: as for ``pose``; only ``betas`` and ``age`` matter (the expression does not count).

        Returns:
            ``(N,)`` metres, differentiable in ``betas`` and ``age``.
        """
        wanted = {"betas", "age", "expression"} & self._parameters.keys()
        known = {name: value for name, value in params.items() if name in wanted}
        rows = max((len(value) for value in params.values()), default=1)
        full = self._complete(known, rows, wanted)
        if "expression" in full:
            full["expression"] = torch.zeros_like(full["expression"])
        heights = self._tables.stature_base + self._tables.stature_dirs.times(
            self._coefficients(full), self._backend
        )
        return heights.amax(1) - heights.amin(1)

    def _keypoint_table(self, skeleton: str) -> KeypointTable:
        if skeleton not in self._keypoint_tables:
            data = self._data
            table = keypoint_table(skeleton, data.joint_names, data.landmarks, data.keypoint_joints)
            self._keypoint_tables[skeleton] = table.to(self._dtype, self._device)
        return self._keypoint_tables[skeleton]

    def _coefficients(self, full: Mapping[str, Tensor]) -> Tensor:
        """``(N, S)`` coefficients of all directions: shape, age, expression."""
        return torch.cat([full[name] for name in _COEFFICIENTS if name in full], 1)

    def _complete(
        self, params: Mapping[str, Tensor], rows: int | None = None, wanted: set[str] | None = None
    ) -> dict[str, Tensor]:
        """Every parameter with N rows, checked."""
        unknown = sorted(params.keys() - self._parameters.keys())
        if unknown:
            hint = "; age needs a kid template" if "age" in unknown else ""
            raise ValueError(
                f"params holds {unknown}, which the body {self.name!r} does not have; "
                f"it has {sorted(self._parameters)}{hint}"
            )
        if rows is None:
            rows = max((len(value) for value in params.values() if value.ndim), default=1)
        full = {}
        for name, spec in self._parameters.items():
            if wanted is not None and name not in wanted:
                continue
            value = params.get(name)
            if value is None:
                value = self._tables.defaults[name]
            else:
                self._check(name, value, spec, rows)
            full[name] = value.expand(rows, -1)
        return full

    def _check(self, name: str, value: Tensor, spec: ParameterSpec, rows: int) -> None:
        if value.ndim != 2 or value.shape[1] != spec.size:
            raise ValueError(
                f"{name} must have shape (N, {spec.size}), got {tuple(value.shape)}"
                + _shape_hint(name, value, spec)
            )
        if value.shape[0] not in (1, rows):
            raise ValueError(f"{name} has {value.shape[0]} rows, other parameters have {rows}")
        if value.dtype != self._dtype:
            raise TypeError(
                f"{name} is {value.dtype}, the body computes in {self._dtype}; use body.to(dtype=...)"
            )
        if value.device != self._device:
            raise TypeError(
                f"{name} is on {value.device}, the body on {self._device}; use body.to(device=...)"
            )


def _shape_hint(name: str, value: Tensor, spec: ParameterSpec) -> str:
    """Return the likely cause of a wrong shape, as the end of a sentence."""
    if spec.rotation and value.ndim >= 3 and tuple(value.shape[-2:]) == (3, 3):
        return "; these look like rotation matrices, axis-angle is expected"
    if value.ndim == 1:
        return "; a batch dimension is missing"
    if value.ndim == 3 and value.shape[1] * value.shape[2] == spec.size:
        return "; flatten the last two dimensions"
    if name == "body_pose" and (value.shape[-1], spec.size) == (69, 63):
        return "; 69 values are SMPL's 23 joints: drop the last two (the hands)"
    if name == "body_pose" and (value.shape[-1], spec.size) == (63, 69):
        return "; 63 values are the 21 joints of SMPL-X and SMPL-H: SMPL has two hands more, append 6 zeros"
    if name == "betas" and value.shape[-1] == spec.size + 1:
        return "; the age coefficient is a parameter of its own here, `age`"
    if name == "betas":
        return "; load the body with as many shape coefficients (num_betas)"
    if name.endswith("hand_pose"):
        return "; hands are axis-angle (45) unless num_pca_comps was given at loading"
    return ""


class LinearBlendPose:
    """N posed bodies. Joint transforms are computed once, vertices when they are asked for."""

    def __init__(
        self, tables: _Tables, coefficients: Tensor, rotvec: Tensor, transl: Tensor, backend: str = "auto"
    ) -> None:
        self._tables = tables
        self._backend = backend
        self._coefficients = coefficients
        self._transl = transl
        rest = tables.joint_template + tables.joint_shapes.times(coefficients, backend).unflatten(1, (-1, 3))
        # (N, J, 12): the row-major 3x4 transform from the rest pose to the posed body, without transl
        self._transforms, positions, self._rotations = articulate(rotvec, rest, tables.tree, backend)
        self._joints = positions + transl[:, None]
        self._feature: Tensor | None = None

    @property
    def joints(self) -> Tensor:
        """``(N, J, 3)`` joint positions, metres."""
        return self._joints

    @property
    def world_transforms(self) -> Tensor:
        """``(N, J, 3, 4)`` transforms from the rest pose to the posed body, without ``transl``."""
        return self._transforms.unflatten(2, (3, 4))

    def __len__(self) -> int:
        return len(self._transl)

    def vertices(self, ids: Tensor | None = None) -> Tensor:
        """All vertices, or the same few of every body.

        Args:
            ids: ``(M,)`` int64 vertex ids, or None for all.

        Returns:
            ``(N, V, 3)`` or ``(N, M, 3)``, metres.
        """
        tables = self._tables
        if ids is None:
            template, shapes = tables.template, tables.shapes
        else:
            _check_ids(ids, tables)
            template = tables.template.index_select(0, ids)
            shapes = RowMatrix(tables.dirs.index_select(0, ids).flatten(0, 1))
        count = len(template)
        shaped = template.flatten() + shapes.times(self._coefficients, self._backend)
        rest = shaped.unflatten(1, (count, 3))
        if tables.correctives is not None:
            rest = tables.correctives.add_shared(rest, self._pose_feature(), ids, self._backend)
        which = tables.all_ids if ids is None else ids
        moved = blend_mesh(self._transforms, rest, which, tables.influences, self._backend)
        return moved + self._transl[:, None]

    def select(self, rows: Tensor, vertex_ids: Tensor) -> Tensor:
        """Single vertices of single bodies; only these are skinned.

        Args:
            rows: ``(K,)`` int64 body of each item.
            vertex_ids: ``(K,)`` int64 vertex of each item.

        Returns:
            ``(K, 3)``, metres, differentiable in every parameter of the bodies.

        Raises:
            ValueError: on shapes or types of the ids that do not fit.
            IndexError: on a row or an id that is out of range.
        """
        tables = self._tables
        _check_ids(vertex_ids, tables)
        if rows.shape != vertex_ids.shape or rows.dtype != torch.int64:
            raise ValueError(
                f"rows must be int64 of shape {tuple(vertex_ids.shape)} like vertex_ids, "
                f"got {rows.dtype} {tuple(rows.shape)}"
            )
        rest = self._rest_items(rows, vertex_ids)
        moved = blend_items(self._transforms, rest, rows, vertex_ids, tables.influences, self._backend)
        return moved + self._transl.index_select(0, rows)

    def _rest_items(self, rows: Tensor, vertex_ids: Tensor) -> Tensor:
        """``(K, 3)`` vertices before posing, with shape and pose correctives."""
        tables = self._tables
        rest = tables.template.index_select(0, vertex_ids)
        shape = (tables.dirs, None, vertex_ids, self._coefficients, rows)
        rest = offset_items(rest, *shape, self._backend)
        if tables.correctives is not None:
            feature = self._pose_feature()
            rest = tables.correctives.add_items(rest, feature, rows, vertex_ids, self._backend)
        return rest

    def skeleton(self, rotvec: Tensor) -> PosedSkeleton:
        """Return the skeleton of these bodies, which ``rotvec (N, J, 3)`` posed, for their derivatives."""
        tables = self._tables
        return PosedSkeleton(
            vectors=rotvec,
            rotations=self._rotations,
            transforms=self.world_transforms,
            positions=self._joints - self._transl[:, None],
            joint_dirs=tables.joint_dirs,
            tree=tables.tree,
        )

    def rest_vertices(self, rows: Tensor, vertex_ids: Tensor) -> RestVertices:
        """Chosen vertices before posing, for their derivatives; arguments as of ``select``."""
        tables = self._tables
        by_joint = None
        joints = vertex_ids.new_zeros(len(vertex_ids), 0)
        if tables.correctives is not None:
            by_joint, joints = tables.correctives.by_joint(vertex_ids)
        return RestVertices(
            points=self._rest_items(rows, vertex_ids),
            dirs=tables.dirs.index_select(0, vertex_ids),
            joint=tables.influences.joint.index_select(0, vertex_ids),
            weight=tables.influences.weight.index_select(0, vertex_ids),
            correctives=by_joint,
            corrective_joints=joints,
        )

    def _pose_feature(self) -> Tensor:
        """``(N, 9 (J - 1))`` rotations minus the identity, what pose correctives are linear in."""
        if self._feature is None:
            identity = torch.eye(3, dtype=self._rotations.dtype, device=self._rotations.device)
            # kept for later calls, which may want the gradient that this one does not
            with torch.enable_grad():
                self._feature = (self._rotations[:, 1:] - identity).flatten(1)
        return self._feature


def _check_ids(ids: Tensor, tables: _Tables) -> None:
    if ids.ndim != 1 or ids.dtype != torch.int64:
        raise ValueError(f"vertex ids must be int64 of shape (K,), got {ids.dtype} {tuple(ids.shape)}")
    if ids.device != tables.template.device:
        raise ValueError(f"vertex ids are on {ids.device}, the body is on {tables.template.device}")


class _Correctives:
    """Pose correctives of the vertices that have any, in the pose features that matter to any vertex.

    Each vertex usually depends on a joint or two: for single vertices the few directions that are not zero
    are kept apart, padded to the largest number of a vertex. For whole meshes one dense product is quicker.
    """

    def __init__(
        self,
        posedirs: Tensor,
        vertices: Tensor,
        features: Tensor,
        row_of_vertex: Tensor,
        few: tuple[Tensor, Tensor] | None,
    ) -> None:
        self._posedirs = posedirs  # (P + 1, 3, Q), the last row zero
        self._vertices = vertices  # (P,)
        self._features = features  # (Q,)
        self._row_of_vertex = row_of_vertex  # (V,), P where a vertex has none
        none = row_of_vertex == len(vertices)
        self._entries = torch.where(none, -1, row_of_vertex)  # (V,) the same, -1 where a vertex has none
        self._whole = RowMatrix(posedirs[:-1].flatten(0, 1))
        self._few = few  # (P + 1, 3, F) directions and (P + 1, F) their places among the Q
        self._all = len(vertices) == len(row_of_vertex)

    @staticmethod
    def build(posedirs: Array | None, dtype: torch.dtype, device: torch.device) -> _Correctives | None:
        """None where nothing but zeros is left."""
        if posedirs is None:
            return None
        used = np.asarray(posedirs) != 0
        vertices = np.flatnonzero(used.any((1, 2)))
        features = np.flatnonzero(used.any((0, 1)))
        if len(vertices) == 0:
            return None
        block = np.zeros((len(vertices) + 1, 3, len(features)), dtype=np.asarray(posedirs).dtype)
        block[:-1] = posedirs[vertices][:, :, features]
        row_of_vertex = np.full(len(posedirs), len(vertices))
        row_of_vertex[vertices] = np.arange(len(vertices))
        depends = (block != 0).any(1)
        most = int(depends.sum(1).max())
        few = None
        if 2 * most <= len(features):
            places = np.argsort(~depends, axis=1, kind="stable")[:, :most]
            kept = np.take_along_axis(block, places[:, None, :].repeat(3, axis=1), axis=2)
            few = (
                torch.tensor(kept, dtype=dtype, device=device),
                torch.tensor(places, device=device, dtype=torch.int64),
            )
        return _Correctives(
            torch.tensor(block, dtype=dtype, device=device),
            torch.tensor(vertices, device=device, dtype=torch.int64),
            torch.tensor(features, device=device, dtype=torch.int64),
            torch.tensor(row_of_vertex, device=device, dtype=torch.int64),
            few,
        )

    def by_joint(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        """``(K, M, 3, 9)`` directions of vertices ``ids (K,)`` by the matrices of the joints ``(K, M)``."""
        directions, joints = self._blocks
        rows = self._row_of_vertex[ids]
        return directions.index_select(0, rows), joints.index_select(0, rows)

    @cached_property
    def _blocks(self) -> tuple[Tensor, Tensor]:
        """``(P + 1, M, 3, 9)`` and ``(P + 1, M)``: of each vertex the joints that matter to it, padded with
        others up to the largest number of a vertex.
        """
        joints, place = torch.unique(self._features // 9, return_inverse=True)
        spread = self._posedirs.new_zeros(*self._posedirs.shape[:2], 9 * len(joints))
        spread = spread.index_copy(2, place * 9 + self._features % 9, self._posedirs)
        spread = spread.unflatten(2, (-1, 9)).transpose(1, 2)  # (P + 1, C, 3, 9)
        matters = (spread != 0).any(3).any(2)
        most = int(matters.sum(1).max())
        chosen = torch.argsort((~matters).to(torch.uint8), dim=1, stable=True)[:, :most]
        index = chosen[:, :, None, None].expand(-1, -1, *spread.shape[2:])
        return spread.gather(1, index), joints[chosen] + 1

    def add_shared(self, rest: Tensor, feature: Tensor, ids: Tensor | None, backend: str) -> Tensor:
        """Add to ``rest (N, M, 3)``, the vertices ``ids`` of every body (None: all)."""
        feature = feature.index_select(1, self._features)
        if ids is None:
            offsets = self._whole.times(feature, backend).unflatten(1, (-1, 3))
            return rest + offsets if self._all else rest.index_add(1, self._vertices, offsets)
        rows = self._row_of_vertex[ids]
        touched = (rows < len(self._vertices)).nonzero()[:, 0]
        if len(touched) == 0:
            return rest
        directions = RowMatrix(self._posedirs.index_select(0, rows[touched]).flatten(0, 1))
        offsets = directions.times(feature, backend).unflatten(1, (-1, 3))
        return rest.index_add(1, touched, offsets)

    def add_items(self, rest: Tensor, feature: Tensor, rows: Tensor, ids: Tensor, backend: str) -> Tensor:
        """Add to ``rest (K, 3)``, vertex ``ids[k]`` of body ``rows[k]``."""
        directions, places = (self._posedirs, None) if self._few is None else self._few
        values = feature.index_select(1, self._features)
        return offset_items(rest, directions, places, self._entries[ids], values, rows, backend)


@dataclass(frozen=True)
class _Tables:
    """The tensors behind a body, on one device and in one floating-point type."""

    template: Tensor  # (V, 3)
    faces: Tensor  # (F, 3)
    dirs: Tensor  # (V, 3, S)
    shapes: RowMatrix  # (S, 3 V), the same
    all_ids: Tensor  # (V,) 0, 1, 2, ...
    influences: Influences
    joint_template: Tensor  # (J, 3)
    joint_dirs: Tensor  # (S, J, 3)
    joint_shapes: RowMatrix  # (S, 3 J), the same
    tree: KinematicTree
    correctives: _Correctives | None
    hands: Mapping[str, tuple[Tensor, RowMatrix | None]]  # mean and components of each hand parameter
    stature_base: Tensor  # (C,)
    stature_dirs: RowMatrix  # (S, C)
    defaults: Mapping[str, Tensor]

    @staticmethod
    def build(data: BodyData, dtype: torch.dtype, device: torch.device) -> _Tables:
        # torch.tensor copies: a tensor over NumPy's memory in a live graph crashes the interpreter's exit
        def tensor(array: Array) -> Tensor:
            return torch.tensor(np.ascontiguousarray(array), dtype=dtype, device=device)

        template = np.asarray(data.v_template, dtype=np.float64)
        dirs = _all_directions(data)
        regressor = np.asarray(data.joint_regressor, dtype=np.float64)
        joint_dirs = np.tensordot(regressor, dirs, 1)  # (J, 3, S)
        bodily = data.shapedirs.shape[2] + (data.age_direction is not None)
        crown_and_soles = _stature_vertices(template, dirs[:, :, :bodily])
        hands = {
            name: (
                tensor(hand.mean)[None],
                None if hand.components is None else RowMatrix(tensor(hand.components.T)),
            )
            for name, hand in _hands(data).items()
        }
        directions = tensor(dirs)
        return _Tables(
            template=tensor(template),
            faces=torch.tensor(np.asarray(data.faces, dtype=np.int64), device=device, dtype=torch.int64),
            dirs=directions,
            shapes=RowMatrix(directions.flatten(0, 1)),
            all_ids=torch.arange(len(template), device=device),
            influences=Influences.build(np.asarray(data.weights), dtype, device),
            joint_template=tensor(regressor @ template),
            joint_dirs=tensor(np.moveaxis(joint_dirs, 2, 0)),
            joint_shapes=RowMatrix(tensor(joint_dirs.reshape(-1, dirs.shape[2]))),
            tree=KinematicTree(data.parents).to(device),
            correctives=_Correctives.build(data.posedirs, dtype, device),
            hands=hands,
            stature_base=tensor(template[crown_and_soles, 1]),
            stature_dirs=RowMatrix(tensor(dirs[crown_and_soles, 1])),
            defaults={
                name: torch.tensor([spec.default], dtype=dtype, device=device)
                for name, spec in _parameter_specs(data).items()
            },
        )


def _all_directions(data: BodyData) -> NDArray[np.float64]:
    """``(V, 3, S)`` shape, age and expression directions, in the order of the coefficients."""
    parts = [np.asarray(data.shapedirs, dtype=np.float64)]
    if data.age_direction is not None:
        parts.append(np.asarray(data.age_direction, dtype=np.float64)[:, :, None])
    if data.expressiondirs is not None:
        parts.append(np.asarray(data.expressiondirs, dtype=np.float64))
    return np.concatenate(parts, axis=2)


def _stature_vertices(template: NDArray[np.float64], dirs: NDArray[np.float64]) -> NDArray[np.int64]:
    """Vertices that are the highest or lowest for some shape within three standard deviations."""
    heights = [template[:, 1]]
    for direction in dirs[:, 1].T:
        heights += [template[:, 1] + scale * direction for scale in (-3, -1, 0.5, 1, 3)]
    mixed = np.random.default_rng(0).normal(size=(64, dirs.shape[2])) * 1.5
    heights += list(template[:, 1] + mixed @ dirs[:, 1].T)
    chosen: set[int] = set()
    for height in heights:
        chosen.update(np.argpartition(height, -4)[-4:].tolist(), np.argpartition(height, 4)[:4].tolist())
    return np.array(sorted(chosen), dtype=np.int64)


def _parameter_specs(data: BodyData) -> dict[str, ParameterSpec]:
    sizes = {"betas": data.shapedirs.shape[2]}
    if data.age_direction is not None:
        sizes["age"] = 1
    if data.expressiondirs is not None:
        sizes["expression"] = data.expressiondirs.shape[2]
    sizes["transl"] = 3
    layout = dict(data.family.pose_layout)
    sizes.update({name: 3 * joints for name, joints in layout.items()})
    rotations = set(layout)
    for name, hand in _hands(data).items():
        if hand.components is not None:
            sizes[name] = len(hand.components)
            rotations.discard(name)
    return {
        name: ParameterSpec(
            size,
            name in rotations,
            tuple(data.defaults.get(name, (0.0,) * size)),
            _MEANING[name].format(joints=layout.get(name)),
        )
        for name, size in sizes.items()
    }


def _hands(data: BodyData) -> dict[str, HandSpace]:
    hands = {"left_hand_pose": data.left_hand, "right_hand_pose": data.right_hand}
    return {name: hand for name, hand in hands.items() if hand is not None}
