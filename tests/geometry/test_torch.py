"""The operators as PyTorch citizens: opcheck, torch.compile, autograd, threads, forks, workers, inference
mode.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import torch
from kernels_meshes import GPU, all_edges, pair
from operator_calls import Items, answers, edges, total
from torch.utils.data import DataLoader

from apu_losses import geometry as g
from apu_losses.geometry import custom_ops as ops
from apu_losses.geometry import requests as r
from apu_losses.geometry.border import Border
from apu_losses.geometry.edge_vertices import vertices_of_edges

BACKENDS = ["torch", "cpu", *GPU]
ROOT = Path(__file__).resolve().parents[2]


def check(operator, request, backend):
    torch.library.opcheck(operator.op, (*operator.border.pack(request), backend))


def searches(m, a, b):
    """Along edges between two tensors and, of unions, within one."""
    p, layout = edges(m), m.regions.to(a.device).layout
    ends = r.Ends(p.row_a, p.group_a, layout), r.Ends(p.row_b, p.group_b, layout)
    bounds = torch.tensor([0, 2, 3, 5, 6, 7, 8, 9, 10, 11, 12, 13, 13])
    union = r.Unions(bounds, torch.arange(13) % 12)
    return r.RegionSearch(r.Bodies(a, b), *ends, None), r.RegionSearch(r.Bodies(a, None), *ends, union)


def queries(m, points):
    """Items as they stand; and by rows, not all points wanted."""
    items = r.ItemRows(torch.tensor([0, 1, 0]), torch.tensor([1, 1, 0]))
    wanted = torch.arange(m.a.shape[1]).remainder(3).ne(0).repeat(3, 1)
    slots = m.topology.to(points.device).slots
    return r.Query(points, None, None, None), r.Query(points, slots, wanted, items)


@pytest.mark.parametrize("backend", BACKENDS)
def test_opcheck(backend):
    m = pair(2, 2)
    a, b = m.a.clone().requires_grad_(), m.b.clone().requires_grad_()
    regions, topology = m.regions.to(a.device), m.topology.to(a.device)
    between, within = searches(m, a, b)
    listed = vertices_of_edges(edges(m), regions, regions)
    for search in (between, within):
        check(ops.region_min, search, backend)
        flat = search._replace(unions=None)
        check(ops.region_nearest, r.NearestSearch(flat, listed.first, listed.edge), backend)
    check(ops.region_matrix, r.MatrixSearch(a, b, regions.layout, regions.layout, float("inf")), backend)
    check(ops.region_soft_min, r.SoftSearch(between, 1e-2), backend)
    for query, plain in zip(queries(m, a), queries(m, m.a), strict=True):
        faces = topology.faces, topology.face_slots
        check(ops.nearest_vertex, r.VertexSearch(query, b, topology.slots, float("inf"), 0.0), backend)
        check(ops.nearest_surface, r.SurfaceSearch(query, b, *faces, float("inf"), 0.0), backend)
        check(ops.winding_number, r.WindingSearch(plain, m.b, topology.tree, "tree", 2.0, True), backend)
        check(ops.inside, r.InsideSearch(plain, m.b, topology.tree), backend)
        check(ops.inside, r.InsideSearch(plain, m.b, topology.tree._replace(closed=False)), backend)


@pytest.mark.parametrize("backend", BACKENDS)
def test_opcheck_of_gradients(backend):
    m = pair(2, 2)
    p = edges(m)
    topology = m.topology.to(m.a.device)
    for search in searches(m, m.a, m.b):
        d2, *index = ops.region_min(search, backend)
        found = r.Found(search.bodies, p.row_a, p.row_b, *index)
        check(ops.edge_gradient, r.EdgeGradient(found, d2), backend)
    soft = r.SoftSearch(searches(m, m.a, m.b)[0], 1e-2)
    value, least, sums = ops.region_soft_min(soft, backend)
    asked = r.SoftGradient(r.SoftFound(soft, least, sums), torch.ones_like(value))
    check(ops.region_soft_min_gradient, asked, backend)
    for query in queries(m, m.a):
        options = {"rows": query.rows, "backend": backend}
        d2, vertex = g.nearest_vertex(m.a, m.b, **options)
        near = r.NearPoints(m.a, m.b, query.rows, vertex)
        check(ops.nearest_gradient, r.VertexGradient(near, d2), backend)
        d2, face, weights = g.nearest_surface(m.a, m.b, topology, **options)
        near = r.NearFaces(m.a, m.b, query.rows, face, weights, topology.faces)
        check(ops.surface_gradient, r.SurfaceGradient(near, d2), backend)


@pytest.mark.parametrize(
    "kind", [r.RegionSearch, r.NearestSearch, r.SoftGradient, r.SurfaceSearch, r.InsideSearch]
)
def test_a_request_comes_out_of_its_border_as_it_went_in(kind):
    m = pair(1, 1)
    between, within = searches(m, m.a, m.b)
    query, asked = queries(m, m.a)
    first = torch.zeros(1, dtype=torch.int64)
    tree, faces = m.topology.tree, (m.topology.faces, m.topology.face_slots)
    known = {
        r.RegionSearch: (between, within),
        r.NearestSearch: (r.NearestSearch(within, first, first),),
        r.SoftGradient: (r.SoftGradient(r.SoftFound(r.SoftSearch(between, 0.5), m.a, m.b), m.a),),
        r.SurfaceSearch: (
            r.SurfaceSearch(query, m.b, *faces, 1.0, 0.0),
            r.SurfaceSearch(asked, m.b, *faces, 1.0, 0.0),
        ),
        r.InsideSearch: (r.InsideSearch(asked, m.b, tree),),
    }
    border = Border(kind)
    for request in known[kind]:
        flat = border.pack(request)
        assert all(x is None or isinstance(x, (torch.Tensor, float, bool, str)) for x in flat)
        assert len(flat) == len(border.names) == len(border.schema().split(", "))
        again = border.unpack(flat)
        assert type(again) is kind and all(x is y for x, y in zip(border.pack(again), flat, strict=True))
        assert (again[-1] is None) == (request[-1] is None)


def test_a_gradient_goes_to_the_argument_of_its_name():
    border, one = Border(r.RegionSearch), torch.zeros(1)
    found = border.gradients({"bodies.second": one})
    assert [k for k, x in enumerate(found) if x is one] == [border.names.index("bodies.second")]
    assert sum(x is not None for x in found) == 1


@pytest.mark.parametrize("backend", BACKENDS)
def test_compile_gives_the_same(backend):
    m = pair(2, 2)
    p = edges(m)
    results = []
    for call in (total, torch.compile(total, fullgraph=True, backend="aot_eager")):
        a, b = m.a.clone().requires_grad_(), m.b.clone().requires_grad_()
        value = call(a, b, m, p, backend)
        results.append((value.detach(), *torch.autograd.grad(value, (a, b))))
    for eager, compiled in zip(*results, strict=True):
        assert torch.allclose(eager, compiled, rtol=1e-6, atol=1e-7)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="inductor compiles C++")
def test_compile_by_inductor_gives_the_same():
    m = pair(2, 2)
    p = edges(m)
    results = []
    for call in (total, torch.compile(total, fullgraph=True)):
        a, b = m.a.clone().requires_grad_(), m.b.clone().requires_grad_()
        value = call(a, b, m, p, "cpu")
        results.append((value.detach(), *torch.autograd.grad(value, (a, b))))
    for eager, compiled in zip(*results, strict=True):
        assert torch.allclose(eager, compiled, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("backend", ["reference", "torch"])
def test_gradcheck_in_float64(backend):
    m = pair(1, 1, dtype=torch.float64)
    p = g.RegionPairs.from_offsets([0, 3], [0, 2, 4], [1, 3, 5])
    a, b = m.a[:, ::2].clone().requires_grad_(), m.b.clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda a, b: g.nearest_vertex(a, b, backend=backend).distance2, (a, b))
    assert torch.autograd.gradcheck(
        lambda a, b: g.nearest_surface(a, b, m.topology, backend=backend).distance2, (a[:, :8], b)
    )
    full = m.a.clone().requires_grad_()
    assert torch.autograd.gradcheck(
        lambda a, b: g.region_min_distance(a, b, p, m.regions, backend=backend).distance2, (full, b)
    )
    assert torch.autograd.gradcheck(
        lambda a, b: g.region_nearest_vertex(a, b, p, m.regions, backend=backend).distance2, (full, b)
    )
    assert torch.autograd.gradcheck(
        lambda a, b: g.region_soft_minimum(a, b, p, m.regions, temperature=0.1, backend=backend), (full, b)
    )


@pytest.mark.parametrize("backend", ["reference", *BACKENDS])
def test_a_second_derivative_is_right_or_refused(backend):
    m = pair(1, 1)
    a = m.a.clone().requires_grad_()
    value = g.nearest_vertex(a, m.b, backend=backend).distance2.sum()
    (once,) = torch.autograd.grad(value, a, create_graph=True)
    if backend == "reference":
        assert torch.autograd.grad(once.sum(), a)[0].eq(2).all()
    else:
        with pytest.raises(RuntimeError, match="no autograd formula"):
            torch.autograd.grad(once.sum(), a)


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_same_bits_every_time_and_for_any_number_of_threads(backend):
    m = pair(3, 3 if backend == "cpu" else 2)
    p = g.RegionPairs.from_offsets([0, 20, 20, 40], [k % 12 for k in range(40)], [k // 4 for k in range(40)])
    before = torch.get_num_threads()
    runs = []
    try:
        for threads in (1, 3, 1):
            torch.set_num_threads(threads)
            a, b = m.a.clone().requires_grad_(), m.b.clone().requires_grad_()
            value = total(a, b, m, p, backend)
            w = g.winding_number(a, b, m.topology, points_topology=m.topology, backend=backend)
            runs.append((value.detach(), w, *torch.autograd.grad(value, (a, b))))
    finally:
        torch.set_num_threads(before)
    # The sum of the loss itself is torch's and may depend on its threads; our values and gradients may not.
    for run in runs[1:]:
        assert all(torch.equal(x, y) for x, y in zip(run[1:], runs[0][1:], strict=True))


@pytest.mark.parametrize("backend", BACKENDS)
def test_answers_of_an_edge_do_not_depend_on_its_company(backend):
    m = pair(3, 2)
    row, ga, gb = (x[::5] for x in all_edges(3, len(m.regions)))
    together = g.region_nearest_vertex(m.a, m.b, g.RegionPairs(row, row, ga, gb), m.regions, backend=backend)
    for k in range(0, len(row), 7):
        r = int(row[k])
        zero = torch.zeros(1, dtype=torch.int64)
        alone = g.RegionPairs(zero, zero, ga[k : k + 1], gb[k : k + 1])
        found = g.region_nearest_vertex(m.a[r : r + 1], m.b[r : r + 1], alone, m.regions, backend=backend)
        part = slice(int(together.offsets[2 * k]), int(together.offsets[2 * k + 2]))
        for x, y in zip(found[:3], together[:3], strict=True):
            assert torch.equal(x, y[part])


@pytest.mark.parametrize("backend", BACKENDS)
def test_inference_mode(backend):
    m = pair(2, 2)
    with torch.inference_mode():
        found = answers(m.a * 1.0, m.b * 1.0, m, backend)
        assert all(x.is_inference() for x in found)
    for got, expected in zip(found, answers(m.a, m.b, m, backend), strict=True):
        assert torch.equal(got, expected)


def test_inputs_need_not_be_contiguous():
    m = pair(2, 2)
    a, b = (x.permute(2, 0, 1).contiguous().permute(1, 2, 0) for x in (m.a, m.b))
    assert not a.is_contiguous()
    for backend in ("torch", "cpu"):
        for call in (
            lambda a, b, k=backend: g.region_distance_matrix(a, b, m.regions, backend=k)[0],
            lambda a, b, k=backend: g.region_nearest_vertex(a, b, edges(m), m.regions, backend=k)[0],
            lambda a, b, k=backend: g.nearest_surface(a, b, m.topology, backend=k)[0],
            lambda a, b, k=backend: g.winding_number(a, b, m.topology, backend=k),
        ):
            assert torch.equal(call(a, b), call(m.a, m.b))


@pytest.mark.parametrize("backend", BACKENDS)
def test_several_python_threads(backend):
    """All operators at once from four threads, gradients included."""
    m = pair(2, 2)
    before = torch.get_num_threads()
    p = edges(m)

    def once():
        a, b = m.a.clone().requires_grad_(), m.b.clone().requires_grad_()
        with torch.device(m.a.device):  # a thread does not inherit the default device
            found = answers(a, b, m, backend)
            return *found, *torch.autograd.grad(total(a, b, m, p, backend), (a, b))

    expected = once()
    wrong, errors = [], []

    def work():
        try:
            for _ in range(4):
                wrong.extend(
                    k for k, (x, y) in enumerate(zip(once(), expected, strict=True)) if not x.equal(y)
                )
        except Exception as error:
            errors.append(error)

    try:
        torch.set_num_threads(2)
        threads = [threading.Thread(target=work) for _ in range(4)]
        for t in threads:
            t.start()
        for t in threads:
            t.join(120)
    finally:
        torch.set_num_threads(before)
    assert not wrong and not errors and not any(t.is_alive() for t in threads)


@pytest.mark.parametrize("context", ["fork", "spawn"])
def test_data_loader_workers(context):
    if context == "fork" and not hasattr(os, "fork"):
        pytest.skip("this system cannot fork")
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        expected = [Items()[k] for k in range(2)]  # the pool of the parent is running now
    finally:
        torch.set_num_threads(before)
    loader = DataLoader(Items(), batch_size=None, num_workers=1, multiprocessing_context=context, timeout=60)
    for got, want in zip(loader, expected, strict=True):
        assert torch.equal(got, want)


@pytest.mark.long
def test_warmup_leaves_nothing_to_compile():
    """In a process of its own, where no kernel has run before."""
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests" / "helpers")])
    done = subprocess.run(
        [sys.executable, "-c", "import operator_calls as o; o.print_what_warmup_leaves()"],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
    )
    assert done.returncode == 0, done.stderr
    count, rest = done.stdout.split(maxsplit=1)
    assert int(count) > 20 and rest.strip() == "[]"


def test_importing_the_geometry_does_not_import_numba_or_triton():
    code = (
        "import sys, torch; before = set(sys.modules); import apu_losses.geometry.operators;"
        "new = set(sys.modules) - before;"
        "print(sorted(m for m in ('numba', 'triton', 'scipy', 'torch._dynamo') if m in new))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.strip() == "[]"
