"""Files of scenes in and out, for the commands that work on many."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from apu_contacts.files import refuse_foreign, refuse_inputs
from apu_contacts.reading import parse_json, read_json, read_json_lines
from apu_contacts.regions import RegionMap
from apu_contacts.resolve import ContactPolicy
from apu_losses.bodies.protocol import BodyModel
from apu_losses.fitting.scene.file import (
    load_scene,
    read_scene_lines,
    save_scene,
    write_scene_lines,
)
from apu_losses.fitting.scene.types import Scene
from apu_losses.generate.contacts import ContactsReport, add_contacts
from apu_losses.generate.said import FromAnswers, check_from_answers, started_as_said


def read_scenes(path: str | Path) -> list[Scene]:
    """Return the scenes of a ``.jsonl`` file, of one ``.json`` file, or of the ``.json`` files of a folder.

    Raises:
        SceneFileError: a file that is no scene; the message names it.
        FileNotFoundError: a folder without ``.json`` files.
    """
    path = Path(path)
    if path.suffix == ".jsonl":
        return read_scene_lines(path)
    if not path.is_dir():
        return [load_scene(path)]
    files = sorted(path.glob("*.json"))
    if not files:
        raise FileNotFoundError(f"{path}: the folder holds no .json files; a scene is one JSON file")
    return [load_scene(file) for file in files]


def write_scenes(path: str | Path, scenes: Sequence[Scene]) -> None:
    """Write scenes one a line, or a single one as ``.json``; photographs are named so that they are found.

    Raises:
        ValueError: several scenes for one ``.json`` file.
        OSError: it cannot be written.
    """
    path = Path(path)
    if path.suffix == ".json":
        if len(scenes) != 1:
            raise ValueError(f"{path}: a .json file holds one scene, got {len(scenes)}; name a .jsonl")
        save_scene(scenes[0], path)
        return
    write_scene_lines(path, [_found_from_anywhere(scene) for scene in scenes])


def contacts_file(
    scenes: str | Path,
    answers: str | Path,
    out: str | Path,
    policy: ContactPolicy | None = None,
    *,
    from_answers: FromAnswers = "all",
    progress: Callable[[float, str], None] | None = None,
    overwrite: bool = False,
) -> ContactsReport:
    """`apu contacts SCENES ANSWERS -o OUT`: the scenes with the contacts that the answers state.

    Args:
        scenes: see `read_scenes`.
        answers: the file of `apu ask`.
        out: the ``.jsonl`` (or, for one scene, ``.json``) to write.
        policy: how answers become contacts.
        from_answers: what of them counts for people who started from their keypoints alone; they start once
            more, with the free body.
        progress: called with the share of the scenes that are done, 0 to 1, and the next one's name.
        overwrite: replace ``out`` whatever it is.

    Raises:
        ValueError: scenes or answers that cannot be read, or scenes of one name.
        OSError: ``out`` is an input, something else, or cannot be written.
    """
    refuse_inputs([out], [scenes, answers])
    refuse_foreign(out, _is_scenes, "a file of scenes", overwrite=overwrite)
    if not Path(answers).is_file():
        raise FileNotFoundError(f"{answers}: no such file; `apu ask SCENES -o {answers}` makes it")
    check_from_answers(from_answers)
    done, report = add_contacts(read_scenes(scenes), answers, policy)
    write_scenes(out, started_as_said(done, _free_body, _free_regions, from_answers, progress))
    return report


def _free_body() -> BodyModel:
    from apu_losses.bodies import load_body

    return load_body("free")


def _free_regions() -> RegionMap:
    return RegionMap.load("free")


def _found_from_anywhere(scene: Scene) -> Scene:
    return scene if scene.image is None else replace(scene, image=str(Path(scene.image).resolve()))


def _is_scenes(path: Path) -> bool:
    """Whether a file holds scenes whose contacts come from answers: by hand made ones are not replaced."""
    return all(_is_resolved(line) for line in _documents(path))


def _documents(path: Path) -> Iterable[object]:
    if path.suffix == ".json":
        return [read_json(path)]
    return [parse_json(line, f"{path}, line {number}") for number, line in read_json_lines(path)]


def _is_resolved(scene: object) -> bool:
    if not isinstance(scene, dict) or not {"schema_version", "people", "image"} <= scene.keys():
        return False
    return all("evidence" in c or not c["map"]["pairs"] for c in scene.get("contacts", ()))
