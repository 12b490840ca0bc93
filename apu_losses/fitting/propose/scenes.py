"""From folders of detections to scenes of people who may be touching (paper section 3.1, the proposal).

One scene an image: the people of at least one proposed pair, and an edge without regions for each pair. What
touches where is asked later; a fit of such a scene is a plain keypoint fit.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from apu_contacts.contacts import ContactMap
from apu_contacts.images import PICTURE_ENDINGS, picture_size
from apu_contacts.keypoints import Keypoints2D
from apu_contacts.people import assemble_people
from apu_contacts.people.candidates import REASONS, propose_pairs
from apu_contacts.reading import parse_json, read_json_lines
from apu_contacts.sources import (
    Camera,
    InitialEstimate,
    PersonDetection,
    SourceWarning,
    read_bev,
    read_buddi,
    read_camerahmr,
    read_hmr2,
    read_human3r,
    read_keypoint_arrays,
    read_mediapipe,
    read_mmpose,
    read_multihmr,
    read_nlf,
    read_openpose,
    read_parameters,
    read_prompthmr,
    read_sam3d_body,
    read_smplerx_folder,
    read_vitpose_body25,
)
from apu_losses.bodies.protocol import BodyModel
from apu_losses.fitting.propose.cues import CUE_KINDS, with_cues
from apu_losses.fitting.scene.types import Scene, SceneContact
from apu_losses.fitting.start.from_detections import (
    MIN_JOINTS,
    StartWithout,
    check_start,
    posed_estimate,
    scene_from_detections,
)
from apu_losses.fitting.start.from_keypoints import unstartable

UNREADABLE = "unreadable"
NO_KEYPOINTS = "no keypoint file"

_Size = tuple[int, int]
_KEYPOINTS: dict[str, Callable[[Path, float], list[Keypoints2D]]] = {
    "openpose": lambda path, scale: read_openpose(
        path, hands_and_face=True, score_scale=scale, allow_empty=True
    ),
    "vitpose": lambda path, scale: read_vitpose_body25(
        path, hands_and_face=True, score_scale=scale, allow_empty=True
    ),
    "mmpose": lambda path, scale: read_mmpose(path, score_scale=scale, allow_empty=True),
    "keypoints": lambda path, scale: read_keypoint_arrays(path, score_scale=scale, allow_empty=True),
}
_ESTIMATES: dict[str, Callable[[Path, _Size], list[InitialEstimate]]] = {
    "bev": lambda path, size: [person.initial_estimate() for person in read_bev(path, allow_empty=True)],
    "hmr2": lambda path, size: read_hmr2(path, size, allow_empty=True),
    "camerahmr": lambda path, size: read_camerahmr(path, size, allow_empty=True),
    "mediapipe": read_mediapipe,
    "multihmr": lambda path, size: read_multihmr(path, size, allow_empty=True),
    "nlf": lambda path, size: read_nlf(path, size, allow_empty=True),
    "sam3d": lambda path, size: read_sam3d_body(path, size, allow_empty=True),
    "smplerx": lambda path, size: read_smplerx_folder(path, 1),
    "parameters": lambda path, size: read_parameters(path),
    "buddi": lambda path, size: read_buddi(path, size),
    "prompthmr": lambda path, size: read_prompthmr(path, size, allow_empty=True),
    "human3r": lambda path, size: read_human3r(path, allow_empty=True),
}
_FOLDERS = ("smplerx", "sam3d", "masks")  # kinds that come as a folder, one file a person
ESTIMATE_KINDS = tuple(_ESTIMATES)
"""Names of the files that a fit can start from."""
KEYPOINT_KINDS = tuple(_KEYPOINTS)
"""Names of files of keypoints."""
KINDS = (*_KEYPOINTS, *_ESTIMATES, *CUE_KINDS)
"""Names of the files that are read: ``openpose.json``, ``bev.npz``, a folder ``smplerx``, ..."""


@dataclass(frozen=True)
class ImageFiles:
    """What lies there of one image.

    Args:
        name: of the scene.
        files: kind (one of `KINDS`) -> file.
        image: the picture, if there is one.
        size: width and height in pixels; None: the picture's.
        score_scale: kind of keypoint file -> what its confidences are divided by, where they are not in
            [0, 1]; ``"*"`` stands for all others.
    """

    name: str
    files: Mapping[str, Path]
    image: Path | None = None
    size: tuple[int, int] | None = None
    score_scale: Mapping[str, float] = field(default_factory=dict)

    def scale_of(self, kind: str) -> float:
        """Return what the confidences of a kind of file are divided by."""
        return self.score_scale.get(kind, self.score_scale.get("*", 1.0))


@dataclass
class ProposalReport:
    """What became of everything.

    Args:
        images: how many were looked at.
        people: how many have keypoints.
        counts: ``"proposed"`` and every reason of `REASONS` -> pairs.
        images_without_scene: why -> images.
        from_keypoints: how many people of the scenes have no estimate and start from keypoints alone.
        notes: what went wrong, or was assumed, with the image's name.
        failed: image -> why it, or a person of it, could not be read.
    """

    images: int = 0
    people: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    images_without_scene: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)
    from_keypoints: int = 0
    failed: dict[str, list[str]] = field(default_factory=dict)

    def fail(self, name: str, why: str) -> None:
        """Keep what could not be read, for the table and the exit code."""
        self.failed.setdefault(name, []).append(why)
        self.notes.append(why if why.startswith(name) else f"{name}: {why}")

    def add(self, other: ProposalReport) -> None:
        """Take in what became of other images."""
        self.images += other.images
        self.people += other.people
        self.counts.update(other.counts)
        self.images_without_scene.update(other.images_without_scene)
        self.notes += other.notes
        self.from_keypoints += other.from_keypoints
        for name, reasons in other.failed.items():
            self.failed.setdefault(name, []).extend(reasons)

    def to_dict(self) -> dict[str, Any]:
        """Plain dictionaries and lists, ready for JSON."""
        return {
            "images": self.images,
            "people": self.people,
            "counts": dict(self.counts),
            "images_without_scene": dict(self.images_without_scene),
            "notes": list(self.notes),
            "from_keypoints": self.from_keypoints,
            "failed": {name: list(reasons) for name, reasons in self.failed.items()},
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> ProposalReport:
        """Return the inverse of `to_dict`."""
        counters = {name: Counter(data[name]) for name in ("counts", "images_without_scene")}
        return cls(**{**data, **counters})

    def rows(self) -> list[tuple[str, int]]:
        """Return the table that `apu propose` prints; a reason that never applied is there with 0."""
        pairs = [("pairs proposed", self.counts["proposed"])]
        pairs += [(f"pairs rejected: {reason}", self.counts[reason]) for reason in REASONS]
        without = sorted(self.images_without_scene.items())
        return [
            ("images", self.images),
            ("people with keypoints", self.people),
            ("people started from keypoints alone", self.from_keypoints),
            *pairs,
            *((f"images without a scene: {why}", count) for why, count in without),
        ]


def find_images(path: str | Path) -> list[ImageFiles]:
    """Return the images that a path names.

    - a folder with files called by their `KINDS` (``vitpose.json``, ``bev.npz``, ``image.png``): one image;
    - a folder of such folders: one image each, in the order of their names;
    - a ``.jsonl``: one image a line, ``{"name", "image", "width", "height", "vitpose": "path", ...}`` with
      paths relative to the file; ``width`` and ``height`` may be left out where there is a picture.

    Raises:
        FileNotFoundError: if there is no such path, or nothing in it.
        ValueError: on a line that is not of this form, or two files of one kind.
    """
    path = Path(path)
    if path.is_file():
        return _read_manifest(path)
    if not path.is_dir():
        raise FileNotFoundError(f"{path}: no such file or folder")
    here = _folder_files(path)
    if here.files:
        return [here]
    found = [_folder_files(folder) for folder in sorted(path.iterdir()) if folder.is_dir()]
    found = [files for files in found if files.files]
    if not found:
        raise FileNotFoundError(
            f"{path}: no detections, neither here nor one folder below; files are called by what wrote them: "
            f"{', '.join(f'{kind}.*' for kind in KINDS)}"
        )
    return found


def _folder_files(folder: Path) -> ImageFiles:
    files: dict[str, Path] = {}
    pictures = []
    for item in sorted(folder.iterdir()):
        if item.suffix.lower() in PICTURE_ENDINGS:
            pictures.append(item)
        kind = item.stem if item.is_file() else item.name
        if (
            kind not in KINDS
            or item.suffix.lower() in PICTURE_ENDINGS
            or not ((item.is_dir() and kind in _FOLDERS) or (item.is_file() and kind != "smplerx"))
        ):
            continue
        if kind in files:
            raise ValueError(f"{folder}: both {files[kind].name} and {item.name}: keep one")
        files[kind] = item
    image = next((p for p in pictures if p.stem == "image"), pictures[0] if len(pictures) == 1 else None)
    return ImageFiles(folder.name, files, image)


def _read_manifest(path: Path) -> list[ImageFiles]:
    images = []
    for number, line in read_json_lines(path):
        where = f"{path}, line {number}"
        entry = parse_json(line, where)
        if not isinstance(entry, dict):
            raise ValueError(f"{where}: expected an object, got {type(entry).__name__}")
        unknown = set(entry) - {*KINDS, "name", "image", "width", "height", "score_scale"}
        if unknown:
            raise ValueError(
                f"{where}: unknown {', '.join(sorted(map(repr, unknown)))}; known are {', '.join(KINDS)}"
            )
        images.append(_manifest_entry(entry, path.parent, f"image_{number:06d}", where))
    if not images:
        raise FileNotFoundError(f"{path}: no line names an image")
    return images


def _manifest_entry(entry: dict[str, Any], folder: Path, default: str, where: str) -> ImageFiles:
    image = entry.get("image")
    size = None
    if "width" in entry or "height" in entry:
        size = (entry.get("width", 0), entry.get("height", 0))
        if not all(isinstance(n, int) and not isinstance(n, bool) and n > 0 for n in size):
            raise ValueError(f"{where}: width and height must be whole pixels above 0, got {list(size)}")
    paths = {key: entry[key] for key in (*KINDS, "image") if key in entry}
    wrong = [key for key, value in paths.items() if not isinstance(value, str)]
    if wrong:
        raise ValueError(f"{where}: {wrong[0]} must be a path, got {paths[wrong[0]]!r}")
    name = str(entry.get("name") or (Path(image).stem if image else default))
    files = {kind: folder / value for kind, value in paths.items() if kind != "image"}
    return ImageFiles(name, files, folder / image if image else None, size, _score_scale(entry, where))


def _score_scale(entry: dict[str, Any], where: str) -> dict[str, float]:
    """``"score_scale": 6`` for all keypoint files of an image, or ``{"mmpose": 6}``."""
    given = entry.get("score_scale", {})
    scales = given if isinstance(given, dict) else {"*": given}
    unknown = set(scales) - {*_KEYPOINTS, "*"}
    if unknown:
        raise ValueError(
            f"{where}: score_scale names {', '.join(sorted(map(repr, unknown)))}; "
            f"known are {', '.join(_KEYPOINTS)}"
        )
    for value in scales.values():
        if not isinstance(value, int | float) or isinstance(value, bool) or not value > 0:
            raise ValueError(f"{where}: score_scale must be a number above 0, or one a kind, got {given!r}")
    return {kind: float(value) for kind, value in scales.items()}


def read_people(files: ImageFiles, body: Callable[[], BodyModel] | None = None) -> list[PersonDetection]:
    """Everybody of one image, matched across its files; `assemble_people` says how.

    Args:
        files: with at least one file of keypoints.
        body: gives the body that poses estimates without 3D joints; such estimates are left as they are
            without it, and are then in no proposed pair.

    Raises:
        ValueError: a `SourceError` over a file; an image whose size nobody knows; several estimators.
    """
    size = image_size(files)
    estimators = [kind for kind in _ESTIMATES if kind in files.files]
    if len(estimators) > 1:
        raise ValueError(f"several estimators: {', '.join(estimators)}; a person starts from one, keep one")
    keypoints = {
        kind: read(files.files[kind], files.scale_of(kind))
        for kind, read in _KEYPOINTS.items()
        if kind in files.files
    }
    better = [kind for kind in ("vitpose", "mmpose", "keypoints") if kind in keypoints]
    if len(better) > 1:
        raise ValueError(f"several keypoint files besides OpenPose's: {', '.join(better)}; keep one")
    estimates = None
    if estimators:
        estimates = _ESTIMATES[estimators[0]](files.files[estimators[0]], size)
        scene = Camera.from_image_size(*size)
        # One camera for the scene: estimators that see a crop have one for each person.
        estimates = [e.in_camera(scene) if e.camera is not None else e for e in estimates]
        if body is not None:
            estimates = [_posed(e, body, scene) for e in estimates]
    return list(
        assemble_people(
            openpose=keypoints.get("openpose"),
            vitpose=keypoints[better[0]] if better else None,
            estimates=estimates,
            camera=Camera.from_image_size(*size),
        )
    )


def _posed(estimate: InitialEstimate, body: Callable[[], BodyModel], camera: Camera) -> InitialEstimate:
    if len(estimate.joint_names) >= MIN_JOINTS or estimate.is_absent:
        return estimate
    return posed_estimate(replace(estimate, camera=camera), body())


def image_size(files: ImageFiles) -> tuple[int, int]:
    """Width and height in pixels, of the picture upright as detectors see it.

    Raises:
        ValueError: if neither the size nor a picture is given, or the picture cannot be read.
    """
    if files.size is not None:
        return files.size
    if files.image is None:
        raise ValueError("the image's size is unknown: put the picture there, or name width and height")
    return picture_size(files.image)


def propose_scenes(
    images: Sequence[ImageFiles],
    *,
    body: Callable[[], BodyModel] | None = None,
    report: ProposalReport | None = None,
    progress: Callable[[float, str], None] | None = None,
    start: StartWithout = "keypoints",
    **options: Any,
) -> Iterator[Scene]:
    """Return a scene for each image in which a pair is proposed; an image that cannot be read is reported.

    Args:
        images: see `find_images`.
        body: see `read_people`.
        report: is filled while the scenes are consumed.
        progress: called with the share of the images that are done, 0 to 1, and the next one's name.
        start: what people without an estimate start from; see `scene_from_detections`. With ``"estimate"``
            they are in no pair.
        options: of `apu_contacts.people.propose_pairs` but ``require_mesh``: an estimate must lie on the
            keypoints, since a fit needs a start.
    """
    check_start(start)
    report = ProposalReport() if report is None else report
    for number, files in enumerate(images):
        if progress is not None:
            progress(number / len(images), files.name)
        scene = propose_image(files, body, report, options, start)
        if scene is not None:
            yield scene
    close_report(images, report, start)
    if progress is not None:
        progress(1.0, "done")


def close_report(
    images: Sequence[ImageFiles], report: ProposalReport, start: StartWithout = "keypoints"
) -> None:
    """Note what is missing of all images together."""
    if (
        start == "estimate"
        and images
        and not any(kind in files.files for files in images for kind in _ESTIMATES)
    ):
        report.notes.append(
            "no image has a file of an estimator, and a fit needs a start: run one of "
            f"{', '.join(_ESTIMATES)} (docs/sources.md), and put what it writes beside the keypoints, or let "
            "people start from their keypoints (start='keypoints')"
        )


def propose_image(
    files: ImageFiles,
    body: Callable[[], BodyModel] | None,
    report: ProposalReport,
    options: Mapping[str, Any],
    start: StartWithout = "keypoints",
) -> Scene | None:
    """Return the scene of one image, or None; `propose_scenes` says what the arguments are."""
    report.images += 1
    if not any(kind in files.files for kind in _KEYPOINTS):
        report.images_without_scene[NO_KEYPOINTS] += 1
        return None
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", SourceWarning)
            people = read_people(files, body)
        width, height = image_size(files)
    except Exception as error:  # whatever is wrong with one image's files, the others go on
        report.images_without_scene[UNREADABLE] += 1
        report.fail(files.name, str(error) or type(error).__name__)
        return None
    for warning in caught:
        if issubclass(warning.category, SourceWarning):
            report.fail(files.name, str(warning.message))
        else:
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
    _note_bodies(files, people, report)
    report.people += len(people)
    bare = {i for i, p in enumerate(people) if p.initial is None or p.initial.is_absent}
    free = {i for i in bare if start == "keypoints" and not unstartable(people[i].keypoints)}
    meshed = [i for i in range(len(people)) if i not in free]
    proposal = propose_pairs(people, require_mesh=meshed, **options)
    report.counts.update(proposal.counts())
    if not proposal.candidates:
        report.images_without_scene["no pair proposed"] += 1
        return None
    wanted = sorted({i for pair in proposal.candidates for i in (pair.person_a, pair.person_b)})
    place = {person: number for number, person in enumerate(wanted)}
    contacts = [
        SceneContact(place[pair.person_a], place[pair.person_b], ContactMap.empty())
        for pair in proposal.candidates
    ]
    report.from_keypoints += len(free.intersection(wanted))
    try:
        scene = scene_from_detections(
            [people[i] for i in wanted],
            width,
            height,
            contacts,
            name=files.name,
            image=None if files.image is None else str(files.image.resolve()),
            camera=Camera.from_image_size(width, height),
            body=body() if body is not None and free.intersection(wanted) else None,
            start=start,
        )
    except ValueError as error:
        report.images_without_scene[UNREADABLE] += 1
        report.fail(files.name, str(error))
        return None
    try:
        return with_cues(scene, files.files)
    except ValueError as error:  # the people are there, whatever is wrong with a depth map
        report.fail(files.name, str(error))
        return scene


def _note_bodies(files: ImageFiles, people: Sequence[PersonDetection], report: ProposalReport) -> None:
    """Say what the bodies' own notes say, and that nobody has one where an estimator was there."""
    for number, person in enumerate(people):
        said = [] if person.initial is None else [n for n in person.initial.notes if n.startswith("projects")]
        report.notes += [f"{files.name}: person {number} {note}" for note in said]
    expected = any(kind in files.files for kind in _ESTIMATES)
    if people and expected and all(person.initial is None for person in people):
        reason = next((note for person in people for note in person.notes), "no bodies")
        report.notes.append(
            f"{files.name}: nobody's keypoints match a body ({reason}): are keypoints and bodies in pixels "
            "of the same picture, neither cropped nor resized?"
        )
