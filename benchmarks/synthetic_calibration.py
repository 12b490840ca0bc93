"""Simulated detections beside real ones: the figures that the noise dials were set by.

    python benchmarks/synthetic_calibration.py [--data ../shared/real] [--scenes 100] [--write]

Real: the people of two photographs (BEV, ViTPose, OpenPose; human-annotated contacts for four pairs).
Simulated: synthetic scenes at the default dials. No method of the table runs here. Pixels are those of a
person whose keypoint box is scaled to 512.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import numpy as np
from method_table import ContactSource, contacts_of
from real_pairs import PICTURES, read_photograph
from short_form import REAL, add_check, require_photographs

from apu_contacts.keypoints import SKELETONS, Keypoints2D, convert_keypoints
from apu_contacts.people import assemble_people
from apu_contacts.sources import read_bev, read_flickr_signatures, read_openpose, read_vitpose_body25
from apu_losses.fitting import SceneContact, SceneFitter, scene_from_detections
from apu_losses.functional.metrics import joint_pa_mpjpe
from apu_losses.synthetic import (
    ObservationNoise,
    TruthScene,
    describe,
    load_truth_scenes,
    observe,
)

HERE = Path(__file__).resolve().parent
QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)
KINDS = {
    "nose, eyes, ears": ("nose", "eye", "ear"),
    "shoulders, elbows": ("shoulder", "elbow"),
    "wrists": ("wrist",),
    "hips": ("hip",),
    "knees": ("knee",),
    "ankles": ("ankle",),
}
CONFIDENCES = ((0.2, 0.6), (0.6, 0.8), (0.8, 0.9), (0.9, 1.01))


@dataclass
class Seen:
    """What was measured, from either world."""

    contact: list[float] = field(default_factory=list)  # cm, true region pairs at the retargeted start
    estimate: list[float] = field(default_factory=list)  # px per person, estimate against detector
    confidence: list[float] = field(default_factory=list)
    missing: list[bool] = field(default_factory=list)
    # joint name, confidence of the first detector, px per axis between two detectors
    detectors: list[tuple[str, float, float]] = field(default_factory=list)
    legs_exchanged: list[bool] = field(default_factory=list)
    joint_error: list[float] = field(default_factory=list)  # mm


def scale(keypoints: Keypoints2D) -> float:
    """Pixels at 512 of one pixel; NaN for a person of fewer than six keypoints."""
    seen = keypoints.xy[keypoints.confidence > 0.2]
    return 512 / float(np.ptp(seen, axis=0).max()) if len(seen) >= 6 else float("nan")


def compare_detectors(first: Keypoints2D, second: Keypoints2D, into: Seen, factor: float = 1.0) -> None:
    """Differences per axis of two detections of one person, and whether the legs fit better exchanged.

    Args:
        factor: on the differences: those to the truth, where that is known, are smaller by a root of two.
    """
    factor, names = factor * scale(first), SKELETONS["coco17"].joint_names
    both = (first.confidence > 0.2) & (second.confidence > 0.2)
    for i in np.flatnonzero(both):
        apart = factor * float(np.linalg.norm(first.xy[i] - second.xy[i])) / np.sqrt(2)
        into.detectors.append((names[i], float(first.confidence[i]), apart))
    legs = [SKELETONS["coco17"].index[f"{s}_{j}"] for s in ("left", "right") for j in ("knee", "ankle")]
    if both[legs].all():
        crossed = [legs[2], legs[3], legs[0], legs[1]]
        straight = np.linalg.norm(first.xy[legs] - second.xy[legs], axis=1).sum()
        exchanged = np.linalg.norm(first.xy[legs] - second.xy[crossed], axis=1).sum()
        into.legs_exchanged.append(bool(exchanged < 0.6 * straight))


def compare_estimate(detected: Keypoints2D, projected: Keypoints2D, into: Seen) -> None:
    """Mean distance of an estimate's joints from the detector's over one person."""
    both = (detected.confidence > 0.2) & (projected.confidence > 0)
    if both.sum() >= 6 and np.isfinite(scale(detected)):
        apart = np.linalg.norm(detected.xy - projected.xy, axis=1)[both]
        into.estimate.append(scale(detected) * float(apart.mean()))


def real(data: Path, fitter: SceneFitter) -> Seen:
    """Of the photographs."""
    found = Seen()
    for name in PICTURES:
        photograph = read_photograph(data / name)
        scene = photograph.scene(photograph.annotated)
        start = {key: value.numpy() for key, value in fitter.start([scene]).items()}
        found.contact += [100 * d for d in fitter.measure(scene, start).contact_distance]
        openpose, vitpose = (
            read_openpose(data / name / "openpose.json"),
            read_vitpose_body25(data / name / "vitpose.json"),
        )
        bev = read_bev(data / name / "bev.npz")
        signature = next(
            iter(read_flickr_signatures(data / name / "interaction_contact_signature.json").values())
        )
        for person in assemble_people(openpose, vitpose, bev, signature.boxes):
            source = person.source
            if "vitpose" not in source:
                continue
            detected = convert_keypoints(vitpose[source["vitpose"]], "coco17")
            found.confidence += detected.confidence[detected.confidence > 0.2].tolist()
            found.missing += (detected.confidence <= 0.2).tolist()
            if "bev" in source:
                compare_estimate(detected, bev[source["bev"]].keypoints("coco17"), found)
            if "openpose" in source:
                compare_detectors(detected, convert_keypoints(openpose[source["openpose"]], "coco17"), found)
    return found


def simulated(scenes: Sequence[TruthScene], noise: ObservationNoise, fitter: SceneFitter) -> Seen:
    """Of synthetic scenes; the second detector sees the same picture with another seed."""
    found = Seen()
    for truth in scenes:
        seen = observe(truth, noise)
        contacts: tuple[SceneContact, ...] = contacts_of(seen, ContactSource("truth"))
        scene = scene_from_detections(seen.detections, seen.view.width, seen.view.height, contacts)
        start = fitter.start([scene])
        arrays = {key: value.numpy() for key, value in start.items()}
        found.contact += [100 * d for d in fitter.measure(scene, arrays).contact_distance]
        joints = fitter.body.pose(start).joints[:, :22].detach().double()
        truth_joints = joints.new_tensor(seen.joints[:, :22])
        found.joint_error.append(1000 * float(joint_pa_mpjpe(joints[None], truth_joints[None])))
        for person, detection in enumerate(seen.detections):
            keypoints = detection.keypoints
            found.confidence += keypoints.confidence[keypoints.confidence > 0.2].tolist()
            found.missing += (keypoints.confidence <= 0.2).tolist()
            assert detection.initial is not None
            camera = scene.camera
            projected = detection.initial.keypoints(camera, "coco17")
            if projected is not None:
                compare_estimate(keypoints, projected, found)
            true = Keypoints2D("coco17", seen.true_xy[person], np.ones(17))
            compare_detectors(keypoints, true, found, np.sqrt(2))
    return found


def quantiles(values: Sequence[float], decimals: int = 0) -> str:
    found = np.quantile(values, QUANTILES)
    return " / ".join(f"{v:.{decimals}f}" for v in found) + f" ({len(values)})"


def per_kind(seen: Seen, kinds: tuple[str, ...]) -> str:
    apart = [d for name, _, d in seen.detectors if name.rpartition("_")[2] in kinds]
    return f"{np.median(apart):.0f} / {np.sqrt(np.mean(np.square(apart))):.0f} ({len(apart)})"


def per_confidence(seen: Seen, low: float, high: float) -> str:
    apart = [d for _, c, d in seen.detectors if low <= c < high]
    return f"{np.median(apart):.0f} / {np.sqrt(np.mean(np.square(apart))):.0f} ({len(apart)})"


def report(photographs: Seen, synthetic: Seen, title: str) -> str:
    rows = [
        (
            "true region pairs apart at the start, cm",
            quantiles(photographs.contact),
            quantiles(synthetic.contact),
        ),
        (
            "estimate against detector, px per person",
            quantiles(photographs.estimate),
            quantiles(synthetic.estimate),
        ),
        (
            "detector's confidence above 0.2",
            quantiles(photographs.confidence, 2),
            quantiles(synthetic.confidence, 2),
        ),
        (
            "keypoints missing or under 0.2, %",
            f"{100 * np.mean(photographs.missing):.0f}",
            f"{100 * np.mean(synthetic.missing):.0f}",
        ),
        (
            "people whose legs two detectors exchange, %",
            f"{100 * np.mean(photographs.legs_exchanged):.0f} ({len(photographs.legs_exchanged)})",
            f"{100 * np.mean(synthetic.legs_exchanged):.0f} ({len(synthetic.legs_exchanged)})",
        ),
        (
            "joint PA-MPJPE of the start, mm",
            "112 (NTU), 138 (Hi4D), the paper's",
            f"{np.mean(synthetic.joint_error):.0f} (mean), {quantiles(synthetic.joint_error)}",
        ),
    ]
    for name, kinds in KINDS.items():
        rows.append(
            (f"two detectors apart, {name}, px", per_kind(photographs, kinds), per_kind(synthetic, kinds))
        )
    for low, high in CONFIDENCES:
        name = f"two detectors apart, confidence {low:g} to {min(high, 1):g}, px"
        rows.append((name, per_confidence(photographs, low, high), per_confidence(synthetic, low, high)))
    lines = ["| | real | simulated |", "| --- | --- | --- |", *(f"| {' | '.join(row)} |" for row in rows)]
    dials = ["| dial | default | meaning | set by |", "| --- | --- | --- | --- |"]
    dials += [
        f"| `{d.name}` | {d.default:g} | {d.meaning} | {d.basis} |" for d in describe(ObservationNoise())
    ]
    return "\n\n".join(
        [
            title,
            "\n".join(lines),
            "Five figures are the 10, 25, 50, 75 and 90 % quantiles, two are median / root mean square per "
            "axis; in brackets, of how many. Real: OpenPose against ViTPose, which differ in their joint "
            "definitions too (hips, ankles). Simulated: the detector against the truth of its own "
            "definitions, times a root of two. The paper's starts are BEV's on other data.",
            "\n".join(dials),
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=REAL)
    parser.add_argument(
        "--split",
        default="development",
        choices=("development", "held_out", "all"),
        help="of the synthetic scenes",
    )
    parser.add_argument("--scenes", type=int, default=100)
    parser.add_argument("--set", nargs=2, action="append", default=[], metavar=("DIAL", "VALUE"))
    parser.add_argument("--write", action="store_true", help="write the report into benchmarks/results")
    add_check(parser)
    arguments = parser.parse_args()
    require_photographs(arguments.data)
    if arguments.check:
        arguments.scenes, arguments.write = 8, False
    fitter = SceneFitter(preset="no_contact")
    scenes = load_truth_scenes(arguments.split)[: arguments.scenes]
    title = (
        f"{date.today()}; {len(scenes)} synthetic scenes of the split `{arguments.split}`; two photographs."
    )
    noise = ObservationNoise(**{name: float(value) for name, value in arguments.set})
    text = report(real(arguments.data, fitter), simulated(scenes, noise, fitter), title)
    print(text)
    if arguments.write:
        target = HERE / "results" / "synthetic_calibration.md"
        target.write_text(f"# Simulated detections beside real ones\n\n{text}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
