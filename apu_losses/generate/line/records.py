"""Records of a data set from what a run left in its folder: scenes, answers, fits."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from apu_contacts import __version__
from apu_contacts.answers import AnswerParseError
from apu_contacts.answers.records import answer_of_record
from apu_contacts.asking.answer_file import read_answers
from apu_contacts.digest import digest, file_digest
from apu_contacts.images import PictureError
from apu_contacts.keypoints.seen import is_seen
from apu_contacts.resolve import ContactEvidence
from apu_losses.dataset.picture_hash import picture_hash
from apu_losses.dataset.record import (
    SCHEMA_VERSION,
    Record,
    attributes_entry,
    single,
    stated_attributes_entry,
)
from apu_losses.dataset.rules import Finding, Rules, body_findings, finding, verdict
from apu_losses.fitting.propose.scenes import ImageFiles
from apu_losses.fitting.result.findings import look_at
from apu_losses.fitting.result.measures import SceneMetrics
from apu_losses.fitting.result.record import FitResult
from apu_losses.fitting.scene.file import read_scene_lines
from apu_losses.fitting.scene.types import Scene, ScenePerson

_PEOPLE = (
    "keypoint_error",
    "robust_keypoint_error",
    "pose_change_rms",
    "pose_change_max",
    "spine_change_max",
    "stature_change",
    "volume_change",
    "thickness_change",
)
_ANSWER_TEXTS = (
    "question",
    "model",
    "asked_model",
    "asked_of",
    "server",
    "prompt_version",
    "prompt_hash",
    "wording",
    "image_hash",
    "text",
    "reasoning",
    "status",
    "repair_of",
)
_EVIDENCE = ("status", "answers", "stating", "denying", "refused", "unreadable", "partly_read", "left")
_OF_SCENE = ("inside_vertices", "depth_p95", "depth_max", "depth_order_wrong")


@dataclass(frozen=True)
class Origin:
    """What all records of a run share.

    Args:
        source: name of an image -> where it comes from (the paper's "data source").
        action: known label of the interaction, "" if there is none.
        policy: digest of how answers become contacts.
        rules: what pairs are judged by.
    """

    source: Mapping[str, str]
    action: str = ""
    policy: str = ""
    rules: Rules = field(default_factory=Rules)


def records_of_run(folder: str | Path, images: Sequence[ImageFiles], origin: Origin) -> list[Record]:
    """Return a record of each pair that a run in ``folder`` proposed, whatever became of it.

    Nothing in a record tells when, where or beside whom its pair was worked on.

    Args:
        folder: as `apu_losses.generate.run` leaves it.
        images: the photographs of that run, with what lies beside them.
        origin: what the folder does not say.
    """
    place = Path(folder)
    listing = place / "contacts.jsonl"
    scenes = read_scene_lines(listing) if listing.is_file() and listing.stat().st_size else []
    answers: dict[tuple[str, frozenset[int]], list[Mapping[str, Any]]] = {}
    asked = place / "answers.jsonl"
    for entry in read_answers(asked) if asked.is_file() else ():
        people = frozenset((int(entry.get("person_left", -1)), int(entry.get("person_right", -1))))
        answers.setdefault((str(entry.get("scene")), people), []).append(entry)
    files = {image.name: image for image in images}
    found = []
    for scene in scenes:
        result = _result(place / "fits" / scene.name)
        shared = _of_image(scene, files.get(scene.name), result, origin)
        shown = shared["image"]["digest"]
        first = [0, 0]  # where the contacts of the pair begin among those of the scene
        for contact in scene.contacts:
            a, b = contact.person_a, contact.person_b
            size = len(contact.contacts), len(contact.contacts.groups())
            if a != b:
                about = answers.get((scene.name, frozenset((a, b))), [])
                own = [entry for entry in about if entry.get("image_hash") == shown]
                found.append(_pair(scene, contact, own, result, (first, size), shared, origin))
            first = [first[0] + size[0], first[1] + size[1]]
    return found


def _result(stem: Path) -> FitResult | None:
    if not stem.with_name(f"{stem.name}.json").is_file():
        return None
    return FitResult.load(stem)


def _of_image(
    scene: Scene, files: ImageFiles | None, result: FitResult | None, origin: Origin
) -> dict[str, Any]:
    """Return what the pairs of an image share."""
    import torch

    picture = None if scene.image is None else Path(scene.image)
    phash = None
    if picture is not None:
        try:
            phash = picture_hash(picture)
        except (PictureError, OSError):
            phash = None
    inputs = [] if files is None else sorted(files.files.items())
    return {
        "image": {
            "name": scene.name,
            "path": None if picture is None else str(picture),
            "digest": None if picture is None else sha256(picture.read_bytes()).hexdigest(),
            "width": scene.width,
            "height": scene.height,
            "phash": phash,
        },
        "camera": {"focal": float(scene.camera.focal), "center": [float(c) for c in scene.camera.center]},
        "provenance": {
            "apu_losses": __version__,
            "torch": torch.__version__.split("+")[0],
            "numpy": np.__version__,
            "preset": "" if result is None else result.preset.name,
            "preset_digest": "" if result is None else digest(result.preset.to_dict()),
            "body": "" if result is None else result.body,
            "body_model": "" if result is None else result.body_model,
            "body_identity": "" if result is None else result.body_identity,
            "region_map": ""
            if result is None
            else "; ".join(result.regions[k] for k in sorted(result.regions)),
            "policy": origin.policy,
            "seed": 0,  # nothing is drawn: starts, answers at a temperature of 0 and fits have none
            "inputs": [{"kind": kind, "digest": file_digest(p)} for kind, p in inputs if p.is_file()],
            "notes": [] if result is None else list(result.notes),
        },
    }


def _pair(
    scene: Scene,
    contact: Any,
    answers: Sequence[Mapping[str, Any]],
    result: FitResult | None,
    place: tuple[Sequence[int], tuple[int, int]],
    shared: Mapping[str, Any],
    origin: Origin,
) -> Record:
    a, b = contact.person_a, contact.person_b
    evidence = contact.evidence or ContactEvidence("not asked")
    before = after = None
    if result is not None:
        before, after = (_measures(m, (a, b), place) for m in (result.before, result.after))
    known = [_answer(entry) for entry in answers]
    known.sort(key=lambda one: (one["model"], one["sample"], one["question"]))
    record: Record = {
        "schema_version": SCHEMA_VERSION,
        "id": f"{scene.name}:{a}-{b}",
        "source": origin.source.get(scene.name, ""),
        "action": origin.action,
        "interaction": evidence.interaction,
        "image": dict(shared["image"]),
        "camera": dict(shared["camera"]),
        "scene": {"people": len(scene.people), "pairs": len(scene.contacts), "person_a": a, "person_b": b},
        "person_a": _person(scene.people[a], result, a),
        "person_b": _person(scene.people[b], result, b),
        "answers": known,
        "evidence": {name: getattr(evidence, name) for name in _EVIDENCE}
        | {"attributes": attributes_entry(evidence.attributes)},
        "order": {
            "value": contact.order,
            "exchanged": evidence.exchanged,
            "margin": float(evidence.order_margin),
        },
        "contacts": [dict(entry) for entry in evidence.contacts],
        "region_map": {k: v for k, v in contact.contacts.to_json().items() if k != "schema"},
        "stages": [] if result is None else [_stage(stage) for stage in result.stages],
        "before": None if before is None else _plain(before),
        "after": None if after is None else _plain(after),
        "provenance": dict(shared["provenance"]),
    }
    record["verdict"] = _judged(
        record, replace(scene, contacts=[contact]).keep_people((a, b)), result, (before, after), origin.rules
    )
    return record


def _person(person: ScenePerson, result: FitResult | None, index: int) -> dict[str, Any]:
    points = person.keypoints
    seen = points.xy[is_seen(points.confidence)]
    box = None if not len(seen) else single([*seen.min(0), *seen.max(0)])
    return {
        "label": person.label,
        "age_group": person.age_group,
        "stature": None if person.stature is None else float(person.stature),
        "keypoints": {
            "skeleton": points.skeleton,
            "xy": single(np.where(np.isfinite(points.xy), points.xy, 0.0)),
            "confidence": single(points.confidence),
        },
        "box": box,
        "parameters": None if result is None else _row(result.parameters, index),
        "start": None if result is None else _row(result.start, index),
    }


def _row(parameters: Mapping[str, Any], index: int) -> dict[str, Any] | None:
    """Return the parameters of one person; None if they are not all finite."""
    found = {name: single(parameters[name][index]) for name in sorted(parameters)}
    return found if all(np.isfinite(values).all() for values in found.values()) else None


def _answer(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return an answer as it came, and as it is read."""
    try:
        answer = answer_of_record(entry)
    except (AnswerParseError, ValueError):
        answer = None
    reading = None
    if answer is not None:
        reading = {
            "interaction": answer.interaction,
            "person_left": answer.people.get("person_left", ""),
            "person_right": answer.people.get("person_right", ""),
            "orientation": answer.orientation,
            "truncated": answer.truncated,
            "conforms": answer.conforms,
            "unknown_words": list(answer.unknown_words),
            "attributes": stated_attributes_entry(answer.attributes),
            "contacts": [
                {
                    "part_left": "/".join((c.part_a, *c.alternatives_a)),
                    "side_left": c.side_a,
                    "part_right": "/".join((c.part_b, *c.alternatives_b)),
                    "side_right": c.side_b,
                    "confidence": float(c.confidence),
                }
                for c in answer.contacts
            ],
        }
    crop = entry.get("crop")
    temperature = entry.get("temperature")
    return {
        **{name: str(entry.get(name) or "") for name in _ANSWER_TEXTS},
        **{name: entry.get(name) for name in ("refusal", "finish_reason", "error")},
        **{name: entry.get(name) for name in ("prompt_tokens", "completion_tokens")},
        "temperature": None if temperature is None else float(temperature),
        "sample": int(entry.get("sample", 0)),
        "crop": None if crop is None else [float(c) for c in crop],
        "person_left": int(entry["person_left"]),
        "person_right": int(entry["person_right"]),
        "reading": reading,
        "repairs": []
        if answer is None
        else [{"kind": r.kind, "start": r.start, "end": r.end, "meaning": r.meaning} for r in answer.repairs],
    }


def _stage(stage: Any) -> dict[str, Any]:
    terms = [{"term": name, "value": _number(value)} for name, value in sorted(stage.terms.items())]
    return {
        "name": stage.name,
        "iterations": stage.iterations,
        "reason": stage.reason,
        "loss": _number(stage.loss),
        "terms": terms,
    }


def _measures(
    metrics: SceneMetrics, pair: tuple[int, int], place: tuple[Sequence[int], tuple[int, int]]
) -> SceneMetrics:
    """Return the measures of a scene for one of its pairs; what is inside whom is of all people together."""
    first, size = place
    cut = {}
    for entry in fields(SceneMetrics):
        value = getattr(metrics, entry.name)
        if entry.name == "contact_distance":
            cut[entry.name] = value[first[0] : first[0] + size[0]]
        elif entry.name == "part_distance":
            cut[entry.name] = value[first[1] : first[1] + size[1]]
        elif isinstance(value, tuple):
            cut[entry.name] = tuple(value[i] for i in pair) if value else value
    return replace(metrics, **cut)


def _plain(metrics: SceneMetrics) -> dict[str, Any]:
    found: dict[str, Any] = {
        name: [_number(v) for v in getattr(metrics, name)] or [None, None] for name in _PEOPLE
    }
    found |= {name: _number(getattr(metrics, name)) for name in _OF_SCENE[1:]}
    found["inside_vertices"] = int(metrics.inside_vertices)
    found |= {
        name: [_number(v) for v in getattr(metrics, name)] for name in ("part_distance", "contact_distance")
    }
    return found


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _judged(
    record: Record,
    scene: Scene,
    result: FitResult | None,
    measures: tuple[SceneMetrics | None, SceneMetrics | None],
    rules: Rules,
) -> dict[str, Any]:
    """Return the verdict on a pair; ``scene`` is of the two alone."""
    before, after = measures
    stated = record["evidence"]["status"] == "contacts"
    found: list[Finding] = [finding("contacts stated", float(len(record["contacts"])), 1, stated)]
    fitted = result is not None and not result.failed and record["person_a"]["parameters"] is not None
    fitted = fitted and record["person_b"]["parameters"] is not None
    found.append(finding("fitted", float(fitted), 1, fitted))
    if result is None or after is None:
        return verdict(found, "not fitted")
    worst = float(np.max(after.keypoint_error))
    found.append(finding("paper pixels", worst, rules.paper_pixels, worst < rules.paper_pixels))
    term = dict(result.stages[-1].terms).get("keypoints") if result.stages else None
    if term is not None:
        found.append(finding("paper loss", term, rules.paper_loss, term < rules.paper_loss, decides=False))
    if fitted:
        found += [finding(f.name, f.value, f.limit, f.right) for f in look_at(scene, after, before=before)]
        found += body_findings(record, rules)
    return verdict(found, result.verdict.reason)


def lines(records: Sequence[Record]) -> str:
    """Return records as JSON lines in the order of their ids: what two runs are compared by."""
    rows = sorted(records, key=lambda record: record["id"])
    return "".join(json.dumps(row, sort_keys=True, separators=(",", ":")) + "\n" for row in rows)
