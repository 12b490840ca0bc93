"""Which numbers of a body the prior speaks of, and how left and right are exchanged in them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from apu_losses.bodies.protocol import BodyModel

NOT_SHAPE = frozenset({"global_orient", "transl", "mesh"})
_ORIENT, _TRANSL = 6, 3


@dataclass(frozen=True)
class PriorLayout:
    """What a person is to the prior: rotations of joints, numbers of shape, and where the other one is.

    The numbers of one person, in this order: ``pose`` (six a joint), ``shape``, ``orient`` (six: how the
    other person's root is turned, seen from one's own), ``transl`` (three: where it is, metres, likewise).

    Args:
        joints: names of the joints that ``body_pose`` turns, three values each.
        shape: names and sizes of the parameters that hold the shape.
        mirrors: whether a person's mirror image has the joints of left and right exchanged, y and z of each
            axis turned round, and the same shape. If not, the prior does not use mirror images.

    Example:
        >>> from apu_losses import load_body
        >>> layout = PriorLayout.of_body(load_body())
        >>> layout.sizes, layout.mirrors
        ({'pose': 126, 'shape': 11, 'orient': 6, 'transl': 3}, True)
    """

    joints: tuple[str, ...]
    shape: tuple[tuple[str, int], ...]
    mirrors: bool = True

    @classmethod
    def of_body(cls, body: BodyModel) -> PriorLayout:
        """Return the layout of a body; hands, jaw and eyes are left to others.

        Raises:
            ValueError: a body without ``global_orient``, ``body_pose`` and ``transl``.
        """
        specs = body.parameter_specs
        missing = [name for name in ("global_orient", "body_pose", "transl") if name not in specs]
        if missing:
            raise ValueError(
                f"the body {body.name!r} has no parameter {missing}: the prior needs bodies that are turned, "
                "posed and placed; posed meshes are not"
            )
        named = getattr(body, "body_pose_joints", body.joint_names[1 : 1 + specs["body_pose"].size // 3])
        shape = tuple(
            (name, spec.size)
            for name, spec in specs.items()
            if not spec.rotation and name not in NOT_SHAPE and name != "expression"
        )
        found = cls(tuple(named), shape)
        return cls(found.joints, shape, found._mirrors(body))

    @cached_property
    def sizes(self) -> dict[str, int]:
        """How many numbers each token of a person has."""
        shape = sum(size for _, size in self.shape)
        sizes = {"pose": 6 * len(self.joints), "shape": shape, "orient": _ORIENT, "transl": _TRANSL}
        return {name: size for name, size in sizes.items() if size}

    @property
    def size(self) -> int:
        """D, how many numbers a person has."""
        return sum(self.sizes.values())

    @cached_property
    def slices(self) -> dict[str, slice]:
        """Where each token's numbers are."""
        found, first = {}, 0
        for name, size in self.sizes.items():
            found[name] = slice(first, first + size)
            first += size
        return found

    @cached_property
    def opposite(self) -> tuple[int, ...]:
        """Of each joint the place of the one on the other side; of one in the middle its own."""
        swap = {"left_": "right_", "right_": "left_"}
        found = []
        for i, name in enumerate(self.joints):
            other = next((to + name[len(of) :] for of, to in swap.items() if name.startswith(of)), name)
            found.append(self.joints.index(other) if other in self.joints else i)
        return tuple(found)

    def mirror(self, code: Tensor) -> Tensor:
        """Return the mirror image of codes ``(..., D)``; mirroring twice gives the code itself."""
        # of a rotation's first two columns (x y z, x y z): S R S with S = diag(-1, 1, 1)
        sign = code.new_tensor([1.0, -1.0, -1.0, -1.0, 1.0, 1.0])
        parts = {name: code[..., part] for name, part in self.slices.items()}
        if "pose" in parts:
            six = parts["pose"].unflatten(-1, (-1, 6))
            parts["pose"] = (six[..., list(self.opposite), :] * sign).flatten(-2)
        parts["orient"] = parts["orient"] * sign
        parts["transl"] = parts["transl"] * code.new_tensor([-1.0, 1.0, 1.0])
        return torch.cat(list(parts.values()), -1)

    def mirrored_pose(self, pose: Tensor) -> Tensor:
        """Return the mirror image of a ``body_pose (N, 3 J)``, axis-angle."""
        three = pose.unflatten(-1, (-1, 3))[..., list(self.opposite), :]
        return (three * pose.new_tensor([1.0, -1.0, -1.0])).flatten(-2)

    def check(self, other: PriorLayout, where: str) -> None:
        """Refuse a prior that was trained for other numbers.

        Args:
            other: what the body at hand has.
            where: of the prior, in the message.

        Raises:
            ValueError: joints or shapes that differ.
        """
        if (self.joints, self.shape) != (other.joints, other.shape):
            raise ValueError(
                f"{where}: this prior speaks of {len(self.joints)} joints and {dict(self.shape)}, the "
                f"body has {len(other.joints)} joints and {dict(other.shape)}: it was "
                "trained for another body; `apu train-prior` trains one for yours"
            )

    def to_dict(self) -> dict[str, object]:
        """Ready for JSON."""
        return {"joints": list(self.joints), "shape": [list(s) for s in self.shape], "mirrors": self.mirrors}

    @classmethod
    def from_dict(cls, data: Mapping[str, object]) -> PriorLayout:
        """Return the inverse of `to_dict`."""
        joints: list[str] = data["joints"]  # type: ignore[assignment]
        shape: list[tuple[str, int]] = data["shape"]  # type: ignore[assignment]
        return cls(tuple(joints), tuple((str(n), int(s)) for n, s in shape), bool(data["mirrors"]))

    @torch.no_grad()
    def _mirrors(self, body: BodyModel) -> bool:
        """Pose somebody and their mirror image, and see whether their joints agree to 1 cm."""
        size = 3 * len(self.joints)
        pose = 0.3 * torch.sin(torch.arange(1, size + 1, dtype=torch.float64, device="cpu"))[None]
        device, dtype = body.faces.device, getattr(body, "dtype", torch.float32)
        pose = pose.to(device, dtype)
        one, other = (body.pose({"body_pose": p}).joints[0] for p in (pose, self.mirrored_pose(pose)))
        names = body.joint_names
        swap = {"left_": "right_", "right_": "left_"}
        order = []
        for i, name in enumerate(names):
            there = next((to + name[len(of) :] for of, to in swap.items() if name.startswith(of)), name)
            order.append(names.index(there) if there in names else i)
        kept = [i for i, name in enumerate(names) if name in self.joints]
        image = one[order] * one.new_tensor([-1.0, 1.0, 1.0])
        return bool((image - other)[kept].norm(dim=1).amax() < _MIRRORED_TO) if kept else False


_MIRRORED_TO = 0.02
"""Metres: bodies are symmetric to millimetres; a wrong frame is decimetres off."""
