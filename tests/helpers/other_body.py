"""The free body exported again as another body of the same people: fewer vertices, in another order, another
mean person, another basis of shapes.
"""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse
from scipy.spatial import cKDTree

from apu_losses.bodies.families import SMPL, SMPLX, Family


def other_body(path: Path, *, seed: int = 0) -> Any:
    """Write the body; returns the free body's vertex id of each of its vertices."""
    rng = np.random.default_rng(seed)
    with (resources.files("apu_losses.bodies") / "data" / "free_body.npz").open("rb") as file:
        free = dict(np.load(file))
    count = len(free["v_template"])
    needed = (free["J_regressor"] != 0).any(0)
    order = rng.permutation(np.flatnonzero(needed | (rng.random(count) < 0.6)))
    place = np.full(count, -1)
    place[order] = np.arange(len(order))
    faces = place[free["f"].astype(int)]
    shapes = free["shapedirs"][:, :, :10].astype(float)
    mean = free["v_template"] + shapes @ np.array([0.5, -0.8, 0.4, 0.3, 0, 0, 0.5, 0, 0, -0.5])
    basis = np.linalg.qr(rng.normal(size=(10, 10)))[0]
    np.savez(
        path,
        v_template=mean[order],
        f=faces[(faces >= 0).all(1)],
        shapedirs=(shapes @ basis)[order],
        kid_template=free["kid_template"][order],
        **{key: free[key][order] for key in ("weights", "posedirs")},
        J_regressor=free["J_regressor"][:, order],
        **{key: free[key] for key in free if key.startswith(("hands_", "kintree"))},
    )
    return order


def whole_body_as(family: Family, path: Path) -> None:
    """The free body written out with another family's joints, all vertices kept: a closed mesh."""
    with (resources.files("apu_losses.bodies") / "data" / "free_body.npz").open("rb") as file:
        free = dict(np.load(file))
    index = {name: i for i, name in enumerate(family.joint_names)}
    homes = [
        n if n in index else "head" if n == "jaw" or "eye" in n else f"{n.split('_')[0]}_hand"
        for n in SMPLX.joint_names
    ]
    weights = np.zeros((len(free["v_template"]), len(index)))
    for old, home in enumerate(homes):
        weights[:, index[home]] += free["weights"][:, old]
    stands_for = {"left_hand": "left_middle1", "right_hand": "right_middle1"}
    rows = [SMPLX.joint_names.index(stands_for.get(name, name)) for name in family.joint_names]
    parents = free["kintree_table"][0].astype(np.int64)
    tree = [0] + [index[SMPLX.joint_names[parents[row]]] for row in rows[1:]]
    np.savez(
        path,
        v_template=free["v_template"],
        f=free["f"],
        shapedirs=free["shapedirs"][:, :, :10],
        weights=weights,
        J_regressor=free["J_regressor"][rows],
        kintree_table=np.stack([tree, np.arange(len(index))]),
        **{key: value for key, value in free.items() if key.startswith("hands_") and family is not SMPL},
    )


def full_smplx_file(path: Path, *, vertices: int = 10475, seed: int = 0) -> None:
    """Write a body with the keys and shapes of an official SMPL-X file and a mesh of its own.

    Edges of the free body's are contracted until ``vertices`` are left, the others slide along the surface,
    and the mean person and the basis of shapes are others.
    """
    rng = np.random.default_rng(seed)
    with (resources.files("apu_losses.bodies") / "data" / "free_body.npz").open("rb") as file:
        free = dict(np.load(file))
    count = len(free["v_template"])
    faces = free["f"].astype(int)
    merged = _contracted(faces, count, count - vertices, rng)
    kept = np.unique(merged)
    place = np.full(count, -1)
    place[kept] = np.arange(len(kept))
    triangles = place[merged[faces]]
    distinct = (triangles != np.roll(triangles, 1, axis=1)).all(1)
    # each vertex slides towards a neighbour, a contracted edge lies in its middle
    mix = sparse.lil_matrix((len(kept), count))
    neighbour = np.empty(count, dtype=int)
    neighbour[faces.ravel()] = np.roll(faces, 1, axis=1).ravel()
    for row, old in enumerate(kept):
        share = rng.uniform(0, 0.35)
        mix[row, old] = 1 - share
        mix[row, neighbour[old]] += share
    mix = mix.tocsr()

    def moved(array: Any) -> Any:
        return (mix @ array.reshape(count, -1)).reshape(len(kept), *array.shape[1:])

    to_kept = sparse.csr_matrix((np.ones(count), (np.arange(count), place[merged])), (count, len(kept)))
    shapes = free["shapedirs"][:, :, :10].astype(float)
    mean = free["v_template"] + shapes @ np.array([0.5, -0.8, 0.4, 0.3, 0, 0, 0.5, 0, 0, -0.5])
    directions = np.zeros((len(kept), 3, 400))
    directions[:, :, :10] = moved(shapes @ np.linalg.qr(rng.normal(size=(10, 10)))[0])
    weights = moved(free["weights"])
    triangles = triangles[distinct]
    # the official mesh's landmarks are known by vertex number; this one says where its own are: at the
    # vertices nearest to the free body's
    corners = free["f"][free["landmark_faces"]].astype(int)
    at = (free["v_template"][corners] * free["landmark_bary"][..., None]).sum(1)
    nearest = cKDTree(moved(free["v_template"])).query(at)[1]
    landmark_faces = np.array([np.flatnonzero((triangles == v).any(1))[0] for v in nearest])
    np.savez(
        path,
        v_template=moved(mean),
        f=triangles.astype(np.uint32),
        landmark_names=free["landmark_names"],
        landmark_faces=landmark_faces,
        landmark_bary=(triangles[landmark_faces] == nearest[:, None]).astype(float),
        shapedirs=directions,
        posedirs=moved(free["posedirs"]),
        weights=weights / weights.sum(1, keepdims=True),
        J_regressor=free["J_regressor"] @ to_kept.toarray(),
        **{key: free[key] for key in free if key.startswith(("hands_", "kintree"))},
    )


def _contracted(faces: Any, count: int, wanted: int, rng: np.random.Generator) -> Any:
    """``(V,)`` the vertex that each one becomes when ``wanted`` edges are contracted, in rounds in which none
    are neighbours; the mesh stays closed and without handles.
    """
    merged = np.arange(count)
    around: list[set[int]] = [set() for _ in range(count)]
    for a, b, c in faces:
        around[a] |= {b, c}
        around[b] |= {a, c}
        around[c] |= {a, b}
    done = 0
    while done < wanted:
        touched = np.zeros(count, dtype=bool)
        for a in rng.permutation(np.unique(merged)).tolist():
            b = min(around[a], default=a)
            ring = around[a] | around[b]
            # two neighbours in common: the two triangles of the edge, so that nothing pinches
            if a == b or touched[list(ring)].any() or len(around[a] & around[b]) != 2:
                continue
            touched[list(ring)] = True
            merged[merged == b] = a
            for other in around[b]:
                around[other].discard(b)
                if other != a:
                    around[other].add(a)
            around[a] = ring - {a, b}
            around[b] = set()
            done += 1
            if done == wanted:
                break
    return merged
