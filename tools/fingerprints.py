"""What the library computes, as digests: equal before and after code was only moved.

    python tools/fingerprints.py > before.txt        # 10 minutes on one thread
    python tools/fingerprints.py --check             # in seconds: fewer scenes, fewer steps

Fits of the demo and of synthetic scenes with each preset, operators and losses on fixed inputs, and
answers of the simulated annotator as they are read. Digests belong to one machine and its libraries.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, is_dataclass, replace
from typing import Any

import numpy as np
import torch

import apu_contacts as ac
import apu_losses as al
from apu_losses import geometry
from apu_losses.app.demo import demo_scene
from apu_losses.fitting import PRESET_NAMES, Preset, load_preset
from apu_losses.synthetic import annotate, load_truth_scenes, observe

PRESETS = tuple(name for name in PRESET_NAMES if name != "prior")  # which changes with the prior that ships


def digest(value: Any) -> str:
    """Sixteen hexadecimal digits of a value's bits."""
    found = hashlib.sha256()
    _feed(value, found)
    return found.hexdigest()[:16]


def _feed(value: Any, found: Any) -> None:
    if isinstance(value, torch.Tensor):
        value = value.detach().cpu().numpy()
    if isinstance(value, np.ndarray):
        found.update(f"{value.dtype} {value.shape}".encode() + np.ascontiguousarray(value).tobytes())
    elif isinstance(value, dict):
        for key in sorted(value, key=str):
            found.update(str(key).encode())
            _feed(value[key], found)
    elif is_dataclass(value) and not isinstance(value, type):
        _feed({name: getattr(value, name) for name in value.__dataclass_fields__}, found)
    elif isinstance(value, (list, tuple)):
        for item in value:
            _feed(item, found)
    else:
        found.update(repr(value).encode())


def shortened(name: str, steps: int | None) -> Preset:
    """Return a preset with at most so many iterations a stage."""
    preset = load_preset(name)
    if steps is None:
        return preset
    return replace(
        preset, stages=tuple(replace(s, max_iterations=min(steps, s.max_iterations)) for s in preset.stages)
    )


def operators() -> Iterator[tuple[str, str]]:
    """Geometry and losses on two posed free bodies that touch."""
    body, regions = al.load_body(), ac.RegionMap.load("free")
    generator = torch.Generator().manual_seed(0)
    params = {
        name: 0.2 * torch.randn(2, spec.size, generator=generator)
        for name, spec in body.parameter_specs.items()
    }
    params["age"] = params["age"].abs()
    params["transl"] = torch.tensor([[0.0, 0.0, 4.0], [0.15, 0.0, 4.1]])
    vertices = body.pose(params).vertices().detach()
    a, b = vertices[:1], vertices[1:]
    faces = body.faces
    for name, call in {
        "region_distance_matrix": lambda: geometry.region_distance_matrix(a, b, regions, regions),
        "nearest_vertex": lambda: tuple(geometry.nearest_vertex(a, b)),
        "nearest_surface": lambda: tuple(geometry.nearest_surface(a, b, faces)),
        "inside": lambda: geometry.inside(a, b, faces),
        "penetration": lambda: tuple(geometry.penetration(a, b, faces)),
    }.items():
        yield f"operator {name}", digest(call())
    cmap = ac.ContactMap([[17, 71], [2, 50], [30, 31]], [1.0, 0.5, 0.25])
    losses = {
        "contact pairs": al.SoftContactLoss(regions, over="pairs"),
        "contact chamfer": al.SoftContactLoss(regions, over="pairs", mode="chamfer_quartic"),
        "penetration": al.PenetrationLoss(faces),
        "minimum distance": al.MinimumDistanceLoss(faces),
    }
    for name, loss in losses.items():
        first, second = a.clone().requires_grad_(), b.clone().requires_grad_()
        value = loss(first, second, cmap) if name.startswith("contact") else loss(first, second)
        value.sum().backward()
        yield f"loss {name}", digest([value, first.grad, second.grad])


def fits(count: int, steps: int | None) -> Iterator[tuple[str, str]]:
    """Return the demo, and synthetic scenes with contacts of one answer each, by every preset."""
    body = al.load_body()
    truths = load_truth_scenes("development")
    chosen = truths[:: max(1, len(truths) // count)][:count]
    seen = [observe(truth) for truth in chosen]
    texts = [annotate(one) for one in seen]
    answers = [ac.parse_answer(text) for text in texts]
    yield "answers", digest([asdict(answer) for answer in answers])
    scenes = []
    for one, answer in zip(seen, answers, strict=True):
        left, right = one.left, 1 - one.left
        contacts = ac.denoise_chirality(answer, *(one.detections[i].keypoints for i in (left, right)))
        cmap = ac.ContactMap.from_parts(contacts)
        edges = [al.SceneContact(left, right, cmap)] if len(cmap.pairs) else []
        scenes.append(al.scene_from_detections(one.detections, one.view.width, one.view.height, edges))
    yield (
        "scenes",
        digest([json.dumps(s.people[0].initial.parameters, default=lambda x: x.tolist()) for s in scenes]),
    )
    for name in PRESETS:
        fitter = al.SceneFitter(body, preset=shortened(name, steps))
        for what, group in (("demo", [demo_scene()]), (f"{len(scenes)} scenes", scenes)):
            results = fitter.fit(group)
            yield (
                f"fit {name}, {what}",
                digest([[r.parameters, r.stages, r.after.to_dict()] for r in results]),
            )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--scenes", type=int, default=16)
    parser.add_argument("--steps", type=int, help="iterations a stage at most; all by default")
    parser.add_argument("--check", action="store_true", help="two scenes, two iterations a stage")
    options = parser.parse_args()
    if options.check:
        options.scenes, options.steps = 2, 2
    torch.set_num_threads(1)
    for source in (operators(), fits(options.scenes, options.steps)):
        for name, found in source:
            print(f"{found}  {name}", flush=True)


if __name__ == "__main__":
    main()
