"""What the library computes, as digests: equal before and after code was only moved.

    python tools/fingerprints.py                        # ten minutes on one thread: 16 scenes by each preset
    python tools/fingerprints.py --presets paper best   # a part of it
    python tools/fingerprints.py --check                # less: two scenes, two iterations a stage; compared
    python tools/fingerprints.py --check --bits         # where code was only moved: other bits fail, too
    python tools/fingerprints.py --write                # the same, written down anew: numbers were to change

Fits of the demo and of synthetic scenes with each preset, operators and losses on fixed inputs, and
answers of the simulated annotator as they are read. What `--check` finds is held against
``tools/fingerprints.json`` by the sum of all magnitudes, within a thousandth. Where digests of this machine
and these libraries stand there, other bits are said; they fail with ``--bits`` only, since processors of one
name may still round differently.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import platform
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, is_dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numba
import numpy as np
import torch

import apu_contacts as ac
import apu_losses as al
from apu_losses import geometry
from apu_losses.app.demo import demo_scene
from apu_losses.fitting import PRESET_NAMES, Preset, load_preset
from apu_losses.synthetic import annotate, load_truth_scenes, observe

# tests hold the terms of the two that are left out
PRESETS = tuple(name for name in PRESET_NAMES if name not in ("prior", "good_start", "best_hands"))
RECORD = Path(__file__).with_suffix(".json")
CLOSE = 1e-3  # relative, of sums of magnitudes on other machines; two steps of a fit move last digits only


class Print(NamedTuple):
    """The digest of a value's bits, and the sum of the magnitudes of its numbers; None where it has none."""

    digest: str
    magnitude: float | None


def fingerprint(value: Any) -> Print:
    """Sixteen hexadecimal digits of a value's bits, and how large its numbers are."""
    found, sums = hashlib.sha256(), []
    _feed(value, found, sums)
    return Print(found.hexdigest()[:16], float(f"{math.fsum(sums):.7g}") if sums else None)


def _feed(value: Any, found: Any, sums: list[float]) -> None:
    if isinstance(value, torch.Tensor):
        value = value.detach().cpu().numpy()
    if isinstance(value, np.ndarray):
        found.update(f"{value.dtype} {value.shape}".encode() + np.ascontiguousarray(value).tobytes())
        if value.dtype.kind == "f":
            sums.append(float(np.abs(value[np.isfinite(value)], dtype=np.float64).sum()))
    elif isinstance(value, dict):
        for key in sorted(value, key=str):
            found.update(str(key).encode())
            _feed(value[key], found, sums)
    elif is_dataclass(value) and not isinstance(value, type):
        _feed({name: getattr(value, name) for name in value.__dataclass_fields__}, found, sums)
    elif isinstance(value, (list, tuple)):
        for item in value:
            _feed(item, found, sums)
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


def operators() -> Iterator[tuple[str, Print]]:
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
        yield f"operator {name}", fingerprint(call())
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
        yield f"loss {name}", fingerprint([value, first.grad, second.grad])


def fits(count: int, steps: int | None, presets: Sequence[str]) -> Iterator[tuple[str, Print]]:
    """Return the demo, and synthetic scenes with contacts of one answer each, by every preset."""
    body = al.load_body()
    truths = load_truth_scenes("development")
    chosen = truths[:: max(1, len(truths) // count)][:count]
    seen = [observe(truth) for truth in chosen]
    texts = [annotate(one) for one in seen]
    answers = [ac.parse_answer(text) for text in texts]
    yield "answers", fingerprint([[asdict(contact) for contact in answer.contacts] for answer in answers])
    scenes = []
    for one, answer in zip(seen, answers, strict=True):
        left, right = one.left, 1 - one.left
        contacts = ac.denoise_chirality(answer, *(one.detections[i].keypoints for i in (left, right)))
        cmap = ac.ContactMap.from_parts(contacts)
        edges = [al.SceneContact(left, right, cmap)] if len(cmap.pairs) else []
        scenes.append(al.scene_from_detections(one.detections, one.view.width, one.view.height, edges))
    yield "scenes", fingerprint([s.people[0].initial.parameters for s in scenes])
    for name in presets:
        fitter = al.SceneFitter(body, preset=shortened(name, steps))
        for what, group in (("demo", [demo_scene()]), (f"{len(scenes)} scenes", scenes)):
            results = fitter.fit(group)
            yield f"fit {name}, {what}", fingerprint([[r.parameters] for r in results])


def this_machine() -> str:
    """Return what bits hang on: the processor, the instructions that libraries use, and their versions."""
    listed = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").is_file() else ""
    model = re.search(r"^model name\s*: (.*)$", listed, re.MULTILINE)
    processor = model[1] if model else platform.processor() or platform.machine()
    capability = torch.backends.cpu.get_cpu_capability()
    versions = f"torch {torch.__version__}, numpy {np.__version__}, numba {numba.__version__}"
    return f"{processor}, {capability}, {versions}"


def differences(found: dict[str, Print], record: dict[str, Any], machine: str) -> tuple[list[str], list[str]]:
    """Return what is not as written down, and what is in other bits than this machine wrote."""
    digests = record["digests"].get(machine)
    said, bits = [], []
    if found.keys() != record["magnitudes"].keys():
        said.append(f"other values than those written down: {sorted(found.keys() ^ record['magnitudes'])}")
    for name, (digest, magnitude) in found.items():
        known = record["magnitudes"].get(name)
        same_bits = digests is None or digest == digests.get(name)
        near = magnitude is None or known is None or math.isclose(magnitude, known, rel_tol=CLOSE)
        if not near:
            said.append(f"{name}: magnitude {magnitude}, was {known}")
        elif not same_bits:
            bits.append(f"{name}: in other bits")
    return said, bits


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--scenes", type=int, default=16)
    parser.add_argument("--steps", type=int, help="iterations a stage at most; all by default")
    parser.add_argument("--presets", nargs="*", choices=PRESETS, default=PRESETS, help="all by default")
    parser.add_argument(
        "--check", action="store_true", help="the short form, compared with what is written down"
    )
    parser.add_argument("--bits", action="store_true", help="with --check: fail on other bits, too")
    parser.add_argument("--write", action="store_true", help="write the short form down")
    options = parser.parse_args()
    short = options.check or options.write
    scenes, steps, presets = (2, 2, PRESETS) if short else (options.scenes, options.steps, options.presets)
    torch.set_num_threads(1)
    found: dict[str, Print] = {}
    for source in (operators(), fits(scenes, steps, presets)):
        for name, each in source:
            found[name] = each
            print(f"{each.digest}  {name}", flush=True)
    machine = this_machine()
    if options.write:
        digests = {machine: {name: each.digest for name, each in found.items()}}
        magnitudes = {name: each.magnitude for name, each in found.items()}
        RECORD.write_text(json.dumps({"magnitudes": magnitudes, "digests": digests}, indent=1) + "\n")
    elif options.check:
        record = json.loads(RECORD.read_text())
        said, bits = differences(found, record, machine)
        print("\n".join([*said, *bits, f"{len(found)} values compared, {len(said)} differ"]))
        known = "" if machine in record["digests"] else f" (none are known of {machine})"
        print(f"{len(bits)} in other bits{known}")
        raise SystemExit(1 if said or (options.bits and bits) else 0)


if __name__ == "__main__":
    main()
