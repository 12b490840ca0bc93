"""What a call of a loss costs beside the search that it is made of: eager code, one thread.

    python benchmarks/overhead.py                # the table
    python benchmarks/overhead.py --write        # also to benchmarks/results/overhead.md
    python benchmarks/overhead.py --check        # seconds: everything once, figures mean nothing

Embracing pairs of the free body, the 30 nearest region pairs of each. All rows of a batch size take turns
within a round, so that other load on the machine falls on all; a figure is the least of many rounds, which
other load disturbs least.
``search alone`` is the compiled search by itself, as the general way calls it; ``40-vertex sample`` is the
inexact loss that one would write in plain PyTorch (of 40 drawn vertices a region). Times are of the process,
so that what others do on the machine is not counted.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from kernels import machine
from kernels_peers import Embrace, closest_pairs, embrace, sampled_chamfer, sampled_vertices
from short_form import add_check, not_run
from torch import Tensor

import apu_contacts as ac
import apu_losses as al
from apu_losses import geometry as g
from apu_losses.geometry.dispatch import cpu_problem, load_backend
from apu_losses.geometry.requests import Bodies, Ends, RegionSearch

RESULT = Path(__file__).resolve().parent / "results" / "overhead.md"
SAMPLE, CONTACT = "40-vertex sample", "contact, pairs"
CLOCK = time.process_time  # what others do on the machine is not counted
Loss = Callable[[Tensor, Tensor], Tensor]


@dataclass
class Times:
    """Milliseconds of a forward call, of a backward call, and of both, round by round."""

    forward: list[float]
    backward: list[float]
    both: list[float]

    def least(self) -> tuple[float, float, float]:
        """Of each column."""
        return min(self.forward), min(self.backward), min(self.both)


def maps_of(e: Embrace, pairs: g.RegionPairs, grouped: bool) -> list[ac.ContactMap]:
    """Return a map of 30 region pairs for each item; ``grouped``: as ten contacts between unions of
    regions.
    """
    found = []
    for item in range(len(e.a)):
        mine = pairs.row_a == item
        listed = torch.stack([pairs.group_a[mine], pairs.group_b[mine]], 1).tolist()
        groups = [k // 3 for k in range(len(listed))] if grouped else None
        found.append(ac.ContactMap(listed, [1.0] * len(listed), groups))
    return found


def losses_of(e: Embrace) -> dict[str, Loss]:
    """Each loss as a user calls it, with everything laid out that a loop lays out once."""
    pairs, samples, batch = closest_pairs(e, 30), sampled_vertices(e.regions), len(e.a)
    by_pairs, by_parts = maps_of(e, pairs, False), maps_of(e, pairs, True)
    contact = {over: al.SoftContactLoss(e.regions, over=over) for over in ("pairs", "parts")}  # type: ignore[arg-type]
    faces, rest = e.topology.faces, e.a[0]
    penetration, nearest = (
        al.PenetrationLoss(faces, template=rest),
        al.MinimumDistanceLoss(faces, template=rest),
    )
    return {
        CONTACT: lambda a, b: contact["pairs"](a, b, by_pairs),
        "contact, parts": lambda a, b: contact["parts"](a, b, by_parts),
        "penetration": penetration,
        "minimum distance": nearest,
        SAMPLE: lambda a, b: sampled_chamfer(a, b, pairs, samples, batch),
    }


def kernel_alone(e: Embrace) -> Callable[[], Any]:
    """Return the search of the contact loss by itself."""
    pairs, cpu, layout = closest_pairs(e, 30), load_backend("cpu"), e.regions.layout
    ends = (Ends(pairs.row_a, pairs.group_a, layout), Ends(pairs.row_b, pairs.group_b, layout))
    search = RegionSearch(Bodies(e.a, e.b), *ends, None)
    return lambda: cpu.region_min(search)


def once(loss: Loss, a: Tensor, b: Tensor) -> tuple[float, float, float]:
    """Milliseconds of one call."""
    first, second = a.clone().requires_grad_(), b.clone().requires_grad_()
    begin = CLOCK()
    value = loss(first, second).sum()
    middle = CLOCK()
    torch.autograd.grad(value, (first, second))
    end = CLOCK()
    return 1e3 * (middle - begin), 1e3 * (end - middle), 1e3 * (end - begin)


def measured(batch: int, rounds: int, seconds: float) -> dict[str, tuple[float, float, float]]:
    """Return the least times of every row of a batch size."""
    e = embrace(batch)
    losses, kernel = losses_of(e), kernel_alone(e)
    times = {name: Times([], [], []) for name in ("kernel", *losses)}
    spent = dict.fromkeys(times, 0.0)
    for turn in range(rounds + 1):
        for name in times:
            if turn > 1 and spent[name] > seconds:
                continue
            if name == "kernel":
                begin = CLOCK()
                kernel()
                row = (1e3 * (CLOCK() - begin), float("nan"), float("nan"))
            else:
                row = once(losses[name], e.a, e.b)
            spent[name] += (row[0] if name == "kernel" else row[2]) / 1e3
            if turn:  # the first call lays out, compiles or loads
                for column, value in zip(vars(times[name]).values(), row, strict=True):
                    column.append(value)
    return {name: each.least() for name, each in times.items()}


def table(batch: int, least: dict[str, tuple[float, float, float]]) -> list[str]:
    """Rows of a Markdown table."""
    kernel, sample = least["kernel"][0], least[SAMPLE][2]
    lines = [
        f"## Batch {batch}",
        "",
        "| | forward, ms | backward, ms | both, ms | both / search | both / sample |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for name, (forward, backward, both) in least.items():
        if name == "kernel":
            lines.append(f"| search alone | {forward:.3f} | | | | |")
        else:
            lines.append(
                f"| {name} | {forward:.3f} | {backward:.3f} | {both:.3f} | {both / kernel:.1f} "
                f"| {both / sample:.2f} |"
            )
    return [*lines, ""]


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, and write where asked."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--batches", type=int, nargs="*", default=[1, 4, 16, 64])
    parser.add_argument("--rounds", type=int, default=400)
    parser.add_argument("--seconds", type=float, default=5.0, help="of each row at most")
    parser.add_argument("--write", action="store_true", help=f"to benchmarks/results/{RESULT.name}")
    add_check(parser)
    args = parser.parse_args(arguments)
    problem = cpu_problem()
    if problem:
        not_run(problem)
    if args.check:
        args.batches, args.rounds, args.seconds = [1], 1, 0.0
    torch.set_num_threads(1)
    lines = ["# What a call of a loss costs beside its search", ""]
    lines += ["Written by `benchmarks/overhead.py`; least milliseconds of the process, one thread.", ""]
    lines += [", ".join(f"{k.replace('_', ' ')} {v}" for k, v in machine().items()), ""]
    for batch in args.batches:
        lines += table(batch, measured(batch, args.rounds, args.seconds))
    print("\n".join(lines))
    if args.write and not args.check:
        RESULT.write_text("\n".join(lines))


if __name__ == "__main__":
    main()
