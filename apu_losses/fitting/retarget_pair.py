"""Contacts of two people kept when their motion goes to other bodies: of other size, or another topology."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from apu_contacts.contacts import ContactMap
from apu_contacts.regions import RegionMap
from apu_losses.bodies.anny_adapter import AnnyBody
from apu_losses.bodies.posed_mesh import PosedMeshBody
from apu_losses.bodies.protocol import BodyModel
from apu_losses.bodies.region_map import region_map_for
from apu_losses.bodies.skinning import LinearBlendBody
from apu_losses.functional.contact_edges import Over
from apu_losses.functional.options import check_number
from apu_losses.geometry.operators import penetration
from apu_losses.geometry.topology import as_topology
from apu_losses.modules import PenetrationLoss, SoftContactLoss

Parameters = Mapping[str, Tensor]

# Chosen on captured moments (handshakes, pulls, hands on shoulders) and development scenes, which went to
# people of 1.95 m and 1.55 m. Penetration that is firm from the first step leaves contacts open, by 12 cm at
# worst.
CONTACT = 5e3
HOLD = {"global_orient": 0.3, "body_pose": 0.1, "transl": 0.1}
SPINE_AND_LEGS = 4.0


@dataclass(frozen=True)
class _Part:
    """Some steps: what is free in them (everything if empty), how long a step is, and what crossing costs."""

    free: tuple[str, ...]
    steps: int
    rate: float
    penetration: float


_PARTS = (
    _Part(("transl",), 40, 0.02, 1e3),
    _Part((), 80, 0.01, 1e3),
    _Part((), 60, 0.005, 5e3),
)


@dataclass(frozen=True)
class RetargetedPair:
    """Two people who touch where two others touched, in F frames.

    Attributes:
        parameters_a, parameters_b: of each body by name, ``(F, size)``.
        vertices_a, vertices_b: ``(F, V, 3)`` and ``(F, V', 3)`` metres.
        apart_before, apart: ``(F,)`` metres between regions that touch, mean over the contacts by weight,
            where the bodies began and where they ended; NaN in a frame without contact.
        depth_before, depth: ``(F,)`` metres, of the deepest vertex of either in the other.
    """

    parameters_a: dict[str, Tensor]
    parameters_b: dict[str, Tensor]
    vertices_a: Tensor
    vertices_b: Tensor
    apart_before: NDArray[np.float64]
    apart: NDArray[np.float64]
    depth_before: NDArray[np.float64]
    depth: NDArray[np.float64]


def retarget_contacts(
    contacts: ContactMap | Sequence[ContactMap],
    body_a: BodyModel,
    start_a: Parameters,
    body_b: BodyModel,
    start_b: Parameters,
    *,
    regions_a: RegionMap | None = None,
    regions_b: RegionMap | None = None,
    over: Over = "parts",
    hold: float = 1.0,
    smooth: float = 0.0,
    effort: float = 1.0,
) -> RetargetedPair:
    """Pose two bodies so that they touch where others did, near the poses in which they begin.

    What touches is said by region, so the bodies need not have the mesh, the size or the model of those from
    whom the motion comes: take `what_touches` of their meshes, frame by frame. Both people are first moved
    as wholes; then they turn and bend, away from where they began by as little as closes the contacts and
    keeps either out of the other. Shapes stay.

    Args:
        contacts: what touches: one map for all F frames, or one a frame.
        body_a, body_b: what is posed; two models, or one twice.
        start_a, start_b: parameters in which each begins, ``(F, size)`` by name: as a rule the poses of the
            motion, with the new shape.
        regions_a, regions_b: of the bodies; looked up if None, see `region_map_for`.
        over: what has to touch, as in `SoftContactLoss`: one place of each part contact, or, with
            ``"pairs"``, every region pair of the map, as measured meshes have them.
        hold: how firmly poses are held, times what was chosen.
        smooth: how firmly what is changed is the same in two frames that follow each other; 0: not at all.
        effort: share of the 180 steps that are taken.

    Raises:
        ValueError: frames that do not match, parameters that no body has, numbers out of range.

    Example:
        >>> import torch
        >>> import apu_contacts as ac, apu_losses as al
        >>> from apu_losses.fitting import retarget_contacts
        >>> body = al.load_body()
        >>> hands = ac.ContactMap.from_parts([ac.PartContact("hand", "left", "hand", "right")])
        >>> adult = {"transl": torch.tensor([[0.0, 0.0, 4.0]])}
        >>> child = {"transl": torch.tensor([[1.1, 0.0, 4.0]]), "age": torch.tensor([[0.5]])}
        >>> pair = retarget_contacts(hands, body, adult, body, child)
        >>> bool(pair.apart_before[0] > 0.05), bool(pair.apart[0] < 0.01), bool(pair.depth[0] < 0.01)
        (True, True, True)
    """
    check_number("hold", hold, positive=True)
    check_number("effort", effort, positive=True)
    check_number("smooth", smooth)
    if smooth < 0:
        raise ValueError(f"smooth must not be negative, got {smooth!r}")
    a, b = _Person(body_a, start_a, "start_a"), _Person(body_b, start_b, "start_b")
    if a.frames != b.frames:
        raise ValueError(
            f"start_b must have the {a.frames} frames of start_a, got {b.frames}; expand what stands still"
        )
    maps = [contacts] * a.frames if isinstance(contacts, ContactMap) else list(contacts)
    if len(maps) != a.frames:
        raise ValueError(f"contacts must be one map, or one for each of {a.frames} frames, got {len(maps)}")
    scores = _Scores(a, b, maps, (regions_a, regions_b), over)
    before = scores.measured()
    for part in _PARTS:
        count = max(1, round(effort * part.steps))
        optimiser = torch.optim.Adam([*a.free(part.free), *b.free(part.free)], lr=part.rate)
        decay = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, count, eta_min=part.rate / 20)
        for _ in range(count):
            optimiser.zero_grad()
            loss = scores.loss(part.penetration)
            for person in (a, b):
                loss = loss + hold * person.moved() + smooth * person.uneven()
            loss.backward()
            optimiser.step()
            decay.step()
    after = scores.measured()
    return RetargetedPair(
        a.now(detached=True),
        b.now(detached=True),
        a.vertices().detach(),
        b.vertices().detach(),
        before[0],
        after[0],
        before[1],
        after[1],
    )


class _Person:
    """A body in F frames, and what is changed of the parameters in which it begins."""

    def __init__(self, body: BodyModel, start: Parameters, name: str) -> None:
        specs = body.parameter_specs
        unknown = sorted(set(start) - set(specs))
        if unknown:
            raise ValueError(
                f"{name} must have parameters of the body {body.name!r}, got {', '.join(unknown)}; it has "
                f"{', '.join(sorted(specs))}"
            )
        self.body = body
        rows = {len(value) for value in start.values()} - {1} or {1}
        if len(rows) > 1:
            raise ValueError(f"{name} must have one number of frames, got {sorted(rows)}")
        (self.frames,) = rows
        some = next(iter(start.values()), torch.zeros(1, 1, dtype=torch.float32, device="cpu"))
        self._start = {
            key: start[key].expand(self.frames, -1)
            if key in start
            else some.new_tensor(specs[key].default).expand(self.frames, -1)
            for key in specs
            if key in start or key in HOLD
        }
        self._change = {
            key: torch.zeros_like(value).requires_grad_() for key, value in self._start.items() if key in HOLD
        }
        self._weight = {key: _holds(body, key, value) for key, value in self._change.items()}

    def free(self, names: Sequence[str]) -> list[Tensor]:
        """Return the changes that are looked for; all of them if none is named."""
        return [value for key, value in self._change.items() if not names or key in names]

    def now(self, *, detached: bool = False) -> dict[str, Tensor]:
        moved = {key: value + self._change.get(key, 0.0) for key, value in self._start.items()}
        return {key: value.detach().clone() for key, value in moved.items()} if detached else moved

    def vertices(self) -> Tensor:
        return self.body.pose(self.now()).vertices()

    def moved(self) -> Tensor:
        """Return how far the body is from where it began."""
        return sum(
            ((self._weight[key] * value.square()).sum() for key, value in self._change.items()),
            start=torch.zeros((), dtype=torch.float32, device="cpu"),
        )

    def uneven(self) -> Tensor:
        """Return how much changes differ from frame to frame."""
        return sum(
            (value.diff(dim=0).square().sum() for value in self._change.values()),
            start=torch.zeros((), dtype=torch.float32, device="cpu"),
        )


def _holds(body: BodyModel, name: str, value: Tensor) -> Tensor:
    """``(size,)`` weights: what carries the body is held more firmly than arms."""
    weights = torch.full_like(value[0], HOLD[name])
    if name == "body_pose":
        joints = [joint for joint in body.joint_names if joint != "pelvis"][: value.shape[1] // 3]
        firm = [k for k, joint in enumerate(joints) if not _of_arm(joint)]
        for k in firm:
            weights[3 * k : 3 * k + 3] *= SPINE_AND_LEGS
    return weights


def _of_arm(joint: str) -> bool:
    return any(word in joint for word in ("collar", "shoulder", "elbow", "wrist"))


class _Scores:
    """How well two people touch where they should, and how deep they are in each other."""

    def __init__(
        self,
        a: _Person,
        b: _Person,
        maps: Sequence[ContactMap],
        regions: tuple[RegionMap | None, RegionMap | None],
        over: Over,
    ) -> None:
        self.a, self.b, self.maps = a, b, list(maps)
        own, other = (
            _regions_of(person.body) if given is None else given
            for person, given in zip((a, b), regions, strict=True)
        )
        alike = _same_mesh(a.body, b.body) and regions[0] is regions[1]
        self.contact = SoftContactLoss(own, regions_b=None if alike else other, over=over)
        faces_b = None if alike else b.body.faces
        self.crossing = PenetrationLoss(a.body.faces, faces_b=faces_b)

    def loss(self, penetration: float) -> Tensor:
        a, b = self.a.vertices(), self.b.vertices()
        loss: Tensor = CONTACT * self.contact(a, b, self.maps).sum()
        loss = loss + penetration * self.crossing(a, b).sum()
        return loss

    @torch.no_grad()
    def measured(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return how far apart contacts are, and how deep the deepest vertex lies, metres, by frame."""
        a, b = self.a.vertices(), self.b.vertices()
        apart = np.full(len(self.maps), np.nan)
        for frame, each in enumerate(self.maps):
            if len(each):
                values = self.contact.values(a[frame : frame + 1], b[frame : frame + 1], each)
                weight = values.weight / values.weight.sum()
                apart[frame] = float((weight * values.value.clamp(min=0).sqrt()).sum())
        deepest = torch.zeros(len(a), dtype=a.dtype, device=a.device)
        for points, mesh, faces in ((a, b, self.b.body.faces), (b, a, self.a.body.faces)):
            found = penetration(points, mesh, as_topology(faces, mesh).to(mesh.device), target="surface")
            deepest = torch.maximum(deepest, found.distance2.amax(1).sqrt().to(deepest))
        return apart, deepest.cpu().double().numpy()


def _regions_of(body: BodyModel) -> RegionMap:
    """Look a body's region map up; a body of one's own has none that could be found."""
    if not isinstance(body, (LinearBlendBody, AnnyBody, PosedMeshBody)):
        raise TypeError(
            f"regions_a and regions_b must be given for a {type(body).__name__}; none ships for it"
        )
    return region_map_for(body)


def _same_mesh(a: BodyModel, b: BodyModel) -> bool:
    return a is b or (a.num_vertices == b.num_vertices and torch.equal(a.faces.cpu(), b.faces.cpu()))
