"""The Triton kernels on a GPU: right to the bit, how fast, and with which tiles.

    python benchmarks/kernels.py --device cuda           # the table, written to benchmarks/results/
    python benchmarks/kernels_cuda.py --sweep out.json   # every kernel with several tiles and warps

Every operator is compared with the cpu back end on the same geometry (bit for bit where the operators
promise it) and with itself a second time, then timed with CUDA events against what one would use instead on
the same GPU: ``torch.cdist`` with minima, an exact loop over pairs, the 40-vertex sample, plain solid angles.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
from kernels_peers import (
    Embrace,
    Proxy,
    both_ways_by_cdist,
    closest_pairs,
    embrace,
    loop_of_cdist,
    matrix_by_cdist,
    plain_penetration,
    proxy_of,
    resized,
    sampled_chamfer,
    sampled_vertices,
)
from short_form import add_check, not_run
from torch import Tensor

from apu_losses import geometry as g

Call = Callable[[], Any]


def on_gpu(e: Embrace) -> Embrace:
    """Return the same embrace with everything on the GPU."""
    return Embrace(e.a.cuda(), e.b.cuda(), e.topology.to("cuda"), e.regions.to("cuda"), e.region_map)


def events(call: Call, rounds: int = 20, budget_ms: float = 400.0) -> float:
    """Median milliseconds of a call by CUDA events, host overhead and launches included.

    The first two calls compile and warm up. What takes long is timed once.
    """
    call()
    call()
    times: list[float] = []
    while len(times) < rounds and (len(times) < 3 or sum(times) < budget_ms) and sum(times) < 3 * budget_ms:
        torch.cuda.synchronize()
        start, stop = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        start.record()
        call()
        stop.record()
        stop.synchronize()
        times.append(start.elapsed_time(stop))
    return sorted(times)[len(times) // 2]


def kernel_time(call: Call, rounds: int = 5) -> dict[str, float]:
    """Milliseconds that the GPU spends in each kernel of a call, by torch's profiler."""
    call()
    activities = [torch.profiler.ProfilerActivity.CUDA, torch.profiler.ProfilerActivity.CPU]
    with torch.profiler.profile(activities=activities) as profile:
        for _ in range(rounds):
            call()
        torch.cuda.synchronize()
    total: dict[str, float] = {}
    for event in profile.key_averages():
        took = getattr(event, "self_device_time_total", 0.0)
        if took and event.device_type == torch.autograd.DeviceType.CUDA:
            total[event.key[:40]] = total.get(event.key[:40], 0.0) + took / rounds / 1e3
    return dict(sorted(total.items(), key=lambda kv: -kv[1]))


def differentiated(value: Callable[[Tensor, Tensor], Tensor], a: Tensor, b: Tensor) -> Call:
    """Forward and backward to both vertex tensors."""
    a, b = a.clone().requires_grad_(), b.clone().requires_grad_()
    return lambda: torch.autograd.grad(value(a, b).sum(), (a, b))


def _both_ways(a: Tensor, b: Tensor, e: Embrace, target: Any, backend: Any) -> Tensor:
    bodies = torch.cat([a, b])
    first = torch.arange(len(a), device=a.device)
    rows = torch.cat([first, first + len(a)]), torch.cat([first + len(a), first])
    t = e.topology
    return g.penetration(
        bodies, bodies, t, rows=rows, target=target, points_topology=t, backend=backend
    ).distance2


def operators(e: Embrace, pairs: g.RegionPairs, backend: Any) -> dict[str, Call]:
    """All operators on one geometry; names that end in "gradient" are forward and backward."""
    t, r, k = e.topology, e.regions, backend
    return {
        "sparse, 30 pairs": lambda: g.region_min_distance(e.a, e.b, pairs, r, backend=k),
        "sparse, 30 pairs, with gradient": differentiated(
            lambda a, b: g.region_min_distance(a, b, pairs, r, backend=k).distance2, e.a, e.b
        ),
        "nearest both ways, 30 pairs": lambda: g.region_nearest_vertex(e.a, e.b, pairs, r, backend=k)[:3],
        "nearest both ways, with gradient": differentiated(
            lambda a, b: g.region_nearest_vertex(a, b, pairs, r, backend=k).distance2, e.a, e.b
        ),
        "matrix": lambda: g.region_distance_matrix(e.a, e.b, r, backend=k),
        "matrix, nearer than 5 cm": lambda: g.region_distance_matrix(e.a, e.b, r, cutoff=0.05, backend=k),
        "soft minimum, 30 pairs": lambda: g.region_soft_minimum(
            e.a, e.b, pairs, r, temperature=1e-3, backend=k
        ),
        "soft minimum, with gradient": differentiated(
            lambda a, b: g.region_soft_minimum(a, b, pairs, r, temperature=1e-3, backend=k), e.a, e.b
        ),
        "nearest vertex": lambda: g.nearest_vertex(
            e.a, e.b, points_topology=t, vertices_topology=t, backend=k
        ),
        "nearest surface": lambda: g.nearest_surface(e.a, e.b, t, points_topology=t, backend=k),
        "inside": lambda: g.inside(e.a, e.b, t, points_topology=t, backend=k),
        "winding number by tree": lambda: g.winding_number(e.a, e.b, t, points_topology=t, backend=k),
        "penetration to the surface, both ways, with gradient": differentiated(
            lambda a, b: _both_ways(a, b, e, "surface", k), e.a, e.b
        ),
        "penetration to vertices, both ways, with gradient": differentiated(
            lambda a, b: _both_ways(a, b, e, "vertex", k), e.a, e.b
        ),
    }


def exact_inside(e: Embrace) -> Call:
    """All solid angles in Triton: what the tree saves."""
    t = e.topology
    return lambda: g.inside(e.a, e.b, t, points_topology=t, method="exact", backend="cuda")


def peers(e: Embrace, pairs: g.RegionPairs, proxy: Proxy) -> dict[str, dict[str, Call]]:
    """Return what one would use instead on the same GPU, for each operator; exact but for the sampled
    loss.
    """
    batch = len(e.a)
    samples = sampled_vertices(e.regions.to("cpu")).cuda()
    out: dict[str, dict[str, Call]] = {
        "sparse, 30 pairs, with gradient": {
            "sampled": differentiated(lambda a, b: sampled_chamfer(a, b, pairs, samples, batch), e.a, e.b)
        },
        "inside": {"exact": exact_inside(e)},
    }
    if batch <= 8:
        out["sparse, 30 pairs, with gradient"]["loop"] = differentiated(
            lambda a, b: loop_of_cdist(e, a, b, pairs), e.a, e.b
        )
        out["nearest both ways, with gradient"] = {
            "loop": differentiated(lambda a, b: both_ways_by_cdist(e, a, b, pairs), e.a, e.b)
        }
        out["matrix"] = {"cdist": lambda: matrix_by_cdist(e, e.a, e.b)}
        out["nearest vertex"] = {"cdist": lambda: torch.cdist(e.a, e.b).min(2)}
    if batch == 1:
        out["penetration to vertices, both ways, with gradient"] = {
            "plain_2000_face_proxy": differentiated(
                lambda a, b: plain_penetration(a, b, proxy) + plain_penetration(b, a, proxy), e.a, e.b
            )
        }
    return out


def _tensors(found: Any) -> list[Tensor]:
    found = found if isinstance(found, tuple) else (found,)
    return [x for x in found if isinstance(x, Tensor)]


def compare(e: Embrace, host: Embrace, pairs: g.RegionPairs) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every operator on the GPU against the cpu back end, and against itself a second time."""
    ours, theirs = operators(e, pairs, "cuda"), operators(host, pairs.to("cpu"), "cpu")
    for name, call in ours.items():
        got, again, want = _tensors(call()), _tensors(call()), _tensors(theirs[name]())
        same = all(torch.equal(x.cpu().nan_to_num(), y.nan_to_num()) for x, y in zip(got, want, strict=True))
        apart = max(
            float((x.cpu().double() - y.double()).nan_to_num(0, 0, 0).abs().max())
            for x, y in zip(got, want, strict=True)
        )
        repeats = all(torch.equal(x.nan_to_num(), y.nan_to_num()) for x, y in zip(got, again, strict=True))
        yield name, {"same_bits": same, "largest_difference": apart, "repeats_to_the_bit": repeats}


def limits() -> dict[str, float]:
    """Measured copy bandwidth (bytes read and written a second) and float32 matrix-product rate."""
    source = torch.randn(1 << 28, device="cuda")
    target = torch.empty_like(source)
    copy = 2 * source.numel() * 4 / (events(lambda: target.copy_(source)) / 1e3)
    torch.backends.cuda.matmul.allow_tf32 = False
    x = torch.randn(8192, 8192, device="cuda")
    product = 2 * 8192**3 / (events(lambda: x @ x, rounds=5) / 1e3)
    return {"copy_gbytes_a_second": copy / 1e9, "float32_product_tflops": product / 1e12}


def cuda_table(report: Any, batches: list[int], save: Call) -> None:
    """Correctness, speed at each batch size and mesh size, GPU time by kernel; ``save()`` after each part."""
    print("\nTriton kernels on", torch.cuda.get_device_name(), flush=True)
    host = embrace(2)
    e = on_gpu(host)
    for name, row in compare(e, host, closest_pairs(e, 30)):
        report.add("cuda_same", name, **row)
    report.add("cuda_limits", "measured limits", **limits())
    proxy = proxy_of(host)
    proxy = Proxy(proxy.vertex_ids.cuda(), proxy.faces.cuda())
    for batch in batches:
        save()
        e = on_gpu(embrace(batch))
        pairs = closest_pairs(e, 30)
        instead = peers(e, pairs, proxy)
        slow = operators(e, pairs, "torch") if batch == 1 else {}
        for name, call in operators(e, pairs, "cuda").items():
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
            before = torch.cuda.memory_allocated()
            call()
            megabytes = (torch.cuda.max_memory_allocated() - before) / 2**20
            ms = events(call)
            others = dict(instead.get(name, {}))
            if name in slow:
                others["torch"] = slow[name]
            ratios = {f"x_over_{k}": events(c, rounds=5) / ms for k, c in others.items()}
            report.add("cuda", name, batch=batch, ms=ms, ms_an_item=ms / batch, megabytes=megabytes, **ratios)
    save()
    for vertices in (7000, 13000, 27000):
        e = on_gpu(resized(embrace(1), vertices))
        for name, call in operators(e, closest_pairs(e, 30), "cuda").items():
            report.add("cuda_size", name, vertices=e.a.shape[1], ms=events(call))
    save()
    for batch in (1, 8):
        e = on_gpu(embrace(batch))
        for name, call in operators(e, closest_pairs(e, 30), "cuda").items():
            parts = kernel_time(call)
            longest = ", ".join(f"{k} {v:.3f}" for k, v in list(parts.items())[:3])
            report.add("cuda_kernels", name, batch=batch, gpu_ms=sum(parts.values()), longest=longest)
    save()


# ---------------------------------------------------------------- tiles and warps

SWEEP: dict[str, dict[str, list[int]]] = {
    "region_min": {"BM": [16, 32], "BN": [32, 64], "num_warps": [2, 4]},
    "nearest": {"BM": [16, 32], "BN": [32, 64], "num_warps": [2, 4]},
    "surface": {"BM": [16, 32], "BN": [16, 32], "num_warps": [2, 4]},
    "fit_nodes": {"SMALL": [16, 32], "num_warps": [1, 2]},
    "inside": {"BM": [16, 32, 64], "num_warps": [1, 2]},
}
_ASKED = {
    "region_min": "matrix",
    "nearest": "nearest vertex",
    "surface": "nearest surface",
    "fit_nodes": "inside",
    "inside": "inside",
}


def _settings() -> list[tuple[str, dict[str, int]]]:
    return [
        (kernel, dict(zip(choices, values, strict=True)))
        for kernel, choices in SWEEP.items()
        for values in itertools.product(*choices.values())
    ]


def _try(kernel: str, setting: dict[str, int], e: Embrace, rounds: int) -> float:
    from apu_losses.geometry.cuda import backend

    before = dict(backend.CONFIG[kernel])
    backend.CONFIG[kernel].update(setting)
    try:
        call = operators(e, closest_pairs(e, 30), "cuda")[_ASKED[kernel]]
        call()
        return events(call, rounds) if rounds else 0.0
    except Exception as error:
        print(kernel, setting, type(error).__name__, str(error)[:80], flush=True)
        return math.nan
    finally:
        backend.CONFIG[kernel].clear()
        backend.CONFIG[kernel].update(before)


def _compile_some(part: int, parts: int) -> None:
    """Fill Triton's cache on disk with a share of the settings."""
    e = on_gpu(embrace(1))
    for kernel, setting in _settings()[part::parts]:
        _try(kernel, setting, e, 0)


def sweep(path: Path, workers: int = 12) -> None:
    """Time every setting at batch 1 and 16, compiled ahead by several processes."""
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        list(pool.map(_compile_some, range(workers), [workers] * workers))
    print("compiled", flush=True)
    rows = []
    for batch in (1, 16):
        e = on_gpu(embrace(batch))
        for kernel, setting in _settings():
            ms = _try(kernel, setting, e, 7)
            rows.append({"kernel": kernel, "batch": batch, "ms": ms, **setting})
        path.write_text(json.dumps(rows))
        for kernel in SWEEP:
            mine = [r for r in rows if r["kernel"] == kernel and r["batch"] == batch and r["ms"] == r["ms"]]
            for r in sorted(mine, key=lambda r: r["ms"])[:4]:
                print(r, flush=True)
        for name, call in operators(e, closest_pairs(e, 30), "cuda").items():
            print(batch, name, {k: round(v, 4) for k, v in list(kernel_time(call).items())[:6]}, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sweep", type=Path, default=Path("kernels_sweep.json"), help="where the times go")
    add_check(parser)
    arguments = parser.parse_args()
    if not torch.cuda.is_available():
        not_run("there is no GPU that torch reaches")
    if arguments.check:
        kernel, setting = _settings()[0]
        print(kernel, setting, _try(kernel, setting, on_gpu(embrace(1)), 0))
    else:
        sweep(arguments.sweep)


if __name__ == "__main__":
    main()
