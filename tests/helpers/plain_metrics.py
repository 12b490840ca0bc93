"""Every metric of the evaluations a second time, by loops and by other methods than the library's."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def horn(points: np.ndarray, target: np.ndarray) -> np.ndarray:
    """The points after the best similarity, by Horn's quaternion (1987) instead of a decomposition."""
    p, q = points.mean(0), target.mean(0)
    s = (points - p).T @ (target - q)
    (xx, xy, xz), (yx, yy, yz), (zx, zy, zz) = s
    table = np.array(
        [
            [xx + yy + zz, yz - zy, zx - xz, xy - yx],
            [yz - zy, xx - yy - zz, xy + yx, zx + xz],
            [zx - xz, xy + yx, yy - xx - zz, yz + zy],
            [xy - yx, zx + xz, yz + zy, zz - xx - yy],
        ]
    )
    w, x, y, z = np.linalg.eigh(table)[1][:, -1]
    rotation = np.array(
        [
            [w * w + x * x - y * y - z * z, 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), w * w - x * x + y * y - z * z, 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), w * w - x * x - y * y + z * z],
        ]
    )
    turned = (points - p) @ rotation.T
    scale = (turned * (target - q)).sum() / (turned * turned).sum()
    return scale * turned + q


def aligned(points: np.ndarray, target: np.ndarray, align: str) -> np.ndarray:
    if align == "none":
        return points
    if align == "pa":
        return horn(points, target)
    moved = points - points.mean(0)
    if align == "scale":
        size = [
            np.sqrt(np.mean(np.linalg.norm(each - each.mean(0), axis=1) ** 2)) for each in (points, target)
        ]
        moved = moved * size[1] / size[0]
    return moved + target.mean(0)


def error(points: np.ndarray, target: np.ndarray, align: str) -> float:
    """Millimetres."""
    found = aligned(points, target, align)
    total = 0.0
    for a, b in zip(found, target, strict=True):
        total += float(np.sqrt(((a - b) ** 2).sum()))
    return 1000 * total / len(target)


def joint_error(points: np.ndarray, target: np.ndarray, align: str) -> float:
    return error(np.concatenate(list(points)), np.concatenate(list(target)), align)


def contact_distances(
    vertices: np.ndarray, pairs: Sequence[tuple[int, int]], regions: Sequence[np.ndarray]
) -> list[float]:
    found = []
    for a, b in sorted(set(map(tuple, pairs))):
        smallest = np.inf
        for vertex in vertices[0][regions[a]]:
            smallest = min(smallest, float(np.linalg.norm(vertices[1][regions[b]] - vertex, axis=1).min()))
        found.append(smallest)
    return found


def share_within(distances: Sequence[float], radius: float) -> float:
    """Per cent."""
    return 100 * sum(distance <= radius for distance in distances) / len(distances)


def mean_share(distances: Sequence[float]) -> float:
    return sum(share_within(distances, k / 20) for k in range(20)) / 20


def touching(vertices: np.ndarray, regions: Sequence[np.ndarray], threshold: float) -> list[tuple[int, int]]:
    """Pairs of regions, nearer than a threshold."""
    from scipy.spatial import cKDTree

    trees = [cKDTree(vertices[1][ids]) for ids in regions]
    return [
        (a, b)
        for a, own in enumerate(regions)
        for b, tree in enumerate(trees)
        if tree.query(vertices[0][own])[0].min() < threshold
    ]


def scores(
    vertices: np.ndarray,
    pairs: Sequence[tuple[int, int]],
    regions: Sequence[np.ndarray],
    threshold: float,
    none: tuple[float, float, float] | None = None,
) -> tuple[float, float, float]:
    """Precision, recall, F1; ``none`` where nothing touches."""
    said = set(touching(vertices, regions, threshold))
    true = set(map(tuple, pairs))
    hits = len(said & true)
    if not said and none is not None:
        return none
    return hits / len(said), hits / len(true), 2 * hits / (len(said) + len(true))


def resampled_means(
    values: Sequence[float],
    groups: Sequence[str],
    clusters: Sequence[str],
    of: str,
    resamples: int,
    seed: int,
) -> np.ndarray:
    """Means of samples of whole clusters, for a mean of classes class by class, drawn one after the other."""
    rng = np.random.default_rng(seed)
    by_class: dict[str, dict[str, list[float]]] = {}
    strata = groups if of == "classes" else ["all"] * len(values)
    for value, group, cluster in zip(values, strata, clusters, strict=True):
        by_class.setdefault(group, {}).setdefault(cluster, []).append(value)
    means = []
    for _ in range(resamples):
        drawn = {}
        for group, found in by_class.items():
            names = list(found)
            drawn[group] = [v for _ in names for v in found[names[rng.integers(len(names))]]]
        if of == "frames":
            means.append(np.mean([v for each in drawn.values() for v in each]))
        else:
            means.append(np.mean([np.mean(each) for each in drawn.values()]))
    return np.array(means)


def winding_number(point: np.ndarray, vertices: np.ndarray, faces: np.ndarray) -> float:
    """Around a point, by the solid angle of each triangle (van Oosterom and Strackee 1983); 1 inside."""
    a, b, c = (vertices[faces[:, corner]] - point for corner in range(3))
    la, lb, lc = (np.linalg.norm(each, axis=1) for each in (a, b, c))
    volume = np.einsum("fi,fi->f", a, np.cross(b, c))
    below = la * lb * lc + (a * b).sum(1) * lc + (b * c).sum(1) * la + (c * a).sum(1) * lb
    return float((2 * np.arctan2(volume, below)).sum() / (4 * np.pi))


def surface_distance(point: np.ndarray, vertices: np.ndarray, faces: np.ndarray) -> float:
    """To the nearest triangle: the foot on its plane, where it lies in it, and the nearest on each edge."""
    corners = vertices[faces]
    best = np.inf
    for k in range(3):
        start, along = corners[:, k], corners[:, (k + 1) % 3] - corners[:, k]
        length = np.maximum((along * along).sum(1), 1e-300)
        share = np.clip(((point - start) * along).sum(1) / length, 0, 1)
        best = min(best, float(np.linalg.norm(start + share[:, None] * along - point, axis=1).min()))
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    size = np.linalg.norm(normal, axis=1)
    good = size > 0
    normal, corners = normal[good] / size[good, None], corners[good]
    height = ((point - corners[:, 0]) * normal).sum(1)
    foot = point - height[:, None] * normal
    within = np.ones(len(foot), dtype=bool)
    for k in range(3):
        edge = corners[:, (k + 1) % 3] - corners[:, k]
        within &= (np.cross(edge, foot - corners[:, k]) * normal).sum(1) >= 0
    return min(best, float(np.abs(height[within]).min())) if within.any() else best


def penetration(vertices: np.ndarray, faces: np.ndarray) -> tuple[float, int]:
    """Deepest point in millimetres, and the number of vertices of both that are inside the other."""
    deepest, count = 0.0, 0
    for own, other in ((0, 1), (1, 0)):
        low, high = vertices[other].min(0), vertices[other].max(0)
        for point in vertices[own]:
            if (point < low).any() or (point > high).any():
                continue
            if winding_number(point, vertices[other], faces) > 0.5:
                count += 1
                deepest = max(deepest, surface_distance(point, vertices[other], faces))
    return 1000 * deepest, count
