"""Mesh helpers of the segmentation: adjacency, normals, mirror table, pieces, smoothing of labels."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def vertex_adjacency(faces: Ints, vertex_count: int) -> Any:
    """Symmetric ``(V, V)`` sparse matrix with 1 where an edge joins two vertices."""
    from scipy import sparse

    a = faces.ravel()
    b = np.roll(faces, -1, axis=1).ravel()
    ones = np.ones(2 * len(a))
    edges = sparse.coo_matrix((ones, (np.r_[a, b], np.r_[b, a])), shape=(vertex_count, vertex_count)).tocsr()
    edges.data[:] = 1.0
    return edges


def vertex_normals(vertices: Floats, faces: Ints) -> Floats:
    """``(V, 3)`` area-weighted unit normals."""
    corners = vertices[faces]
    face_normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals = np.zeros_like(vertices)
    for corner in range(3):
        np.add.at(normals, faces[:, corner], face_normals)
    length = np.linalg.norm(normals, axis=1, keepdims=True)
    unit: Floats = normals / np.maximum(length, 1e-30)
    return unit


def smooth_field(field: Floats, adjacency: Any, rounds: int) -> Floats:
    """Averages a value per vertex ``(V,)`` or ``(V, C)`` with its neighbours, ``rounds`` times."""
    degree = np.maximum(np.asarray(adjacency.sum(1)).ravel(), 1.0)
    if field.ndim == 2:
        degree = degree[:, None]
    for _ in range(rounds):
        field = 0.5 * field + 0.5 * (adjacency @ field) / degree
    return field


def mirror_table(vertices: Floats, tolerance: float) -> Ints:
    """``(V,)`` the vertex at each vertex's mirror image in x = 0; -1 where there is none within tolerance.

    The table is its own inverse. Vertices of the midline mirror to themselves.
    """
    from scipy.optimize import linear_sum_assignment
    from scipy.spatial import cKDTree
    from scipy.spatial.distance import cdist

    mirrored = vertices * [-1.0, 1.0, 1.0]
    distance, index = cKDTree(vertices).query(mirrored)
    found: Ints = np.asarray(index, dtype=np.int64)
    mutual = (found[found] == np.arange(len(found))) & (distance <= tolerance)
    table = np.where(mutual, found, -1)
    # Where vertices lie closer together than the mesh is symmetric, nearest is not mutual: assign the rest.
    left, right = (np.flatnonzero(~mutual & side) for side in (vertices[:, 0] >= 0, vertices[:, 0] < 0))
    if 0 < len(left) * len(right) <= 4_000_000:
        cost = cdist(vertices[left], mirrored[right])
        rows, columns = linear_sum_assignment(cost)
        near = cost[rows, columns] <= tolerance
        table[left[rows[near]]] = right[columns[near]]
        table[right[columns[near]]] = left[rows[near]]
    return table


def majority(labels: Ints, adjacency: Any, label_count: int, rounds: int, own_weight: float = 1.5) -> Ints:
    """Give each vertex the label that most of its neighbours have, its own counting ``own_weight`` times."""
    from scipy import sparse

    count = len(labels)
    for _ in range(rounds):
        one_hot = sparse.csr_matrix((np.ones(count), (np.arange(count), labels)), shape=(count, label_count))
        votes = (adjacency @ one_hot + own_weight * one_hot).toarray()
        labels = votes.argmax(1).astype(np.int64)
    return labels


def fill(labels: Ints, adjacency: Any, label_count: int) -> Ints:
    """Labels the vertices marked -1 from their labelled neighbours, ring by ring."""
    labels = labels.copy()
    while (labels < 0).any():
        open_ = np.flatnonzero(labels < 0)
        one_hot = np.zeros((len(labels), label_count))
        known = np.flatnonzero(labels >= 0)
        one_hot[known, labels[known]] = 1.0
        votes = adjacency[open_] @ one_hot
        reached = votes.max(1) > 0
        if not reached.any():
            raise ValueError("faces: no labelled vertex is connected to the vertices that are left")
        labels[open_[reached]] = votes[reached].argmax(1)
    return labels


def largest_piece(adjacency: Any) -> NDArray[np.bool_]:
    """``(V,)`` True on the largest connected piece of the mesh; eyeballs, say, are pieces of their own."""
    from scipy.sparse import csgraph

    _, piece_of = csgraph.connected_components(adjacency, directed=False)
    mask: NDArray[np.bool_] = piece_of == np.bincount(piece_of).argmax()
    return mask


def drop_small_pieces(
    labels: Ints, adjacency: Any, within: NDArray[np.bool_], label_count: int, keep_share: Floats
) -> Ints:
    """Mark with -1 the pieces of a label that are smaller than ``keep_share[label]`` of its largest piece.

    A label whose share is 1 keeps one piece, the first of the largest. Vertices outside ``within`` stay.
    """
    from scipy.sparse import csgraph

    labels = labels.copy()
    for label in range(label_count):
        members = np.flatnonzero((labels == label) & within)
        if not len(members):
            continue
        pieces, piece_of = csgraph.connected_components(adjacency[members][:, members], directed=False)
        sizes = np.bincount(piece_of, minlength=pieces)
        keep = sizes >= keep_share[label] * sizes.max()
        if keep_share[label] >= 1:
            keep = np.arange(pieces) == sizes.argmax()
        labels[members[~keep[piece_of]]] = -1
    return labels
