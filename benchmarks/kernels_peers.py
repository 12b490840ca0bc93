"""What the kernel benchmark measures on, and what one would use instead of the kernels."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from scipy.spatial import cKDTree
from torch import Tensor

from apu_contacts.regions import RegionMap
from apu_losses import geometry as g
from apu_losses.bodies import load_body
from apu_losses.geometry.topology import MeshTopology, RegionIndex


@dataclass(frozen=True)
class Embrace:
    """Posed pairs ``a, b (B, V, 3)`` of the free body with its static layouts."""

    a: Tensor
    b: Tensor
    topology: MeshTopology
    regions: RegionIndex
    region_map: RegionMap


def embrace(batch: int, seed: int = 0) -> Embrace:
    """People face to face with their arms around each other, a little different in each item."""
    body = load_body("free")
    generator = torch.Generator().manual_seed(seed)

    def noise(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    sides = []
    for person in range(2):
        pose = torch.zeros(batch, 21, 3)
        # Upper arms forward and inward, elbows bent around the other.
        pose[:, 15] = torch.tensor([0.0, -1.1, -0.25])
        pose[:, 16] = torch.tensor([0.0, 1.1, 0.25])
        pose[:, 17] = torch.tensor([0.0, -1.0, 0.0])
        pose[:, 18] = torch.tensor([0.0, 1.0, 0.0])
        pose += 0.08 * noise(batch, 21, 3)
        turn = torch.zeros(batch, 3)
        turn[:, 1] = person * np.pi
        shift = torch.zeros(batch, 3)
        shift[:, 2] = person * (0.26 + 0.03 * noise(batch))
        shift[:, 0] = person * 0.12
        posed = body.pose(
            {
                "body_pose": pose.reshape(batch, 63),
                "betas": 0.7 * noise(batch, 10),
                "global_orient": turn,
                "transl": shift,
            }
        )
        sides.append(posed.vertices().detach().contiguous())
    rest = body.pose({}).vertices().detach()[0]
    regions = RegionMap.load("free")
    return Embrace(
        sides[0],
        sides[1],
        MeshTopology.build(body.faces, body.num_vertices, rest),
        RegionIndex.build(regions, body.num_vertices, rest),
        regions,
    )


def closest_pairs(e: Embrace, count: int) -> g.RegionPairs:
    """Return the ``count`` nearest region pairs of each item: what an annotated embrace would list."""
    d2 = g.region_distance_matrix(e.a, e.b, e.regions).distance2
    wide = d2.shape[2]
    nearest = d2.flatten(1).argsort(1)[:, :count].flatten()
    row = torch.arange(len(d2), device=d2.device).repeat_interleave(count)
    return g.RegionPairs(row, row, nearest // wide, nearest % wide)


# ---------------------------------------------------------------- what one would use instead


def loop_of_cdist(e: Embrace, a: Tensor, b: Tensor, pairs: g.RegionPairs) -> Tensor:
    """Plain exact PyTorch: one ``cdist`` and one minimum for each pair; autograd does the rest."""
    values = []
    for row, i, j in zip(pairs.row_a.tolist(), pairs.group_a.tolist(), pairs.group_b.tolist(), strict=True):
        values.append(torch.cdist(a[row, e.regions.vertices(i)], b[row, e.regions.vertices(j)]).min() ** 2)
    return torch.stack(values)


def both_ways_by_cdist(e: Embrace, a: Tensor, b: Tensor, pairs: g.RegionPairs) -> Tensor:
    """Plain exact PyTorch: one ``cdist`` for each pair and its minima along both sides."""
    values = []
    for row, i, j in zip(pairs.row_a.tolist(), pairs.group_a.tolist(), pairs.group_b.tolist(), strict=True):
        d = torch.cdist(a[row, e.regions.vertices(i)], b[row, e.regions.vertices(j)])
        values += [d.amin(1) ** 2, d.amin(0) ** 2]
    return torch.cat(values)


def both_ways_by_trees(e: Embrace, a: Tensor, b: Tensor, pairs: g.RegionPairs) -> np.ndarray:
    """Two kd-trees for each pair, each asked by the vertices of the other side."""
    values = []
    for row, i, j in zip(pairs.row_a.tolist(), pairs.group_a.tolist(), pairs.group_b.tolist(), strict=True):
        x, y = a[row, e.regions.vertices(i)].numpy(), b[row, e.regions.vertices(j)].numpy()
        values += [cKDTree(y).query(x)[0], cKDTree(x).query(y)[0]]
    return np.concatenate(values)


def sampled_vertices(regions: RegionIndex, count: int = 40) -> Tensor:
    """Return a fixed random subset of each region, the generator seeded anew for each: ``(R, count)``."""
    rows = []
    for r in range(len(regions)):
        ids = regions.vertices(r).numpy()
        rng = np.random.default_rng(0)
        rows.append(rng.choice(ids, count, replace=len(ids) < count))
    return torch.tensor(np.stack(rows))


def sampled_chamfer(a: Tensor, b: Tensor, pairs: g.RegionPairs, samples: Tensor, items: int) -> Tensor:
    """Our restatement of BUDDI's contact-map loss: 40 vertices a region, both ways, ``(100 d^2)^2``, item by
    item.

    Squared distances as there, by ``|u|^2 + |v|^2 - 2 u v``. Approximate: the nearest vertices may not be
    sampled.
    """
    losses = []
    for item in range(items):
        mine = pairs.row_a == item
        u, v = a[item, samples[pairs.group_a[mine]]], b[item, samples[pairs.group_b[mine]]]
        d2 = (u * u).sum(-1)[:, :, None] + (v * v).sum(-1)[:, None] - 2 * u @ v.transpose(1, 2)
        there, back = (100 * d2.amin(2)) ** 2, (100 * d2.amin(1)) ** 2
        losses.append((there.mean(1) + back.mean(1)).sum())
    return torch.stack(losses)


def matrix_by_cdist(e: Embrace, a: Tensor, b: Tensor) -> Tensor:
    """All distances by ``torch.cdist``, then minima over the runs of the regions."""
    ids = e.regions.vertex_ids
    bounds = list(pairwise(e.regions.offsets.tolist()))
    out = []
    for x, y in zip(a, b, strict=True):
        d = torch.cdist(x[ids], y[ids])
        rows = torch.stack([d[s:t].amin(0) for s, t in bounds])
        out.append(torch.stack([rows[:, s:t].amin(1) for s, t in bounds], dim=1))
    return torch.stack(out)


def matrix_by_trees(e: Embrace, a: Tensor, b: Tensor) -> np.ndarray:
    """Return a kd-tree for each region of b, asked by all regions of a."""
    ids, offsets = e.regions.vertex_ids.numpy(), e.regions.offsets.numpy()
    out = np.empty((len(a), len(e.regions), len(e.regions)))
    for k, (x, y) in enumerate(zip(a.numpy(), b.numpy(), strict=True)):
        queries = x[ids]
        for j in range(len(e.regions)):
            distance, _ = cKDTree(y[e.regions.vertices(j).numpy()]).query(queries)
            out[k, :, j] = np.minimum.reduceat(distance, offsets[:-1])
    return out


@dataclass(frozen=True)
class Proxy:
    """A decimated container: faces over a subset of the full mesh's vertices, so that it follows the pose."""

    vertex_ids: Tensor
    faces: Tensor


def proxy_of(e: Embrace, faces: int = 2000) -> Proxy:
    """About 2,000 faces by edge collapse on the rest pose, corners snapped to the nearest original vertex."""
    import igl

    rest = load_body("free").pose({}).vertices().detach()[0].double().numpy()
    vertices, small = igl.decimate(rest, e.topology.faces.numpy(), faces)[:2]
    snapped = cKDTree(rest).query(vertices)[1]
    return Proxy(torch.tensor(snapped), torch.tensor(np.asarray(small, dtype=np.int64)))


def plain_penetration(a: Tensor, b: Tensor, proxy: Proxy, chunk: int = 512) -> Tensor:
    """Plain PyTorch: solid angles of the proxy for all vertices (no graph), ``cdist`` for the nearest
    vertex.
    """
    with torch.no_grad():
        corners = b[:, proxy.vertex_ids][:, proxy.faces]
        inside = []
        for s in range(0, a.shape[1], chunk):
            p = corners[:, None] - a[:, s : s + chunk, None, None]
            x, y, z = p.unbind(3)
            lx, ly, lz = x.norm(dim=-1), y.norm(dim=-1), z.norm(dim=-1)
            volume = (x * torch.linalg.cross(y, z)).sum(-1)
            beside = lx * ly * lz + (x * y).sum(-1) * lz + (x * z).sum(-1) * ly + (y * z).sum(-1) * lx
            inside.append(torch.atan2(volume, beside).sum(-1) / (2 * np.pi) > 0.5)
        within = torch.cat(inside, dim=1)
    return (torch.cdist(a, b).amin(2)[within] ** 2).sum()


def careful_penetration(a: Tensor, b: Tensor, proxy: Proxy, chunk: int = 64) -> Tensor:
    """Return the same with care: coordinates apart, chunks that fit the cache, only the nearest vertices in
    the graph.
    """
    total = a.new_zeros(())
    for x, y in zip(a, b, strict=True):
        with torch.no_grad():
            corners = [
                [k.contiguous() for k in c.unbind(-1)] for c in y[proxy.vertex_ids][proxy.faces].unbind(1)
            ]
            inside = []
            for s in range(0, len(x), chunk):
                q = x[s : s + chunk, None].unbind(-1)
                (ax, ay, az), (bx, by, bz), (cx, cy, cz) = (
                    [k[None] - p for k, p in zip(c, q, strict=True)] for c in corners
                )
                la, lb, lc = (
                    (u * u + v * v + w * w).sqrt() for u, v, w in ((ax, ay, az), (bx, by, bz), (cx, cy, cz))
                )
                volume = ax * (by * cz - bz * cy) + ay * (bz * cx - bx * cz) + az * (bx * cy - by * cx)
                beside = la * lb * lc + (ax * bx + ay * by + az * bz) * lc
                beside += (bx * cx + by * cy + bz * cz) * la + (ax * cx + ay * cy + az * cz) * lb
                inside.append(torch.atan2(volume, beside).sum(1) / (2 * np.pi) > 0.5)
            within = torch.cat(inside).nonzero()[:, 0]
            near = torch.cdist(x[within], y).argmin(1)
        total = total + ((x[within] - y[near]) ** 2).sum()
    return total


def resized(e: Embrace, vertices: int) -> Embrace:
    """Return the same embrace on a coarser or finer mesh, regions by the nearest original vertex."""
    import igl

    rest = load_body("free").pose({}).vertices().detach()[0].double().numpy()
    fine_rest, fine_faces = igl.upsample(rest, e.topology.faces.numpy())[:2]
    # Each fine vertex is a blend of the original ones: the same blend poses it.
    original = cKDTree(rest)
    rest_small, faces = igl.decimate(fine_rest, fine_faces, 2 * vertices - 4)[:2]
    distance, corner = original.query(rest_small, k=3)
    weight = 1 / (distance + 1e-6)
    weight /= weight.sum(1, keepdims=True)
    blend = torch.tensor(weight, dtype=torch.float32)[None, :, :, None]
    a, b = ((x[:, corner] * blend).sum(2) for x in (e.a, e.b))
    label = np.zeros(len(rest), np.int64)
    for r in range(len(e.regions)):
        label[e.regions.vertices(r).numpy()] = r
    lists = [np.flatnonzero(label[corner[:, 0]] == r) for r in range(len(e.regions))]
    count = len(rest_small)
    return Embrace(
        a.contiguous(),
        b.contiguous(),
        MeshTopology.build(np.asarray(faces, dtype=np.int64), count, rest_small),
        RegionIndex.from_lists(lists, count, rest_small),
        e.region_map,
    )
