"""The losses as ``nn.Module``: shells that keep options, and compute with `apu_losses.functional`.

Each returns one value per item, unreduced: sum or average as your own loss does.
"""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral

import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from apu_contacts.contacts import ContactMap
from apu_contacts.regions import RegionMap
from apu_losses.functional.contact import ContactForm, Mode, check_regions, check_soft, pair_contact
from apu_losses.functional.contact_edges import (
    ContactEdges,
    Order,
    Over,
    edges_of_pairs,
    maps_of_pairs,
)
from apu_losses.functional.first_look import FirstLook
from apu_losses.functional.nearest import minimum_distance
from apu_losses.functional.options import check_choice, check_number, checked_faces, described
from apu_losses.functional.penetration import Energy, Rule, Target, penetration_loss
from apu_losses.functional.pose_prior import (
    Metric,
    PoseMixture,
    anatomical_pose_prior,
    initial_pose_prior,
    mixture_pose_prior,
)
from apu_losses.functional.reprojection import keypoint_reprojection
from apu_losses.functional.self_penetration import self_penetration_loss
from apu_losses.functional.shape import shape_change_prior, shape_prior
from apu_losses.functional.skin import SkinPatches
from apu_losses.geometry.mesh_layout import MeshLayout
from apu_losses.geometry.topology import RegionIndex
from apu_losses.geometry.types import Backend


class SoftContactLoss(nn.Module):
    """Pulls together what touches: `apu_losses.functional.soft_contact`.

    ::

        contact = SoftContactLoss(RegionMap.load("free"))
        loss = loss + 1e4 * contact(verts_a, verts_b, contact_map).sum()

    1e4 makes it squared centimetres, the scale that the paper's weights are made for.

    Args:
        regions: the 75 regions of the mesh topology.
        over: ``"parts"`` (one minimum a part contact, "somewhere on the arm, somewhere on the back"; a map
            without groups has one a region pair) or ``"pairs"`` (each region pair counts, the formula as the
            paper prints it).
        mode, robust, soft: see `apu_losses.functional.ContactForm`.
        order: ``"given"``, or ``"either"`` for the smaller of both person orders.
        template: ``(V, 3)`` the body at rest; speeds up the search, and compiled code needs it.
        backend: of the geometry search.

    Raises:
        ValueError: options that do not exist or contradict each other.
    """

    def __init__(
        self,
        regions: RegionMap | RegionIndex,
        *,
        over: Over = "parts",
        mode: Mode = "min",
        robust: float | None = None,
        soft: float | None = None,
        order: Order = "given",
        template: ArrayLike | Tensor | None = None,
        backend: Backend = "auto",
    ) -> None:
        super().__init__()
        check_choice("over", over, Over)
        check_choice("order", order, Order)
        self.form = ContactForm(mode, robust, soft)
        check_soft(soft, over)
        check_regions(regions)
        if template is not None and isinstance(regions, RegionMap):
            regions = RegionIndex.build(regions, regions.vertex_count, template)
        self.regions = regions
        self.over: Over = over
        self.order: Order = order
        self.backend: Backend = backend
        self._laid_out: list[tuple[list[ContactMap], ContactEdges]] = []
        self._first_look = FirstLook()

    def edges(self, contact_maps: ContactMap | Sequence[ContactMap], pairs: int = 1) -> ContactEdges:
        """Maps of a batch of ``pairs`` pairs laid out as `forward` takes them, with the options of this loss.

        One map is that of every pair; of a list there is one a pair, whatever ``pairs`` is. A data loader can
        do this, and compiled code needs it done.
        """
        maps = maps_of_pairs(contact_maps, pairs if isinstance(contact_maps, ContactMap) else None)
        edges = edges_of_pairs(
            maps,
            over=self.over,
            order=self.order,
            one_search_a_pair=self.form.soft is not None,
            dtype=torch.float64,
        )
        if self.form.mode == "chamfer_quartic" and isinstance(self.regions, RegionIndex):
            edges.both_orders.every_vertex(self.regions)
        return edges

    def forward(
        self,
        verts_a: Tensor,
        verts_b: Tensor,
        contact_maps: ContactMap | Sequence[ContactMap] | ContactEdges,
    ) -> Tensor:
        """``(B, V, 3)`` twice and one map, one a pair, or their `edges`, to ``(B,)`` squared metres."""
        self._first_look.at(verts_a=verts_a, verts_b=verts_b)
        edges = self._edges_of(contact_maps, len(verts_a)).to(verts_a.device)
        return pair_contact(verts_a, verts_b, edges, self.regions, self.form, backend=self.backend)

    def _edges_of(
        self, contact_maps: ContactMap | Sequence[ContactMap] | ContactEdges, pairs: int
    ) -> ContactEdges:
        if isinstance(contact_maps, ContactEdges):
            contact_maps.check_made_for(
                over=self.over, order=self.order, one_search_a_pair=self.form.soft is not None
            )
            return contact_maps
        maps = maps_of_pairs(contact_maps, pairs)
        # Maps are immutable: the same objects mean the same graph, which costs more to lay out than to
        # search.
        for known, edges in self._laid_out:
            if len(maps) == len(known) and all(a is b for a, b in zip(maps, known, strict=True)):
                return edges
        edges = self.edges(maps)
        self._laid_out[:] = [(maps, edges)]
        return edges

    def extra_repr(self) -> str:
        """Options, for printing."""
        return f"over={self.over!r}, order={self.order!r}, {self.form}"


class MinimumDistanceLoss(nn.Module):
    """Pulls the nearest two points of two people together: `apu_losses.functional.minimum_distance`.

    Args:
        faces: ``(F, 3)`` of the mesh.
        vertex_count: V of the mesh; the largest id in ``faces`` plus one by default.
        template: ``(V, 3)`` a body in any pose, by which the search is laid out. By default the first body
            that is seen is it; code that is compiled before one is seen searches slowly without.
        backend: of the geometry search.
    """

    def __init__(
        self,
        faces: ArrayLike | Tensor,
        vertex_count: int | None = None,
        template: ArrayLike | Tensor | None = None,
        *,
        backend: Backend = "auto",
    ) -> None:
        super().__init__()
        self._mesh = _mesh(faces, vertex_count, template)
        self._first_look = FirstLook()
        self.backend: Backend = backend

    def forward(self, verts_a: Tensor, verts_b: Tensor) -> Tensor:
        """``(B, V, 3)`` twice to ``(B,)`` squared metres."""
        self._first_look.at(verts_a=verts_a, verts_b=verts_b)
        return minimum_distance(verts_a, verts_b, self._mesh.of(verts_a), backend=self.backend)


class PenetrationLoss(nn.Module):
    """Pushes bodies out of each other: `apu_losses.functional.penetration_loss`.

    Args:
        faces: ``(F, 3)`` of the closed mesh, outward.
        vertex_count: V of the mesh; the largest id in ``faces`` plus one by default.
        template: ``(V, 3)`` a body in any pose, by which the search is laid out. By default the first body
            that is seen is it; code that is compiled before one is seen searches slowly without.
        target: depth to the nearest ``"surface"`` point or ``"vertex"``, or by ``"entry"``, the way in.
        energy: ``"l2"`` or BUDDI's ``"quartic"``.
        rule: ``"either"``, or BUDDI's ``"both"``.
        backend: of the geometry operators.
    """

    def __init__(
        self,
        faces: ArrayLike | Tensor,
        vertex_count: int | None = None,
        template: ArrayLike | Tensor | None = None,
        *,
        target: Target = "surface",
        energy: Energy = "l2",
        rule: Rule = "either",
        backend: Backend = "auto",
    ) -> None:
        super().__init__()
        check_choice("target", target, Target)
        check_choice("energy", energy, Energy)
        check_choice("rule", rule, Rule)
        self._mesh = _mesh(faces, vertex_count, template)
        self._first_look = FirstLook()
        self.target: Target = target
        self.energy: Energy = energy
        self.rule: Rule = rule
        self.backend: Backend = backend

    def forward(self, verts_a: Tensor, verts_b: Tensor) -> Tensor:
        """``(B, V, 3)`` twice to ``(B,)``."""
        self._first_look.at(verts_a=verts_a, verts_b=verts_b)
        return penetration_loss(
            verts_a,
            verts_b,
            self._mesh.of(verts_a),
            target=self.target,
            energy=self.energy,
            rule=self.rule,
            backend=self.backend,
        )


class SelfPenetrationLoss(nn.Module):
    """Pushes a body out of itself: `apu_losses.functional.self_penetration_loss`.

    Args:
        faces: ``(F, 3)`` of the closed mesh, outward.
        template: ``(V, 3)`` the body at rest; distances along its skin tell folds from penetration.
        apart: metres along the skin between parts that may not overlap.
        energy: ``"l2"`` or ``"quartic"``.
        backend: of the geometry operators.
    """

    def __init__(
        self,
        faces: ArrayLike | Tensor,
        template: ArrayLike | Tensor,
        *,
        apart: float = 0.5,
        energy: Energy = "l2",
        backend: Backend = "auto",
    ) -> None:
        super().__init__()
        check_choice("energy", energy, Energy)
        template = torch.as_tensor(template, dtype=torch.float64, device="cpu")
        self.skin = SkinPatches(_mesh(faces, len(template), template).topology, template, apart)
        self._first_look = FirstLook()
        self.energy: Energy = energy
        self.backend: Backend = backend

    def forward(self, vertices: Tensor) -> Tensor:
        """``(N, V, 3)`` to ``(N,)``."""
        self._first_look.at(vertices=vertices)
        return self_penetration_loss(vertices, self.skin, energy=self.energy, backend=self.backend)


class KeypointReprojectionLoss(nn.Module):
    """Draws projected joints to detected keypoints: see `keypoint_reprojection`.

    Args:
        confidence_power, confidence_threshold: how confidences count.
        robust: rho in pixels at the 512 scale, or ``None``.
    """

    def __init__(
        self, *, confidence_power: float = 1.0, confidence_threshold: float = 0.0, robust: float | None = None
    ) -> None:
        super().__init__()
        if robust is not None:
            check_number("robust", robust, positive=True)
        self.confidence_power = confidence_power
        self.confidence_threshold = confidence_threshold
        self.robust = robust

    def forward(self, projected: Tensor, xy: Tensor, confidence: Tensor, scale: Tensor) -> Tensor:
        """``(N, J, 2)``, ``(N, J, 2)``, ``(N, J)`` and ``(N,)`` of `keypoint_scale` to ``(N,)``."""
        return keypoint_reprojection(
            projected,
            xy,
            confidence,
            scale,
            confidence_power=self.confidence_power,
            confidence_threshold=self.confidence_threshold,
            robust=self.robust,
        )


class PosePrior(nn.Module):
    """How likely a body pose is: SMPLify's mixture where its file is given, else anatomical limits.

    Args:
        mixture: from `apu_losses.functional.load_pose_mixture`.
        limit_weight: of the joint limits, without a mixture.
    """

    def __init__(self, mixture: PoseMixture | None = None, *, limit_weight: float = 20.0) -> None:
        super().__init__()
        self.limit_weight = limit_weight
        self.has_mixture = mixture is not None
        if mixture is not None:
            for name, value in mixture._asdict().items():
                self.register_buffer(name, value)

    def forward(self, body_pose: Tensor) -> Tensor:
        """``(N, 63)`` axis-angle to ``(N,)``."""
        if not self.has_mixture:
            return anatomical_pose_prior(body_pose, limit_weight=self.limit_weight)
        mixture = PoseMixture(*(self.get_buffer(name) for name in PoseMixture._fields))
        return mixture_pose_prior(body_pose, mixture)


class InitialPosePrior(nn.Module):
    """Holds a pose near the one that it started from.

    Args:
        metric: ``"geodesic"`` or BUDDI's ``"axis_angle"``.
        joint_weights: ``(J,)``, ones by default.
    """

    joint_weights: Tensor | None

    def __init__(self, *, metric: Metric = "geodesic", joint_weights: Tensor | None = None) -> None:
        super().__init__()
        check_choice("metric", metric, Metric)
        self.metric: Metric = metric
        self.register_buffer("joint_weights", joint_weights)

    def forward(self, body_pose: Tensor, reference: Tensor) -> Tensor:
        """``(N, 3 J)`` axis-angle twice to ``(N,)``."""
        return initial_pose_prior(body_pose, reference, metric=self.metric, joint_weights=self.joint_weights)


class ShapePrior(nn.Module):
    """Holds a shape near the mean, or near the one that it started from where that is given."""

    def forward(self, betas: Tensor, start: Tensor | None = None) -> Tensor:
        """``(N, K)`` to ``(N,)``."""
        return shape_prior(betas) if start is None else shape_change_prior(betas, start)


def _count(template: ArrayLike | Tensor) -> int:
    return len(torch.as_tensor(template, dtype=torch.float64, device="cpu"))


def _mesh(
    faces: ArrayLike | Tensor, vertex_count: int | None, template: ArrayLike | Tensor | None
) -> MeshLayout:
    """The mesh that arguments of a loss describe; errors say which argument is another's.

    Raises:
        TypeError, ValueError: faces that are none, or a template in place of the vertex count.
    """
    faces = checked_faces(faces)
    if vertex_count is None:
        vertex_count = int(faces.max()) + 1 if template is None else _count(template)
    elif isinstance(vertex_count, bool) or not isinstance(vertex_count, Integral):
        raise TypeError(
            f"vertex_count: expected a whole number or None, got {described(vertex_count)}; "
            "a body at rest goes in by name: template=..."
        )
    return MeshLayout.build(faces, int(vertex_count), template)
