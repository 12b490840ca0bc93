"""The mesh: MakeHuman's body with the mouth and the eye sockets closed, triangulated the same on both
sides.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

EYE_ROWS = (
    0.25,
    0.5,
    0.75,
)  # new vertices between the lids, as shares of the way from the upper to the lower lid


@dataclass(frozen=True)
class Mesh:
    """Kept vertices of the source, then the new eye vertices (left eye first)."""

    kept: np.ndarray  # (K,) source vertex ids
    eye_upper: dict[
        str, np.ndarray
    ]  # "left"/"right" -> ids in this mesh, inner to outer corner, both corners included
    eye_lower: dict[str, np.ndarray]
    lip_upper: np.ndarray  # ids, right corner to left corner, both corners included
    lip_lower: np.ndarray
    faces: np.ndarray  # (F, 3)
    mirror: np.ndarray  # (V,)

    @property
    def size(self) -> int:
        """Number of vertices."""
        return len(self.kept) + sum(len(EYE_ROWS) * (len(u) - 2) for u in self.eye_upper.values())

    def values(self, source: np.ndarray) -> np.ndarray:
        """Values `(V_source, ...)` carried to this mesh; a new eye vertex takes the mix of its two lid
        vertices.
        """
        kept = source[self.kept]
        rows = [kept]
        for side in ("left", "right"):
            up, low = kept[self.eye_upper[side][1:-1]], kept[self.eye_lower[side][1:-1]]
            rows += [(1 - t) * up + t * low for t in EYE_ROWS]
        return np.concatenate(rows)

    def positions(self, source: np.ndarray, eyes: dict[str, np.ndarray]) -> np.ndarray:
        """Vertices `(V, 3)` of one person; the new eye vertices are pushed to a ball about the eye joint."""
        out = self.values(source)
        start = len(self.kept)
        for side in ("left", "right"):
            rim = out[np.concatenate([self.eye_upper[side], self.eye_lower[side][1:-1]])]
            count = len(EYE_ROWS) * (len(self.eye_upper[side]) - 2)
            ball = out[start : start + count] - eyes[side]
            # The lids lie on the eyeball: its radius is their mean distance from the centre.
            radius = np.linalg.norm(rim - eyes[side], axis=1).mean()
            out[start : start + count] = eyes[side] + ball * (
                radius / np.linalg.norm(ball, axis=1, keepdims=True)
            )
            start += count
        return out


def boundary_loops(faces: np.ndarray) -> list[list[int]]:
    """Return closed loops of edges that have a face on one side only, in the direction of that face."""
    edges = {(int(a), int(b)) for f in faces for a, b in zip(f, np.roll(f, -1), strict=True)}
    following = {a: b for a, b in sorted(edges) if (b, a) not in edges}
    loops = []
    while following:
        start = min(following)
        loop, current = [start], following.pop(start)
        while current != start:
            loop.append(current)
            current = following.pop(current)
        loops.append(loop)
    return loops


def close_cavities(quads: np.ndarray, internal: np.ndarray, mirror: np.ndarray, rest: np.ndarray) -> Mesh:
    """Drop the internal vertices and close the holes they leave: the lips by a strip, the lids by an eye
    patch.

    quads (Q, 4), internal (V,) bool, mirror (V,) source table, rest (V, 3) the mean adult in y-up axes.
    """
    faces = quads[~internal[quads].all(1)]
    kept = np.unique(faces)
    new_id = np.full(len(rest), -1)
    new_id[kept] = np.arange(len(kept))
    faces = new_id[faces]
    at = rest[kept]
    other = new_id[mirror[kept]]
    if (other < 0).any() or (other[other] != np.arange(len(kept))).any():
        raise RuntimeError("the closed mesh is not closed under MakeHuman's mirror table")
    eye_upper, eye_lower, patches = {}, {}, [faces]
    next_id = len(kept)
    loops = boundary_loops(faces)
    for loop in loops:
        if abs(at[loop, 0].mean()) < 0.005:
            lip_upper, lip_lower = _chains(loop, at, other)
            patches.append(_strip(lip_upper, lip_lower))
    for side, sign in (("left", 1.0), ("right", -1.0)):
        (loop,) = [x for x in loops if sign * at[x, 0].mean() > 0.01]
        if side == "right":
            eye_upper[side], eye_lower[side] = other[eye_upper["left"]], other[eye_lower["left"]]
        else:
            eye_upper[side], eye_lower[side] = _chains(loop, at, other)
        if set(loop) != set(eye_upper[side]) | set(eye_lower[side]):
            raise RuntimeError(f"the {side} lids are not the mirror of the other eye's")
        up, low = eye_upper[side], eye_lower[side]
        n = len(up) - 2
        chains = [up]
        for k in range(len(EYE_ROWS)):
            ids = np.arange(next_id + k * n, next_id + (k + 1) * n)
            chains.append(np.concatenate([up[:1], ids, up[-1:]]))
        chains.append(low)
        next_id += len(EYE_ROWS) * n
        patch = np.concatenate([_strip(a, b) for a, b in pairwise(chains)])
        patches.append(patch if side == "left" else patch[:, ::-1])
    quads_all = [q for group in patches for q in group]
    half = (next_id - len(kept)) // 2
    new = np.arange(len(kept), next_id)
    full_mirror = np.concatenate([other, np.where(new < len(kept) + half, new + half, new - half)])
    mesh = Mesh(kept, eye_upper, eye_lower, lip_upper, lip_lower, np.zeros((0, 3), int), full_mirror)
    flat = mesh.values(rest)
    tri = _triangulate(quads_all, 0.5 * (flat + flat[full_mirror] * [-1, 1, 1]))
    return Mesh(kept, eye_upper, eye_lower, lip_upper, lip_lower, _outward_patches(tri), full_mirror)


def _chains(loop: list[int], at: np.ndarray, other: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Split a loop at its two corners into an upper and a lower chain from low x to high x, of one length.

    The corners are the opposite pair furthest apart in x; on a loop across the middle (`other`, the mirror
    table) they are the mirror images nearest to opposite, and the shorter chain repeats its corners.
    """
    ids = np.array(loop)
    half = len(ids) // 2
    opposite = np.roll(ids, -half)
    start = int((at[opposite, 0] - at[ids, 0]).argmax())
    step = half
    if np.isin(other[ids], ids).all():
        place = {int(v): i for i, v in enumerate(ids)}
        gaps = [((place[int(other[v])] - i) % len(ids), at[v, 0], i) for i, v in enumerate(ids)]
        step, _, start = min(
            (g for g in gaps if g[1] < 0 and g[0]), key=lambda g: (abs(2 * g[0] - len(ids)), g[1])
        )
    rolled = np.roll(ids, -start)
    one, two = rolled[: step + 1], np.concatenate([rolled[step:], rolled[:1]])[::-1]
    pad = abs(len(one) - len(two)) // 2
    if len(one) < len(two):
        one = np.pad(one, pad, mode="edge")
    else:
        two = np.pad(two, pad, mode="edge")
    return (one, two) if at[one, 1].mean() > at[two, 1].mean() else (two, one)


def _strip(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Quads between two chains of one length; where the ends coincide the quad degenerates to a triangle."""
    return np.stack([a[:-1], b[:-1], b[1:], a[1:]], 1)


def _triangulate(quads: list[np.ndarray], at: np.ndarray) -> np.ndarray:
    """Cut each quad along its shorter diagonal, so that mirrored quads are cut alike."""
    out = []
    for q in quads:
        ring = [int(v) for i, v in enumerate(q) if v != q[i - 1]]
        if len(ring) < 3:
            continue
        if len(ring) == 3:
            out.append(ring)
            continue
        a, b, c, d = ring
        # A clear margin decides; a tie is cut at the corner of smallest height, which mirroring keeps.
        ac, bd = np.linalg.norm(at[a] - at[c]), np.linalg.norm(at[b] - at[d])
        if abs(ac - bd) < 1e-7:
            key = [tuple(np.round([at[v][1], at[v][2], abs(at[v][0])], 6)) for v in ring]
            first = min(key[0], key[2]) < min(key[1], key[3])
        else:
            first = ac < bd
        out += [[a, b, c], [a, c, d]] if first else [[b, c, d], [b, d, a]]
    return np.array(out)


def _outward_patches(faces: np.ndarray) -> np.ndarray:
    """Flip patch faces so that each edge is used once in each direction (the body's own faces are the
    guide).
    """
    seen: set[tuple[int, int]] = set()
    out = []
    for f in faces:
        edges = [(int(f[i]), int(f[(i + 1) % 3])) for i in range(3)]
        if any(e in seen for e in edges):
            f = f[::-1]
            edges = [(int(f[i]), int(f[(i + 1) % 3])) for i in range(3)]
        seen.update(edges)
        out.append(f)
    return np.array(out)
