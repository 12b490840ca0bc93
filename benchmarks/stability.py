"""Say how far the end of a fit hangs on what should not matter: noise, place in a batch, threads, machine.

    python benchmarks/stability.py                                   # demo, deep starts; preset best
    python benchmarks/stability.py --sets demo deep photographs --presets best paper --write
    python benchmarks/stability.py --copies 16 --noise 0.5           # the best of sixteen

Each scene is fitted as it is and with Gaussian noise on its keypoints, all copies in one batch, in which a
scene has the bits that it has alone. A copy's distance is that of its vertices to those of the scene as it
is, averaged over the vertices of a person, of the person who moved most. A fit that is a function of its
problem moves by about as much as the keypoints do: 0.5 pixels are 2 to 8 mm at these depths.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

import numpy as np
import torch
from fit_scenes import with_noise
from method_table import ContactSource, Method, MethodRunner
from real_pairs import PICTURES, read_photograph
from short_form import REAL, add_check, not_run, shortened

from apu_losses.app.demo import demo_scene
from apu_losses.fitting import FitResult, Preset, Scene, SceneFitter, load_preset, load_scene
from apu_losses.synthetic import load_truth_scenes

HERE = Path(__file__).resolve().parent
SETS = ("demo", "deep", "answers", "real", "photographs")
NOISE = (1e-4, 1e-2, 0.5)
DEEP = 0.05
"""Metres: a development scene whose bodies start deeper in each other has a deep start."""
ELSEWHERE = {
    "two threads": {"OMP_NUM_THREADS": "2", "MKL_NUM_THREADS": "2", "NUMBA_NUM_THREADS": "2"},
    "plain instructions": {"ATEN_CPU_CAPABILITY": "default", "MKL_ENABLE_INSTRUCTIONS": "SSE4_2"},
}
"""Other ways to compute the same, as environments of a new process."""


@dataclass(frozen=True)
class Spread:
    """How the copies of one scene ended.

    Attributes:
        scene: its name.
        moved: ``(C,)`` millimetres of each copy from the scene as it is.
        losses: ``(C + 1,)`` loss at the end; the scene as it is comes first.
        kept: ``(C + 1,)`` verdicts.
        best_px: keypoint error at the end of the scene as it is.
        seconds: of a fit.
    """

    scene: str
    moved: np.ndarray
    losses: np.ndarray
    kept: tuple[bool, ...]
    best_px: float
    seconds: float

    @property
    def above_best(self) -> float:
        """By how much the loss of the scene as it is lies above the lowest of all, in percent."""
        return 100 * float(self.losses[0] / self.losses.min() - 1)

    @property
    def other_verdicts(self) -> int:
        """Copies whose verdict is another."""
        return sum(kept != self.kept[0] for kept in self.kept[1:])


def vertices_of(fitter: SceneFitter, result: FitResult) -> np.ndarray:
    """``(P, V, 3)`` metres."""
    with torch.no_grad():
        return fitter.body.pose(fitter.tensors(result.parameters)).vertices().double().numpy()


def apart(one: np.ndarray, other: np.ndarray) -> float:
    """Millimetres between two ends of a scene: mean over vertices, of the person who moved most."""
    return 1000 * float(np.linalg.norm(one - other, axis=2).mean(1).max())


def spread(fitter: SceneFitter, scene: Scene, pixels: float, copies: int) -> Spread:
    """Fit a scene and its copies, one batch."""
    began = time.perf_counter()
    results = fitter.fit([scene, *(with_noise(scene, pixels, seed) for seed in range(copies))])
    ends = [vertices_of(fitter, result) for result in results]
    return Spread(
        scene.name,
        np.array([apart(ends[0], end) for end in ends[1:]]),
        np.array([result.stages[-1].loss for result in results]),
        tuple(result.verdict.kept for result in results),
        float(np.nanmax(results[0].after.keypoint_error)),
        (time.perf_counter() - began) / len(results),
    )


def scenes_of(name: str, count: int, data: Path) -> list[Scene]:
    """Return the scenes of a set.

    Args:
        name: ``"demo"``; ``"deep"``: development scenes with a deep start and true contacts; ``"answers"``:
            the same with a model's contacts; ``"real"``: two annotated photographs; ``"photographs"``:
            eight others, from keypoints alone.
        count: at most so many.
    """
    if name == "demo":
        return [demo_scene()]
    if name == "real":
        pictures = [read_photograph(data / picture) for picture in PICTURES]
        return [p.scene(p.annotated) for p in pictures][:count]
    if name == "photographs":
        files = sorted((data / "photos").glob("*/scene_start_keypoints.json"))
        return [replace(load_scene(file), name=file.parent.name) for file in files][:count]
    return deep_scenes("truth" if name == "deep" else "answer", count)


def deep_scenes(source: str, count: int) -> list[Scene]:
    """Development scenes whose bodies start in each other, the deepest of each type first."""
    truths = load_truth_scenes("development")
    runner = MethodRunner(truths, block=len(truths))
    scenes = runner.given(Method(source, source, None, ContactSource(source)), 0)  # type: ignore[arg-type]
    standing = runner.fit(Method("start", "start", None), 0)
    depth = {s.name: r.before.depth_max for s, r in zip(scenes, standing, strict=True)}
    deepest = sorted((s for s in scenes if depth[s.name] > DEEP and s.contacts), key=lambda s: -depth[s.name])
    kind = {truth.name: truth.interaction for truth in truths}
    first: dict[str, Scene] = {}
    for scene in deepest:
        first.setdefault(kind[scene.name], scene)
    return list(first.values())[:count]


def elsewhere(preset: str, sets: Sequence[str], count: int, data: Path, iterations: int) -> list[str]:
    """Lines of a table: how far ends lie apart that were computed in another way."""
    lines = ["| computed with | scenes | moved, mm: median | worst |", "| --- | --- | --- | --- |"]
    with tempfile.TemporaryDirectory() as folder:
        here = Path(folder) / "here.npz"
        write_ends(preset, sets, count, data, here, iterations)
        for name, settings in ELSEWHERE.items():
            other = Path(folder) / "other.npz"
            command = [sys.executable, __file__, "--presets", preset, "--sets", *sets]
            command += ["--scenes", str(count), "--data", str(data), "--ends", str(other)]
            command += ["--iterations", str(iterations)]
            subprocess.run(command, check=True, env=os.environ | settings)
            with np.load(here) as one, np.load(other) as two:
                moved = [apart(one[key], two[key]) for key in one.files]
            lines.append(f"| {name} | {len(moved)} | {np.median(moved):.3f} | {max(moved):.3f} |")
    return lines


def write_ends(
    preset: str, sets: Sequence[str], count: int, data: Path, target: Path, iterations: int
) -> None:
    """Return the vertices at the end of every scene."""
    fitter = SceneFitter(preset=shortened(load_preset(preset), iterations))
    ends = {}
    for name in sets:
        for number, scene in enumerate(scenes_of(name, count, data)):
            ends[f"{name} {number}"] = vertices_of(fitter, fitter.fit([scene])[0])
    np.savez(target, **ends)


def head() -> list[str]:
    """Return the first lines of a table of spreads."""
    names = ["set", "scene", "noise, px", "moved, mm: median", "worst", "loss", "lowest", "highest"]
    names += ["above the best, %", "other verdicts", "keypoints, px", "seconds"]
    return ["| " + " | ".join(names) + " |", "|" + " --- |" * len(names)]


def line(name: str, pixels: float, found: Spread) -> str:
    """One row of the table."""
    moved, losses = found.moved, found.losses
    cells = [name, found.scene, f"{pixels:g}", f"{np.median(moved):.2f}", f"{moved.max():.2f}"]
    cells += [f"{v:.0f}" for v in (losses[0], losses.min(), losses.max(), found.above_best)]
    cells += [f"{found.other_verdicts} of {len(moved)}", f"{found.best_px:.1f}", f"{found.seconds:.1f}"]
    return "| " + " | ".join(cells) + " |"


def summary(found: Sequence[Spread], pixels: float) -> str:
    """One sentence on all scenes."""
    moved = np.concatenate([f.moved for f in found])
    return (
        f"{pixels:g} px on {len(found)} scenes: {np.median(moved):.2f} mm in the median, {moved.max():.1f} "
        f"at worst; {np.mean([f.moved.max() < 1 for f in found]):.0%} of the scenes stay within 1 mm; losses "
        f"lie {np.median([f.above_best for f in found]):.0f} % above the best in the median, "
        f"{max(f.above_best for f in found):.0f} % at worst; {sum(f.other_verdicts for f in found)} of "
        f"{len(moved)} verdicts change."
    )


def report(
    preset: Preset, sets: dict[str, list[Scene]], noise: Sequence[float], copies: int
) -> tuple[str, list[Spread]]:
    """Return the table of one preset."""
    fitter = SceneFitter(preset=preset, batch_size=copies + 1)
    lines, sentences, everything = head(), [], []
    for pixels in noise:
        found = []
        for name, scenes in sets.items():
            for scene in scenes:
                found.append(spread(fitter, scene, pixels, copies))
                lines.append(line(name, pixels, found[-1]))
                print(lines[-1], flush=True)
        sentences.append(summary(found, pixels))
        everything += found
    return "\n".join([f"## Preset `{preset.name}`", "", *sentences, "", *lines]), everything


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--presets", nargs="+", default=["best"])
    parser.add_argument("--sets", nargs="+", choices=SETS, default=["demo", "deep"])
    parser.add_argument("--scenes", type=int, default=6, help="at most so many of a set")
    parser.add_argument("--copies", type=int, default=8, help="of each scene, with noise")
    parser.add_argument("--noise", nargs="+", type=float, default=list(NOISE), help="pixels")
    parser.add_argument("--data", type=Path, default=REAL, help="where the photographs are")
    parser.add_argument("--elsewhere", action="store_true", help="compare threads and instruction sets, too")
    parser.add_argument("--ends", type=Path, help="only write the ends to this file, for --elsewhere")
    parser.add_argument("--iterations", type=int, default=10**6, help="at most so many in a stage")
    parser.add_argument("--write", action="store_true", help="write the report into benchmarks/results")
    add_check(parser)
    args = parser.parse_args()
    if args.check:
        args.scenes, args.copies, args.noise, args.iterations = 1, 1, [0.5], 2
        args.sets, args.elsewhere = ["demo"], True
    if {"real", "photographs"} & set(args.sets) and not args.data.is_dir():
        not_run(f"{args.data} is absent; the real photographs are not part of the repository")
    if args.ends is not None:
        write_ends(args.presets[0], args.sets, args.scenes, args.data, args.ends, args.iterations)
        return
    sets = {name: scenes_of(name, args.scenes, args.data) for name in args.sets}
    parts = [
        f"{date.today()}; {platform.machine()}, {torch.get_num_threads()} threads, "
        f"torch {torch.__version__}; {args.copies} copies a scene."
    ]
    for name in args.presets:
        preset = load_preset(name)
        parts.append(report(shortened(preset, args.iterations), sets, args.noise, args.copies)[0])
        if args.elsewhere:
            parts.append("\n".join(elsewhere(name, args.sets, args.scenes, args.data, args.iterations)))
    text = "\n\n".join(parts)
    print(text)
    if args.write and not args.check:
        (HERE / "results" / "stability.md").write_text(f"# How far a fit hangs on last bits\n\n{text}\n")


if __name__ == "__main__":
    main()
