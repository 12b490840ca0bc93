"""Reading the scenes of a fit, each with its photograph, before anything is fitted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from apu_contacts.files import name_problem

if TYPE_CHECKING:
    from apu_losses.bodies import BodyModel
    from apu_losses.fitting import Scene

MOST_PIXELS = 1 << 28
"""Pixels of the largest picture of a scene, 268 million: pictures of the results are drawn in its size."""


@dataclass
class SceneFiles:
    """The scenes that a path names.

    Attributes:
        scenes: by the names of their results: the stem of their file, or their own name in a ``.jsonl``.
        unusable: what cannot be fitted: one line each, which names the file, what is wrong and where.
        inputs: every file that was read: scene files and photographs.
    """

    scenes: dict[str, Scene] = field(default_factory=dict)
    unusable: list[str] = field(default_factory=list)
    inputs: list[Path] = field(default_factory=list)


def load_scenes(path: str | Path, body: BodyModel) -> SceneFiles:
    """Read one scene file, all of a folder in the order of their names, or the lines of a ``.jsonl`` file.

    Every file and every photograph is read before anything is fitted. What cannot be fitted is listed, and
    the others go on; where nothing can, that is an error.

    Args:
        path: a ``.json`` file, a folder of them, or a ``.jsonl`` file as ``apu propose`` writes it.
        body: the body that will be fitted; the scenes' initial parameters must be its own.

    Raises:
        FileNotFoundError: no such file or folder, or a folder without ``.json`` files.
        ValueError: no scene that could be fitted; the message is that of the first.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such file or folder")
    found = SceneFiles(inputs=[path])
    for where, name, scene in _lines(path) if path.suffix == ".jsonl" else _files(path, found):
        problem = scene if isinstance(scene, Exception) else _problem(where, name, scene, found, body)
        if problem is None and not isinstance(scene, Exception):
            found.scenes[name] = scene
        else:
            found.unusable.append(str(problem))
    if not found.scenes and found.unusable:
        more = len(found.unusable) - 1
        raise ValueError(found.unusable[0] + (f" (and {more} more that cannot be fitted)" if more else ""))
    if not found.scenes:
        raise ValueError(f"{path}: the file holds no scenes")
    return found


def _files(path: Path, found: SceneFiles) -> Iterator[tuple[str, str, Scene | Exception]]:
    """Place, name and scene, or what is wrong with it, of a file or of those in a folder."""
    from apu_losses.fitting import load_scene

    files = sorted(path.glob("*.json")) if path.is_dir() else [path]
    if not files:
        raise FileNotFoundError(f"{path}: the folder holds no .json files; a scene is one JSON file")
    found.inputs += files
    for file in files:
        try:
            scene = load_scene(file)
        except (OSError, ValueError, RecursionError) as error:
            yield str(file), file.stem, _at(str(file), error)
        else:
            yield str(file), file.stem, scene


def _lines(path: Path) -> Iterator[tuple[str, str, Scene | Exception]]:
    """Place, name and scene of each line of a ``.jsonl`` file; the name is that of the results."""
    from apu_losses.fitting.scene.file import each_scene_line

    for number, scene in each_scene_line(path):
        where = f"{path}, line {number}"
        if isinstance(scene, Exception):
            yield where, "", _at(where, scene)
        else:
            yield where, scene.name, scene


def _problem(where: str, name: str, scene: Scene, found: SceneFiles, body: BodyModel) -> Exception | None:
    """Say what would fail only after the fit has begun, with the place."""
    from apu_losses.viz.results import photograph

    if name in found.scenes:
        return ValueError(f"{where}: the name {name!r} stands there twice, and names the results")
    unfit = name_problem(name)
    if unfit is not None:
        shown = name if len(name) < 60 else f"{name[:57]}..."
        return ValueError(f"{where}: the name {shown!r} cannot name a file: it {unfit}")
    try:
        if scene.width * scene.height > MOST_PIXELS:
            raise ValueError(
                f"image.width and height: {scene.width} x {scene.height} pixels is more than any photograph "
                f"that can be drawn ({MOST_PIXELS} in all)"
            )
        if scene.image is not None:
            found.inputs.append(Path(scene.image))
        photograph(scene)
        _check_start(scene, body)
    except (OSError, ValueError, MemoryError, RecursionError) as error:
        return _at(where, error)
    return None


def _at(where: str, error: Exception) -> Exception:
    """Return the error with its place, once."""
    said = str(error) if str(error) else type(error).__name__
    if isinstance(error, RecursionError):
        said = "is nested too deeply"
    return ValueError(said if said.startswith(where) else f"{where}: {said}")


def _check_start(scene: Scene, body: BodyModel) -> None:
    """Raise what the fit would raise over a start that is none of this body's."""
    from apu_contacts.keypoints import SKELETONS
    from apu_losses.fitting.start.named_points import KEYPOINTS
    from apu_losses.fitting.start.retarget import stack_parameters

    stack_parameters(body, [person.initial for person in scene.people])
    known = {*body.joint_names, *SKELETONS[KEYPOINTS].joint_names}
    for index, person in enumerate(scene.people):
        names = person.initial.joints.names if person.initial.joints else None
        if names is not None and len(known.intersection(names)) < 4:
            raise ValueError(
                f"people[{index}].initial.joints: fewer than 4 of {list(names)[:8]} are joints of the "
                f"body {body.name!r}, such as {', '.join(body.joint_names[:3])}"
            )
