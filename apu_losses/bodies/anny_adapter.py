"""Anny as a body model: all ages and phenotypes, by NAVER's `anny` package (extra ``[anny]``)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from apu_losses.bodies.anny_derivatives import AnnyDerivatives, bone_vectors
from apu_losses.bodies.anny_rig import AnnyPose, AnnyRig
from apu_losses.bodies.keypoints import KeypointTable, Landmarks, keypoint_table
from apu_losses.bodies.kinematics import KinematicTree
from apu_losses.bodies.protocol import CalledByName, ParameterSpec, PosedBody
from apu_losses.numerics.rotations import rotation_matrix

_DEFAULTS = {"age": 2 / 3}  # a young adult; all other phenotypes are halfway
BONE_FINGERS = ("thumb", "index", "middle", "ring", "pinky")  # the order of MakeHuman's finger1..finger5


class AnnyBody(CalledByName):
    """A model of the anny package behind our protocol, in our frame (metres, y up, facing +z, left at +x).

    ``phenotypes`` are Anny's own, 0 to 1 each, in the order of ``phenotype_labels``; its ``age`` runs from
    newborn (0) over child (1/3) and young adult (2/3) to old (1), unlike the ``age`` of our other bodies.
    ``body_pose`` turns Anny's bones but the root relative to their rest pose, in axis-angle, about the body's
    axes. Joints are the heads of its bones under SMPL-X's names where there are such.

    Shape coefficients and bones are the package's, and only the vertices that are asked for are shaped and
    skinned, linearly.

    Args:
        model: an ``anny.Anny`` object; None: one with all phenotypes (the first
            build takes a minute or two and 0.8 GB of cache on disk).
        dtype: floating-point type of the computation.
        device: where it happens.

    Raises:
        ModuleNotFoundError: if the package is not installed.
    """

    def __init__(
        self,
        model: Any = None,
        *,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ) -> None:
        if model is None:
            try:
                import anny
            except ModuleNotFoundError as error:
                raise ModuleNotFoundError(
                    "the anny package is not installed: pip install 'apu-losses[anny]'"
                ) from error
            model = anny.Anny(phenotypes="all", skinning_method="lbs")
        self._model = model.to(dtype=dtype, device=device)
        self._dtype, self._device = dtype, torch.device(device)
        self._faces = torch.as_tensor(model.get_triangular_faces(), device=device, dtype=torch.int64).to(
            torch.int64
        )
        self._rig = AnnyRig(self._model)
        self._tree = KinematicTree(self._rig.parents).to(self._device)
        self.phenotype_labels: tuple[str, ...] = tuple(model.phenotype_labels)
        self.bone_labels: tuple[str, ...] = tuple(model.bone_labels)
        known = set(self.bone_labels)
        sources = {joint: bones for joint, bones in joint_sources().items() if known.issuperset(bones)}
        self._joint_names = tuple(sources)
        mix = torch.zeros(len(sources), len(self.bone_labels), dtype=dtype, device=device)
        for row, bones in enumerate(sources.values()):
            mix[row, [self.bone_labels.index(bone) for bone in bones]] = 1 / len(bones)
        self._mix = mix
        turning = len(self.bone_labels) - 1
        self._parameters = {
            "global_orient": ParameterSpec(3, True, (0.0,) * 3, "rotation of the root bone"),
            "body_pose": ParameterSpec(
                3 * turning,
                True,
                (0.0,) * (3 * turning),
                f"rotations of Anny's {turning} bones from their rest pose",
            ),
            "phenotypes": ParameterSpec(
                len(self.phenotype_labels),
                False,
                tuple(_DEFAULTS.get(label, 0.5) for label in self.phenotype_labels),
                f"Anny's phenotypes, 0 to 1: {', '.join(self.phenotype_labels)}",
            ),
            "transl": ParameterSpec(3, False, (0.0,) * 3, "translation in metres, added after the pose"),
        }
        self._tables: dict[str, KeypointTable] = {}

    @property
    def name(self) -> str:
        """Short name for reports and records."""
        return "anny"

    @property
    def num_vertices(self) -> int:
        """V, the number of vertices."""
        return len(self._model.template_vertices)

    @property
    def faces(self) -> Tensor:
        """``(F, 3)`` int64 triangles."""
        return self._faces

    @property
    def joint_names(self) -> tuple[str, ...]:
        """SMPL-X's names of the joints that Anny has."""
        return self._joint_names

    @property
    def body_pose_joints(self) -> tuple[str, ...]:
        """Names of the bones that ``body_pose`` turns: all but the root, by Anny's own names."""
        return self.bone_labels[1:]

    @property
    def parameter_specs(self) -> Mapping[str, ParameterSpec]:
        """``global_orient``, ``body_pose``, ``phenotypes``, ``transl``."""
        return self._parameters

    def pose(self, params: Mapping[str, Tensor]) -> AnnyPose:
        """Pose N bodies; a parameter that is left out takes its default, a single row is shared.

        Raises:
            ValueError: on an unknown parameter, a wrong shape, or rows that do not agree.
        """
        full = self._complete(params)
        bones = self._rig.bones(full["phenotypes"], rotation_matrix(bone_vectors(full)))
        return AnnyPose(self._rig, bones, self._mix, full["transl"])

    def derivatives(self, params: Mapping[str, Tensor], names: Sequence[str]) -> AnnyDerivatives:
        """How joints, keypoints and vertices move with the parameters ``names``, in closed form.

        Args:
            params: as for ``pose``.
            names: the parameters to differentiate by, in this order.
        """
        return AnnyDerivatives(self._rig, self._tree, self._mix, self._complete(params), names, self._table)

    def keypoints(self, posed: PosedBody, skeleton: str) -> Tensor:
        """``(N, K, 3)`` keypoints of a skeleton; those that the body lacks are zero without gradient."""
        return self._table(skeleton).evaluate(posed)

    def keypoint_mask(self, skeleton: str) -> Tensor:
        """``(K,)`` bool: the keypoints of the skeleton that this body has."""
        return self._table(skeleton).mask

    def stature(self, params: Mapping[str, Tensor]) -> Tensor:
        """``(N,)`` standing height in metres of the unposed body, differentiable in ``phenotypes``."""
        height = self._rig.heights(self._complete(params)["phenotypes"])
        return height.amax(1) - height.amin(1)

    def _complete(self, params: Mapping[str, Tensor]) -> dict[str, Tensor]:
        unknown = sorted(params.keys() - self._parameters.keys())
        if unknown:
            hint = "; shape and age are phenotypes here" if {"betas", "age"} & set(unknown) else ""
            raise ValueError(f"params holds {unknown}, Anny has {sorted(self._parameters)}{hint}")
        rows = max((len(value) for value in params.values()), default=1)
        full = {}
        for name, spec in self._parameters.items():
            value = params.get(name)
            if value is None:
                value = torch.tensor([spec.default], dtype=self._dtype, device=self._device)
            if value.ndim != 2 or value.shape[1] != spec.size or len(value) not in (1, rows):
                raise ValueError(f"{name} must have shape ({rows}, {spec.size}), got {tuple(value.shape)}")
            full[name] = value.expand(rows, -1)
        return full

    def _table(self, skeleton: str) -> KeypointTable:
        if skeleton not in self._tables:
            table = keypoint_table(skeleton, self._joint_names, Landmarks.none()).to(
                self._dtype, self._device
            )
            self._tables[skeleton] = self._with_face(table, skeleton)
        return self._tables[skeleton]

    def _with_face(self, table: KeypointTable, skeleton: str) -> KeypointTable:
        """Nose, eyes and ears by Anny's own regressors, which need a mesh with eyeballs."""
        from anny.keypoints import KeypointsRegressor

        from apu_contacts.keypoints.skeletons import SKELETONS

        try:
            regressor = KeypointsRegressor.coco(self._model, labels=list(_FACE))
        except (AssertionError, KeyError):
            return table
        mesh = torch.eye(self.num_vertices, dtype=self._dtype, device=self._device)
        weights = regressor({"vertices": mesh[None]})[0]
        names = SKELETONS[skeleton].joint_names
        used = (weights != 0).any(0).nonzero()[:, 0]
        mask, rows = table.mask.clone(), weights.new_zeros(len(names), len(used))
        for label, row in zip(_FACE, weights[:, used], strict=True):
            if label in names:
                rows[names.index(label)] = row
                mask[names.index(label)] = True
        return KeypointTable(mask, table.joint_weights, used, rows)


_FACE = ("nose", "left_eye", "right_eye", "left_ear", "right_ear")


def joint_sources() -> dict[str, list[str]]:
    """SMPL-X joint -> the bones of Anny's default rig whose heads are averaged to place it."""
    table = {
        "pelvis": ["root"],
        "spine1": ["spine04"],
        "spine2": ["spine02"],
        "spine3": ["spine01"],
        "neck": ["neck01"],
        "head": ["head"],
    }
    for side, a in (("left", "L"), ("right", "R")):
        table |= {
            f"{side}_hip": [f"upperleg01.{a}"],
            f"{side}_knee": [f"lowerleg01.{a}"],
            f"{side}_ankle": [f"foot.{a}"],
            f"{side}_foot": [f"toe{i}-1.{a}" for i in range(1, 6)],
            f"{side}_collar": [f"clavicle.{a}"],
            f"{side}_shoulder": [f"upperarm01.{a}"],
            f"{side}_elbow": [f"lowerarm01.{a}"],
            f"{side}_wrist": [f"wrist.{a}"],
        }
        for number, finger in enumerate(BONE_FINGERS, 1):
            for knuckle in (1, 2, 3):
                table[f"{side}_{finger}{knuckle}"] = [f"finger{number}-{knuckle}.{a}"]
    return table
