"""Pairs in the forms of other tools: COCO-WholeBody, smplx ``.npz``, ``.smpl``, BUDDI's ``.npz``."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from apu_contacts.digest import digest
from apu_contacts.files import OutputError, made_folder, name_problem, staged_file, write_text
from apu_contacts.keypoints import convert_keypoints
from apu_contacts.keypoints.types import Keypoints2D
from apu_losses.dataset.folder import records
from apu_losses.dataset.record import Record

FORMS = ("coco", "smplx", "smpl", "buddi")
PEOPLE = ("person_a", "person_b")


def export(folder: str | Path, out: str | Path, form: str, *, kept_only: bool = True) -> int:
    """Write the pairs of a data set as another tool reads them; return how many things were written.

    ========= ========================================================================================
    ``coco``  ``keypoints.json``: images and annotations with COCO-WholeBody's 133 points and boxes
    ``smplx`` ``ID_0.npz`` and ``ID_1.npz``: parameters by smplx names, ``(1, size)`` each, and the camera
    ``smpl``  ``ID_0.smpl`` and ``ID_1.smpl``: one frame each, as ``smplcodec`` reads it; no age
    ``buddi`` ``ID.npz``: two rows of each parameter, the age as ``scale``, camera and contacts
    ========= ========================================================================================

    Args:
        folder: the data set.
        out: a folder.
        form: one of `FORMS`.
        kept_only: leave out what was rejected.

    Raises:
        ValueError: an unknown form, or a body whose parameters are none of SMPL-X's (for all but coco).
        OutputError: ``out`` is a file.
    """
    if form not in FORMS:
        raise ValueError(f"form must be one of {', '.join(FORMS)}, got {form!r}")
    chosen = (r for r in records(folder) if r["verdict"]["kept"] or not kept_only)
    with made_folder(out) as place:
        if form == "coco":
            return _coco(chosen, place)
        write = {"smplx": _smplx, "smpl": _smpl, "buddi": _buddi}[form]
        return _each(chosen, place, write)


def _each(chosen: Iterator[Record], place: Path, write: Callable[[Record, Path, str], int]) -> int:
    done = 0
    for record in chosen:
        if record["person_a"]["parameters"] is None or record["person_b"]["parameters"] is None:
            continue
        done += write(record, place, file_name(record["id"]))
    return done


def file_name(name: str) -> str:
    """Return the id of a pair as the name of a file: ``"hug:0-1"`` as ``"hug_0-1"``."""
    made = name.replace(":", "_").replace("/", "_")
    return made if name_problem(made) is None else digest(name)


def _rows(record: Mapping[str, Any], name: str) -> NDArray[np.float32]:
    """Return ``(2, size)`` of a parameter."""
    return np.array([record[p]["parameters"][name] for p in PEOPLE], dtype=np.float32)


def _smplx(record: Record, place: Path, stem: str) -> int:
    for index, person in enumerate(PEOPLE):
        values = {name: np.array([v], dtype=np.float32) for name, v in record[person]["parameters"].items()}
        _save(place / f"{stem}_{index}.npz", {**values, **_camera(record)})
    return 2


def _buddi(record: Record, place: Path, stem: str) -> int:
    values: dict[str, Any] = {name: _rows(record, name) for name in record["person_a"]["parameters"]}
    if "age" in values:
        values["scale"] = values.pop("age")
    pairs = np.array(record["region_map"]["pairs"], dtype=np.int64).reshape(-1, 2)
    contact = np.zeros((75, 75), dtype=bool)
    contact[pairs[:, 0], pairs[:, 1]] = True
    _save(place / f"{stem}.npz", {**values, **_camera(record), "contact_map": contact})
    return 1


def _smpl(record: Record, place: Path, stem: str) -> int:
    for index, person in enumerate(PEOPLE):
        given = {k: np.array(v, dtype=np.float32) for k, v in record[person]["parameters"].items()}
        if len(given.get("body_pose", ())) != 63 or len(given.get("global_orient", ())) != 3:
            raise ValueError(
                f"{record['id']}: .smpl holds SMPL-X's 22 joints, and this body's parameters are "
                f"{ {k: len(v) for k, v in given.items()} }; `apu convert` turns one body into another"
            )
        pose = np.concatenate([given["global_orient"], given["body_pose"]]).reshape(1, 22, 3)
        values: dict[str, Any] = {
            "codecVersion": np.int64(2),
            "smplVersion": np.int64(2),  # SMPL-X
            "gender": np.int64(0),  # neutral
            "shapeParameters": given.get("betas", np.zeros(10, dtype=np.float32)),
            "frameCount": np.int64(1),
            "bodyTranslation": given["transl"][None],
            "bodyPose": pose,
        }
        for name, key in (("left_hand_pose", "leftHandPose"), ("right_hand_pose", "rightHandPose")):
            if len(given.get(name, ())) == 45:
                values[key] = given[name].reshape(1, 15, 3)
        _save(place / f"{stem}_{index}.smpl", values)
    return 2


def _camera(record: Mapping[str, Any]) -> dict[str, Any]:
    camera, image = record["camera"], record["image"]
    return {
        "focal": np.float64(camera["focal"]),
        "center": np.array(camera["center"], dtype=np.float64),
        "image_size": np.array([image["width"], image["height"]], dtype=np.int64),
    }


def _save(path: Path, values: Mapping[str, Any]) -> None:
    with staged_file(path) as part, part.open("wb") as stream:
        np.savez_compressed(stream, **values)


def _coco(chosen: Iterator[Record], place: Path) -> int:
    """Write one file; people who are in several pairs of an image stand in it once."""
    images: dict[str, dict[str, Any]] = {}
    people: dict[tuple[str, int], dict[str, Any]] = {}
    for record in chosen:
        image = record["image"]
        entry = images.setdefault(
            image["name"],
            {
                "id": len(images) + 1,
                "file_name": image["path"] or image["name"],
                "width": image["width"],
                "height": image["height"],
            },
        )
        for person in PEOPLE:
            key = image["name"], record["scene"][person]
            if key not in people:
                people[key] = _annotation(record[person], entry["id"], len(people) + 1)
    document = {
        "images": list(images.values()),
        "annotations": list(people.values()),
        "categories": [{"id": 1, "name": "person", "supercategory": "person"}],
    }
    path = place / "keypoints.json"
    if path.is_dir():
        raise OutputError(f"{path} is a folder: move it away")
    write_text(path, json.dumps(document) + "\n")
    return len(people)


def _annotation(person: Mapping[str, Any], image: int, number: int) -> dict[str, Any]:
    given = person["keypoints"]
    points = Keypoints2D(given["skeleton"], np.array(given["xy"]), np.array(given["confidence"]))
    whole = convert_keypoints(points, "coco_wholebody133")
    seen = whole.confidence > 0
    body = np.concatenate([np.where(seen[:, None], whole.xy, 0.0), whole.confidence[:, None]], 1)
    entry: dict[str, Any] = {"id": number, "image_id": image, "category_id": 1, "iscrowd": 0}
    # visibility is COCO's 0 or 2 in the body, and the confidence in the other parts, as the set has it
    cuts = {"keypoints": (0, 17), "foot_kpts": (17, 23), "face_kpts": (23, 91)}
    cuts |= {"lefthand_kpts": (91, 112), "righthand_kpts": (112, 133)}
    for name, (first, last) in cuts.items():
        rows = body[first:last].copy()
        if name == "keypoints":
            rows[:, 2] = 2.0 * (rows[:, 2] > 0)
        entry[name] = np.round(rows, 3).ravel().tolist()
        if name != "keypoints":
            entry[name.replace("kpts", "valid")] = bool((rows[:, 2] > 0).any())
    entry["num_keypoints"] = int(seen[:17].sum())
    box = person["box"] or [0.0, 0.0, 0.0, 0.0]
    entry["bbox"] = [box[0], box[1], box[2] - box[0], box[3] - box[1]]
    entry["area"] = entry["bbox"][2] * entry["bbox"][3]
    return entry
