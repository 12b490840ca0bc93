"""Fit scenes and write what comes out, batch after batch; go on where an earlier run was stopped."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from apu_contacts import __version__
from apu_contacts.digest import digest, file_digest
from apu_contacts.files import (
    OutputError,
    made_folder,
    name_problem,
    refuse_foreign,
    refuse_inputs,
    work_folder,
)
from apu_losses.generate.fit_files.results import FILES, MADE_FROM, ResultFolder

if TYPE_CHECKING:
    from apu_losses.fitting import FitProgress, FitResult, Scene, SceneFitter
    from apu_losses.viz import FitFilm

Tell = Callable[[float, str], None]


@dataclass
class FitSummary:
    """What became of the scenes of `fit_scenes`.

    Attributes:
        results: of the scenes that this run fitted, by name.
        records: what ``NAME.json`` holds, of all scenes whose results are there, in their order.
        kept: names of those whose results were there before.
        unwritten: why, of each scene that was fitted and whose results could not be written.
        notes: what else could not be done.
    """

    results: dict[str, FitResult] = field(default_factory=dict)
    records: dict[str, dict[str, Any]] = field(default_factory=dict)
    kept: list[str] = field(default_factory=list)
    unwritten: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def failed(self) -> bool:
        """Whether anything could not be done."""
        broken = any(_broken(record) for record in self.records.values())
        return broken or bool(self.unwritten or self.notes)


def fit_scenes(
    scenes: Mapping[str, Scene],
    fitter: SceneFitter,
    folder: str | Path,
    *,
    pictures: bool = True,
    meshes: bool = True,
    progress: Tell | None = None,
    log: str | Path | None = None,
    films: str | Path | None = None,
    inputs: Iterable[str | Path] = (),
    overwrite: bool = False,
) -> FitSummary:
    """Fit scenes and leave ``NAME.npz`` (parameters), ``NAME.json`` (record), ``NAME.glb`` and ``NAME.png``.

    The results of a batch are written when it has ended, each scene's at once, so that a run that is stopped
    loses one batch. Scenes whose results are there already, made from the same scene, body, regions, preset
    and version, are not fitted again. A scene whose results cannot be written fails alone.

    Args:
        scenes: by the name of their files in ``folder``.
        fitter: what fits them.
        folder: for the results; other files in it are left alone.
        pictures: whether to draw ``NAME.png``, the people before and after.
        meshes: whether to write ``NAME.glb``.
        progress: called with the share of the work that is done, 0 to 1, and what is being done.
        log: file for the losses of each iteration, see `apu_losses.fitting.FitLog`.
        films: folder for a film of each scene, ``NAME.webp`` (`apu_losses.viz.FitFilm`). A scene that failed
            before its first iteration has none.
        inputs: files that are read, and must not be written over.
        overwrite: replace results made otherwise, and other files of the same names.

    Raises:
        OSError: before anything is fitted: a folder or the log cannot be written, is another process's, holds
            results made otherwise or files that are none, or is an input.
    """
    tell = progress or _silent
    asked = {".npz": True, ".glb": meshes, ".png": pictures, ".json": True}
    endings = tuple(ending for ending, wanted in asked.items() if wanted)
    for name in scenes:
        problem = name_problem(name)
        if problem:
            raise OutputError(f"the name {name!r} cannot name a file: it {problem}")
    inputs = [*inputs, *(scene.image for scene in scenes.values() if scene.image is not None)]
    outputs = [Path(folder) / f"{name}{ending}" for name in scenes for ending in endings]
    outputs += [Path(films) / f"{name}.webp" for name in scenes] if films is not None else []
    outputs += [Path(log)] if log is not None else []
    refuse_inputs(outputs, inputs)
    summary = FitSummary()
    origins = _origins(scenes, fitter)
    with ExitStack() as stack:
        results = stack.enter_context(ResultFolder.opened(folder))
        done = results.done(origins, endings, overwrite=overwrite)
        film_stage = None
        if films is not None:
            done = {name: record for name, record in done.items() if _has_film(record, films, name)}
            film_stage = stack.enter_context(_film_folder(films, set(scenes) - set(done), overwrite))
        writer = _Writer(scenes, fitter, results, origins, (pictures, meshes), films)
        batches = _Batches(scenes, set(done), fitter.batch_size)
        watchers: list[Callable[[FitProgress], None]] = []
        if log is not None:
            watchers.append(stack.enter_context(_Log(log, scenes, batches, overwrite, summary.notes)))
        cameras = _cameras(scenes, done, film_stage)
        watchers += cameras.values()
        summary.kept = [name for name in scenes if name in done]
        records = dict(done)

        def watch(event: FitProgress) -> None:
            for watcher in watchers:
                watcher(event)

        # a film takes many times as long as the fit of its scene
        filming, drawing = (0.0 if films is None else 0.9), (0.25 if pictures else 0.05)
        fitting = (1 - filming) * (1 - drawing)
        behind = 0.0  # share of the batches that are over

        def told(share: float) -> None:
            tell(behind + fitting * (share - behind), "fitting")

        for ended in fitter.fit_batches(
            list(scenes.values()),
            done=batches.done,
            callback=watch if watchers else None,
            progress=told,
        ):
            part = len(ended) / batches.waiting
            fresh = [place for place in ended if batches.names[place] not in done]
            for number, place in enumerate(fresh):
                name = batches.names[place]
                begin = behind + part * (fitting + (1 - fitting) * number / len(fresh))
                step = partial(_part, tell, begin, part * (1 - fitting) / len(fresh))
                summary.results[name] = ended[place]
                why = writer.write(name, ended[place], cameras.pop(name, None), step)
                if why is None:
                    records[name] = writer.records[name]
                else:
                    summary.unwritten[name] = why
            behind += part
            tell(behind, "fitting")  # what comes next is the next batch, not the last one's files
    summary.records = {name: records[name] for name in scenes if name in records}
    tell(1.0, "done")
    return summary


class _Batches:
    """Which scenes are fitted: whole batches, of which some scene is still to be done."""

    def __init__(self, scenes: Mapping[str, Scene], done: set[str], size: int) -> None:
        self.names = list(scenes)
        self.done = {place for place, name in enumerate(self.names) if name in done}
        blocks = [set(range(i, min(i + size, len(scenes)))) for i in range(0, len(scenes), size)]
        self.passed_over = [place for block in blocks if block <= self.done for place in sorted(block)]
        self.waiting = max(1, len(scenes) - len(self.passed_over))


class _Writer:
    """Writes the results of one scene after the other."""

    def __init__(
        self,
        scenes: Mapping[str, Scene],
        fitter: SceneFitter,
        results: ResultFolder,
        origins: Mapping[str, Mapping[str, str]],
        drawn: tuple[bool, bool],
        films: str | Path | None,
    ) -> None:
        self.scenes, self.fitter, self.folder, self.origins = scenes, fitter, results, origins
        (self.pictures, self.meshes), self.films = drawn, films
        self.records: dict[str, dict[str, Any]] = {}

    def write(self, name: str, result: FitResult, film: FitFilm | None, tell: Tell) -> str | None:
        """Write the files of a scene, its film among them; say why not, if it cannot be done."""
        try:
            self._write(name, result, film, tell)
        except (OSError, ValueError, MemoryError) as error:
            return _said(error)
        return None

    def _write(self, name: str, result: FitResult, film: FitFilm | None, tell: Tell) -> None:
        from PIL import Image

        from apu_contacts.files import write_text
        from apu_losses.viz import write_glb
        from apu_losses.viz.results import before_and_after, posed_meshes

        tell(0.0, f"writing {name}")
        place = self.folder.place()
        result.save(place / "result")
        (place / "result.npz").rename(place / f"{name}.npz")
        (place / "result.json").unlink()
        if self.meshes:
            write_glb(place / f"{name}.glb", posed_meshes(self.fitter.body, result.parameters))
        if self.pictures:
            picture = before_and_after(self.scenes[name], result, self.fitter.body)
            Image.fromarray(picture).save(place / f"{name}.png")
        record = json.loads(json.dumps(result.to_dict()))
        filmed = film is not None and bool(film.seen)
        if film is not None and self.films is not None:
            if filmed:
                film.close(lambda share: tell(share, f"filming {name}"))
                film.path.replace(Path(self.films) / film.path.name)
            record["film"] = filmed
        record[MADE_FROM] = dict(self.origins[name])
        record[FILES] = sorted([*(item.name for item in place.iterdir()), f"{name}.json"])
        write_text(place / f"{name}.json", json.dumps(record, indent=1) + "\n")
        self.folder.publish(name, place)
        self.records[name] = record


class _Log:
    """The log of a fit; once it cannot be written, the fit goes on without it."""

    def __init__(
        self,
        path: str | Path,
        scenes: Mapping[str, Scene],
        batches: _Batches,
        overwrite: bool,
        notes: list[str],
    ) -> None:
        from apu_losses.fitting import FitLog

        keep = {(place, scenes[batches.names[place]].name) for place in batches.passed_over}
        self.log = FitLog(path, keep=keep, overwrite=overwrite)
        self.path, self.notes, self.broken = path, notes, False

    def __call__(self, event: FitProgress) -> None:
        if self.broken:
            return
        try:
            self.log(event)
        except OSError as error:
            self.broken = True
            self.notes.append(f"{self.path}: the log ends early: {_said(error)}")

    def __enter__(self) -> _Log:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.log.close()
        except OSError as error:
            if not self.broken:
                self.notes.append(f"{self.path}: the log ends early: {_said(error)}")


def _origins(scenes: Mapping[str, Scene], fitter: SceneFitter) -> dict[str, dict[str, str]]:
    """Return what decides the results of each scene: a digest by topic, in words that a message can use."""
    from apu_losses.bodies.identity import body_digest

    shared = {
        "version": __version__,
        "body": body_digest(fitter.body),
        "region map": digest(fitter.regions),
        "preset": digest([fitter.preset.to_dict(), sorted(fitter.terms)]),
        "start": digest(fitter.retarget),
        "kind of device": fitter.device.type,
    }
    return {name: {"scene": _scene_digest(scene), **shared} for name, scene in scenes.items()}


def _scene_digest(scene: Scene) -> str:
    """Of what the scene says and what its photograph shows, not of where that lies or how it is known."""
    from dataclasses import replace

    picture = None if scene.image is None else file_digest(scene.image)
    contacts = [replace(contact, evidence=None) for contact in scene.contacts]
    return digest([replace(scene, image=None, contacts=contacts), picture])


def _has_film(record: Mapping[str, Any], films: str | Path, name: str) -> bool:
    """Whether a film of the scene is there, or is known not to be."""
    return record.get("film") is False or (
        record.get("film") is True and (Path(films) / f"{name}.webp").is_file()
    )


@contextmanager
def _film_folder(films: str | Path, names: Iterable[str], overwrite: bool) -> Iterator[Path]:
    """Return a hidden folder inside the folder of films, whose films of these names may be replaced."""
    from apu_losses.viz.film import is_film

    for name in names:
        refuse_foreign(Path(films) / f"{name}.webp", is_film, "the film of a fit", overwrite=overwrite)
    with made_folder(films) as folder, work_folder(folder) as stage:
        yield stage


def _cameras(
    scenes: Mapping[str, Scene], done: Mapping[str, object], stage: Path | None
) -> dict[str, FitFilm]:
    from apu_losses.viz import FitFilm

    if stage is None:
        return {}
    return {n: FitFilm(stage / f"{n}.webp", number=i) for i, n in enumerate(scenes) if n not in done}


def _broken(record: Mapping[str, Any]) -> bool:
    """Whether the optimisation of a scene broke off."""
    return any(str(stage["reason"]).startswith("failed") for stage in record["stages"])


def _said(error: BaseException) -> str:
    if isinstance(error, MemoryError):
        return f"not enough memory{f': {error}' if str(error) else ''}"
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror[:1].lower()}{error.strerror[1:]}"
    return " ".join(str(error).split())


def _silent(share: float, doing: str) -> None:
    pass


def _part(tell: Tell, begin: float, size: float, share: float, doing: str) -> None:
    tell(begin + size * share, doing)
