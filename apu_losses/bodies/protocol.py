"""What a body model must offer to the losses and the fitter."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from torch import Tensor


@dataclass(frozen=True)
class ParameterSpec:
    """One parameter of a body model.

    Args:
        size: length of the parameter of one body; the tensor given to ``pose`` has shape ``(N, size)``.
        rotation: True where the values are axis-angle vectors in radians, three per joint.
        default: ``size`` values that stand in for a parameter that is not given.
        meaning: one sentence for people.

    Example:
        >>> from apu_losses import load_body
        >>> spec = load_body().parameter_specs["betas"]
        >>> spec.size, spec.rotation
        (10, False)
    """

    size: int
    rotation: bool
    default: tuple[float, ...]
    meaning: str

    def __post_init__(self) -> None:
        if len(self.default) != self.size:
            raise ValueError(f"default must hold size = {self.size} values, got {len(self.default)}")


@runtime_checkable
class PosedBody(Protocol):
    """N bodies in their pose. Positions are in metres, in the frame of ``transl``.

    Example:
        >>> import torch
        >>> from apu_losses import PosedBody, load_body
        >>> posed = load_body().pose({"transl": torch.tensor([[0.0, 0.0, 4.0]])})
        >>> isinstance(posed, PosedBody), tuple(posed.vertices().shape), tuple(posed.joints.shape)
        (True, (1, 12242, 3), (1, 55, 3))
    """

    @property
    def joints(self) -> Tensor:
        """``(N, J, 3)`` joint positions, in the order of ``BodyModel.joint_names``."""
        ...

    def vertices(self, ids: Tensor | None = None) -> Tensor:
        """``(N, V, 3)`` all vertices, or ``(N, M, 3)`` those of ``ids (M,)``, the same for every body."""
        ...

    def select(self, rows: Tensor, vertex_ids: Tensor) -> Tensor:
        """``(K, 3)`` vertex ``vertex_ids[k]`` of body ``rows[k]``; only these are skinned."""
        ...


class CalledByName:
    """Gives a body that poses a mapping the call that users of smplx know."""

    def pose(self, params: Mapping[str, Tensor]) -> PosedBody:
        """Pose N bodies; the body's own method."""
        raise NotImplementedError

    def __call__(self, **params: Tensor | None) -> PosedBody:
        """Pose N bodies by keyword: ``body(global_orient=..., body_pose=..., betas=..., transl=...)``.

        The same as ``body.pose({...})``. ``None`` stands for the default, as in smplx.
        """
        return self.pose({name: value for name, value in params.items() if value is not None})


@runtime_checkable
class BodyModel(Protocol):
    """A parametric body: parameters in, joints and mesh out, differentiable in every parameter.

    Example:
        >>> from apu_losses import BodyModel, load_body
        >>> body = load_body()
        >>> isinstance(body, BodyModel), body.name, body.num_vertices, len(body.joint_names)
        (True, 'free', 12242, 55)
    """

    @property
    def name(self) -> str:
        """Short name for reports and records, such as ``"free"``."""
        ...

    @property
    def num_vertices(self) -> int:
        """V, the number of vertices of the mesh."""
        ...

    @property
    def faces(self) -> Tensor:
        """``(F, 3)`` int64 triangles, counter-clockwise seen from outside."""
        ...

    @property
    def joint_names(self) -> tuple[str, ...]:
        """J names, in smplx's vocabulary."""
        ...

    @property
    def parameter_specs(self) -> Mapping[str, ParameterSpec]:
        """The parameters by name, in smplx's vocabulary."""
        ...

    def pose(self, params: Mapping[str, Tensor]) -> PosedBody:
        """Pose N bodies.

        Args:
            params: ``(N, size)`` per parameter; a parameter that is left out takes its default, and one
                with a single row is shared by all bodies.
        """
        ...

    def keypoints(self, posed: PosedBody, skeleton: str) -> Tensor:
        """``(N, K, 3)`` keypoints of a skeleton; those that the body lacks are zero and have no gradient."""
        ...

    def keypoint_mask(self, skeleton: str) -> Tensor:
        """``(K,)`` bool: the keypoints of the skeleton that this body has."""
        ...

    def stature(self, params: Mapping[str, Tensor]) -> Tensor:
        """``(N,)`` standing height in metres of the unposed body, differentiable in shape and age."""
        ...
