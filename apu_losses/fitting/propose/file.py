"""`apu propose`: the file of scenes, made image by image; a run that was stopped is gone on with."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from apu_contacts import __version__
from apu_contacts.digest import digest, file_digest
from apu_contacts.files import (
    exclusive,
    growing_lines,
    made_folder,
    real_target,
    refuse_foreign,
    refuse_inputs,
    staged_file,
)
from apu_contacts.people.candidates import propose_pairs
from apu_contacts.reading import parse_json
from apu_losses.bodies.protocol import BodyModel
from apu_losses.fitting.propose.scenes import ImageFiles, ProposalReport, close_report, propose_image
from apu_losses.fitting.scene.file import scene_line
from apu_losses.fitting.start.from_detections import StartWithout, check_start


def propose_file(
    images: Sequence[ImageFiles],
    out: str | Path,
    *,
    body: Callable[[], BodyModel] | None = None,
    body_name: str = "free",
    report: ProposalReport | None = None,
    progress: Callable[[float, str], None] | None = None,
    inputs: Iterable[str | Path] = (),
    overwrite: bool = False,
    start: StartWithout = "keypoints",
    **options: Any,
) -> int:
    """Write the scenes of images as JSON lines, in the order of the images; return how many.

    What is done of each image is kept in a hidden file beside ``out`` until the end. A run that was stopped
    is gone on with where image, files and options are the same, and ends with the same file.

    Args:
        images: see `find_images`.
        out: the ``.jsonl``; it appears when all images are done.
        body, report, progress, start, options: see `propose_scenes`.
        body_name: name or path of that body; another means that images are done again.
        inputs: more files that are read, and must not be written over.
        overwrite: replace an existing file whatever it is.

    Raises:
        OSError: ``out`` cannot be written, is something else, an input, or another process's.
        ValueError: an option that cannot be.
    """
    report = ProposalReport() if report is None else report
    check_start(start)
    propose_pairs([], require_mesh=True, **options)  # says now what is wrong with an option
    read = [*inputs, *(path for files in images for path in files.files.values())]
    refuse_inputs([out], [*read, *(files.image for files in images if files.image is not None)])
    refuse_foreign(out, _is_proposal, "a file of proposed scenes", overwrite=overwrite)
    target = real_target(out)
    name = hashlib.sha256(os.fsencode(target.name)).hexdigest()[:16]
    journal = target.parent / f".apu-propose-{name}.jsonl"
    made_from = digest([__version__, options, _body_digest(body_name), start])
    count = 0
    with (
        made_folder(target.parent),
        exclusive(target),
        growing_lines(journal, _is_entry, "the journal of apu propose", begins=b'{"key": ') as kept,
        staged_file(target) as part,
        part.open("w", encoding="utf-8", newline="\n") as stream,
    ):
        known = {entry["key"]: entry for entry in map(_entry_of, kept.lines)}
        kept.lines.clear()
        for number, files in enumerate(images):
            if progress is not None:
                progress(number / len(images), files.name)
            key = _key(files, made_from)
            entry = known.pop(key, None)
            if entry is None:
                entry = _entry(key, files, body, options, start)
                kept.write(json.dumps(entry))
            report.add(ProposalReport.from_dict(entry["report"]))
            if entry["scene"] is not None:
                stream.write(entry["scene"] + "\n")
                count += 1
    journal.unlink(missing_ok=True)
    close_report(images, report, start)
    if progress is not None:
        progress(1.0, "done")
    return count


def _entry(
    key: str,
    files: ImageFiles,
    body: Callable[[], BodyModel] | None,
    options: dict[str, Any],
    start: StartWithout,
) -> dict[str, Any]:
    """Return what became of one image."""
    own = ProposalReport()
    scene = propose_image(files, body, own, options, start)
    return {"key": key, "report": own.to_dict(), "scene": None if scene is None else scene_line(scene)}


def _key(files: ImageFiles, made_from: str) -> str:
    """Of everything that the scene of an image is made from."""
    read = {kind: _content(path) for kind, path in files.files.items()}
    picture = None if files.image is None else (str(files.image.resolve()), _stamp(files.image))
    return digest([made_from, files.name, read, picture, files.size, dict(files.score_scale)])


def _content(path: Path) -> object:
    """Of a file its bytes; of a folder, and of what lies beside it, names, sizes and dates."""
    try:
        if path.is_dir():
            beside = path.parent / "meta"
            return [_stamp(item) for folder in (path, beside) for item in sorted(folder.rglob("*"))]
        return file_digest(path)
    except OSError as error:
        return f"unreadable: {error.strerror}"


def _stamp(path: Path) -> object:
    try:
        found = path.stat()
    except OSError as error:
        return f"unreadable: {error.strerror}"
    return path.name, found.st_size, found.st_mtime_ns


def _body_digest(name: str) -> str:
    """Of a body's file, where there is one."""
    return file_digest(name) if Path(name).is_file() else name


def _is_entry(line: bytes) -> bool:
    try:
        entry = _entry_of(line)
    except ValueError:
        return False
    return isinstance(entry, dict) and {"key", "report", "scene"} <= entry.keys()


def _entry_of(line: bytes) -> Any:
    return parse_json(line, "line", checked=False)


def _is_proposal(path: Path) -> bool:
    """Whether a file holds scenes as they are proposed: contacts that somebody added are theirs."""
    with path.open("rb") as file:
        for line in file:
            scene = parse_json(line, str(path), checked=False)
            if not {"schema_version", "people", "image"} <= scene.keys():
                return False
            if any(c["map"]["pairs"] or "evidence" in c for c in scene.get("contacts", ())):
                return False
    return True
