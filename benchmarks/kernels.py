"""The geometry kernels against what one would use instead, side by side in one run.

    python benchmarks/kernels.py                     # on the CPU: all tables, written to benchmarks/results/
    python benchmarks/kernels.py --device cuda       # correctness and speed of the Triton kernels on a GPU
    python benchmarks/kernels.py --quick             # fewer repeats and sizes
    python benchmarks/kernels.py --check             # seconds: everything once, nothing is written
    python benchmarks/kernels.py --threads 1 --clock cpu    # on a machine that others use too

Two bodies of the free model in an embrace, its 75 regions. Each row times both sides in turns, so that other
load on the machine falls on both, and prints the ratio of the medians; absolute times are of the machine
named at the top. All answers are exact on both sides unless the row says otherwise.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import torch
from kernels_peers import (
    Embrace,
    Proxy,
    both_ways_by_cdist,
    both_ways_by_trees,
    careful_penetration,
    closest_pairs,
    embrace,
    loop_of_cdist,
    matrix_by_cdist,
    matrix_by_trees,
    plain_penetration,
    proxy_of,
    resized,
    sampled_chamfer,
    sampled_vertices,
)
from scipy.spatial import cKDTree
from short_form import add_check, not_run
from torch import Tensor

from apu_losses import geometry as g
from apu_losses.geometry import warmup
from apu_losses.geometry.topology import MeshTopology

RESULTS = Path(__file__).resolve().parent / "results"


def our_penetration(a: Tensor, b: Tensor, e: Embrace, backend: str = "auto") -> Tensor:
    found = g.penetration(a, b, e.topology, points_topology=e.topology, backend=backend)  # type: ignore[arg-type]
    return found.distance2.sum()


# ---------------------------------------------------------------- timing


@dataclass
class Report:
    """Rows of the tables, printed as they come and kept for the results file."""

    rows: list[dict[str, Any]] = field(default_factory=list)

    def add(self, table: str, name: str, **values: Any) -> None:
        self.rows.append({"table": table, "name": name, **values})
        shown = "  ".join(f"{k} {v:.4g}" if isinstance(v, float) else f"{k} {v}" for k, v in values.items())
        print(f"  {name:58s} {shown}", flush=True)


CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}


def in_turns(
    candidates: dict[str, Callable[[], Any]], args: argparse.Namespace, share: float = 1.0
) -> dict[str, float]:
    """Median milliseconds of each candidate by ``args.clock``; all take turns within a round.

    A slow one gets fewer of the ``args.rounds`` rounds: it stops at ``share`` of ``args.budget`` seconds.
    """
    clock, rounds, budget = CLOCKS[args.clock], args.rounds, share * args.budget
    times: dict[str, list[float]] = {name: [] for name in candidates}
    spent = dict.fromkeys(candidates, 0.0)
    for turn in range(rounds + 1):
        for name, call in candidates.items():
            if turn > 1 and spent[name] > budget:
                continue
            begin = clock()
            call()
            took = clock() - begin
            spent[name] += took
            # The first call of each warms caches and allocators and is not counted, unless it ate the budget.
            if turn > 0 or took > budget:
                times[name].append(took)
    return {name: 1e3 * float(np.median(t)) for name, t in times.items()}


def backward(value: Callable[[Tensor, Tensor], Tensor], a: Tensor, b: Tensor) -> Callable[[], Any]:
    """Forward and backward to both vertex tensors."""
    a, b = a.clone().requires_grad_(), b.clone().requires_grad_()
    return lambda: torch.autograd.grad(value(a, b).sum(), (a, b))


# ---------------------------------------------------------------- tables


def sparse_row(report: Report, args: argparse.Namespace, batch: int) -> None:
    e = embrace(batch)
    pairs = closest_pairs(e, 30)
    samples = sampled_vertices(e.regions)
    runs = {
        "ours": backward(lambda a, b: g.region_min_distance(a, b, pairs, e.regions).distance2, e.a, e.b),
        "torch": backward(
            lambda a, b: g.region_min_distance(a, b, pairs, e.regions, backend="torch").distance2,
            e.a,
            e.b,
        ),
        "sampled": backward(lambda a, b: sampled_chamfer(a, b, pairs, samples, batch), e.a, e.b),
    }
    if batch <= 8:
        runs["loop"] = backward(lambda a, b: loop_of_cdist(e, a, b, pairs), e.a, e.b)
    ms = in_turns(runs, args)
    shown = {f"x_over_{k}": ms[k] / ms["ours"] for k in ms if k != "ours"}
    report.add("sparse", f"batch {batch}, 30 pairs", ours_ms=ms["ours"], **shown)


def sparse_table(report: Report, args: argparse.Namespace) -> None:
    print("\nSparse region pairs, 30 an item, forward and backward")
    for batch in args.batches:
        sparse_row(report, args, batch)

    e = embrace(1 if args.check else 64)
    d = g.region_distance_matrix(e.a, e.b, e.regions).distance2.sqrt()
    samples = sampled_vertices(e.regions)
    guess = torch.stack(
        [
            torch.cdist(x[samples].flatten(0, 1).double(), y[samples].flatten(0, 1).double())
            .view(len(samples), 40, len(samples), 40)
            .amin((1, 3))
            for x, y in zip(e.a, e.b, strict=True)
        ]
    )
    true = d < 0.01
    near = d < 0.05
    excess = (guess - d)[near] * 1e3
    report.add(
        "sparse",
        "what the 40-vertex sample misses, 64 embraces",
        contacts_under_1cm=int(true.sum()),
        found=int((true & (guess < 0.01)).sum()),
        mean_excess_mm=float(excess.mean()),
        p95_excess_mm=float(excess.quantile(0.95)) if len(excess) < 2**24 else float("nan"),
        max_excess_mm=float(excess.max()),
    )


def both_ways_row(report: Report, args: argparse.Namespace, batch: int) -> None:
    e = embrace(batch)
    pairs = closest_pairs(e, 30)

    def ours(a: Tensor, b: Tensor, backend: Any = "auto") -> Tensor:
        return g.region_nearest_vertex(a, b, pairs, e.regions, backend=backend).distance2

    forward: dict[str, Callable[[], Any]] = {"ours": lambda: ours(e.a, e.b)}
    runs = {"ours": backward(ours, e.a, e.b)}
    if batch <= 8:
        forward["kd_trees"] = lambda: both_ways_by_trees(e, e.a, e.b, pairs)
        runs["torch"] = backward(lambda a, b: ours(a, b, "torch"), e.a, e.b)
        runs["loop"] = backward(lambda a, b: both_ways_by_cdist(e, a, b, pairs), e.a, e.b)
    if batch == 1:
        error = np.abs(ours(e.a, e.b).sqrt().numpy() - both_ways_by_trees(e, e.a, e.b, pairs)).max()
        report.add("both_ways", "largest difference from the kd-trees", metres=float(error))
    for name, candidates in (("forward", forward), ("forward and backward", runs)):
        ms = in_turns(candidates, args)
        shown = {f"x_over_{k}": ms[k] / ms["ours"] for k in ms if k != "ours"}
        count = len(ours(e.a, e.b))
        report.add("both_ways", f"batch {batch}, {name}", answers=count, ours_ms=ms["ours"], **shown)


def both_ways_table(report: Report, args: argparse.Namespace) -> None:
    print("\nNearest vertices of region pairs both ways, 30 an item")
    for batch in args.batches:
        both_ways_row(report, args, batch)


def matrix_row(report: Report, args: argparse.Namespace, batch: int) -> None:
    e = embrace(batch)
    runs: dict[str, Callable[[], Any]] = {
        "ours": lambda: g.region_distance_matrix(e.a, e.b, e.regions),
        "ours_5cm": lambda: g.region_distance_matrix(e.a, e.b, e.regions, cutoff=0.05),
    }
    if batch <= 8:
        runs["torch"] = lambda: g.region_distance_matrix(e.a, e.b, e.regions, backend="torch")
    if batch == 1:
        runs["cdist"] = lambda: matrix_by_cdist(e, e.a, e.b)
        runs["kd_trees"] = lambda: matrix_by_trees(e, e.a, e.b)
        ours = g.region_distance_matrix(e.a, e.b, e.regions).distance2.sqrt()
        error = np.abs(ours.numpy() - matrix_by_trees(e, e.a, e.b)).max()
        report.add("matrix", "largest difference from the kd-trees", metres=float(error))
    ms = in_turns(runs, args)
    shown = {f"x_over_{k}": ms[k] / ms["ours"] for k in ms if k != "ours"}
    report.add("matrix", f"batch {batch}", ours_ms=ms["ours"], **shown)


def matrix_table(report: Report, args: argparse.Namespace) -> None:
    print("\nDense 75 x 75 matrix with argmins, forward")
    for batch in args.batches:
        matrix_row(report, args, batch)


def nearest_row(report: Report, args: argparse.Namespace, batch: int) -> None:
    e = embrace(batch)
    t = e.topology

    def ours(e: Embrace = e, t: MeshTopology = t, backend: Any = "auto", cutoff: float | None = None) -> Any:
        return g.nearest_vertex(
            e.a, e.b, cutoff=cutoff, points_topology=t, vertices_topology=t, backend=backend
        )

    runs: dict[str, Callable[[], Any]] = {"ours": ours, "ours_5cm": lambda: ours(cutoff=0.05)}
    if batch <= 8:
        runs["torch"] = lambda: ours(backend="torch")
    if batch == 1:
        runs["no_topology"] = lambda: g.nearest_vertex(e.a, e.b)
        runs["cdist"] = lambda: torch.cdist(e.a, e.b).min(2)
        runs["kd_tree"] = lambda: cKDTree(e.b[0].numpy()).query(e.a[0].numpy())
        runs["kd_tree_all_cores"] = lambda: cKDTree(e.b[0].numpy()).query(e.a[0].numpy(), workers=-1)
    ms = in_turns(runs, args)
    shown = {f"x_over_{k}": ms[k] / ms["ours"] for k in ms if k != "ours"}
    report.add("nearest", f"batch {batch}", ours_ms=ms["ours"], **shown)


def nearest_table(report: Report, args: argparse.Namespace) -> None:
    print("\nNearest vertex, all vertices of a to b, forward")
    for batch in args.batches:
        nearest_row(report, args, batch)


def inside_row(report: Report, args: argparse.Namespace, batch: int) -> None:
    import igl

    e = embrace(batch)
    t = e.topology
    runs: dict[str, Callable[[], Any]] = {
        "ours": lambda: g.inside(e.a, e.b, t, points_topology=t),
        "ours_rays": lambda: g.inside(e.a, e.b, t, points_topology=t, method="rays"),
        "ours_winding_number": lambda: g.winding_number(e.a, e.b, t, points_topology=t),
    }
    if batch == 1:
        points, vertices = e.a[0].double().numpy(), e.b[0].double().numpy()
        faces = t.faces.numpy()
        runs["igl_fast"] = lambda: igl.fast_winding_number(vertices, faces, points)
        runs["igl_exact"] = lambda: igl.winding_number(vertices, faces, points)
    ms = in_turns(runs, args)
    shown = {f"x_over_{k}": ms[k] / ms["ours"] for k in ms if k != "ours"}
    report.add("inside", f"batch {batch}", ours_ms=ms["ours"], **shown)
    if batch == 1:
        surface = {
            "ours": lambda: g.nearest_surface(e.a, e.b, t, points_topology=t),
            "igl": lambda: igl.point_mesh_squared_distance(points, vertices, faces),
        }
        ms = in_turns(surface, args)
        report.add(
            "inside", "nearest surface, batch 1", ours_ms=ms["ours"], x_over_igl=ms["igl"] / ms["ours"]
        )


def inside_table(report: Report, args: argparse.Namespace) -> None:
    import igl

    print("\nInside test at full resolution, and nearest surface point")
    for batch in args.batches:
        inside_row(report, args, batch)

    flips = near = error = 0.0
    e = embrace(1 if args.check else 4 if args.quick else 16)
    for k in range(len(e.a)):
        a, b = e.a[k : k + 1], e.b[k : k + 1]
        exact = igl.winding_number(b[0].double().numpy(), e.topology.faces.numpy(), a[0].double().numpy())
        w = g.winding_number(a, b, e.topology, points_topology=e.topology)[0].numpy()
        flip = (exact > 0.5) != g.inside(a, b, e.topology, points_topology=e.topology)[0].numpy()
        close = g.nearest_surface(a, b, e.topology).distance2[0].sqrt().numpy() < 1e-4
        flips += float((flip & ~close).sum())
        near += float((flip & close).sum())
        error = max(error, float(np.abs(w - exact).max()))
    report.add(
        "inside",
        f"against the exact winding number, {len(e.a)} embraces",
        flips=int(flips),
        flips_within_0_1_mm=int(near),
        largest_error=error,
    )


def penetration_row(report: Report, args: argparse.Namespace, batch: int, proxy: Proxy) -> None:
    e = embrace(batch)
    runs: dict[str, Callable[[], Any]] = {
        "ours": backward(lambda a, b: our_penetration(a, b, e) + our_penetration(b, a, e), e.a, e.b)
    }
    if batch == 1:
        for name, plain in (("plain", plain_penetration), ("careful", careful_penetration)):
            runs[name] = backward(lambda a, b, plain=plain: plain(a, b, proxy) + plain(b, a, proxy), e.a, e.b)
    ms = in_turns(runs, args)
    shown = {f"x_over_{k}_2000_face_proxy": ms[k] / ms["ours"] for k in ms if k != "ours"}
    inside = g.inside(e.a, e.b, e.topology, points_topology=e.topology)
    report.add(
        "penetration", f"batch {batch}", ours_ms=ms["ours"], inside_a_vertex=int(inside[0].sum()), **shown
    )
    if batch == 1:
        peak = peak_megabytes(runs["ours"])
        report.add("penetration", "peak memory over what was held before, one pair", megabytes=peak)


def penetration_table(report: Report, args: argparse.Namespace) -> None:
    print("\nPenetration both ways, forward and backward, full resolution")
    proxy = proxy_of(embrace(1))
    for batch in args.batches:
        penetration_row(report, args, batch, proxy)


def peak_megabytes(call: Callable[[], Any]) -> float:
    """Growth of the process's peak resident memory during a call (Linux)."""
    status, refs = Path("/proc/self/status"), Path("/proc/self/clear_refs")

    def field_of(name: str) -> float:
        line = next(x for x in status.read_text().splitlines() if x.startswith(name))
        return int(line.split()[1]) / 1024

    call()
    try:
        # Give back what the allocator kept, or the call would reuse it unseen.
        ctypes.CDLL(None).malloc_trim(0)
        refs.write_text("5")
    except (OSError, AttributeError):
        return float("nan")
    before = field_of("VmRSS")
    call()
    return field_of("VmHWM") - before


def soft_table(report: Report, args: argparse.Namespace) -> None:
    print("\nSoft minimum, 30 pairs, forward and backward, batch 1")
    e = embrace(1)
    pairs = closest_pairs(e, 30)
    for temperature in (1e-4, 1e-3, 1e-2):

        def value(a: Tensor, b: Tensor, backend: Any, t: float = temperature) -> Tensor:
            return g.region_soft_minimum(a, b, pairs, e.regions, temperature=t, backend=backend)

        runs = {
            "ours": backward(lambda a, b: value(a, b, "auto"), e.a, e.b),
            "reference": backward(lambda a, b: value(a, b, "reference"), e.a, e.b),
        }
        ms = in_turns(runs, args)
        report.add(
            "soft",
            f"T = {temperature:g} m^2",
            ours_ms=ms["ours"],
            x_over_reference=ms["reference"] / ms["ours"],
        )


# ---------------------------------------------------------------- size


def operators(e: Embrace) -> dict[str, Callable[[], Any]]:
    """All operators on one geometry."""
    pairs = closest_pairs(e, 30)
    t = e.topology
    return {
        "sparse 30 pairs": lambda: g.region_min_distance(e.a, e.b, pairs, e.regions),
        "matrix": lambda: g.region_distance_matrix(e.a, e.b, e.regions),
        "nearest vertex": lambda: g.nearest_vertex(e.a, e.b, points_topology=t, vertices_topology=t),
        "nearest surface": lambda: g.nearest_surface(e.a, e.b, t, points_topology=t),
        "inside": lambda: g.inside(e.a, e.b, t, points_topology=t),
        "penetration fwd+bwd": backward(lambda a, b: our_penetration(a, b, e), e.a, e.b),
    }


def size_table(report: Report, args: argparse.Namespace) -> None:
    print("\nCost against batch and mesh size")
    batches = (1, 4, 16, 64, 256)
    if args.quick or args.check:
        batches = (1,) if args.check else (1, 4, 16)
    for batch in batches:
        e = embrace(batch)
        for name, call in operators(e).items():
            ms = in_turns({"x": call}, args, share=0.25)["x"]
            report.add(
                "batch", name, batch=batch, ms=ms, ms_an_item=ms / batch, megabytes=peak_megabytes(call)
            )
    for vertices in (7000,) if args.check else (7000, 13000, 27000):
        e = resized(embrace(1), vertices)
        for name, call in operators(e).items():
            ms = in_turns({"x": call}, args, share=0.25)["x"]
            report.add("size", name, vertices=e.a.shape[1], ms=ms, megabytes=peak_megabytes(call))


def plot(report: Report, path: Path) -> None:
    """Cost against batch and mesh size as a picture, where matplotlib is at hand."""
    try:
        import matplotlib
    except ImportError:
        print("matplotlib is not installed: no plot (pip install matplotlib)")
        return
    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(2, 2, figsize=(10, 7), sharex="col")
    labels = {"ms": "milliseconds", "megabytes": "megabytes beyond inputs"}
    for column, (table, x) in enumerate((("batch", "batch"), ("size", "vertices"))):
        rows = [r for r in report.rows if r["table"] == table]
        for row, (y, label) in enumerate(labels.items()):
            axis = axes[row, column]
            for name in dict.fromkeys(r["name"] for r in rows):
                mine = [r for r in rows if r["name"] == name]
                axis.plot([r[x] for r in mine], [max(r[y], 0.1) for r in mine], marker="o", label=name)
            axis.set_xscale("log")
            axis.set_yscale("log")
            axis.set_ylabel(label)
            axis.grid(True, which="both", alpha=0.3)
        axis.set_xlabel("pairs of bodies in a batch" if x == "batch" else "vertices of a body, one pair")
    axes[0, 0].legend(fontsize=7)
    figure.tight_layout()
    figure.savefig(path)


# ---------------------------------------------------------------- the machine's limits


def limit_table(report: Report, args: argparse.Namespace) -> None:
    """Measured multiply-adds and bytes a second of one thread, and what share of them the operators reach."""
    from kernels_limits import counted_work, peak_copy, peak_multiply_add

    print("\nThe machine's limits, one thread, and each operator's share")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        flops, copy = peak_multiply_add(), peak_copy()
        report.add("limits", "multiply-add, 16 float32 lanes", gflops=flops / 1e9)
        report.add("limits", "memory copy, read and written", gbytes_a_second=copy / 1e9)
        e = embrace(1)
        calls = operators(e)
        for name, (work, moved) in counted_work(e, closest_pairs(e, 30)).items():
            ms = in_turns({"x": calls[name]}, args)["x"]
            report.add(
                "limits",
                name,
                ms=ms,
                needed_gflop=work / 1e9,
                share_of_arithmetic=work / flops / (ms / 1e3),
                share_of_memory=moved / copy / (ms / 1e3),
            )
    finally:
        torch.set_num_threads(before)


def machine() -> dict[str, Any]:
    name = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        name = next(
            (x.split(":")[1].strip() for x in info.read_text().splitlines() if "model name" in x), name
        )
    import numba

    return {
        "date": datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "processor": name,
        "torch_threads": torch.get_num_threads(),
        "load_average": [round(x, 1) for x in os.getloadavg()],
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numba": numba.__version__,
        "numpy": np.__version__,
    }


TITLES = {
    "sparse": "Sparse region pairs, 30 an item, forward and backward",
    "both_ways": "Nearest vertices of region pairs both ways (what a chamfer adds up), 30 an item",
    "matrix": "Dense 75 x 75 matrix with argmins, forward",
    "nearest": "Nearest vertex, all vertices of a to b, forward",
    "inside": "Inside test at full resolution, and nearest surface point",
    "penetration": "Penetration both ways, forward and backward, full resolution",
    "soft": "Soft minimum, 30 pairs, forward and backward, batch 1",
    "limits": "The machine's limits, one thread, and each operator's share (multiply-adds fused; "
    "kernels that match the reference's bits do not fuse and can reach half; needed_gflop is what pruning by "
    "boxes cannot avoid, so the shares are lower bounds)",
    "batch": "Cost against batch size (megabytes: peak over what was held before)",
    "size": "Cost against mesh size, one pair",
    "cuda_same": "On a GPU against the cpu back end (soft minimum, winding number: equal to rounding)",
    "cuda_limits": "Limits of the GPU, measured",
    "cuda": "Triton kernels, forward unless said, by CUDA events (megabytes: peak over what was held before)",
    "cuda_size": "Triton kernels against mesh size, one pair",
    "cuda_kernels": "Milliseconds that the GPU is busy (torch profiler): all kernels of a call, the longest",
}


def markdown(rows: list[dict[str, Any]], about: dict[str, Any]) -> str:
    """Return the tables as a page: ``x_over_y`` is how many times longer y takes than ours."""

    def text(value: Any) -> str:
        return f"{value:.3g}" if isinstance(value, float) else str(value)

    lines = [
        "# Kernels",
        "",
        "Written by `benchmarks/kernels.py`. `x_over_y`: how many times longer y takes.",
        "",
    ]
    lines += [", ".join(f"{k.replace('_', ' ')} {v}" for k, v in about.items()), ""]
    for table in dict.fromkeys(r["table"] for r in rows):
        lines += [f"## {TITLES[table]}", ""]
        mine = [r for r in rows if r["table"] == table]
        for columns in dict.fromkeys(tuple(k for k in r if k != "table") for r in mine):
            lines += ["| " + " | ".join(columns) + " |", "|" + " --- |" * len(columns)]
            for r in mine:
                if tuple(k for k in r if k != "table") == columns:
                    lines.append("| " + " | ".join(text(r[k]) for k in columns) + " |")
            lines.append("")
    return "\n".join(lines)


TABLES = {
    "sparse": sparse_table,
    "both_ways": both_ways_table,
    "matrix": matrix_table,
    "nearest": nearest_table,
    "inside": inside_table,
    "penetration": penetration_table,
    "soft": soft_table,
    "limits": limit_table,
    "size": size_table,
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--tables", nargs="*", choices=list(TABLES), default=list(TABLES))
    parser.add_argument("--threads", type=int, default=None, help="torch's number of threads")
    parser.add_argument("--clock", choices=tuple(CLOCKS), default="wall")
    parser.add_argument("--batches", type=int, nargs="*", default=None)
    add_check(parser)
    args = parser.parse_args()
    if args.device == "cuda" and not torch.cuda.is_available():
        not_run("there is no GPU that torch reaches")
    args.rounds, args.budget = (5, 4.0) if args.quick else (15, 8.0)
    args.batches = args.batches or ([1, 8] if args.quick else [1, 8, 64])
    if args.check:
        args.rounds, args.budget, args.batches = 1, 0.0, [1]
    if args.threads:
        torch.set_num_threads(args.threads)
    report, about = Report(), {**machine(), "clock": args.clock}
    label = f"_{args.threads}_threads" if args.threads else ""
    out = RESULTS / f"kernels_{args.device}{label}{'_quick' if args.quick else ''}.md"

    def write() -> None:
        if not args.check:
            RESULTS.mkdir(exist_ok=True)
            out.write_text(markdown(report.rows, about))

    print(json.dumps(about))
    if args.device == "cuda":
        import triton

        about |= {"gpu": torch.cuda.get_device_name(), "triton": triton.__version__}
        from kernels_cuda import cuda_table

        warmup("cuda", "cuda")
        cuda_table(report, args.batches, write)
    else:
        warmup()
        for name in args.tables:
            TABLES[name](report, args)
    write()
    if args.check:
        print(markdown(report.rows, about))
        return
    if args.device == "cpu" and "size" in args.tables and not args.quick:
        plot(report, RESULTS.parents[1] / "docs" / "images" / "kernels_size.svg")
    print("written:", out.name)


if __name__ == "__main__":
    main()
