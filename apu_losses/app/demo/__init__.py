"""The scene of `apu demo`, fitted on the free body: a side hug whose true contacts are known.

`tools/build_demo_scene.py` made it: two posed bodies, their projected keypoints with noise, and a start from
which the two people stand at different depths and touch nowhere.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from apu_losses.fitting import FitResult, Scene

SCENE_FILE = "side_hug.json"
FILES = (
    "overlay_before.png",
    "overlay_after.png",
    "before_after.png",
    "people.glb",
    "parameters.npz",
    "result.json",
)
"""What `run_demo` leaves."""
FILM = "film.webp"
"""What it leaves, too, if asked for."""

Progress = Callable[[float, str], None]


@dataclass(frozen=True)
class DemoResult:
    """What `run_demo` did: the scene, its fit, and the files that it left."""

    scene: Scene
    result: FitResult
    files: tuple[Path, ...]


def _refuse_others(folder: Path) -> None:
    """Raise where files of the demo's names are there that it did not leave."""
    from apu_contacts.files import OutputError
    from apu_contacts.reading import read_json

    try:
        record = read_json(folder / "result.json", checked=False)
    except (OSError, ValueError):
        record = None
    ours = isinstance(record, dict) and "apu_losses" in record
    others = [folder / name for name in (*FILES, FILM) if (folder / name).exists()]
    if others and not ours:
        raise OutputError(
            f"{others[0]} is there already and is not apu demo's: it is left alone; name another folder, or "
            "give --overwrite (overwrite=True)"
        )


def demo_scene() -> Scene:
    """Return the bundled scene."""
    from apu_losses.fitting import load_scene

    with resources.as_file(resources.files("apu_losses.app.demo").joinpath(SCENE_FILE)) as path:
        return load_scene(path)


def run_demo(
    folder: str | Path,
    *,
    preset: str = "best",
    film: bool = False,
    progress: Progress | None = None,
    overwrite: bool = False,
) -> DemoResult:
    """Fit the bundled scene and leave pictures, meshes and parameters.

    Args:
        folder: where the files of `FILES` go; it appears, or changes, only when all of them are there.
        preset: of the fit.
        film: whether to leave a film of the fit, `FILM`, too.
        progress: called with the share of the work that is done, 0 to 1, and what is being done.
        overwrite: replace files of these names that no demo left.

    Raises:
        ValueError: an unknown preset.
        OSError: the folder cannot be written, or has other files of these names.
    """
    from PIL import Image

    from apu_contacts.files import staged_folder
    from apu_losses.fitting import SceneFitter
    from apu_losses.viz import FitFilm, write_glb
    from apu_losses.viz.results import before_and_after, posed_meshes, scene_overlay

    def tell(share: float, doing: str) -> None:
        if progress is not None:
            progress(share, doing)

    folder = Path(folder)
    if not overwrite:
        _refuse_others(folder)
    with staged_folder(folder) as stage:
        tell(0.0, "loading the body")
        scene = demo_scene()
        fitter = SceneFitter(preset=preset)
        tell(0.1, "fitting")
        camera = FitFilm(stage / FILM) if film else None
        fitting = 0.2 if film else 0.7  # its share of the work
        (result,) = fitter.fit(
            [scene], callback=camera, progress=lambda share: tell(0.1 + fitting * share, "fitting")
        )
        files: tuple[str, ...] = FILES
        if camera is not None and camera.seen:
            camera.close(lambda share: tell(0.3 + 0.5 * share, "filming"))
            files = (*FILES, FILM)
        tell(0.8, "drawing")
        before, after = (posed_meshes(fitter.body, p) for p in (result.start, result.parameters))
        Image.fromarray(scene_overlay(scene, before)).save(stage / "overlay_before.png")
        Image.fromarray(scene_overlay(scene, after)).save(stage / "overlay_after.png")
        Image.fromarray(before_and_after(scene, result, fitter.body)).save(stage / "before_after.png")
        write_glb(stage / "people.glb", after)
        arrays, record = result.save(stage / "result")
        arrays.rename(stage / "parameters.npz")
        assert record == stage / "result.json"
    tell(1.0, "done")
    return DemoResult(scene, result, tuple(folder / name for name in files))
