"""Two given meshes that are in each other are moved apart, each as a whole, by the shortest way found."""

from __future__ import annotations

import math
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from apu_losses.functional.options import check_choice, check_number
from apu_losses.geometry.checks import check_alike, check_vertices
from apu_losses.geometry.operators import Faces, penetration
from apu_losses.geometry.topology import MeshTopology, as_topology
from apu_losses.geometry.types import BackendName

Vertices = Tensor | NDArray[Any]
Move = Literal["both", "a", "b"]

# Tuned on free bodies 14 and 30 cm apart: twice as many of each change the way by 2 % either way.
_POINTS = 400  # vertices of either mesh that rank directions
_STEPS = 12  # distances that are tried along each
_KEPT = 3  # directions that are followed with all vertices
_CONES = (0.35, 0.15, 0.06, 0.02)  # radians around the best direction, tried one after the other
_HALVINGS = 9  # of a bracketed distance


class Separation(NamedTuple):
    """What `separate` did.

    Attributes:
        verts_a, verts_b: ``(V, 3)`` the meshes where they are now; of the dtype and device of the input.
        shift_a, shift_b: ``(3,)`` metres that each was moved by.
        depth_before, depth_after: how deep the deepest vertex lies in the other mesh, metres; 0 if none does.

    Example:
        >>> import trimesh
        >>> from apu_losses import separate
        >>> box = trimesh.creation.box((1, 1, 1)).subdivide().subdivide()
        >>> there = box.vertices + [0.75, 0.0, 0.0]
        >>> found = separate(box.vertices, there, box.faces, tolerance=0.0, move="b")
        >>> round(found.distance, 3), found.depth_after
        (0.25, 0.0)
    """

    verts_a: Tensor
    verts_b: Tensor
    shift_a: Tensor
    shift_b: Tensor
    depth_before: float
    depth_after: float

    @property
    def distance(self) -> float:
        """Metres that the meshes were moved, relative to each other."""
        return float((self.shift_b - self.shift_a).norm())


@torch.no_grad()
def separate(
    verts_a: Vertices,
    verts_b: Vertices,
    faces: Faces | ArrayLike,
    faces_b: Faces | ArrayLike | None = None,
    *,
    tolerance: float = 0.001,
    move: Move = "both",
    backend: BackendName = "auto",
) -> Separation:
    """Push two given meshes apart: the shortest translation found after which none is in the other.

    Directions all around are tried on some of the vertices, and the best are followed and refined with all of
    them. So the way is short, for two convex meshes the shortest to a few parts in a hundred, but not proven
    to be. Nothing is bent or turned, and no gradient flows: `penetration_loss` is for fits.

    Depth is that of vertices under the other's surface. Two coarse meshes can cross without a vertex of
    either in the other: then they count as apart.

    Args:
        verts_a, verts_b: ``(V, 3)`` and ``(V', 3)`` metres, tensors or arrays.
        faces: ``(F, 3)`` of the first mesh, closed and outward.
        faces_b: of the second; the same topology if None.
        tolerance: metres that a vertex may still lie in the other mesh afterwards, at least 0.
        move: ``"both"``, by half the way each, or ``"a"`` or ``"b"`` alone.
        backend: of the geometry operators.

    Raises:
        TypeError, ValueError: what is no mesh of these topologies, is not finite, or is inside out.

    Example:
        >>> import numpy as np
        >>> import torch, trimesh
        >>> from apu_losses import separate
        >>> ball = trimesh.creation.icosphere(subdivisions=2, radius=1.0)
        >>> there = ball.vertices + np.array([1.5, 0.0, 0.0])
        >>> apart = separate(ball.vertices, there, ball.faces, move="b")
        >>> round(apart.depth_before, 2), apart.depth_after <= 0.001
        (0.49, True)
        >>> apart.shift_a.tolist(), round(apart.distance, 1)  # balls of radius 1 are 2 apart
        ([0.0, 0.0, 0.0], 0.5)
    """
    check_choice("move", move, Move)
    check_number("tolerance", tolerance)
    if tolerance < 0:
        raise ValueError(f"tolerance must be at least 0 metres, got {tolerance}")
    a, b = one_mesh("verts_a", verts_a), one_mesh("verts_b", verts_b)
    check_alike("verts_a", a[None], "verts_b", b[None])
    if faces_b is None and len(a) != len(b):
        raise ValueError(
            f"faces_b must be the faces of the second mesh, which has {len(b)} vertices and not {len(a)}, "
            "got None"
        )
    given = [
        face if isinstance(face, MeshTopology | Tensor) else np.asarray(face) for face in (faces, faces_b)
    ]
    near_a, near_b = near_origin(a, b)
    pair = _Pair.build(near_a, near_b, given[0], given[0] if faces_b is None else given[1], backend)
    before = after = pair.depth(near_a.new_zeros(1, 3))
    way = near_a.new_zeros(3)
    if before > tolerance:
        way = _shortest_way(pair, tolerance)
        after = pair.depth(way[None])
    way = way.to(a)
    share = {"both": 0.5, "a": 1.0, "b": 0.0}[move]
    shift_a, shift_b = -share * way, (1 - share) * way
    return Separation(a + shift_a, b + shift_b, shift_a + 0.0, shift_b, before, after)


def one_mesh(name: str, vertices: Vertices) -> Tensor:
    """``(V, 3)`` of one mesh, of a tensor or an array; float32 or float64.

    Raises:
        TypeError, ValueError: what is none.
    """
    given = vertices if isinstance(vertices, Tensor) else torch.from_numpy(np.array(vertices))
    if given.dim() == 3 and len(given) == 1:
        given = given[0]
    if given.dim() != 2 or given.shape[1] != 3:
        raise ValueError(
            f"{name} must be one mesh of shape (V, 3), got {tuple(given.shape)}; "
            "of a batch take one mesh after the other"
        )
    check_vertices(name, given[None])
    return given.detach() if given.dtype in (torch.float32, torch.float64) else given.detach().float()


def near_origin(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Two meshes ``(V, 3)`` around the middle of the first, in float32, which the compiled searches take.

    Raises:
        ValueError: a coordinate that is not finite.
    """
    for name, mesh in (("verts_a", a), ("verts_b", b)):
        if not bool(torch.isfinite(mesh).all()):
            raise ValueError(f"{name} must have finite coordinates, got NaN or infinity; the fit diverged")
    middle = (a.amin(0) + a.amax(0)).double() / 2
    return (a.double() - middle).float(), (b.double() - middle).float()


class _Pair(NamedTuple):
    """Two meshes, of which the second is moved."""

    a: Tensor
    b: Tensor
    topology_a: MeshTopology
    topology_b: MeshTopology
    backend: BackendName

    @classmethod
    def build(cls, a: Tensor, b: Tensor, faces_a: Any, faces_b: Any, backend: BackendName) -> _Pair:
        topology_a = as_topology(faces_a, a[None])
        topology_b = topology_a if faces_a is faces_b else as_topology(faces_b, b[None])
        return cls(a, b, topology_a.to(a.device), topology_b.to(b.device), backend)

    def depths(self, shifts: Tensor, points: tuple[Tensor, Tensor] | None = None) -> Tensor:
        """``(K,)`` depth of the deepest of the vertices, or of some, after each shift ``(K, 3)`` of b."""
        a, b = points or (self.a, self.b)
        deepest = shifts.new_zeros(len(shifts))
        for vertices, mesh, topology, sign in (
            (a, self.b, self.topology_b, -1.0),
            (b, self.a, self.topology_a, 1.0),
        ):
            moved = vertices + sign * shifts[:, None]
            rows = torch.arange(len(shifts), device=shifts.device)
            low, high = mesh.amin(0), mesh.amax(0)
            wanted = ((moved >= low) & (moved <= high)).all(2)
            found = penetration(
                moved,
                mesh[None],
                topology,
                rows=(rows, torch.zeros_like(rows)),
                wanted=wanted | moved.isnan().any(2),
                target="surface",
                backend=self.backend,
            )
            deepest = torch.maximum(deepest, found.distance2.amax(1).sqrt().to(deepest))
        return deepest

    def depth(self, shift: Tensor) -> float:
        return float(self.depths(shift)[0])

    def cleared(self, directions: Tensor) -> Tensor:
        """``(K,)`` how far b must move along each direction until a plane fits between the two meshes."""
        return ((self.a @ directions.T).amax(0) - (self.b @ directions.T).amin(0)).clamp(min=0)


def _spread(count: int, device: torch.device) -> Tensor:
    """Return at most `_POINTS` of ``count`` places, evenly."""
    kept = min(count, _POINTS)
    return torch.arange(kept, device=device) * (count - 1) // max(kept - 1, 1)


def _shortest_way(pair: _Pair, tolerance: float) -> Tensor:
    """``(3,)`` a shift of b after which nothing is deeper than the tolerance."""
    some = tuple(x[_spread(len(x), x.device)] for x in (pair.a, pair.b))
    directions = _all_around(pair)
    lengths = _first_free(pair, directions, tolerance, some)  # type: ignore[arg-type]
    kept = lengths.argsort()[:_KEPT]
    lengths, directions = _first_free(pair, directions[kept], tolerance, None), directions[kept]
    best = lengths.argmin()
    way, length = directions[best], lengths[best]
    for angle in _CONES:
        around = _cone(way, angle)
        tried = _first_free(pair, around, tolerance, some, limit=float(length))  # type: ignore[arg-type]
        # looked at with all vertices only where the few promise a shorter way
        for number in tried.argsort()[:2].tolist():
            if tried[number] < length:
                found = _first_free(pair, around[number : number + 1], tolerance, None, limit=float(length))[
                    0
                ]
                if found < length:
                    way, length = around[number], found
    return way * length


def _all_around(pair: _Pair) -> Tensor:
    """``(K, 3)`` unit directions: of the axes and diagonals, and between the centres."""
    steps = torch.arange(-1, 2, device=pair.a.device)
    grid = torch.cartesian_prod(steps, steps, steps).to(pair.a)
    middles = pair.b.mean(0) - pair.a.mean(0)
    centres = (pair.b.amin(0) + pair.b.amax(0) - pair.a.amin(0) - pair.a.amax(0)) / 2
    every = torch.cat([grid, torch.stack([middles, -middles, centres, -centres])])
    length = every.norm(dim=1)
    directions: Tensor = every[length > 1e-6] / length[length > 1e-6, None]
    return directions


def _cone(direction: Tensor, angle: float) -> Tensor:
    """``(8, 3)`` directions that stand at an angle around one."""
    axis = torch.zeros_like(direction)
    axis[direction.abs().argmin()] = 1.0
    first = torch.linalg.cross(direction, axis)
    first = first / first.norm()
    second = torch.linalg.cross(direction, first)
    turn = torch.arange(8, device=direction.device).to(direction) * (math.pi / 4)
    ring = turn.cos()[:, None] * first + turn.sin()[:, None] * second
    cone: Tensor = math.cos(angle) * direction + math.sin(angle) * ring
    return cone


def _first_free(
    pair: _Pair,
    directions: Tensor,
    tolerance: float,
    points: tuple[Tensor, Tensor] | None,
    limit: float | None = None,
) -> Tensor:
    """``(K,)`` the first distance along each direction at which the meshes are free; infinite past the limit.

    Of non-convex meshes there may be a shorter one between two distances that are tried.
    """
    far = pair.cleared(directions) * (1 + 1e-5) + 1e-6
    if limit is not None:
        far = far.clamp(max=limit)
    count = len(directions)
    share = torch.arange(1, _STEPS + 1, device=far.device).to(far) / _STEPS
    tried = far[:, None] * share
    shifts = (tried[:, :, None] * directions[:, None]).reshape(-1, 3)
    free = (pair.depths(shifts, points) <= tolerance).reshape(count, _STEPS)
    any_free = free.any(1)
    first = free.to(torch.int8).argmax(1)
    high = tried.gather(1, first[:, None])[:, 0]
    low = high - far / _STEPS
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        clear = pair.depths(middle[:, None] * directions, points) <= tolerance
        low, high = torch.where(clear, low, middle), torch.where(clear, middle, high)
    return torch.where(any_free, high, math.inf)
