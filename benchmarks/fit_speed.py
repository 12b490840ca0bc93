"""How fast scenes are fitted, where the time goes, and that a batch is as good as scenes one by one.

    python benchmarks/fit_speed.py [--presets best paper] [--batches 1 2 ... 64] [--device cuda] [--write]
    python benchmarks/fit_speed.py --quick     # --check: seconds, and no figure means anything

First table: pairs a minute (by the clock, and by that of the processor, which other jobs slow down less),
peak memory and accuracy for each batch size. Second table: milliseconds of an iteration by part, for each
batch size. A part is timed alone, on the states that a fit of that batch really visits, with the gradient
that belongs to it: autograd nodes count for the part that made them.
"""

from __future__ import annotations

import argparse
import platform
import resource
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from fit_scenes import demo_variations
from short_form import add_check, shortened
from torch import Tensor

from apu_losses.bodies.protocol import PosedBody
from apu_losses.fitting import FitProgress, FitResult, Preset, Scene, SceneFitter, load_preset
from apu_losses.fitting.objective.residuals import curvature
from apu_losses.fitting.objective.state import FitState
from apu_losses.fitting.solve.group import weighted_terms

RESULTS = Path(__file__).resolve().parent / "results"
SHARED = ("posing", "skinning for searches")
"""Parts that several terms use."""


def synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


class Stopwatch:
    """Seconds by part; a part inside another stops the outer one's clock."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.seconds: dict[str, float] = defaultdict(float)
        self.made: list[tuple[int, int, str]] = []  # autograd sequence numbers of each part, inner ones first
        self._running: list[str] = []
        self._since = 0.0

    def _switch(self) -> None:
        synchronize(self.device)
        now = time.perf_counter()
        if self._running:
            self.seconds[self._running[-1]] += now - self._since
        self._since = now

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        self._switch()
        first = sequence_number()
        self._running.append(name)
        try:
            yield
        finally:
            self._switch()
            self._running.pop()
            self.made.append((first, sequence_number(), name))

    def owner(self, node: Any) -> str:
        number = node._sequence_nr()
        return next((name for first, last, name in self.made if first <= number < last), "the rest")

    def backward(self, loss: Tensor) -> None:
        """Run the backward pass of ``loss``, each of its nodes on the clock of its part."""
        began: dict[Any, float] = {}

        def start(node: Any) -> Callable[[Any], None]:
            def hook(_: Any) -> None:
                synchronize(self.device)
                began[node] = time.perf_counter()

            return hook

        def stop(node: Any, name: str) -> Callable[[Any, Any], None]:
            def hook(_: Any, __: Any) -> None:
                synchronize(self.device)
                self.seconds[name] += time.perf_counter() - began[node]

            return hook

        seen, waiting = set(), [loss.grad_fn]
        while waiting:
            node = waiting.pop()
            if node is None or node in seen:
                continue
            seen.add(node)
            waiting += [parent for parent, _ in node.next_functions]
            node.register_prehook(start(node))
            node.register_hook(stop(node, self.owner(node)))
        loss.backward()


def sequence_number() -> int:
    """Return the number that autograd gives to the next operation."""
    with torch.enable_grad():
        return int((torch.zeros((), requires_grad=True) * 1).grad_fn._sequence_nr())  # type: ignore[union-attr]


class TimedState(FitState):
    """A state whose shared parts are on the clock."""

    clock: Stopwatch

    @cached_property
    def posed(self) -> PosedBody:
        with self.clock.part(SHARED[0]):
            return self.body.pose(self.params)

    @cached_property
    def vertices(self) -> Tensor:
        posed = self.posed
        with self.clock.part(SHARED[1]), torch.no_grad():
            return posed.vertices()


class IterationProfile:
    """A callback that does every n-th iteration once more, on the clock."""

    def __init__(self, fitter: SceneFitter, every: int) -> None:
        self.fitter = fitter
        self.every = every
        self.stages = {stage.name: stage for stage in fitter.preset.stages}
        self.milliseconds: dict[tuple[str, str], list[float]] = defaultdict(list)
        self.scenes: dict[str, list[int]] = defaultdict(list)
        self.iterations: dict[str, int] = defaultdict(int)

    def __call__(self, event: FitProgress) -> None:
        self.iterations[event.stage] += 1
        every = max(1, min(self.every, event.max_iterations // 5))
        if event.iteration % every != every - 1:
            return
        live, geometry, stage = event.state, self.fitter.geometry, self.stages[event.stage]
        params = {k: v.detach().clone().requires_grad_(v.requires_grad) for k, v in live.params.items()}
        state = TimedState(
            live.body, geometry.regions, geometry.topology, live.batch, params, live.start, live.reference
        )
        state.clock = clock = Stopwatch(self.fitter.device)
        loss = live.batch.keypoints.new_zeros(())
        weighted = weighted_terms(stage, self.fitter.terms)
        for name, term, weight in weighted:
            with clock.part(name):
                loss = loss + weight * term(state).sum()
        clock.backward(loss)
        if stage.optimizer == "levenberg_marquardt":
            names = [n for n in (*stage.free, *stage.free_where_seen) if params[n].requires_grad]
            moving = torch.ones_like(torch.cat([params[name].detach() for name in names], 1))
            with clock.part("curvature"):
                found = curvature(weighted, state, names, moving)
            with clock.part("step"):
                damping = moving.new_full((live.batch.size,), stage.damping).double()
                found.step(moving, damping, live.batch.row_scene)
        for name, seconds in clock.seconds.items():
            self.milliseconds[event.stage, name].append(1e3 * seconds)
        self.scenes[event.stage].append(live.batch.size)

    def means(self, stage: str) -> dict[str, float]:
        """Milliseconds by part, mean over the iterations that were timed; the first is warming up."""
        return {
            name: float(np.mean(values[1:] or values))
            for (of, name), values in self.milliseconds.items()
            if of == stage
        }

    def shares(self) -> dict[str, float]:
        """Percent of the time of all iterations of all stages, by part."""
        total: dict[str, float] = defaultdict(float)
        for stage, count in self.iterations.items():
            for name, milliseconds in self.means(stage).items():
                total[name] += count * milliseconds
        return {name: 100 * value / sum(total.values()) for name, value in total.items()}


@dataclass(frozen=True)
class Run:
    """One batch size of one preset."""

    batch: int
    results: list[FitResult]
    seconds: float
    processor_seconds: float
    gigabytes: float
    profile: IterationProfile


def measure(preset: Preset, scenes: list[Scene], batch: int, device: str, every: int) -> Run:
    """Fit the scenes for the clock, then the first batch again for the profile."""
    fitter = SceneFitter(preset=preset, device=device, batch_size=batch)
    forget_peak(device)
    synchronize(fitter.device)
    began, began_processor = time.perf_counter(), time.process_time()
    results = fitter.fit(scenes)
    synchronize(fitter.device)
    seconds, processor_seconds = time.perf_counter() - began, time.process_time() - began_processor
    gigabytes = peak_gigabytes(device)
    profile = IterationProfile(fitter, every)
    fitter.fit(scenes[:batch], callback=profile)
    return Run(batch, results, seconds, processor_seconds, gigabytes, profile)


def forget_peak(device: str) -> None:
    """Start to measure peak memory anew; on a system that cannot, the peak is that of the whole process."""
    if device.startswith("cuda"):
        torch.cuda.reset_peak_memory_stats()
        return
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def peak_gigabytes(device: str) -> float:
    if device.startswith("cuda"):
        return torch.cuda.max_memory_allocated() / 2**30
    try:
        status = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) / 2**20
    except OSError:
        unit = 2**30 if platform.system() == "Darwin" else 2**20
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def accuracy(results: list[FitResult]) -> tuple[float, float, float]:
    """Mean keypoint error (pixels at 512 scale), mean contact distance (cm), mean loss at the end."""
    error = np.concatenate([r.after.confident_keypoint_error for r in results])
    distance = np.concatenate([r.after.contact_distance for r in results])
    return (
        float(np.nanmean(error)),
        100 * float(distance.mean()),
        float(np.mean([r.stages[-1].loss for r in results])),
    )


def speed_table(runs: list[Run], compared: int) -> str:
    """Pairs a minute, memory, and accuracy on the scenes that every run fitted."""
    lines = [
        "| batch | scenes | pairs/min | pairs/CPU min | ms a scene's iteration | peak GB | keypoint px "
        "| contact cm | loss |",
        "|" + " ---: |" * 9,
    ]
    for run in runs:
        iterations = sum(r.iterations for r in run.results)
        error, distance, loss = accuracy(run.results[:compared])
        lines.append(
            f"| {run.batch} | {len(run.results)} | {60 * len(run.results) / run.seconds:.1f} "
            f"| {60 * len(run.results) / run.processor_seconds:.1f} "
            f"| {1e3 * run.seconds / iterations:.1f} | {run.gigabytes:.2f} "
            f"| {error:.2f} | {distance:.2f} | {loss:.0f} |"
        )
    return "\n".join(lines)


def parts_table(runs: list[Run], stage: str) -> str:
    """Milliseconds of an iteration by part, with its share, one column a batch size."""
    means = [run.profile.means(stage) for run in runs]
    names = sorted({name for m in means for name in m}, key=lambda n: -means[-1].get(n, 0.0))
    scenes = [np.mean(run.profile.scenes[stage]) for run in runs]
    lines = [
        "| part | " + " | ".join(f"batch {run.batch}" for run in runs) + " |",
        "| --- |" + " ---: |" * len(runs),
    ]
    totals = [sum(m.values()) for m in means]
    for name in names:
        cells = [
            f"{m.get(name, 0.0):.2f} ({100 * m.get(name, 0.0) / t:.0f} %)"
            for m, t in zip(means, totals, strict=True)
        ]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    lines.append("| all | " + " | ".join(f"{t:.2f}" for t in totals) + " |")
    lines.append("| scenes in the batch, mean | " + " | ".join(f"{n:.1f}" for n in scenes) + " |")
    return "\n".join(lines)


def shares_table(runs: list[Run]) -> str:
    """Return what share of the whole fit each part takes, one column a batch size."""
    shares = [run.profile.shares() for run in runs]
    names = sorted({name for found in shares for name in found}, key=lambda n: -shares[-1].get(n, 0.0))
    lines = [
        "| part | " + " | ".join(f"batch {run.batch}" for run in runs) + " |",
        "| --- |" + " ---: |" * len(runs),
    ]
    lines += [
        f"| {name} | " + " | ".join(f"{found.get(name, 0.0):.1f} %" for found in shares) + " |"
        for name in names
    ]
    return "\n".join(lines)


def report(preset: Preset, batches: list[int], least: int, device: str, every: int) -> str:
    """Both tables of one preset; each batch size is timed on at least ``least`` scenes."""
    scenes = demo_variations(max(*batches, least))
    SceneFitter(preset=shortened(preset, 3), device=device).fit(scenes[:1])  # compiles kernels
    runs = [measure(preset, scenes[: max(b, least)], b, device, every) for b in batches]
    reasons = sorted({stage.reason for run in runs for r in run.results for stage in r.stages})
    text = [
        f"## Preset `{preset.name}`",
        speed_table(runs, least),
        f"Accuracy is that of the first {least} scenes, which every batch size fitted. "
        f"Stages ended with: {', '.join(reasons)}.",
    ]
    for stage in preset.stages:
        text += [f'Milliseconds of an iteration in the stage "{stage.name}":', parts_table(runs, stage.name)]
    text += ["Share of all iterations of the fit:", shares_table(runs)]
    return "\n\n".join(text)


def machine(device: str) -> str:
    """Where and with what this was measured."""
    name = torch.cuda.get_device_name() if device.startswith("cuda") else platform.machine()
    return f"{date.today()}; {name}, {torch.get_num_threads()} threads, torch {torch.__version__}."


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--presets", nargs="+", default=["best", "paper"])
    parser.add_argument("--batches", nargs="+", type=int, default=[1, 2, 4, 8, 16, 32, 64])
    parser.add_argument("--scenes", type=int, default=8, help="scenes that every batch size fits, at least")
    parser.add_argument("--every", type=int, default=10, help="iterations between two that are taken apart")
    parser.add_argument("--device", default="cpu")
    parser.add_argument(
        "--quick", action="store_true", help="`best` at batches 1 and 4, 20 iterations a stage"
    )
    parser.add_argument("--write", action="store_true", help="write the report into benchmarks/results")
    add_check(parser)
    arguments = parser.parse_args()
    presets = [load_preset(name) for name in arguments.presets]
    batches, least = sorted(arguments.batches), arguments.scenes
    if arguments.quick:
        presets, batches, least = [shortened(load_preset("best"), 20)], [1, 4], 2
    if arguments.check:
        presets = [shortened(preset, 2) for preset in presets]
        batches, least, arguments.every, arguments.write = [1, 2], 2, 1, False
    parts = [report(preset, batches, least, arguments.device, arguments.every) for preset in presets]
    text = "\n\n".join(["# Speed of the fitter", machine(arguments.device), *parts]) + "\n"
    print(text)
    if arguments.write:
        kind = arguments.device.split(":")[0]
        (RESULTS / ("fit_speed.md" if kind == "cpu" else f"fit_speed_{kind}.md")).write_text(text)


if __name__ == "__main__":
    main()
