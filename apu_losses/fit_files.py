"""Scene files in, fitted people out: parameters, record, meshes and a picture for each scene."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from apu_losses.bodies import BodyModel
    from apu_losses.fitting import FitResult, Scene, SceneFitter


def load_scenes(path: str | Path, body: BodyModel) -> dict[str, Scene]:
    """Read one scene file, all of a folder in the order of their names, or the lines of a ``.jsonl`` file.

    Every file and every photograph is read before anything is fitted, so that a mistake in the last file does
    not cost the work on the others.

    Args:
        path: a ``.json`` file, a folder of them, or a ``.jsonl`` file as ``apu propose`` writes it.
        body: the body that will be fitted; the scenes' initial parameters must be its own.

    Returns:
        Scenes by the stem of their file; those of a ``.jsonl`` file by their own names.

    Raises:
        FileNotFoundError: no such file or folder, or a folder without ``.json`` files.
        ValueError: a file that is no scene or not one of this body, or a photograph that does not fit it.
    """
    from apu_losses.fitting import load_scene

    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such file or folder")
    if path.suffix == ".jsonl":
        scenes = _named_lines(path)
        for name, scene in scenes.items():
            _check(f"{path}: {name}", scene, body)
        return scenes
    files = sorted(path.glob("*.json")) if path.is_dir() else [path]
    if not files:
        raise FileNotFoundError(f"{path}: the folder holds no .json files; a scene is one JSON file")
    scenes = {file.stem: load_scene(file) for file in files}
    for file, scene in zip(files, scenes.values(), strict=True):
        _check(str(file), scene, body)
    return scenes


def _named_lines(path: Path) -> dict[str, Scene]:
    """The scenes of a ``.jsonl`` file by their names, which name the files of the results."""
    from apu_losses.fitting.scene_io import read_scene_lines

    scenes: dict[str, Scene] = {}
    for number, scene in enumerate(read_scene_lines(path), 1):
        if scene.name in scenes or Path(scene.name).name != scene.name:
            why = "stands there twice" if scene.name in scenes else "cannot name a file"
            raise ValueError(f"{path}, scene {number}: the name {scene.name!r} {why}")
        scenes[scene.name] = scene
    if not scenes:
        raise ValueError(f"{path}: the file holds no scenes")
    return scenes


def _check(where: str, scene: Scene, body: BodyModel) -> None:
    """Raise, with the place, what would fail only after the fit has begun."""
    from apu_losses.viz.results import photograph

    try:
        photograph(scene)
        _check_start(scene, body)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None


def _check_start(scene: Scene, body: BodyModel) -> None:
    """Raise what the fit would raise over a start that is none of this body's."""
    from apu_contacts.keypoints import SKELETONS
    from apu_losses.fitting.named_points import KEYPOINTS
    from apu_losses.fitting.retarget import stack_parameters

    stack_parameters(body, [person.initial for person in scene.people])
    known = {*body.joint_names, *SKELETONS[KEYPOINTS].joint_names}
    for index, person in enumerate(scene.people):
        names = person.initial.joints.names if person.initial.joints else None
        if names is not None and len(known.intersection(names)) < 4:
            raise ValueError(
                f"people[{index}].initial.joints: fewer than 4 of {list(names)[:8]} are joints of the "
                f"body {body.name!r}, such as {', '.join(body.joint_names[:3])}"
            )


def fit_scenes(
    scenes: Mapping[str, Scene],
    fitter: SceneFitter,
    folder: str | Path,
    *,
    pictures: bool = True,
    progress: Callable[[float, str], None] | None = None,
    log: str | Path | None = None,
    films: str | Path | None = None,
) -> dict[str, FitResult]:
    """Fit scenes and leave ``NAME.npz`` (parameters), ``NAME.json`` (record), ``NAME.glb`` and ``NAME.png``.

    Args:
        scenes: by the name of their files in ``folder``.
        fitter: what fits them.
        folder: it appears, or changes, only when all results are there.
        pictures: whether to draw ``NAME.png``, the people before and after.
        progress: called with the share of the work that is done, 0 to 1, and what is being done.
        log: file for the losses of each iteration, see `apu_losses.fitting.FitLog`.
        films: folder for a film of each scene, ``NAME.webp`` (`apu_losses.viz.FitFilm`); like ``folder`` it
            changes only at the end. A scene that failed before its first iteration has none.

    Raises:
        OSError: a folder or the log cannot be written.
    """
    from PIL import Image

    from apu_losses.files import staged_folder
    from apu_losses.fitting import FitLog, FitProgress
    from apu_losses.viz import FitFilm, write_glb
    from apu_losses.viz.results import before_and_after, posed_meshes

    def tell(share: float, doing: str) -> None:
        if progress is not None:
            progress(share, doing)

    # a film takes many times as long as the fit of its scene
    filming = 0.0 if films is None else 0.9
    drawing = 0.25 if pictures else 0.05
    with ExitStack() as stack:
        stage = stack.enter_context(staged_folder(folder))
        watchers: list[Callable[[FitProgress], None]] = []
        if log is not None:
            watchers.append(stack.enter_context(FitLog(log)))
        cameras: dict[str, FitFilm] = {}
        if films is not None:
            film_stage = stack.enter_context(staged_folder(films))
            cameras = {n: FitFilm(film_stage / f"{n}.webp", number=i) for i, n in enumerate(scenes)}
            watchers += cameras.values()

        def watch(event: FitProgress) -> None:
            for watcher in watchers:
                watcher(event)

        fitted = fitter.fit(
            list(scenes.values()),
            callback=watch if watchers else None,
            progress=lambda share: tell((1 - filming) * (1 - drawing) * share, "fitting"),
        )
        results = dict(zip(scenes, fitted, strict=True))
        for number, (name, result) in enumerate(results.items()):
            tell((1 - filming) * (1 - drawing * (1 - number / len(results))), f"writing {name}")
            result.save(stage / name)
            write_glb(stage / f"{name}.glb", posed_meshes(fitter.body, result.parameters))
            if pictures:
                picture = before_and_after(scenes[name], result, fitter.body)
                Image.fromarray(picture).save(stage / f"{name}.png")
        for number, (name, film) in enumerate(cameras.items()):
            if film.seen:
                done = 1 - filming * (1 - number / len(cameras))
                part = filming / len(cameras)
                film.close(partial(_tell_part, tell, done, part, f"filming {name}"))
    tell(1.0, "done")
    return results


def _tell_part(
    tell: Callable[[float, str], None], done: float, part: float, doing: str, share: float
) -> None:
    tell(done + part * share, doing)
