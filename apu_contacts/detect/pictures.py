"""`apu detect`: keypoints of many pictures, and the list of them that `apu propose` reads."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np

from apu_contacts.detect.detector import DetectedPeople
from apu_contacts.detect.weights import WeightsError
from apu_contacts.digest import digest, file_digest
from apu_contacts.files import exclusive, refuse_foreign, refuse_inputs, write_text
from apu_contacts.images import folder_pictures, left_out, left_out_words
from apu_contacts.reading import parse_json


class Detector(Protocol):
    """What finds people: a `KeypointDetector`, or another that returns the same."""

    def __call__(self, picture: Path, /) -> DetectedPeople:
        """Find the people of a picture."""
        ...


@dataclass
class DetectSummary:
    """What became of the pictures.

    Args:
        pictures: how many were read.
        people: how many were found in them.
        empty: names of pictures without people.
        unread: what went wrong, with the picture's path.
        without_estimate: kind -> names of pictures for which no such file was there.
        score_quantiles: 5, 50 and 95 % of all joints' confidences; empty where nobody was found.
        saturated: share of the joints whose score lies above ``score_scale``.
    """

    pictures: int = 0
    people: int = 0
    empty: list[str] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)
    without_estimate: dict[str, list[str]] = field(default_factory=dict)
    score_quantiles: tuple[float, ...] = ()
    saturated: float = 0.0

    def rows(self) -> list[tuple[str, object]]:
        """Return the table that `apu detect` prints."""
        rows: list[tuple[str, object]] = [
            ("pictures", self.pictures),
            ("people", self.people),
            ("pictures without people", len(self.empty)),
        ]
        if self.score_quantiles:
            shown = ", ".join(f"{q:.2f}" for q in self.score_quantiles)
            rows.append(("confidence of joints: 5 %, 50 %, 95 %", shown))
            rows.append(("joints whose score is above the score scale", f"{100 * self.saturated:.0f} %"))
        rows += [
            (f"pictures without a file of {kind}", len(names))
            for kind, names in self.without_estimate.items()
        ]
        return rows


def find_pictures(paths: Sequence[str | Path]) -> dict[str, Path]:
    """Pictures by name (that of the file without its ending), in the order given; a folder stands for all
    pictures in it, sorted, by their endings (`apu_contacts.images.left_out` counts the other files).

    Raises:
        FileNotFoundError: a path that is not there, or a folder without pictures.
        ValueError: two pictures of one name.
    """
    found: dict[str, Path] = {}
    for path in map(Path, paths):
        if path.is_dir():
            files = folder_pictures(path)
            if not files:
                others = left_out_words(left_out([path]))
                raise FileNotFoundError(f"{path}: no pictures in it{f'; {others}' if others else ''}")
        elif path.is_file():
            files = [path]
        else:
            raise FileNotFoundError(f"{path}: no such file or folder")
        for file in files:
            if file.stem in found and found[file.stem] != file:
                raise ValueError(
                    f"both {found[file.stem]} and {file} would be called {file.stem!r}: rename one, or "
                    "detect them into files of their own"
                )
            found[file.stem] = file
    if not found:
        raise FileNotFoundError("no pictures were named")
    return found


def detect_pictures(
    pictures: Mapping[str, Path],
    detector: Detector,
    out: str | Path,
    *,
    estimates: Mapping[str, str] | None = None,
    progress: Callable[[float, str], None] | None = None,
    resume: str | None = None,
) -> DetectSummary:
    """Write the keypoints of each picture, and ``out``, which lists them for `apu propose`.

    Keypoints lie in a folder beside ``out`` with its name less the ending, one ``.npz`` a picture. A picture
    without people is listed and has an empty one; a picture that cannot be read is in the summary only. Each
    file appears whole or stays as it was, and a list is replaced only by a list.

    Args:
        pictures: by name; see `find_pictures`.
        detector: what finds the people, a `KeypointDetector`.
        out: the ``.jsonl``; it appears when all pictures are done.
        estimates: kind of an estimator's file -> its path with ``{name}`` for the picture's name, as
            ``{"bev": "bev/{name}.npz"}``; listed with the pictures for which it is there.
        progress: called with the share of the pictures that are done, 0 to 1, and the next one's name.
        resume: names the detector and its settings. Keypoints that were found by the same in the same bytes
            of a picture are then kept and not looked for again; None looks at every picture.

    Raises:
        ValueError: an ``out`` that is no ``.jsonl``, or a pattern without ``{name}``.
        OSError: if nothing can be written there, ``out`` is something else than a list of detections, or
            another process is writing it.
        WeightsError: if the detector's models turn out to be of another kind.
    """
    out = Path(out)
    if out.suffix != ".jsonl":
        raise ValueError(f"{out}: the list of detections must be a .jsonl")
    estimates = estimates or {}
    for kind, pattern in estimates.items():
        if "{name}" not in pattern:
            raise ValueError(f"{kind}={pattern}: the path needs {{name}} where the picture's name goes")
    refuse_inputs([out], pictures.values())
    refuse_foreign(out, _is_list, "a list of detections")
    folder = out.with_suffix("")
    folder.mkdir(parents=True, exist_ok=True)
    with exclusive(out):
        return _detect_all(pictures, detector, out, folder, estimates, progress, resume)


def _detect_all(
    pictures: Mapping[str, Path],
    detector: Detector,
    out: Path,
    folder: Path,
    estimates: Mapping[str, str],
    progress: Callable[[float, str], None] | None,
    resume: str | None,
) -> DetectSummary:
    summary = DetectSummary(without_estimate={kind: [] for kind in estimates})
    lines: list[str] = []
    confidences, above = [np.zeros(0)], 0
    for number, (name, picture) in enumerate(pictures.items()):
        if progress is not None:
            progress(number / len(pictures), name)
        file = folder / f"{name}.npz"
        try:
            made_from = None if resume is None else digest([resume, file_digest(picture)])
            kept = None if made_from is None else DetectedPeople.kept(file, made_from)
            found = detector(picture) if kept is None else kept
        except WeightsError:
            raise  # no picture can help
        except (ValueError, OSError) as error:
            summary.unread.append(str(error))
            continue
        summary.pictures += 1
        summary.people += len(found)
        if not len(found):
            summary.empty.append(name)
        confidences.append(found.confidence.ravel())
        # a confidence of 1 is a score that was cut
        above += int((found.confidence >= 1).sum())
        if kept is None:
            found.save(file, made_from)
        entry: dict[str, object] = {"name": name, "image": _from(out, picture)}
        entry |= {"width": found.size[0], "height": found.size[1], "keypoints": _from(out, file)}
        if found.landmarks is not None and "mediapipe" not in estimates:
            entry["mediapipe"] = _from(out, file)
        for kind, pattern in estimates.items():
            estimate = Path(pattern.replace("{name}", name))
            if estimate.exists():
                entry[kind] = _from(out, estimate)
            else:
                summary.without_estimate[kind].append(name)
        lines.append(json.dumps(entry))
    every = np.concatenate(confidences)
    if len(every):
        summary.score_quantiles = tuple(float(q) for q in np.quantile(every, (0.05, 0.5, 0.95)))
        summary.saturated = above / len(every)
    write_text(out, "".join(f"{line}\n" for line in lines))
    if progress is not None:
        progress(1.0, "done")
    return summary


_LONGEST_LINE = 1 << 26  # bytes; a crowd of a thousand people takes 1 MB


def _is_list(path: Path) -> bool:
    """Whether the first line of a file names a picture's keypoints."""
    with path.open("rb") as file:
        entry = parse_json(file.readline(_LONGEST_LINE), str(path), checked=False)
    return isinstance(entry, dict) and {"name", "image", "keypoints"} <= set(entry)


def _from(out: Path, path: Path) -> str:
    """Return a path as seen from the folder of ``out``, so that the two can be moved together."""
    try:
        return os.path.relpath(path.resolve(), out.parent.resolve())
    except ValueError:  # another drive
        return str(path.resolve())
