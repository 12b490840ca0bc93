"""The method table: every method of the paper's Tables 2 and 3 on synthetic scenes with known truth.

    python benchmarks/run_method_table.py --quick                 # 3 minutes: one scene a type
    python benchmarks/run_method_table.py --jobs 2 --write        # an hour on two cores; resumes
    python benchmarks/run_method_table.py --only main ablations   # some of the tables
    python benchmarks/run_method_table.py --split development     # what parameters may be tuned on
    python benchmarks/run_method_table.py --split measured_salsa --only main   # people of motion capture

Scores lie in --cache, a block of scenes of a method to a file: a run that was cut off goes on there. A change
of a preset, a dial, the seed or the scenes makes other files; after a change of the code, use another folder.
"""

from __future__ import annotations

import argparse
import os
import platform
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

import numpy as np
import torch
from method_table import (
    ContactSource,
    Method,
    MethodRunner,
    SceneScores,
    Trace,
    ablation_rows,
    estimator_rows,
    keypoint_rows,
    main_rows,
    preset_rows,
    spread_over_types,
    sweep_rows,
    trace,
)
from method_table.limits import limits, limits_table, methods_of
from method_table.report import (
    main_report,
    markdown,
    mean_table,
    number,
    stopping_table,
    with_interval,
)
from method_table.statistics import difference, mean_of
from short_form import add_check, shortened

from apu_losses.fitting import Preset, load_preset
from apu_losses.synthetic import (
    DEVELOPMENT_TYPES,
    ESTIMATORS,
    HELD_OUT_TYPES,
    TruthScene,
    load_truth_scenes,
    measured_scenes,
)

HERE = Path(__file__).resolve().parent
MOCAP = HERE.parents[1] / "shared" / "mocap" / "two_person_mocap.npz"
SPLITS = {
    "held_out": "Synthetic scenes with known truth",
    "development": "Synthetic scenes with known truth",
    "measured_salsa": "Measured poses of one couple dancing salsa, contacts closed by geometry",
    "measured_others": "Measured poses of three other pairs, contacts closed by geometry",
}
TABLES = (
    "main",
    "chirality",
    "ablations",
    "sweep",
    "convergence",
    "presets",
    "starts",
    "estimators",
    "limits",
)
QUALITIES = (0.0, 0.5, 1.5, 2.0, 3.0, 4.0)
PRESETS = ("paper", "flickr_fits", "heuristic", "no_contact")
OURS = ContactSource("answer")
Scores = dict[str, list[SceneScores]]


@dataclass
class Bench:
    """What all tables share."""

    runner: MethodRunner
    preset: Preset
    jobs: int
    began: float
    iterations: int | None = None
    """At most so many in a stage of any preset, for the short form."""

    def run(self, methods: Sequence[Method], scenes: int | None = None) -> Scores:
        """Scores of the first ``scenes`` scenes; whole blocks, so that tables share what is kept."""
        runner = self.runner
        if scenes is not None:
            chosen = runner.scenes[: -(-scenes // runner.block) * runner.block]
            runner = MethodRunner(
                chosen, runner.cache, block=runner.block, seed=runner.seed, device=runner.device
            )
        return runner.run(methods, jobs=self.jobs, tell=self.tell)

    def tell(self, line: str) -> None:
        print(f"{time.perf_counter() - self.began:7.0f} s  {line}", flush=True)


def main_part(bench: Bench) -> str:
    """All scenes, the kept ones, the margins, by type."""
    methods = main_rows(bench.preset, OURS)
    return main_report(methods, bench.run(methods), bench.preset.filter_pixels)


def starts_part(bench: Bench, scenes: int) -> str:
    """Keypoints alone beside the estimator: the start, and the fits without contact and to automatic maps."""
    methods = keypoint_rows(bench.preset, OURS)
    scores = bench.run(methods, scenes)
    count = len(scores["automatic"])
    return f"## Starts\n\nThe first {count} scenes, every type about equally often.\n\n" + mean_table(
        methods, scores, compared="automatic"
    )


def estimators_part(bench: Bench, scenes: int) -> str:
    """Return what contacts are worth from starts of several qualities."""
    methods = estimator_rows(bench.preset, OURS, ESTIMATORS)
    scores = bench.run(methods, scenes)
    rows = []
    for error in ESTIMATORS:
        own = {key: scores[f"{key}_{error}"] for key in ("initial", "no_contact", "automatic", "truth")}
        row = [f"{error} mm", *(number(1000 * mean_of(s, "joint_pa").mean, 1) for s in own.values())]
        for key in ("no_contact", "automatic", "truth"):
            row.append(with_interval(difference(own[key], own["initial"], "joint_pa"), 1000, 1))
        for key in ("automatic", "truth"):
            row.append(with_interval(difference(own[key], own["no_contact"], "joint_pa"), 1000, 1))
        row += [number(100 * mean_of(own[key], "true_contact").mean, 1) for key in own]
        rows.append(row)
    names = ("start", "without contact", "automatic", "true maps")
    head = ["start", *(f"{name}, mm" for name in names), *(f"{name} to start, mm" for name in names[1:])]
    head += [f"{name} to without, mm" for name in names[2:]]
    head += [f"{name}: true contacts apart, cm" for name in names]
    count = len(scores["initial_130"])
    return (
        f"## Starts of several qualities\n\nThe first {count} scenes; joint PA-MPJPE. The errors of the "
        f"simulated estimator are scaled as a whole (`synthetic.ESTIMATORS`).\n\n{markdown(head, rows)}"
    )


def limits_part(bench: Bench, scenes: int) -> str:
    """Return what one true thing at a time is worth to the fit to an answer."""
    rows = limits(OURS)
    scores = bench.run(methods_of(bench.preset, rows), scenes)
    count = len(scores["as_is"])
    return f"## What limits contacts\n\nThe first {count} scenes.\n\n{limits_table(rows, scores)}"


def ablation_part(bench: Bench, scenes: int) -> str:
    """One choice changed at a time, each compared with the automatic maps as they are."""
    ours = next(m for m in main_rows(bench.preset, OURS) if m.key == "automatic")
    methods = [ours, *ablation_rows(bench.preset, OURS)]
    scores = bench.run(methods, scenes)
    count = len(scores["automatic"])
    return f"## Ablations\n\nThe first {count} scenes, every type about equally often.\n\n" + mean_table(
        methods, scores, compared="automatic"
    )


def sweep_part(bench: Bench, scenes: int) -> str:
    """From which quality of the annotator on contact helps."""
    main = {m.key: m for m in main_rows(bench.preset, OURS)}
    methods = [
        main["no_contact"],
        main["automatic"],
        main["truth"],
        *sweep_rows(bench.preset, OURS, QUALITIES),
    ]
    scores = bench.run(methods, scenes)
    rows = []
    for factor in sorted({1.0, *QUALITIES}):
        own = scores["automatic" if factor == 1 else f"annotator_{factor:g}"]
        noise = OURS.annotator.scaled(factor)
        apart = difference(own, scores["no_contact"], "joint_pa")
        rows.append(
            [
                f"{factor:g}",
                *(f"{v:.2f}" for v in (noise.missed, noise.invented, noise.neighbour, noise.flipped)),
                with_interval(mean_of(own, "joint_pa"), 1000, 1),
                with_interval(apart, 1000, 1),
                number(100 * mean_of(own, "true_contact").mean, 1),
                "helps" if apart.high < 0 else "harms" if apart.low > 0 else "not separated",
            ]
        )
    rows.append(["truth", "0", "0", "0", "0", with_interval(mean_of(scores["truth"], "joint_pa"), 1000, 1),
                 with_interval(difference(scores["truth"], scores["no_contact"], "joint_pa"), 1000, 1),
                 number(100 * mean_of(scores["truth"], "true_contact").mean, 1), ""])  # fmt: skip
    head = [
        "errors x",
        "missed",
        "invented",
        "neighbour",
        "flipped",
        "joint PA-MPJPE, mm",
        "to no contact, mm",
    ]
    table = markdown([*head, "true contacts apart, cm", "contact"], rows)
    count = len(scores["automatic"])
    return f"## How good the annotator has to be\n\nThe first {count} scenes.\n\n{table}"


def chirality_part(bench: Bench, scenes: int) -> str:
    """Return what repairing the sides is worth at several rates of flipped sides, and the most that it could
    be.
    """
    main = {m.key: m for m in main_rows(bench.preset, OURS)}
    rows = []
    for rate in (0.0, 0.3, 0.8):
        noise = replace(OURS.annotator, flipped=rate, flipped_alone=rate / 3)
        methods = [
            replace(
                main["automatic"],
                key=f"flips_{rate:g}_{sides.replace(' ', '_')}",
                label=sides,
                contacts=replace(OURS, sides=sides, annotator=noise),
            )
            for sides in ("as told", "paper", "posterior", "as meant")
        ]
        scores = list(bench.run(methods, scenes).values())
        row = [f"{rate:g}"]
        row += [number(1000 * mean_of(own, "joint_pa").mean, 1) for own in scores]
        row += [with_interval(difference(scores[0], own, "joint_pa"), 1000, 1) for own in scores[1:]]
        rows.append(row)
    names = ("paper's rule", "posterior", "sides as meant")
    head = ["flip rate", "as told", *names, *(f"worth, mm: {name}" for name in names)]
    return (
        f"## Repairing the sides\n\nThe first {scenes} scenes; joint PA-MPJPE, mm. *Sides as meant* is the "
        f"same answer without its flips: the ceiling of any repair.\n\n{markdown(head, rows)}"
    )


def preset_part(bench: Bench, scenes: int) -> str:
    """Every preset on the same automatic maps, with the iterations that it comes with."""
    best = next(m for m in main_rows(bench.preset, OURS) if m.key == "automatic")
    # the weights of the other presets are those of a model's answers already
    others = preset_rows(replace(OURS, trust=1.0), PRESETS)
    if bench.iterations is not None:
        others = [replace(m, preset=m.preset and shortened(m.preset, bench.iterations)) for m in others]
    methods = [replace(best, label=f"preset {bench.preset.name}"), *others]
    scores = bench.run(methods, scenes)
    count = len(scores["automatic"])
    text = (
        f"## Presets\n\nThe first {count} scenes; each preset with its own iterations and stopping rules.\n\n"
    )
    return text + mean_table(methods, scores, compared="automatic") + "\n\n" + stopping_table(methods, scores)


def convergence_part(bench: Bench) -> tuple[str, dict[str, Trace]]:
    """Return the rows of the main table with twice the iterations and no stopping rule."""
    methods = [m for m in main_rows(bench.preset, OURS) if m.preset is not None]
    traces = {}
    for method in methods:
        traces[method.label] = trace(bench.runner, method, every=4)
        bench.tell(f"convergence: {method.key}")
    rows = []
    marks = (0.5, 1.0, 1.5, 2.0)
    names = [stage.name for stage in bench.preset.stages]
    for label, found in traces.items():
        row, begins = [label], 0
        for end in found.stage_ends:
            # the stages are twice as long as the preset has them
            wanted = [begins + mark / 2 * (end - begins) - 1 for mark in marks]
            row += [number(1000 * found.joint_pa[np.abs(found.iterations - at).argmin()], 1) for at in wanted]
            begins = end
        rows.append(row)
    head = ["method", *(f"{name}, {mark:g} x" for name in names for mark in marks)]
    count = len(bench.runner.blocks[0])
    text = (
        f"## Convergence\n\nThe first {count} scenes without stopping rules and with each stage twice as "
        "long: joint PA-MPJPE in mm after shares of the iterations that the preset allows a stage. Up to 1 x "
        f"of the first stage is what the other tables use, too.\n\n{markdown(head, rows)}"
    )
    return text, traces


def plot(traces: dict[str, Trace], path: Path) -> None:
    """Return the convergence as a picture, where matplotlib is at hand."""
    try:
        import matplotlib
    except ImportError:
        print("matplotlib is not installed: no plot (pip install matplotlib)")
        return
    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axis = pyplot.subplots(figsize=(7, 4))
    for label, found in traces.items():
        axis.plot(found.iterations, 1000 * found.joint_pa, label=label)
        for end in found.stage_ends[:-1]:
            axis.axvline(end, color="grey", linewidth=0.5)
    axis.set_xlabel("iterations (no stopping rule, twice as many as the preset allows)")
    axis.set_ylabel("joint PA-MPJPE, mm")
    axis.set_title("synthetic scenes", fontsize=9)
    axis.grid(True, alpha=0.3)
    axis.legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(path)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="one scene of each type, main rows only")
    parser.add_argument("--only", nargs="+", choices=TABLES, default=None)
    parser.add_argument("--split", default="held_out", choices=tuple(SPLITS))
    parser.add_argument(
        "--mocap", type=Path, default=MOCAP, help="motion capture pairs of the measured splits"
    )
    parser.add_argument("--preset", default="best")
    parser.add_argument("--scenes", type=int, help="of the main table; all if not given")
    parser.add_argument("--ablation-scenes", type=int, default=96, help="of every other table")
    parser.add_argument("--preset-scenes", type=int, default=32, help="of the table of presets, the slowest")
    parser.add_argument("--block", type=int, default=32, help="scenes fitted at once")
    parser.add_argument("--jobs", type=int, default=1, help="processes, one thread each")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--cache", type=Path, default=Path("method_table_cache"))
    parser.add_argument("--write", action="store_true", help="write benchmarks/results and the plot")
    add_check(parser)
    arguments = parser.parse_args()
    if arguments.check:
        with tempfile.TemporaryDirectory() as kept:
            arguments.cache, arguments.write = Path(kept), False
            arguments.scenes = arguments.ablation_scenes = arguments.preset_scenes = arguments.block = 2
            tables(arguments, iterations=1)
    else:
        tables(arguments)


def truths(arguments: argparse.Namespace) -> tuple[TruthScene, ...]:
    """Return at least as many scenes of the split as are wanted, about equally many of each type."""
    kinds = {"held_out": len(HELD_OUT_TYPES), "development": len(DEVELOPMENT_TYPES)}
    count = 1 if arguments.quick else None
    if arguments.split in kinds:
        if arguments.scenes is not None and count is None:
            count = -(-arguments.scenes // kinds[arguments.split])
        return load_truth_scenes(arguments.split, per_type=count)
    if not arguments.mocap.is_file():
        raise SystemExit(f"{arguments.mocap}: no such file; --mocap names the motion capture pairs")
    return measured_scenes(arguments.mocap, couple=arguments.split == "measured_salsa", per_trial=count or 3)


def tables(arguments: argparse.Namespace, iterations: int | None = None) -> None:
    """Fit what is wanted and print it; with presets of so many iterations a stage, if given."""
    torch.set_num_threads(1)
    scenes = spread_over_types(truths(arguments), arguments.scenes)
    types = len({s.interaction for s in scenes})
    kind = "trials" if arguments.split.startswith("measured") else "types"
    runner = MethodRunner(
        scenes, arguments.cache, block=arguments.block, seed=arguments.seed, device=arguments.device
    )
    preset = load_preset(arguments.preset)
    if iterations is not None:
        preset = shortened(preset, iterations)
    bench = Bench(runner, preset, arguments.jobs, time.perf_counter(), iterations)
    wanted = arguments.only or (["main"] if arguments.quick else list(TABLES))
    few = min(arguments.ablation_scenes, len(scenes))
    suffix = "" if arguments.preset == "best" else f"_{Path(arguments.preset).stem}"
    suffix += "" if arguments.split == "held_out" else f"_{arguments.split}"
    for part in wanted:
        traces: dict[str, Trace] = {}
        if part == "main":
            text = main_part(bench)
        elif part == "ablations":
            text = ablation_part(bench, few)
        elif part == "starts":
            text = starts_part(bench, few)
        elif part == "estimators":
            text = estimators_part(bench, few)
        elif part == "limits":
            text = limits_part(bench, few)
        elif part == "chirality":
            text = chirality_part(bench, few)
        elif part == "sweep":
            text = sweep_part(bench, few)
        elif part == "presets":
            text = preset_part(bench, min(arguments.preset_scenes, len(scenes)))
        else:
            text, traces = convergence_part(bench)
        head = (
            f"{SPLITS[arguments.split]}: {len(scenes)} of {types} {kind} (`{arguments.split}`), seed "
            f"{arguments.seed}, preset `{arguments.preset}`. {date.today()}; {platform.machine()}, "
            f"{os.cpu_count()} cores, {arguments.device}, torch {torch.__version__}. Intervals: 95 %, "
            "bootstrapped by scene; *by type*: with whole types drawn."
        )
        print(f"\n{head}\n\n{text}\n", flush=True)
        if arguments.write and not arguments.quick:
            target = HERE / "results" / f"method_table_{part}{suffix}.md"
            target.write_text(f"# Method table: {part}\n\n{head}\n\n{text}\n", encoding="utf-8")
            if traces:
                plot(traces, HERE.parent / "docs" / "images" / "method_table_convergence.svg")


if __name__ == "__main__":
    main()
