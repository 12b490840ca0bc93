"""What depth maps and masks are worth: synthetic scenes with simulated ones.

    python benchmarks/cues.py                             # 60 development scenes
    python benchmarks/cues.py --split held_out --every 10 # one scene a held-out type
    python benchmarks/cues.py --check

The truth is drawn into a z-buffer at 320 pixels, both people and the floor. A depth map is that times one
unknown factor (15 %), smooth errors of 2 % and of 5 %, and a blur of 1 % of the picture over every edge. A
mask is the pixels of a person, moved along smooth noise by up to 1 % of the picture. None of these numbers is
fitted to a published method: they are assumed, and stated in the table.

Depth goes in by the term `keypoint_depth`, at keypoints, with the person's mask and without. Masks go in by
`depth_order`: who hides whom.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from method_table.contacts import ContactSource
from method_table.methods import Method, without_contact
from method_table.report import markdown, with_interval
from method_table.run import MethodRunner
from method_table.scores import SceneScores, score
from method_table.statistics import bootstrap, column
from scipy.ndimage import gaussian_filter

from apu_contacts import DepthMap, PersonMask, depths_at, order_by_masks
from apu_losses import load_body
from apu_losses.fitting import Preset, Scene, load_preset
from apu_losses.synthetic import load_truth_scenes
from apu_losses.synthetic.observe import Observation, scene_rng
from apu_losses.viz.raster import rasterize

SIDE = 320
WEIGHTS = (30.0, 100.0, 300.0, 1000.0)
FACES = load_body().faces.numpy()


def drawn(seen: Observation) -> tuple[np.ndarray, np.ndarray, float]:
    """Metres and person (-1: nobody) of each pixel, and pixels of this picture for one of the real one."""
    view = seen.view
    scale = SIDE / max(view.width, view.height)
    width, height = round(view.width * scale), round(view.height * scale)
    count = len(seen.vertices[0])
    found = rasterize(
        np.concatenate(seen.vertices).astype(np.float64),
        np.concatenate([FACES, FACES + count]),
        np.full(2, view.camera.focal * scale),
        np.array(view.camera.center) * scale,
        width,
        height,
    )
    depth, person = np.full((height, width), np.nan), np.full((height, width), -1)
    depth[found.row, found.column] = found.depth
    person[found.row, found.column] = found.face >= len(FACES)
    return depth, person, scale


def smooth(rng: np.random.Generator, shape: tuple[int, ...], width: float) -> np.ndarray:
    """Noise of standard deviation 1 that changes over ``width`` pixels."""
    noise = gaussian_filter(rng.normal(size=shape), width, mode="reflect")
    return noise / max(noise.std(), 1e-12)


def simulated(seen: Observation, seed: int, error: float) -> tuple[DepthMap, list[PersonMask]]:
    """Return a depth map with relative errors of ``error``, and the masks of both people."""
    rng = scene_rng(seen.truth, seed, "cues")
    depth, person, _ = drawn(seen)
    wall = np.nanmax(depth) * 1.3
    filled = np.where(np.isnan(depth), wall, depth)
    blurred = gaussian_filter(filled, 0.01 * SIDE)
    factor = np.exp(rng.normal(0, 0.15)) * (1 + error * smooth(rng, depth.shape, SIDE / 6))
    moved = [np.arange(n)[:, None] if k == 0 else np.arange(n)[None] for k, n in enumerate(depth.shape)]
    rows, columns = (
        np.clip(np.round(base + 0.005 * SIDE * smooth(rng, depth.shape, 4)), 0, n - 1).astype(int)
        for base, n in zip(moved, depth.shape, strict=True)
    )
    masks = [PersonMask.from_array((person == k)[rows, columns]) for k in (0, 1)]
    return DepthMap(blurred * factor), masks


def with_cues(scene: Scene, seen: Observation, cue: str, error: float, seed: int) -> Scene:
    """Return the scene with what a depth map, masks or both say."""
    depth, masks = simulated(seen, seed, error)
    size, people = (scene.width, scene.height), list(scene.people)
    if "depth" in cue:
        own = masks if "masks" in cue else [None, None]
        people = [
            replace(p, depths=depths_at(depth, p.keypoints, *size, mask))
            for p, mask in zip(people, own, strict=True)
        ]
    order = scene.depth_order
    if "masks" in cue:
        order = order_by_masks(masks, [p.keypoints for p in people], *size)
    return replace(scene, people=people, depth_order=order)


def fitted(runner: MethodRunner, method: Method, cue: str, error: float, preset: Preset) -> list[SceneScores]:
    """Scores of all scenes by a method that also sees a cue."""
    found: list[SceneScores] = []
    for number in range(len(runner.blocks)):
        seen, _ = runner.observed(method.observed, number, method.start)
        given = runner.given(method, number)
        if cue:
            given = [with_cues(s, o, cue, error, runner.seed) for s, o in zip(given, seen, strict=True)]
        fits = runner.fitter(replace(method, preset=preset)).fit(given)
        found += score(runner._body, seen, fits, given)
    return found


def main(arguments: argparse.Namespace) -> None:
    torch.set_num_threads(1)
    scenes = load_truth_scenes(arguments.split)[:: arguments.every]
    scenes = scenes[:2] if arguments.check else scenes
    runner = MethodRunner(scenes, None, block=20)
    best = load_preset("best")
    if arguments.check:
        stages = tuple(replace(stage, max_iterations=3) for stage in best.stages)
        best = replace(best, stages=stages)
    ours = ContactSource("answer")
    methods = [
        Method("no_contact", "without contact", without_contact(best)),
        Method("automatic", "one answer", best, ours),
    ]
    weights: Sequence[float] = (100.0,) if arguments.check else arguments.weights
    rows = []
    for method in methods:
        assert method.preset is not None
        plain = fitted(runner, method, "", 0.0, method.preset)
        cases = [("", 0.0, 0.0, plain)]
        for cue in ("masks", "depth", "depth and masks"):
            errors = arguments.errors if "depth" in cue else (0.0,)
            for error in errors:
                for weight in weights if "depth" in cue else (0.0,):
                    preset = method.preset.weighted(keypoint_depth=weight) if weight else method.preset
                    began = time.perf_counter()
                    cases.append((cue, error, weight, fitted(runner, method, cue, error, preset)))
                    print(
                        f"{method.key} {cue} {error} {weight}: {time.perf_counter() - began:.0f} s",
                        flush=True,
                    )
                if arguments.check:
                    break
        for cue, error, weight, scores in cases:
            value = column(scores, "joint_pa")
            apart = bootstrap(value - column(plain, "joint_pa"))
            rows.append(
                [
                    method.label,
                    cue or "none",
                    f"{100 * error:.0f} %" if "depth" in cue else "",
                    f"{weight:g}" if weight else "",
                    with_interval(bootstrap(value), 1000, 1),
                    "" if not cue else with_interval(apart, 1000, 1),
                    f"{1000 * np.mean(column(scores, 'pa')):.1f}",
                    f"{100 * np.nanmean(column(scores, 'true_contact')):.1f}",
                    f"{100 * np.nanmean(column(scores, 'f1')):.0f}",
                ]
            )
    head = [
        "contacts",
        "cues",
        "error of the map",
        "weight",
        "joint PA-MPJPE, mm",
        "to none, mm",
        "PA-MPJPE, mm",
        "true contacts apart, cm",
        "part F1, %",
    ]
    said = f"{len(scenes)} scenes (`{arguments.split}`), preset `best`. Intervals: 95 %, by scene, paired."
    text = f"# Depth maps and masks\n\n{said}\n\n{markdown(head, rows)}\n"
    print(text)
    if arguments.out is not None:
        arguments.out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--split", default="development", choices=["development", "held_out"])
    parser.add_argument("--every", type=int, default=2, help="every n-th scene")
    parser.add_argument("--weights", type=float, nargs="+", default=WEIGHTS)
    parser.add_argument("--errors", type=float, nargs="+", default=(0.02, 0.05))
    parser.add_argument("--out", type=Path)
    parser.add_argument("--check", action="store_true", help="two scenes, three iterations a stage")
    main(parser.parse_args())
