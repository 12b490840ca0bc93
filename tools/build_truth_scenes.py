"""Draw the synthetic scenes that ship, judge them, and print how many of each type came out and why not.

`python tools/build_truth_scenes.py` continues where it was stopped: what was drawn stands in `--work`, one
file a batch. Delete that folder when a type, a place, the solver or the free body changed.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import tempfile
import time
from collections import Counter
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch
from scipy.spatial import cKDTree

from apu_losses.synthetic import (
    DEVELOPMENT_TYPES,
    INTERACTIONS,
    Rejected,
    TruthScene,
    draw_scenes,
    read_truth_scenes,
    write_truth_scenes,
)

OUT = Path(__file__).parents[1] / "apu_losses" / "synthetic" / "data" / "truth_scenes.npz"
Yield = dict[str, tuple[list[TruthScene], list[Rejected]]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--work", type=Path, default=Path("truth_scenes_work"), help="folder for what is drawn so far"
    )
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--held-out", type=int, default=11, help="scenes of each held-out type")
    parser.add_argument("--development", type=int, default=12, help="scenes of each development type")
    parser.add_argument("--batch", type=int, default=24, help="scenes that are solved together")
    parser.add_argument("--most", type=int, default=60, help="seeds tried for a type at most")
    parser.add_argument("--types", nargs="*", default=sorted(INTERACTIONS))
    parser.add_argument("--part", default="0/1", help="'0/2' and '1/2' share the types between two processes")
    parser.add_argument("--assemble", action="store_true", help="draw nothing more, only write the file")
    parser.add_argument("--check", action="store_true", help="two scenes of one type, kept nowhere")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if importlib.util.find_spec("igl") is None:
        raise SystemExit("not run: libigl is not installed (pip install '.[synthetic]')")
    if options.check:
        with tempfile.TemporaryDirectory() as kept:
            options.work, options.out = Path(kept), Path(kept) / "scenes.npz"
            options.types, options.held_out, options.development, options.most = ["back hug"], 2, 2, 2
            build(options)
    else:
        build(options)


def build(options: argparse.Namespace) -> None:
    """Draw, collect, report, write."""
    options.work.mkdir(parents=True, exist_ok=True)
    wanted = {
        name: options.development if name in DEVELOPMENT_TYPES else options.held_out for name in INTERACTIONS
    }
    if not options.assemble:
        part, parts = map(int, options.part.split("/"))
        draw_until_enough(options.work, options.types[part::parts], wanted, options.batch, options.most)
        if parts > 1:
            return
    found = collect(options.work)
    report(found, wanted)
    scenes = [
        replace(scene, name=f"{name.replace(' ', '-')}-{k:04d}")
        for name in INTERACTIONS
        for k, scene in enumerate(found.get(name, ([], []))[0][: wanted[name]])
    ]
    options.out.parent.mkdir(parents=True, exist_ok=True)
    write_truth_scenes(options.out, scenes)
    measure(scenes)
    print(f"{len(scenes)} scenes, {options.out.stat().st_size / 1e6:.2f} MB")


def draw_until_enough(work: Path, types: list[str], wanted: dict[str, int], batch: int, most: int) -> None:
    """Draw batches of each type that still lacks scenes, and save each batch."""
    for name in types:
        while True:
            done, tried = status(work).get(name, (0, 0))
            lacking = wanted[name] - done
            rate = max(done / tried, 0.25) if tried else 0.75
            ask = min(int(np.ceil(lacking / rate)), most - tried, batch)
            if ask <= 0:
                break
            start = time.perf_counter()
            jobs = [(name, tried + k) for k in range(ask)]
            drawn = draw_scenes(jobs)
            save_batch(work, jobs, drawn)
            good = sum(isinstance(d, TruthScene) for d in drawn)
            each = (time.perf_counter() - start) / ask
            print(f"{name} {tried} to {tried + ask - 1}: {good} of {ask}, {each:.1f} s each", flush=True)


def save_batch(work: Path, jobs: list[tuple[str, int]], drawn: list[TruthScene | Rejected]) -> None:
    stem = f"{jobs[0][0].replace(' ', '_')}-{jobs[0][1]:04d}"
    good = [d for d in drawn if isinstance(d, TruthScene)]
    if good:
        write_truth_scenes(work / f"{stem}.npz", good)
    record = {
        "accepted": [(d.interaction, d.seed) for d in good],
        "rejected": [asdict(d) for d in drawn if isinstance(d, Rejected)],
    }
    # last, and in one step: a batch without its record is drawn again
    part = work / f"{stem}.part"
    part.write_text(json.dumps(record), encoding="utf-8")
    part.rename(work / f"{stem}.json")


def status(work: Path) -> dict[str, tuple[int, int]]:
    """Of each type how many were accepted, and how many seeds were tried."""
    good: Counter[str] = Counter()
    tried: Counter[str] = Counter()
    for path in work.glob("*.json"):
        record = json.loads(path.read_text(encoding="utf-8"))
        good.update(name for name, _ in record["accepted"])
        tried.update(name for name, _ in record["accepted"])
        tried.update(r["interaction"] for r in record["rejected"])
    return {name: (good[name], tried[name]) for name in tried}


def collect(work: Path) -> Yield:
    found: Yield = {}
    for path in sorted(work.glob("*.json")):
        record = json.loads(path.read_text(encoding="utf-8"))
        for r in record["rejected"]:
            found.setdefault(r["interaction"], ([], []))[1].append(Rejected(**r))
        if record["accepted"]:
            for scene in read_truth_scenes(path.with_suffix(".npz")):
                found.setdefault(scene.interaction, ([], []))[0].append(scene)
    for good, _ in found.values():
        good.sort(key=lambda scene: scene.seed)
    return found


def report(found: Yield, wanted: dict[str, int]) -> None:
    """Print the table of `docs/measurements/synthetic.md`: what was kept of each type, yields, rejections."""
    total_good = total = 0
    reasons: Counter[str] = Counter()
    for name in wanted:
        good, bad = found.get(name, ([], []))
        why = Counter(r.reason for r in bad)
        reasons += why
        tried = len(good) + len(bad)
        total_good, total = total_good + len(good), total + tried
        told = ", ".join(f"{count} {reason}" for reason, count in why.most_common())
        kept = min(len(good), wanted[name])
        split = "development" if name in DEVELOPMENT_TYPES else "held out"
        print(f"| {name} | {split} | {kept} | {len(good) / max(tried, 1):.0%} of {tried} | {told} |")
    print(f"passed: {total_good} of {total}; {dict(reasons.most_common())}")


def measure(scenes: list[TruthScene]) -> None:
    """Print what is true of the scenes: how near, how deep, how far from the floor, how many contacts."""
    touch, depth, floor, apart = [], [], [], []
    for scene in scenes:
        for contact in scene.intended:
            way = scene.vertices[0, contact.vertex_a] - scene.vertices[1, contact.vertex_b]
            touch.append(float(np.linalg.norm(way)))
        if scene.intended:
            depth.append(scene.deepest)
        else:
            apart.append(float(cKDTree(scene.vertices[0]).query(scene.vertices[1])[0].min()))
        kind = INTERACTIONS[scene.interaction]
        floors = (kind.floor_a, kind.floor_b)
        floor += [abs(float(scene.vertices[k, :, 1].min())) for k in (0, 1) if floors[k]]
    for label, values, limit in (
        ("distance of two points that touch", touch, "5 mm"),
        ("deepest vertex inside the other", depth, "10 mm"),
        ("lowest vertex of who stands, from the floor", floor, "10 mm"),
    ):
        shown = [f"{1000 * v:.1f} mm" for v in (*np.quantile(values, [0.5, 0.95]), max(values))]
        print(f"| {label} | {limit} | {' | '.join(shown)} |")
    regions = np.mean([len(scene.contact_regions) for scene in scenes if scene.intended])
    meant = np.mean([len(scene.intended) for scene in scenes if scene.intended])
    print(
        f"apart: {100 * min(apart, default=np.nan):.1f} cm; {meant:.1f} touches, {regions:.0f} region pairs"
    )


if __name__ == "__main__":
    main()
