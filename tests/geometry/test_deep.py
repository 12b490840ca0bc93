"""Bodies pushed far into each other: where most of a torso is inside, no vertex may change sides."""

from __future__ import annotations

import igl
import numpy as np
import pytest
import torch
from kernels_meshes import GPU

from apu_losses import geometry as g
from apu_losses.bodies import load_body

_ON_THE_SURFACE = 1e-4  # metres; nearer than this to the surface the side is not asked for


@pytest.fixture(scope="module")
def mesh():
    body = load_body("free")
    return g.MeshTopology.build(body.faces, body.num_vertices, body.pose({}).vertices()[0])


def pushed_together(count, seed):
    """Bodies ``(count, V, 3)`` of any pose and shape, and others whose chests are 10 to 20 cm inside them."""
    body = load_body("free")
    generator = torch.Generator().manual_seed(seed)
    sides = []
    for person in range(2):
        noise = torch.randn(count, 21, 3, generator=generator)
        turn = 0.2 * torch.randn(count, 3, generator=generator)
        # Half of them face each other, the rest stand as they come.
        turn[:, 1] += person * torch.where(torch.arange(count) % 2 == 0, torch.pi, 7.0 * noise[:, 0, 0])
        parameters = {
            "body_pose": (0.35 * noise).reshape(count, 63),
            "betas": torch.randn(count, 10, generator=generator),
            "global_orient": turn,
        }
        posed = body.pose(parameters)
        chest = posed.joints[:, body.joint_names.index("spine3"), None]
        sides.append((posed.vertices() - chest).detach())
    a, b = sides
    for k, depth in enumerate(torch.linspace(0.10, 0.20, count)):
        # The chest of each is at the origin; push what of b looks at a to that depth behind the front of a.
        front, back = (x[k][(x[k, :, :2].abs() < 0.08).all(1) & (x[k].norm(dim=1) < 0.2), 2] for x in (a, b))
        b[k, :, 2] += front.max() - depth - back.min()
    return a, b.contiguous()


def flips(a, b, mesh, backend):
    """Vertices of a inside b; those on another side than libigl's exact winding number says, away from the
    surface; and the greatest depth in metres.
    """
    within = g.inside(a[None], b[None], mesh, points_topology=mesh, backend=backend)[0].numpy(force=True)
    a, b, faces = a.double().numpy(), b.double().numpy(), mesh.faces.numpy(force=True)
    box = ((a >= b.min(0)) & (a <= b.max(0))).all(1)
    exact = np.zeros(len(a), bool)
    exact[box] = igl.winding_number(b, faces, a[box]) > 0.5
    wrong, deep = np.flatnonzero(within != exact), np.flatnonzero(exact)
    distances = [
        np.sqrt(igl.point_mesh_squared_distance(a[ids], b, faces)[0]) for ids in (wrong, deep) if len(ids)
    ]
    away = int((distances[0] > _ON_THE_SURFACE).sum()) if len(wrong) else 0
    return len(deep), away, float(distances[-1].max()) if len(deep) else 0.0


def check(count, seed, mesh, backend):
    a, b = pushed_together(count, seed)
    device = torch.get_default_device()
    found = [
        flips(one.to(device), two.to(device), mesh.to(device), backend)
        for pair in zip(a, b, strict=True)
        for one, two in (pair, pair[::-1])
    ]
    inside, away, depth = (np.array(x).reshape(count, 2) for x in zip(*found, strict=True))
    print(f"{inside.sum()} vertices inside, deepest {1000 * depth.max(1)} mm")
    assert away.sum() == 0
    # They are deep in each other, every one of them.
    assert (depth.max(1) > 0.05).all() and np.median(depth) > 0.08 and inside.sum(1).min() > 300


@pytest.mark.parametrize("backend", ["cpu", *GPU])
def test_no_vertex_changes_sides(mesh, backend):
    check(4, 0, mesh, backend)


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["cpu", "torch", *GPU])
def test_no_vertex_changes_sides_in_many_poses(mesh, backend):
    check(60, 1, mesh, backend)
