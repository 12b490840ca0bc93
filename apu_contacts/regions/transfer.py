"""Carrying regions from one mesh topology to another, and saying where that is unsure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from apu_contacts.regions.table import NUM_REGIONS, REGIONS

Floats = NDArray[np.float64]

_CANDIDATES = 24  # triangles looked at per vertex: those with the nearest centres
_CLEAR = 2 / 3  # a vertex with less than this share in its best region lies on a border


@dataclass(frozen=True)
class SurfaceCorrespondence:
    """For each vertex of one mesh, a point on another: the weighted mean of three of its vertices.

    Args:
        corners: ``(V, 3)`` vertex ids of the other mesh.
        weights: ``(V, 3)`` non-negative weights; a row of zeros is a vertex without a counterpart.
        source_count: number of vertices of the other mesh.
        far: ``(V,)`` bool, the point is farther away than was allowed.
        turned: ``(V,)`` bool, the two surfaces face different ways there.
        note: how it was found, in words.
    """

    corners: NDArray[np.int64]
    weights: Floats
    source_count: int
    far: NDArray[np.bool_]
    turned: NDArray[np.bool_]
    note: str

    @property
    def sure(self) -> NDArray[np.bool_]:
        """``(V,)`` bool: near, and facing the same way."""
        matched: NDArray[np.bool_] = self.weights.sum(1) > 0.5
        return matched & ~self.far & ~self.turned

    def apply(self, values: ArrayLike) -> Floats:
        """``(V, C)`` values of the other mesh's vertices ``(S, C)``, such as positions, at these points."""
        each = np.asarray(values, dtype=np.float64)
        if len(each) != self.source_count:
            raise ValueError(f"values must have {self.source_count} rows, got {len(each)}")
        result: Floats = np.einsum("vk,vkc->vc", self.weights, each[self.corners])
        return result

    @classmethod
    def from_ids(cls, ids: ArrayLike, source_count: int) -> SurfaceCorrespondence:
        """From one vertex id of the other mesh per vertex ``(V,)``; -1 for a vertex without a counterpart."""
        chosen = np.asarray(ids)
        if chosen.ndim != 1 or chosen.dtype.kind not in "iu":
            raise ValueError(f"ids must be whole numbers of shape (V,), got {chosen.dtype} {chosen.shape}")
        chosen = chosen.astype(np.int64)
        if (chosen < -1).any() or (chosen >= source_count).any():
            raise ValueError(
                f"ids must lie in -1 to {source_count - 1}, got {chosen.min()} to {chosen.max()}; "
                "are the two meshes the other way round?"
            )
        weights = np.zeros((len(chosen), 3))
        weights[:, 0] = chosen >= 0
        none = np.zeros(len(chosen), dtype=bool)
        corners = np.maximum(chosen, 0)[:, None].repeat(3, axis=1)
        return cls(corners, weights, source_count, none, none, "given vertex ids")

    @classmethod
    def from_matrix(cls, matrix: Any) -> SurfaceCorrespondence:
        """From a matrix ``(V, S)`` of weights, dense or of SciPy, with at most three weights in a row.

        Raises:
            ValueError: if a row has more, negative ones, or a sum that is neither 0 nor 1.
        """
        from scipy.sparse import csr_matrix

        rows = csr_matrix(matrix)
        rows.eliminate_zeros()
        counts = np.diff(rows.indptr)
        sums = np.asarray(rows.sum(axis=1)).ravel()
        if counts.max(initial=0) > 3 or (rows.data < -1e-6).any():
            raise ValueError("matrix must have at most three weights in a row, none of them negative")
        if ((np.abs(sums) > 1e-3) & (np.abs(sums - 1) > 1e-3)).any():
            raise ValueError("the weights in a row of the matrix must sum to 1, or to 0 for no counterpart")
        corners = np.zeros((rows.shape[0], 3), dtype=np.int64)
        weights = np.zeros((rows.shape[0], 3))
        place = np.arange(len(rows.data)) - np.repeat(rows.indptr[:-1], counts)
        row = np.repeat(np.arange(rows.shape[0]), counts)
        corners[row, place], weights[row, place] = rows.indices, rows.data
        none = np.zeros(rows.shape[0], dtype=bool)
        return cls(corners, weights, rows.shape[1], none, none, "a given matrix")


class CarriedRegions(NamedTuple):
    """The vertices of each region on the new mesh, which of all ``(V,)`` are unsure, and why.

    ``counts``: how many are unsure for which reason: ``"far"`` from the other surface, ``"turned"`` away from
    it, ``"unmatched"``, or on a ``"border"``, where no region has two thirds of the weight; ``"lent"`` to a
    region that would have no vertex. ``note``: how the correspondence was found.
    """

    rows: list[NDArray[np.int64]]
    unsure: NDArray[np.bool_]
    counts: Mapping[str, int]
    note: str


def carry_regions(
    rows: Sequence[NDArray[np.int64]],
    vertex_count: int,
    correspondence: SurfaceCorrespondence | ArrayLike | Any,
    *,
    source: str,
    topology: str,
    lend: ArrayLike | None = None,
) -> CarriedRegions:
    """Carry regions to the mesh whose vertices a correspondence places on their own mesh.

    A vertex gets every region that has at least half of the weight at its place, or the heaviest one; so
    a vertex on the midline, which belongs to both sides, stays on both.

    Args:
        rows: the vertices of each of the 75 regions.
        vertex_count: of their mesh.
        correspondence: of the new mesh's vertices; also ``(V,)`` vertex ids or a ``(V, S)`` matrix.
        source: name of their topology, for messages.
        topology: name of the new topology, for messages.
        lend: ``(vertex_count, 3)`` vertices of their own mesh. A region that no vertex of a coarse mesh falls
            into then gets the vertex nearest to its middle, too; that one is unsure.

    Raises:
        ValueError: if the correspondence is of another mesh, or a region would have no vertex left.
    """
    if not isinstance(correspondence, SurfaceCorrespondence):
        flat = getattr(correspondence, "ndim", np.ndim(correspondence)) == 1
        correspondence = (
            SurfaceCorrespondence.from_ids(correspondence, vertex_count)
            if flat
            else SurfaceCorrespondence.from_matrix(correspondence)
        )
    if correspondence.source_count != vertex_count:
        raise ValueError(
            f"correspondence leads to a mesh of {correspondence.source_count} vertices, but the map "
            f"{source!r} is for {vertex_count}; are the two meshes the other way round?"
        )
    member = np.zeros((vertex_count, NUM_REGIONS))
    for rid in range(NUM_REGIONS):
        member[rows[rid], rid] = 1
    share = correspondence.apply(member)
    best = share.max(1)
    chosen = (share >= 0.5) | ((share == best[:, None]) & (best > 0)[:, None])
    carried = [np.flatnonzero(chosen[:, rid]) for rid in range(NUM_REGIONS)]
    lost = [rid for rid in range(NUM_REGIONS) if len(carried[rid]) == 0 and len(rows[rid])]
    lent = np.zeros(len(share), dtype=bool)
    if lend is not None:
        places = correspondence.apply(lend)
        for rid in lost:
            middle = np.asarray(lend, dtype=np.float64)[rows[rid]].mean(0)
            carried[rid] = np.array([int(((places - middle) ** 2).sum(1).argmin())])
            lent[carried[rid]] = True
        lost = []
    if lost:
        listed = ", ".join(f"{rid} ({REGIONS[rid].name})" for rid in lost[:6])
        raise ValueError(
            f"no vertex of {topology!r} falls into {len(lost)} regions: {listed}; "
            "do the two meshes stand in the same pose and place?"
        )
    unmatched = correspondence.weights.sum(1) < 0.5
    border = (best < _CLEAR) & ~unmatched
    reasons = {"far": correspondence.far, "turned": correspondence.turned}
    reasons |= {"unmatched": unmatched, "border": border}
    if lend is not None:
        reasons["lent"] = lent
    unsure = np.logical_or.reduce(list(reasons.values()))
    counts = {name: int(mask.sum()) for name, mask in reasons.items()}
    return CarriedRegions(carried, unsure, counts, correspondence.note)


def correspond(
    vertices: ArrayLike,
    faces: ArrayLike,
    source_vertices: ArrayLike,
    source_faces: ArrayLike,
    *,
    max_distance: float | None = None,
    max_angle: float = 60.0,
) -> SurfaceCorrespondence:
    """Find the nearest point of another surface for each vertex, both bodies in a common pose and place.

    Points where the surfaces face the same way are preferred, so that a finger does not borrow from its
    neighbour, nor the inside of an arm from the trunk.

    Args:
        vertices: ``(V, 3)`` of the mesh whose vertices are placed.
        faces: ``(F, 3)`` its triangles, outward.
        source_vertices: ``(S, 3)`` of the other mesh.
        source_faces: ``(G, 3)`` its triangles, outward.
        max_distance: a point farther away is ``far``; 2 % of the body's largest extent if None.
        max_angle: surfaces that face more than these degrees apart are ``turned``.

    Raises:
        ValueError: on shapes that are none of a mesh, or bodies of very different size or place.
    """
    from scipy.spatial import cKDTree

    points, triangles = _mesh("vertices", vertices, faces)
    surface, others = _mesh("source_vertices", source_vertices, source_faces)
    size = float(np.ptp(surface, axis=0).max())
    ratio = float(np.ptp(points, axis=0).max()) / size
    apart = float(np.linalg.norm(points.mean(0) - surface.mean(0))) / size
    if not 0.5 < ratio < 2 or apart > 0.3:
        raise ValueError(
            f"vertices and source_vertices must be one body in one place: their sizes are as {ratio:.3g} to "
            f"1, their means {apart:.2f} body lengths apart; other units, or another origin?"
        )
    limit = 0.02 * size if max_distance is None else max_distance
    corners = surface[others]
    tree = cKDTree(corners.mean(1))
    _, near = tree.query(points, k=min(_CANDIDATES, len(others)))
    near = near.reshape(len(points), -1)
    weights = closest_weights(points[:, None], corners[near])
    distance = np.linalg.norm((weights[..., None] * corners[near]).sum(2) - points[:, None], axis=2)
    agree = (face_normals(surface, others)[near] * vertex_normals(points, triangles)[:, None]).sum(2)
    turned = agree < np.cos(np.radians(max_angle))
    best = np.where(turned, distance + limit, distance).argmin(1)
    row = np.arange(len(points))
    return SurfaceCorrespondence(
        others[near[row, best]],
        weights[row, best],
        len(surface),
        distance[row, best] > limit,
        turned[row, best],
        "closest surface in a common pose",
    )


def move_by_points(vertices: ArrayLike, from_points: ArrayLike, to_points: ArrayLike) -> Floats:
    """Bend a mesh smoothly so that named points of one body come to lie on those of another.

    Args:
        vertices: ``(V, 3)``.
        from_points: ``(K, 3)`` joints and landmarks of the same body, at least four, not all in one plane.
        to_points: ``(K, 3)`` the same points of the other body.

    Returns:
        ``(V, 3)``: an affine map plus the least bending (biharmonic splines in space) through all points.

    Raises:
        ValueError: on shapes that do not agree, or points that do not fix such a map.
    """
    from scipy.interpolate import RBFInterpolator

    start, end = np.asarray(from_points, dtype=np.float64), np.asarray(to_points, dtype=np.float64)
    if start.ndim != 2 or start.shape[1] != 3 or start.shape != end.shape or len(start) < 4:
        raise ValueError(
            "from_points and to_points must have shape (K, 3) with K at least 4, "
            f"got {start.shape} and {end.shape}"
        )
    try:
        bend = RBFInterpolator(start, end - start, kernel="linear", degree=1, smoothing=1e-6)
    except np.linalg.LinAlgError as error:
        raise ValueError(f"from_points must not lie in one plane, nor coincide: {error}") from None
    moved = np.asarray(vertices, dtype=np.float64)
    result: Floats = moved + bend(moved)
    return result


def closest_weights(points: Floats, corners: Floats) -> Floats:
    """Barycentric weights ``(..., 3)`` of the points of triangles ``(..., 3, 3)`` nearest to points."""
    points = np.broadcast_to(points, corners[..., 0, :].shape)
    a, b, c = (corners[..., k, :] for k in range(3))
    ab, ac, ap = b - a, c - a, points - a
    d00, d01, d11 = ((x * y).sum(-1) for x, y in ((ab, ab), (ab, ac), (ac, ac)))
    d20, d21 = (ap * ab).sum(-1), (ap * ac).sum(-1)
    scale = np.maximum(d00 * d11 - d01 * d01, 1e-30)
    v, w = (d11 * d20 - d01 * d21) / scale, (d00 * d21 - d01 * d20) / scale
    inside = np.stack([1 - v - w, v, w], -1)
    options, distances = [inside], [np.where((inside >= 0).all(-1), -1.0, np.inf)]
    for i, j in ((0, 1), (1, 2), (2, 0)):
        start, edge = corners[..., i, :], corners[..., j, :] - corners[..., i, :]
        along = ((points - start) * edge).sum(-1) / np.maximum((edge * edge).sum(-1), 1e-30)
        along = np.clip(along, 0, 1)
        weight = np.zeros_like(inside)
        weight[..., i], weight[..., j] = 1 - along, along
        options.append(weight)
        distances.append(((start + along[..., None] * edge - points) ** 2).sum(-1))
    best = np.stack(distances).argmin(0)
    result: Floats = np.take_along_axis(np.stack(options), best[None, ..., None], axis=0)[0]
    return result


def face_normals(vertices: Floats, faces: NDArray[np.int64]) -> Floats:
    """``(F, 3)`` unit normals."""
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    normals = np.cross(b - a, c - a)
    result: Floats = normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-30)
    return result


def vertex_normals(vertices: Floats, faces: NDArray[np.int64]) -> Floats:
    """``(V, 3)`` unit normals, the mean of the faces around each vertex."""
    total = np.zeros_like(vertices)
    normals = face_normals(vertices, faces)
    for k in range(3):
        np.add.at(total, faces[:, k], normals)
    result: Floats = total / np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-30)
    return result


def _mesh(name: str, vertices: ArrayLike, faces: ArrayLike) -> tuple[Floats, NDArray[np.int64]]:
    points, triangles = np.asarray(vertices, dtype=np.float64), np.asarray(faces).astype(np.int64)
    if points.ndim != 2 or points.shape[1] != 3 or not np.isfinite(points).all():
        raise ValueError(f"{name} must be finite and of shape (V, 3), got {points.shape}")
    if triangles.ndim != 2 or triangles.shape[1] != 3 or len(triangles) == 0:
        raise ValueError(f"the faces of {name} must have shape (F, 3), got {triangles.shape}")
    if triangles.min() < 0 or triangles.max() >= len(points):
        raise ValueError(f"the faces of {name} name vertex {triangles.max()} of {len(points)}")
    return points, triangles
