"""What a stranger's file is, who is in it, and what would be read of it: `inspect_file`."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from apu_contacts.images import PICTURE_ENDINGS, picture_size
from apu_contacts.keypoints import Keypoints2D
from apu_contacts.reading import json_lines, looks_like
from apu_contacts.sources._json import read_json
from apu_contacts.sources._numpy_pickle import read_npy, read_npz, read_numpy_pickle, read_torch
from apu_contacts.sources.bodies import body_of_vertices, which_body
from apu_contacts.sources.detection import InitialEstimate
from apu_contacts.sources.errors import NoPeopleError, SourceError, SourceFormatError, SourceMissingError
from apu_contacts.sources.kinds import KINDS, NeedsSizeError, SourceKind, person_of
from apu_contacts.sources.smplerx import read_smplerx_folder
from apu_contacts.sources.tracks import BodyTrack
from apu_contacts.sources.vertex_contacts import VertexContacts
from apu_contacts.sources.video import read_tram_folder

_MESHES = (".ply", ".obj", ".glb", ".gltf", ".stl", ".off")
_MOST = 8
"""People, keys and notes that are listed one by one."""


@dataclass(frozen=True)
class Inspection:
    """What was found out about a file.

    Args:
        file: its path.
        kind: `SourceKind.name`, or ``""`` where no reader knows it.
        title: what it is, in words.
        people: one line a person: who, how many frames or joints, which body.
        frame, units, camera, body: in words; empty where there is nothing to say.
        read: names that a reader takes.
        left: names in the file that no reader takes.
        refused: why it would not be read; empty where it would.
        notes: what was assumed, or is doubtful.
        use: the command to type.

    Example:
        >>> from apu_contacts.sources import Inspection
        >>> Inspection("a.txt", "", "not a file of people", refused="no reader").rows()
        [('what', 'not a file of people'), ('refused', 'no reader')]
    """

    file: str
    kind: str
    title: str
    people: tuple[str, ...] = ()
    frame: str = ""
    units: str = ""
    camera: str = ""
    body: str = ""
    read: tuple[str, ...] = ()
    left: tuple[str, ...] = ()
    refused: str = ""
    notes: tuple[str, ...] = field(default=())
    use: str = ""

    def rows(self) -> list[tuple[str, str]]:
        """Return name and words of all that there is to say, ready for a table."""
        found = [("what", self.title)]
        found += [("person", line) for line in self.people[:_MOST]]
        if len(self.people) > _MOST:
            found.append(("person", f"and {len(self.people) - _MOST} more"))
        found += [
            (name, getattr(self, name))
            for name in ("body", "frame", "units", "camera")
            if getattr(self, name)
        ]
        for name in ("read", "left"):
            listed = ", ".join(getattr(self, name))
            if listed:
                found.append(("read" if name == "read" else "not read", listed))
        found += [("note", note) for note in self.notes[:_MOST]]
        if self.refused:
            found.append(("refused", self.refused))
        if self.use:
            found.append(("to use it", self.use))
        return found


def inspect_file(path: str | Path, image_size: Sequence[float] | None = None) -> Inspection:
    """Say what a file is by what is in it, and what would be read of it or why not.

    Args:
        path: a file of any tool, or a folder that holds one person a file (SAM 3D Body, SMPLer-X, TRAM).
        image_size: width and height of its picture or video in pixels, where they are known; without it,
            a picture that lies beside the file (its name, or ``image``) gives the size.

    Returns:
        What was found; a file that no reader knows is described by its names and shapes.

    Raises:
        SourceMissingError: if there is no such file.

    Example:
        >>> from apu_contacts.sources import SourceError, inspect_file
        >>> try:
        ...     inspect_file("absent.pt")
        ... except SourceError as error:
        ...     print(error)
        absent.pt: no such file
    """
    file = Path(path)
    if file.is_dir():
        return _inspect_folder(file, image_size)
    if not file.is_file():
        raise SourceMissingError(f"{file}: no such file")
    with file.open("rb") as stream:
        head = stream.read(64)
    ending = file.suffix.lower()
    if ending in PICTURE_ENDINGS or looks_like(head).startswith("a picture"):
        return _picture(file)
    if ending in _MESHES:
        return Inspection(
            str(file), "", f"a mesh ({ending[1:]})", use=f"apu touches {file} OTHER --regions MAP.npz"
        )
    if ending == ".jsonl":
        return _lines(file)
    if ending in (".md", ".txt", ".rst", ".py", ".html"):
        return Inspection(str(file), "", "a text", refused="no file of people")
    try:
        content = _content(file, head)
    except SourceError as error:
        what = looks_like(head) or "a file that is not understood"
        return Inspection(str(file), "", what, refused=_short(error, file))
    for kind in KINDS:
        if _recognised(kind, content):
            return _of_kind(kind, file, content, image_size)
    return _unknown(file, content)


def _content(file: Path, head: bytes) -> Any:
    """Read by the first bytes; endings are used freely."""
    if head.startswith(b"\x93NUMPY"):
        return read_npy(file)
    if head.startswith(b"PK\x03\x04"):
        import zipfile

        try:
            with zipfile.ZipFile(file) as archive:
                torch = any(name.endswith("data.pkl") for name in archive.namelist())
        except zipfile.BadZipFile:
            torch = False
        return read_torch(file) if torch else read_npz(file)
    if file.suffix.lower() == ".json" or head.lstrip()[:1] in (b"{", b"["):
        return read_json(file)
    if head[:1] == b"\x80" or head[:2] in (b"\x78\x01", b"\x78\x9c", b"\x78\xda", b"\x78\x5e", b"\x1f\x8b"):
        return read_numpy_pickle(file)
    if file.suffix.lower() in (".pkl", ".pickle", ".pt", ".pth", ".joblib"):
        return read_numpy_pickle(file)
    raise SourceFormatError(
        f"{file}: neither JSON nor a file of NumPy, torch or joblib, nor a picture, nor a mesh"
    )


def _recognised(kind: SourceKind, content: Any) -> bool:
    try:
        return bool(kind.recognise(content))
    except (TypeError, ValueError, AttributeError, KeyError, IndexError):
        return False  # of a shape that this kind never has


def _of_kind(kind: SourceKind, file: Path, content: Any, image_size: Sequence[float] | None) -> Inspection:
    size, note = _size_of(file, image_size) if kind.needs_size or kind.name == "wham" else (image_size, "")
    notes = [note] if note else []
    refused, found = "", None
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            found = kind.read(file, size)
        except NeedsSizeError:
            refused = (
                "nothing yet: the picture's width and height are needed: --size W H, or the picture beside it"
            )
        except NoPeopleError:
            notes.append("nobody is in it")
        except SourceError as error:
            refused = _short(error, file)
    notes += [_short(warning.message, file) for warning in caught]
    people, more = describe(found)
    names = _names(content)
    read = tuple(key for key in kind.keys if key in names)
    left = tuple(sorted(names - set(kind.keys)))
    return Inspection(
        str(file),
        kind.name,
        kind.title,
        people,
        kind.frame,
        kind.units,
        _camera_words(found) or kind.camera,
        kind.body,
        read,
        left,
        refused,
        tuple(dict.fromkeys([*notes, *more])),
        kind.use.replace("FILE", str(file)) if not refused or "needed" in refused else "",
    )


def describe(found: Any) -> tuple[tuple[str, ...], list[str]]:
    """Return one line a person of what a reader gave, and what it noted."""
    if found is None:
        return (), []
    kinds = (BodyTrack, InitialEstimate, Keypoints2D, VertexContacts)
    rows = [found] if isinstance(found, kinds) else found
    if isinstance(rows, Mapping):
        return _by_picture(rows), []
    lines: list[str] = []
    notes: list[str] = []
    for number, person in enumerate(rows):
        if isinstance(person, BodyTrack):
            first, last = int(person.frames[0]), int(person.frames[-1])
            lines.append(f"{person.identity!r}: {len(person)} frames ({first} to {last}), {person.model}")
            notes += person.notes
        elif isinstance(person, InitialEstimate):
            lines.append(f"{number}: {_estimate_words(person)}")
            notes += person.notes
        elif isinstance(person, Keypoints2D):
            lines.append(f"{number}: {int(person.valid.sum())} keypoints of {person.skeleton}")
        elif isinstance(person, VertexContacts):
            some = int(person.labels().sum())
            lines.append(
                f"{number}: {some} of {len(person)} vertices of {person.body} from 0.5 on ({person.key})"
            )
        else:
            lines.append(f"{number}: {type(person).__name__}")
    return tuple(lines), notes


def _estimate_words(person: InitialEstimate) -> str:
    if person.is_absent:
        return f"of no use: {'; '.join(person.notes)}"
    words = [person.model]
    count = len(person.joint_names)
    words.append(f"{count} joints" if count > 1 else f"its {person.joint_names[0]} alone")
    if person.vertices is not None:
        words.append(f"a mesh of {len(person.vertices)} vertices")
    x, y, z = np.median(person.joints, axis=0)
    words.append(f"at ({x:.2f}, {y:.2f}, {z:.2f}) m")
    judged = which_body(person)
    return ", ".join(words) + (f"; {judged}" if judged else "")


def _by_picture(pictures: Mapping[str, Any]) -> tuple[str, ...]:
    lines = []
    for name, people in pictures.items():
        count = len(people) if hasattr(people, "__len__") else 1
        pairs = getattr(people, "pairs", None)
        if hasattr(people, "boxes"):
            count = len(people.boxes)
        more = f", {len(pairs)} annotated pairs" if pairs is not None else ""
        lines.append(f"picture {name}: {count} people{more}")
    return tuple(lines)


def _camera_words(found: Any) -> str:
    rows = [found] if isinstance(found, (BodyTrack, InitialEstimate)) else found
    if not isinstance(rows, list):
        return ""
    cameras = []
    for person in rows:
        camera = getattr(person, "camera", None)
        cameras += list(camera) if isinstance(camera, tuple) else [camera]
    known = [camera for camera in cameras if camera is not None]
    if not known:
        return ""
    focals = [camera.focal for camera in known]
    first = known[0]
    if max(focals) - min(focals) < 1e-6 * max(focals):
        return f"focal length {first.focal:.1f} px, centre ({first.center[0]:.1f}, {first.center[1]:.1f})"
    return f"focal lengths from {min(focals):.1f} to {max(focals):.1f} px"


def _size_of(file: Path, image_size: Sequence[float] | None) -> tuple[Sequence[float] | None, str]:
    """Return the size that was given, or that of the only picture beside the file."""
    if image_size is not None:
        return image_size, ""
    folder = file if file.is_dir() else file.parent
    beside = [p for p in sorted(folder.iterdir()) if p.suffix.lower() in PICTURE_ENDINGS]
    named = [p for p in beside if p.stem in (file.stem, "image")]
    chosen = named[0] if named else (beside[0] if len(beside) == 1 else None)
    if chosen is None:
        return None, ""
    try:
        size = picture_size(chosen)
    except (OSError, ValueError):
        return None, ""
    return size, f"size {size[0]} x {size[1]} taken from {chosen.name} beside it"


def _inspect_folder(folder: Path, image_size: Sequence[float] | None) -> Inspection:
    kinds = {kind.name: kind for kind in KINDS}
    if any(folder.glob("hps_track_*.npy")):
        people, notes = describe(read_tram_folder(folder))
        kind = kinds["tram"]
        return Inspection(
            str(folder),
            "tram",
            "TRAM's people of a video, one a file",
            people,
            kind.frame,
            kind.units,
            kind.camera,
            kind.body,
            notes=tuple(dict.fromkeys(notes)),
            use=f"apu_contacts.sources.read_tram_folder({str(folder)!r})",
        )
    if (folder / "smplx").is_dir() and (folder / "meta").is_dir():
        people, notes = describe(read_smplerx_folder(folder))
        kind = kinds["smplerx"]
        return Inspection(
            str(folder),
            "smplerx",
            "SMPLer-X's folder, picture 1",
            people,
            kind.frame,
            kind.units,
            kind.camera,
            kind.body,
            notes=tuple(dict.fromkeys(notes)),
            use=_folder_use("smplerx", folder),
        )
    files = [p for p in sorted(folder.iterdir()) if p.suffix.lower() in (".npz", ".npy", ".pkl", ".json")]
    people_files = []
    for file in files:
        try:
            with file.open("rb") as stream:
                content = _content(file, stream.read(64))
        except SourceError:
            continue
        if _recognised(kinds["sam3d"], content):
            people_files.append(file)
    if people_files:
        return _sam3d_folder(folder, people_files, kinds["sam3d"], image_size)
    raise SourceFormatError(
        f"{folder}: a folder without files of one person each (SAM 3D Body, SMPLer-X, TRAM): name one in it"
    )


def _sam3d_folder(
    folder: Path, files: list[Path], kind: SourceKind, image_size: Sequence[float] | None
) -> Inspection:
    from apu_contacts.sources.sam3d import read_sam3d_body

    size, note = _size_of(folder, image_size)
    refused, found = "", None
    if size is None:
        refused = "nothing yet: the picture's width and height are needed (--size W H, or the picture in it)"
    else:
        try:
            found = read_sam3d_body(files, size)
        except SourceError as error:
            refused = _short(error, folder)
    people, more = describe(found)
    return Inspection(
        str(folder),
        kind.name,
        f"SAM 3D Body's people of one picture, {len(files)} files",
        people,
        kind.frame,
        kind.units,
        _camera_words(found) or kind.camera,
        kind.body,
        refused=refused,
        notes=tuple(dict.fromkeys(([note] if note else []) + more)),
        use=_folder_use("sam3d", folder),
    )


def _folder_use(kind: str, folder: Path) -> str:
    return f'apu propose IMAGES.jsonl -o scenes.jsonl, with "{kind}": "{folder}" in the picture\'s line'


def _picture(file: Path) -> Inspection:
    try:
        width, height = picture_size(file)
    except (OSError, ValueError) as error:
        return Inspection(str(file), "", "a picture", refused=_short(error, file))
    return Inspection(str(file), "", f"a picture of {width} x {height} pixels", use=f"apu detect {file}")


_OURS = (
    (("schema_version", "image", "people", "contacts"), "a scene", "apu fit {file} -o fits"),
    (("width", "height", "skeleton", "people"), "keypoints by joint name, as a scene's", ""),
    (("skeleton", "people"), "keypoints by joint name", ""),
    (("schema_version", "verdict"), "the record of a fit", ""),
    (
        ("triangle_ids", "baryc_coords"),
        "a correspondence of two meshes, as Meta's MHR has them",
        "",
    ),
    (("offsets", "vertices"), "a region map", "apu regions"),
    (("v_template", "weights", "J_regressor"), "a body model", "apu fit SCENES --body {file} -o fits"),
)


def _lines(file: Path) -> Inspection:
    try:
        lines = [line for _, line in json_lines(file.read_text(encoding="utf-8-sig"))]
        from apu_contacts.reading import parse_json

        first = parse_json(lines[0], str(file), SourceFormatError) if lines else {}
    except (SourceError, UnicodeDecodeError) as error:
        return Inspection(str(file), "", "JSON lines", refused=_short(error, file))
    keys = set(first) if isinstance(first, Mapping) else set()
    if {"schema_version", "people", "contacts"} <= keys:
        return Inspection(str(file), "", f"{len(lines)} scenes", use=f"apu fit {file} -o fits")
    if {"person_left", "person_right", "text"} <= keys:
        title = f"{len(lines)} answers of a vision language model"
        return Inspection(
            str(file), "", title, read=("text",), use=f"apu contacts SCENES.jsonl {file} -o OUT.jsonl"
        )
    listed = tuple(sorted(map(str, keys)))
    return Inspection(str(file), "", f"{len(lines)} lines of JSON", left=listed, refused="no reader knows it")


def _unknown(file: Path, content: Any) -> Inspection:
    keys = set(content) if isinstance(content, Mapping) else set()
    for wanted, title, use in _OURS:
        if set(wanted) <= keys:
            note: tuple[str, ...] = ()
            if "triangle_ids" in keys:
                count = len(content["triangle_ids"])
                note = (f"it places {count} vertices: {body_of_vertices(count) or 'of no body known here'}",)
            return Inspection(str(file), "", title, notes=note, use=use.format(file=file))
    shown = tuple(_shape_words(name, value) for name, value in _listed(content)[: 3 * _MOST])
    notes = []
    for name, value in _listed(content):
        shape = np.shape(value) if isinstance(value, np.ndarray) else ()
        body = body_of_vertices(shape[-2]) if len(shape) >= 2 and shape[-1] == 3 else ""
        if body:
            notes.append(f"{name} has as many vertices as {body}")
    return Inspection(
        str(file),
        "",
        "a file that no reader knows",
        left=shown,
        refused="none of the readers' names are in it; read_parameters takes a dictionary of smplx's names",
        notes=tuple(notes),
    )


def _listed(content: Any) -> list[tuple[str, Any]]:
    if isinstance(content, Mapping):
        return [(str(name), value) for name, value in content.items()]
    if isinstance(content, (list, tuple)):
        return [(f"list of {len(content)}", content[0])] if content else []
    return [("it", content)]


def _shape_words(name: str, value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"{name} {value.shape}"
    if isinstance(value, Mapping):
        return f"{name} {{{', '.join(sorted(map(str, value))[:6])}}}"
    return f"{name} ({type(value).__name__})"


def _names(content: Any) -> set[str]:
    """Names of the file at the top and of its first person."""
    names = set(map(str, person_of(content)))
    if isinstance(content, Mapping) and len(content) < 40 and not all(_is_identity(key) for key in content):
        names |= set(map(str, content))
    elif isinstance(content, Mapping):
        first = next(iter(content.values()), None)
        names |= set(map(str, first)) if isinstance(first, Mapping) else set()
        names -= set(map(str, content))
    return names - {"results", "instances", "task"}


def _is_identity(key: Any) -> bool:
    return isinstance(key, int) or (isinstance(key, str) and any(c.isdigit() for c in key))


def _short(error: object, file: Path) -> str:
    """Return an error's words without the file that is named above them."""
    return " ".join(str(error).replace(f"{file}: ", "").split())
