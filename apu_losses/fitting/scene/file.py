"""Scenes as JSON: one a file that a person can read, or one a line; what cannot be used says where."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from apu_contacts.camera import Camera
from apu_contacts.contacts import ContactMap
from apu_contacts.files import staged_file, write_text
from apu_contacts.keypoints import convert_keypoints
from apu_contacts.keypoints.types import Keypoints2D
from apu_contacts.reading import number_validator, parse_json, read_json, read_json_lines
from apu_contacts.resolve import ContactEvidence
from apu_losses.fitting.scene.types import (
    InitialBody,
    Joints3D,
    Scene,
    SceneContact,
    ScenePerson,
)

SCHEMA_VERSION = 1
MAX_PIXELS = 200_000
"""Longest side of an image that a scene may have; a damaged number would ask for terabytes of picture."""


class SceneFileError(ValueError):
    """A scene file that cannot be used; the message names the file, the place in it and what was expected.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from apu_losses import SceneFileError, load_scene
        >>> path = Path(tempfile.mkdtemp()) / "hug.json"
        >>> _ = path.write_text('{"format": "apu-scene/1"}')
        >>> try:
        ...     load_scene(path)
        ... except SceneFileError as error:
        ...     print(str(error).partition("; ")[0].partition(": ")[2])
        not a scene: an object with 'schema_version', 'image' and 'people' is expected
    """


@cache
def scene_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of a scene file."""
    text = files("apu_losses.fitting.scene").joinpath("scene_schema.json").read_text(encoding="utf-8")
    schema: dict[str, Any] = json.loads(text)
    return schema


@cache
def _validator() -> Any:
    return number_validator(scene_schema())


def load_scene(path: str | Path) -> Scene:
    """Read one scene.

    Raises:
        SceneFileError: the file is missing, is not JSON, or does not fit the schema.

    Example:
        >>> import tempfile
        >>> import numpy as np
        >>> from apu_contacts import Keypoints2D
        >>> from apu_losses import Scene, ScenePerson, load_scene, save_scene
        >>> seen = Keypoints2D("coco17", np.full((17, 2), 100.0), np.ones(17))
        >>> path = tempfile.mkdtemp() + "/scene.json"
        >>> save_scene(Scene(640, 480, [ScenePerson(seen)]), path)
        >>> load_scene(path).width
        640
    """
    path = Path(path)
    try:
        data = read_json(path, SceneFileError)
    except FileNotFoundError:
        raise SceneFileError(f"{path}: no such file") from None
    return scene_from_dict(data, where=str(path), default_name=path.stem, folder=path.parent)


def save_scene(scene: Scene, path: str | Path) -> None:
    """Write one scene; floats keep 6 decimals (micrometres, micropixels).

    The picture is named relative to the file, unless it lies elsewhere and was named by an absolute path.

    Raises:
        ValueError: a number that is not finite, which JSON cannot hold.

    Example:
        >>> import tempfile
        >>> import numpy as np
        >>> from apu_contacts import Keypoints2D
        >>> from apu_losses import Scene, ScenePerson, load_scene, save_scene
        >>> seen = Keypoints2D("coco17", np.full((17, 2), 100.0), np.ones(17))
        >>> path = tempfile.mkdtemp() + "/scene.json"
        >>> save_scene(Scene(640, 480, [ScenePerson(seen)]), path)
        >>> load_scene(path).name
        'scene'
    """
    path = Path(path)
    data = scene_to_dict(scene)
    if scene.image is not None:
        data["image"]["path"] = _relative_to(scene.image, path.parent)
    try:
        text = json.dumps(data, indent=1, allow_nan=False)
    except ValueError:
        raise ValueError(f"scene {scene.name!r}: {_not_finite(data)}") from None
    write_text(path, text + "\n")


def write_scene_lines(path: str | Path, scenes: Iterator[Scene] | Sequence[Scene]) -> int:
    """Write scenes as JSON lines, one each, and return how many; the file appears when all are there.

    Raises:
        OSError: if nothing can be written there.
    """
    count = 0
    with staged_file(path) as part, part.open("w", encoding="utf-8", newline="\n") as stream:
        for scene in scenes:
            stream.write(scene_line(scene) + "\n")
            count += 1
    return count


def scene_line(scene: Scene) -> str:
    """One line of the file that `write_scene_lines` writes, without its end."""
    return json.dumps(scene_to_dict(scene), separators=(",", ":"))


def read_scene_lines(path: str | Path) -> list[Scene]:
    """Return the scenes of a file that `write_scene_lines` wrote.

    Raises:
        SceneFileError: naming the file and the line.
    """
    scenes = []
    for _, scene in each_scene_line(path):
        if isinstance(scene, SceneFileError):
            raise scene
        scenes.append(scene)
    return scenes


def each_scene_line(path: str | Path) -> Iterator[tuple[int, Scene | SceneFileError]]:
    """Return the lines of such a file one by one: the number of each, and its scene or what is wrong with it.

    Raises:
        SceneFileError: the file itself cannot be read.
    """
    path = Path(path)
    try:
        lines = read_json_lines(path, SceneFileError)
    except FileNotFoundError:
        raise SceneFileError(f"{path}: no such file") from None
    for number, line in lines:
        yield number, _scene_of_line(line, f"{path}, line {number}", path.parent)


def _scene_of_line(line: str, where: str, folder: Path) -> Scene | SceneFileError:
    try:
        data = parse_json(line, where, SceneFileError)
        return scene_from_dict(data, where=where, folder=folder)
    except SceneFileError as error:
        return error


def scene_from_dict(
    data: Any, *, where: str = "scene", default_name: str = "scene", folder: Path | None = None
) -> Scene:
    """Build a scene from parsed JSON; a relative image path is taken from ``folder``.

    Raises:
        SceneFileError: with ``where`` and the place inside ``data``.
    """
    wrong = _not_finite(data)
    if wrong:
        raise SceneFileError(f"{where}: {wrong}")
    if not isinstance(data, dict) or "people" not in data:
        raise SceneFileError(
            f"{where}: not a scene: an object with 'schema_version', 'image' and 'people' is expected; "
            "`apu propose` makes scenes from detections"
        )
    errors = sorted(_validator().iter_errors(data), key=lambda e: list(map(str, e.path)))
    if errors:
        first = errors[0]
        place = _place(first.absolute_path)
        more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
        raise SceneFileError(f"{where}: {place or 'top level'}: {_short(first.message)}{more}")
    try:
        return _build(data, default_name, folder)
    except ValueError as error:
        raise SceneFileError(f"{where}: {error}") from None


def scene_to_dict(scene: Scene) -> dict[str, Any]:
    """Return the JSON form of a scene."""
    image: dict[str, Any] = {"width": scene.width, "height": scene.height}
    if scene.image is not None:
        image["path"] = scene.image
    written: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "name": scene.name,
        "image": image,
        "camera": {"focal": scene.camera.focal, "center": list(scene.camera.center)},
        "people": [_person_to_dict(person) for person in scene.people],
        "contacts": [_contact_to_dict(contact) for contact in scene.contacts],
    }
    if scene.depth_order:
        written["depth_order"] = [list(pair) for pair in scene.depth_order]
    if scene.ground is not None:
        written["ground"] = list(scene.ground)
    return written


def _contact_to_dict(contact: SceneContact) -> dict[str, Any]:
    written: dict[str, Any] = {"person_a": contact.person_a, "person_b": contact.person_b}
    written |= {"order": contact.order, "map": contact.contacts.to_json()}
    if contact.evidence is not None:
        written["evidence"] = contact.evidence.to_dict()
    return written


def _build(data: dict[str, Any], default_name: str, folder: Path | None) -> Scene:
    image = data["image"].get("path")
    for place, text in (("name", data.get("name", "")), ("image.path", image or "")):
        if "\0" in text:
            raise ValueError(f"{place}: holds a null character, which no file's name can")
    largest = max(data["image"]["width"], data["image"]["height"])
    if largest > MAX_PIXELS:
        raise ValueError(f"image: {largest} pixels on a side are more than {MAX_PIXELS}: is the size right?")
    if image is not None and folder is not None and not Path(image).is_absolute():
        image = str(folder / image)
    contacts = []
    for number, c in enumerate(data.get("contacts", ())):
        try:
            contact_map = ContactMap.from_json(c["map"])
        except ValueError as error:
            raise ValueError(f"contacts[{number}].map: {error}") from None
        try:
            evidence = ContactEvidence.from_dict(c["evidence"]) if "evidence" in c else None
        except ValueError as error:
            raise ValueError(f"contacts[{number}]: {error}") from None
        order = c.get("order", "given")
        contacts.append(SceneContact(c["person_a"], c["person_b"], contact_map, order, evidence))
    people = []
    for number, entry in enumerate(data["people"]):
        try:
            people.append(_person_from_dict(entry))
        except ValueError as error:
            raise ValueError(f"people[{number}]: {error}") from None
    width, height = data["image"]["width"], data["image"]["height"]
    return Scene(
        width=width,
        height=height,
        people=people,
        contacts=contacts,
        camera=Camera(**data["camera"]) if "camera" in data else Camera.from_image_size(width, height),
        name=data.get("name", default_name),
        image=image,
        depth_order=[(a, b) for a, b in data.get("depth_order", ())],
        ground=tuple(data["ground"]) if "ground" in data else None,
    )


def _person_from_dict(entry: dict[str, Any]) -> ScenePerson:
    k = entry["keypoints"]
    keypoints = Keypoints2D(
        k["skeleton"], np.array(k["xy"], dtype=float).reshape(-1, 2), np.array(k["confidence"], dtype=float)
    )
    convert_keypoints(
        keypoints, "body25"
    )  # raises where the fit would: an unknown skeleton, joints missing in the list
    initial = entry.get("initial", {})
    joints = initial.get("joints")
    if joints is not None:
        xyz = np.array(joints["xyz"], dtype=float).reshape(-1, 3)
        joints = Joints3D(tuple(joints["names"]), xyz, joints.get("weights"))
    parameters = {name: np.array(value, dtype=float) for name, value in initial.get("parameters", {}).items()}
    return ScenePerson(
        keypoints,
        InitialBody(parameters, joints, initial.get("flat_hand_mean")),
        entry.get("label", ""),
        entry.get("frame", 0),
        entry.get("track", ""),
        entry.get("age_group", ""),
        entry.get("stature"),
        _known(entry.get("depths")),
    )


def _known(depths: Sequence[float | None] | None) -> Any:
    """Return depths as an array; null is not known."""
    return None if depths is None else np.array([np.nan if d is None else d for d in depths], dtype=float)


def _person_to_dict(person: ScenePerson) -> dict[str, Any]:
    initial: dict[str, Any] = {
        "parameters": {name: _numbers(value) for name, value in person.initial.parameters.items()}
    }
    if person.initial.joints is not None:
        joints = person.initial.joints
        initial["joints"] = {"names": list(joints.names), "xyz": _numbers(joints.xyz)}
        if joints.weights is not None:
            initial["joints"]["weights"] = _numbers(joints.weights)
    if person.initial.flat_hand_mean is not None:
        initial["flat_hand_mean"] = person.initial.flat_hand_mean
    keypoints = person.keypoints
    said = {"age_group": person.age_group} if person.age_group else {}
    size = {} if person.stature is None else {"stature": person.stature}
    depths = (
        {}
        if person.depths is None
        else {"depths": [None if np.isnan(d) else round(float(d), 6) for d in person.depths]}
    )
    in_sequence = {"frame": person.frame, "track": person.track} if person.track or person.frame else {}
    return {
        "label": person.label,
        **in_sequence,
        **said,
        **size,
        **depths,
        "keypoints": {
            "skeleton": keypoints.skeleton,
            # a joint that was not seen may lie nowhere, which JSON cannot say
            "xy": _numbers(np.where(keypoints.valid[:, None], keypoints.xy, np.nan_to_num(keypoints.xy))),
            "confidence": _numbers(keypoints.confidence),
        },
        "initial": initial,
    }


def _numbers(values: Any) -> Any:
    return np.round(np.asarray(values, dtype=np.float64), 6).tolist()


def _relative_to(image: str, folder: Path) -> str:
    """Make a relative path, which counts from the working folder, count from the file's."""
    inside = Path(image).resolve().is_relative_to(folder.resolve())
    if Path(image).is_absolute() and not inside:
        return image
    try:
        return Path(os.path.relpath(image, folder)).as_posix()
    except ValueError:  # another drive
        return str(Path(image).resolve())


def _not_finite(data: Any, path: tuple[str | int, ...] = ()) -> str:
    """Says where the first number is that is not finite (Python's JSON reads NaN); empty if there is none."""
    if isinstance(data, float) and not math.isfinite(data):
        return f"{_place(path)}: must be a finite number, got {data}"
    if isinstance(data, dict):
        steps: Iterable[tuple[str | int, Any]] = data.items()
    elif isinstance(data, list) and not _floats(data):
        steps = enumerate(data)
    else:
        return ""
    return next((said for key, item in steps if (said := _not_finite(item, (*path, key)))), "")


def _floats(data: list[Any]) -> bool:
    """Whether a list holds finite floats and nothing else: most of a scene, which is soon seen."""
    return all(type(item) is float for item in data) and all(map(math.isfinite, data))


def _place(path: Iterable[str | int]) -> str:
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).lstrip(".")


def _short(message: str, limit: int = 160) -> str:
    return message if len(message) <= limit else message[: limit - 3] + "..."
