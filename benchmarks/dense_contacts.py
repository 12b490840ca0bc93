"""What per-vertex contacts are worth on synthetic scenes, matched in several ways.

    python benchmarks/dense_contacts.py --every 4 --fits

A simulated head looks at each person alone: it labels true contact (nearer than 1 cm) with a rim, misses a
fifth of the patches, labels the soles of whoever stands, and in a quarter of the people a patch where nothing
is. Bodies are where the simulated estimator placed them. A pair of parts with sides counts as right if a
region pair of it is in true contact.
"""

from __future__ import annotations

import argparse
from dataclasses import replace

import numpy as np
import torch
from scipy.spatial import cKDTree
from short_form import add_check

import apu_contacts as ac
import apu_losses as al
from apu_contacts.regions import part_regions
from apu_losses.fitting import DenseContact, DenseContactTerm, SceneContact, scene_from_detections
from apu_losses.fitting.start.retarget import initial_parameters
from apu_losses.functional.metrics import aligned_mpjpe
from apu_losses.synthetic import (
    MODELS,
    annotate,
    load_truth_scenes,
    observe,
)

REGIONS = ac.RegionMap.load("free")
LABELS = REGIONS.labels()
SOLES = [REGIONS.union(part_regions("foot", side)) for side in ("left", "right")]


def simulated_head(truth, rng, miss=0.2, invented=0.25):
    """``(V,)`` probabilities of either person."""
    found = []
    for person in (0, 1):
        own, other = truth.vertices[person], truth.vertices[1 - person]
        gap = cKDTree(other).query(own)[0]
        chance = 1 / (1 + np.exp((gap - rng.uniform(0.01, 0.025)) / 0.004))
        touched = np.unique(LABELS[gap < 0.01])
        for region in touched:  # patches are missed as wholes
            if rng.random() < miss:
                near = cKDTree(own[region == LABELS]).query(own)[0] < 0.03
                chance[near] *= 0.3
        for sole in SOLES:
            low = own[sole][:, 1]
            chance[sole[low < 0.03]] = np.maximum(chance[sole[low < 0.03]], 0.9)
        if rng.random() < invented:
            centre = own[rng.integers(len(own))]
            chance[np.linalg.norm(own - centre, axis=1) < 0.05] = 0.7
        found.append(np.clip(chance + rng.normal(0, 0.03, len(chance)), 0, 1))
    return found


def parts_of(pairs):
    """Pairs of parts with sides that region pairs lie on."""
    names = set()
    for a, b in pairs:
        key = []
        for r in (a, b):
            entry = ac.REGIONS[int(r)]
            key += [entry.part, entry.side]
        names.add(tuple(key))
    return names


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--every", type=int, default=1, help="only every so many of the scenes")
    parser.add_argument("--set", choices=("dev", "held"), default="dev")
    parser.add_argument("--fits", action="store_true")
    parser.add_argument("--sweep", action="store_true")
    add_check(parser)
    args = parser.parse_args()
    drawn = load_truth_scenes("development" if args.set == "dev" else "held_out")
    truths = [t for t in drawn if t.contact_regions][:: args.every]
    truths = truths[:2] if args.check else truths
    body = al.load_body()
    world = []
    for number, truth in enumerate(truths):
        seen = observe(truth, seed=1)
        scene = scene_from_detections(seen.detections, seen.view.width, seen.view.height, name=truth.name)
        start, _ = initial_parameters(body, [p.initial for p in scene.people])
        with torch.no_grad():
            placed = body.pose(start).vertices().numpy().astype(np.float64)
        chances = simulated_head(truth, np.random.default_rng([5, number]))
        texts = [annotate(seen, seed=2, model=model) for model in MODELS]
        amap = ac.resolve_contacts(texts, *seen.detections, models=list(MODELS)).contact_map
        world.append((truth, seen, scene, placed, chances, amap))

    def score(make):
        hits = claimed = wanted = 0
        for entry in world:
            truth = parts_of(entry[0].contact_regions)
            said = parts_of(make(entry).pairs.tolist())
            hits, claimed, wanted = hits + len(truth & said), claimed + len(said), wanted + len(truth)
        return hits / max(claimed, 1), hits / wanted, claimed / len(world)

    def matched(entry, answers=False, **options):
        _, _, _, placed, chances, amap = entry
        return ac.match_dense_contacts(
            *chances, *placed, REGIONS, answers=amap if answers else None, **options
        )

    def every(entry):
        a, b = (c >= 0.5 for c in entry[4])
        return (
            ac.ContactMap.from_vertex_labels(a, b, REGIONS) if a.any() and b.any() else ac.ContactMap.empty()
        )

    ways = {
        "answers of three models, fused": lambda e: e[5],
        "labels, every with every": every,
        "labels, nearest, no shift": lambda e: matched(e, align=False).contacts,
        "labels, matched": lambda e: matched(e).contacts,
        "labels, matched with answers": lambda e: matched(e, True).contacts,
    }
    if args.sweep:
        for reach in (0.04, 0.08, 0.15, 0.25):
            for least in (0.05, 0.15, 0.3):
                ways[f"reach {reach} least {least}"] = lambda e, r=reach, m=least: (
                    matched(e, True, reach=r, least=m).contacts
                )
    print("| contacts | precision | recall | F1 | pairs of parts a scene |\n| --- | --- | --- | --- | --- |")
    for name, make in ways.items():
        p, r, n = score(make)
        print(
            f"| {name} | {100 * p:.0f} % | {100 * r:.0f} % | {200 * p * r / max(p + r, 1e-9):.0f} % "
            f"| {n:.1f} |"
        )
    if not args.fits:
        return
    preset = al.load_preset("best")
    print("\n| fit | joint error of the pair, mm |\n| --- | --- |")
    fits = {"no contact": None, **{n: ways[n] for n in list(ways)[:5]}}
    for name, make in [*fits.items(), ("vertices, matched with answers", "vertices")]:
        scenes, labels = [], {}
        for entry in world:
            contacts = []
            if make == "vertices":
                found = matched(entry, True)
                labels[entry[2].name] = [
                    DenseContact(0, 1, entry[4][0] * found.matched_a, entry[4][1] * found.matched_b)
                ]
            elif make is not None:
                cmap = make(entry)
                contacts = [SceneContact(0, 1, cmap)] if len(cmap) else []
            scenes.append(replace(entry[2], contacts=contacts))
        if make == "vertices":
            heavy = max(s.weights.get("contact", 0.0) for s in preset.stages)
            own = preset.without("contact").weighted(dense_contact=heavy)
            fitter = al.SceneFitter(preset=own, terms={"dense_contact": DenseContactTerm(labels)})
        else:
            fitter = al.SceneFitter(preset=preset.without("contact") if make is None else preset)
        results = fitter.fit(scenes)
        errors = []
        for entry, result in zip(world, results, strict=True):
            with torch.no_grad():
                joints = (
                    body.pose({n: torch.as_tensor(v).float() for n, v in result.parameters.items()})
                    .joints[:, :22]
                    .double()
                )
            wanted = torch.as_tensor(entry[1].joints[:, :22]).double()
            errors.append(
                1000 * float(aligned_mpjpe(joints.reshape(1, -1, 3), wanted.reshape(1, -1, 3), "similarity"))
            )
        print(f"| {name} | {np.mean(errors):.1f} |", flush=True)


if __name__ == "__main__":
    main()
