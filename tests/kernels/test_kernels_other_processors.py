"""The numba kernels compiled for processors with narrower vectors than this one's give the same answers."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from kernels_meshes import all_edges, pair

from apu_losses import geometry as g

HERE = Path(__file__).resolve().parent
_AVX2 = "+sse,+sse2,+sse3,+ssse3,+sse4.1,+sse4.2,+popcnt,+avx,+avx2,+fma,+bmi,+bmi2,+f16c,+lzcnt,+movbe,+cmov"


def answers() -> dict[str, torch.Tensor]:
    """Every operator of the cpu back end on one geometry, gradients included."""
    m = pair(2, 3)
    row, ga, gb = all_edges(2, len(m.regions))
    pairs, t = g.RegionPairs(row, row, ga, gb), m.topology
    a, b = m.a.clone().requires_grad_(), m.b.clone().requires_grad_()
    minimum = g.region_min_distance(a, b, pairs, m.regions, backend="cpu")
    near = g.region_nearest_vertex(a, b, pairs, m.regions, backend="cpu")
    matrix = g.region_distance_matrix(a, b, m.regions, cutoff=0.2, backend="cpu")
    vertex = g.nearest_vertex(a, b, points_topology=t, vertices_topology=t, backend="cpu")
    surface = g.nearest_surface(a, b, t, points_topology=t, backend="cpu")
    deep = g.penetration(a, b, t, target="surface", points_topology=t, backend="cpu")
    finite = minimum.distance2[torch.isfinite(minimum.distance2)]
    grads = torch.autograd.grad(finite.sum() + vertex.distance2.sum() + deep.distance2.sum(), (a, b))
    soft = g.region_soft_minimum(a, b, pairs, m.regions, temperature=1e-3, backend="cpu")
    found = {"inside": deep.inside, "rays": g.inside(a, b, t, method="rays", backend="cpu")}
    for name, fields in (
        ("minimum", minimum),
        ("near", near),
        ("matrix", matrix),
        ("vertex", vertex),
        ("surface", surface),
    ):
        found |= {f"{name} {k}": x.detach() for k, x in enumerate(fields)}
    sums = {"soft": soft.detach(), "winding": g.winding_number(a, b, t, points_topology=t, backend="cpu")}
    return (
        found | {f"gradient {k}": x for k, x in enumerate(grads)} | {f"sum {k}": x for k, x in sums.items()}
    )


@pytest.mark.slow
@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="names x86 processors")
@pytest.mark.parametrize(
    "name, features",
    [("haswell", _AVX2), ("x86-64", "+sse2")],
    ids=["AVX2", "SSE2 without fused multiply-add"],
)
def test_the_same_on_an_older_processor(name, features, tmp_path):
    code = "import sys, torch, test_kernels_other_processors as t; torch.save(t.answers(), sys.argv[1])"
    env = {"NUMBA_CPU_NAME": name, "NUMBA_CPU_FEATURES": features, "NUMBA_CACHE_DIR": str(tmp_path)}
    path = os.pathsep.join([str(HERE), str(HERE.parents[1]), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "found.pt")],
        env={**os.environ, **env, "PYTHONPATH": path},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    theirs, ours = torch.load(tmp_path / "found.pt", weights_only=True), answers()
    assert ours.keys() == theirs.keys() and ours["inside"].any()
    for key, mine in ours.items():
        if key.startswith("sum"):
            assert torch.allclose(mine, theirs[key], rtol=1e-4, atol=1e-4), key
        else:
            assert torch.equal(mine, theirs[key]), key
