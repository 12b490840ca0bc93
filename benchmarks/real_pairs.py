"""Fit the annotated pairs of two real photographs and say, with figures, what came out.

    python benchmarks/real_pairs.py [--preset best] [--data ../shared/real] [--pictures FOLDER] [--write]
    python benchmarks/real_pairs.py --copies 20        # the pictures and copies with moved keypoints

BEV's estimate is the start, ViTPose and OpenPose give the keypoints, the human annotation is the contact map.
All people of a picture who touch somebody are fitted together, as one scene. Rows: the start, the same
preset without contact, with contact; and the whole path from a vision language model's answers (parsed,
sides repaired by the keypoints, fitted with ``over="parts"``).
"""

from __future__ import annotations

import argparse
import json
import platform
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import torch
from fit_scenes import with_noise
from PIL import Image
from short_form import REAL, add_check, require_photographs, shortened

from apu_contacts.answers import parse_answer
from apu_contacts.contacts import ContactMap
from apu_contacts.people import assemble_people
from apu_contacts.sides.chirality import denoise_chirality
from apu_contacts.sources import read_bev, read_flickr_signatures, read_openpose, read_vitpose_body25
from apu_losses.bodies import load_body
from apu_losses.fitting import (
    FitResult,
    Preset,
    Scene,
    SceneContact,
    SceneFitter,
    load_preset,
    scene_from_detections,
)
from apu_losses.fitting.result.measures import SceneMetrics
from apu_losses.viz.results import before_and_after

HERE = Path(__file__).resolve().parent
PICTURES = ("college_232334", "girls_250416")
MOVED = 0.7
"""Pixels by which a copy's keypoints are moved, as those of the copies that were measured before."""


@dataclass(frozen=True)
class Photograph:
    """One picture: everybody in it, and who touches whom by annotation and by a model's answers."""

    name: str
    width: int
    height: int
    image: str
    detections: tuple
    annotated: tuple[SceneContact, ...]
    answered: tuple[SceneContact, ...]

    def scene(self, contacts: tuple[SceneContact, ...]) -> Scene:
        """Return the people whom these contacts name, as one scene."""
        scene = scene_from_detections(
            list(self.detections), self.width, self.height, contacts, name=self.name, image=self.image
        )
        return scene.keep_people(scene.in_contact)


def read_photograph(folder: Path) -> Photograph:
    """All files of one picture; people are matched across them, annotated boxes first."""
    with Image.open(folder / "image.png") as image:
        width, height = image.size
    signature = next(iter(read_flickr_signatures(folder / "interaction_contact_signature.json").values()))
    people = assemble_people(
        read_openpose(folder / "openpose.json"),
        read_vitpose_body25(folder / "vitpose.json"),
        read_bev(folder / "bev.npz"),
        signature.boxes,
    )
    wanted = sorted({i for pair in signature.pairs for i in (pair.person_a, pair.person_b)})
    place = {box: number for number, box in enumerate(wanted)}
    detections = tuple(people.of("box", box) for box in wanted)
    annotated = tuple(SceneContact(place[p.person_a], place[p.person_b], p.contacts) for p in signature.pairs)
    answered = []
    for line in (folder / "answers.jsonl").read_text().splitlines():
        entry = json.loads(line)
        left, right = place[entry["person_left"]], place[entry["person_right"]]
        contacts = denoise_chirality(
            parse_answer(entry["text"]), detections[left].keypoints, detections[right].keypoints
        )
        answered.append(SceneContact(left, right, ContactMap.from_parts(contacts)))
    return Photograph(
        folder.name, width, height, str(folder / "image.png"), detections, annotated, tuple(answered)
    )


def row(
    name: str, metrics: list[SceneMetrics], results: list[FitResult] | None = None
) -> dict[str, float | str]:
    """One line of the table over all scenes: contacts and people are pooled."""
    contact = np.concatenate([m.contact_distance for m in metrics])
    part = np.concatenate([m.part_distance for m in metrics])
    error = np.concatenate([m.confident_keypoint_error for m in metrics])
    out: dict[str, float | str] = {"row": name}
    for centimetres in (1, 2, 5):
        out[f"<{centimetres} cm %"] = 100 * float((contact <= centimetres / 100).mean())
    out["parts <2 cm %"] = 100 * float((part <= 0.02).mean())
    out["err px"] = float(error.mean())
    out["inside"] = float(np.mean([m.inside_vertices for m in metrics]))
    out["p95 cm"] = 100 * float(np.mean([m.depth_p95 for m in metrics]))
    out["pose rms"] = max(float(np.max(m.pose_change_rms)) for m in metrics)
    out["joint max"] = max(float(np.max(m.pose_change_max)) for m in metrics)
    out["spine max"] = max(float(np.max(m.spine_change_max)) for m in metrics)
    out["stature cm"] = 100 * max(float(np.abs(m.stature_change).max()) for m in metrics)
    out["shape max"] = max(float(np.max(m.shape_change)) for m in metrics)
    out["iterations"] = float(np.sum([r.iterations for r in results])) if results else 0.0
    out["seconds"] = float(np.sum([r.seconds for r in results])) if results else 0.0
    return out


def table(rows: list[dict[str, float | str]]) -> str:
    """Return the rows as a Markdown table."""
    head = list(rows[0])
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    for entry in rows:
        cells = [
            v if isinstance(v, str) else f"{v:.0f}" if k in ("inside", "iterations") else f"{v:.1f}"
            for k, v in entry.items()
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def people_table(results: list[FitResult], scenes: list[Scene]) -> str:
    """Every person of a run: where the plausibility limits are nearest."""
    lines = [
        "| scene | person | err px start | err px | pose rms | joint max | spine max | stature cm | "
        "shape max |",
        "|" + " --- |" * 9,
    ]
    for result, scene in zip(results, scenes, strict=True):
        m = result.after
        for i, person in enumerate(scene.people):
            numbers = (
                result.before.confident_keypoint_error[i],
                m.confident_keypoint_error[i],
                m.pose_change_rms[i],
                m.pose_change_max[i],
                m.spine_change_max[i],
                100 * m.stature_change[i],
                m.shape_change[i],
            )
            lines.append(
                f"| {scene.name} | {person.label} | " + " | ".join(f"{n:.1f}" for n in numbers) + " |"
            )
    return "\n".join(lines)


def run(preset: Preset, data: Path) -> tuple[str, dict[str, tuple[list[Scene], list[FitResult]]]]:
    """All rows with one preset; the report, and scenes and results by row."""
    photographs = [read_photograph(data / name) for name in PICTURES]
    annotated = [p.scene(p.annotated) for p in photographs]
    answered = [p.scene(p.answered) for p in photographs]
    with_contact = SceneFitter(preset=preset).fit(annotated)
    without = SceneFitter(preset=preset.without("contact")).fit(annotated)
    parts = SceneFitter(preset=preset.with_options("contact", over="parts")).fit(answered)
    # the answers' row is judged on the annotation, like the others
    judged = judge_on(photographs, parts, preset)
    rows = [
        row("start (BEV, retargeted)", [r.before for r in with_contact]),
        row("without contact", [r.after for r in without], without),
        row("with contact", [r.after for r in with_contact], with_contact),
        row("model's answers, over parts", judged, parts),
    ]
    ratio = float(rows[2]["err px"]) / float(rows[1]["err px"])
    report = "\n\n".join(
        [
            f"Preset `{preset.name}`; {date.today()}; {platform.processor() or platform.machine()}, "
            f"{torch.get_num_threads()} threads, torch {torch.__version__}.",
            table(rows),
            f"Keypoint error with contact is {ratio:.2f} times that without. Contacts and people are pooled "
            "over the pictures; error: confidence > 0.5, 512 scale; inside and p95: mean over pictures; the "
            "four plausibility columns are the worst person's.",
            people_table(with_contact, annotated),
        ]
    )
    return report, {
        "without": (annotated, without),
        "contact": (annotated, with_contact),
        "answers": (answered, parts),
    }


def copies_report(preset: Preset, data: Path, copies: int) -> str:
    """Return the table of the annotated pairs over copies whose keypoints were moved by `MOVED` pixels."""
    whole = [p.scene(p.annotated) for p in (read_photograph(data / name) for name in PICTURES)]
    moved = [whole, *([with_noise(s, MOVED, n) for s in whole] for n in range(1, copies))]
    scenes = [scene for copy in moved for scene in copy]
    measured = []
    for own in (preset.without("contact"), preset):
        after = [result.after for result in SceneFitter(preset=own).fit(scenes)]
        step = len(PICTURES)
        measured.append([row("", after[i : i + step]) for i in range(0, len(after), step)])
    without, found = measured
    lines = ["| | mean | lowest | highest |", "| --- | --- | --- | --- |"]
    for key in ("<1 cm %", "<2 cm %", "err px", "p95 cm", "pose rms", "spine max", "stature cm"):
        values = np.array([float(copy[key]) for copy in found])
        lines.append(f"| {key} | {values.mean():.2f} | {values.min():.2f} | {values.max():.2f} |")
    one, other = (np.array([float(copy["err px"]) for copy in copy_rows]) for copy_rows in (found, without))
    ratio = one / other
    lines.append(f"| err px, times that without contact | {ratio.mean():.3f} | {ratio.min():.3f} "
                 f"| {ratio.max():.3f} |")  # fmt: skip
    head = f"Preset `{preset.name}`; {date.today()}; the pictures and {copies - 1} copies of each whose "
    return head + f"keypoints were moved by {MOVED} px, with contact.\n\n" + "\n".join(lines)


def judge_on(photographs: list[Photograph], results: list[FitResult], preset: Preset) -> list[SceneMetrics]:
    """Metrics of fits to the answers, with the annotated contacts in place of the answered ones."""
    fitter = SceneFitter(preset=preset)
    return [
        fitter.measure(photograph.scene(photograph.annotated), result.parameters, result.start)
        for photograph, result in zip(photographs, results, strict=True)
    ]


def draw(fits: dict[str, tuple[list[Scene], list[FitResult]]], folder: Path) -> None:
    """One sheet a scene and row: start and result on the photograph, from the side, from above, as heat."""
    body = load_body("free")
    folder.mkdir(parents=True, exist_ok=True)
    for name, (scenes, results) in fits.items():
        for scene, result in zip(scenes, results, strict=True):
            Image.fromarray(before_and_after(scene, result, body)).save(folder / f"{scene.name}_{name}.png")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--preset", default="best")
    parser.add_argument("--data", type=Path, default=REAL)
    parser.add_argument("--pictures", type=Path, help="draw overlays and side views into this folder")
    parser.add_argument(
        "--copies", type=int, default=0, help="only the table over so many copies, the pictures among them"
    )
    parser.add_argument("--write", action="store_true", help="write the report into benchmarks/results")
    add_check(parser)
    arguments = parser.parse_args()
    require_photographs(arguments.data)
    preset = load_preset(arguments.preset)
    if arguments.copies:
        print(copies_report(preset, arguments.data, arguments.copies))
        return
    report, fits = run(shortened(preset, 2) if arguments.check else preset, arguments.data)
    print(report)
    if arguments.pictures is not None:
        draw(fits, arguments.pictures)
    if arguments.write and not arguments.check:
        suffix = "" if arguments.preset == "best" else f"_{arguments.preset}"
        target = HERE / "results" / f"real_pairs{suffix}.md"
        target.write_text(f"# Annotated pairs of two real photographs\n\n{report}\n")


if __name__ == "__main__":
    main()
