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


def scores(
    vertices: np.ndarray, pairs: Sequence[tuple[int, int]], regions: Sequence[np.ndarray], threshold: float
) -> tuple[float, float, float]:
    from scipy.spatial import cKDTree

    trees = [cKDTree(vertices[1][ids]) for ids in regions]
    said = {
        (a, b)
        for a, own in enumerate(regions)
        for b, tree in enumerate(trees)
        if tree.query(vertices[0][own])[0].min() < threshold
    }
    true = set(map(tuple, pairs))
    hits = len(said & true)
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
