"""Whatever a command is given: no traceback, one line that names what is wrong, the documented exit code."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from apu_losses.app.demo import demo_scene
from apu_losses.fitting import save_scene

OPENPOSE = {"people": [{"pose_keypoints_2d": [100.0, 100.0, 0.9] * 25}]}


def scene(folder: Path, name: str = "scene.json", **changes: object) -> Path:
    """The demo's scene with other values at its top level."""
    save_scene(demo_scene(), folder / name)
    data = json.loads((folder / name).read_text())
    (folder / name).write_text(json.dumps({**data, **changes}))
    return folder / name


def written(folder: Path, name: str, content: bytes | str) -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def bomb(folder: Path) -> Path:
    """A PNG of a few bytes that says to be 60,000 pixels wide and high."""
    header = struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0)
    chunk = b"IHDR" + header
    import zlib

    data = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk))
    data += struct.pack(">I", 0) + b"IDAT" + struct.pack(">I", zlib.crc32(b"IDAT"))
    return written(folder, "bomb.png", data)


def image_folder(folder: Path, **files: bytes | str) -> Path:
    Image.new("RGB", (640, 480)).save(folder / "image.png")
    for name, content in files.items():
        written(folder, name.replace("_", "."), content)
    return folder


def encrypted(folder: Path) -> Path:
    """An npz whose member says that it is encrypted."""
    np.savez(folder / "x.npz", transl=np.zeros((1, 3)))
    data = bytearray((folder / "x.npz").read_bytes())
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.find(mark) + offset] |= 1
    return written(folder, "x.npz", bytes(data))


def member(folder: Path, content: bytes, method: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(folder / "x.npz", "w", method) as archive:
        archive.writestr("transl.npy", content)
    return folder / "x.npz"


def header(text: str) -> bytes:
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode()


DEEP = "[" * 200_000
HUGE = '{"schema_version": 1, "people": 1e999}'
FIT = ("fit", "-o", "out")
CONVERT = ("convert", "--to", "free", "-o", "out.npz")
PROPOSE = ("propose", "-o", "out.jsonl")

# command, what makes its input, what the line says
ONE_LINE = {
    "fit nested deeply": (FIT, lambda f: written(f, "a.json", DEEP), "a.json"),
    "fit huge number": (FIT, lambda f: written(f, "a.json", HUGE), "a.json"),
    "fit list": (FIT, lambda f: written(f, "a.json", "[1, 2]"), "a.json"),
    "fit binary": (FIT, lambda f: written(f, "a.json", bytes(range(256))), "a.json"),
    "fit lines nested": (FIT, lambda f: written(f, "a.jsonl", DEEP), "a.jsonl, line 1"),
    "fit lines binary": (FIT, lambda f: written(f, "a.jsonl", b"\xff\xfe"), "a.jsonl"),
    "fit huge image": (FIT, lambda f: scene(f, image={"width": 10**9, "height": 10**9}), "pixels on a side"),
    "fit very wide": (FIT, lambda f: scene(f, image={"width": 10**10, "height": 1}), "pixels on a side"),
    "fit no photograph": (
        FIT,
        lambda f: scene(f, image={"width": 640, "height": 480, "path": "gone.jpg"}),
        "gone.jpg",
    ),
    "fit picture bomb": (
        FIT,
        lambda f: scene(f, image={"width": 60000, "height": 60000, "path": bomb(f).name}),
        "scene.json",
    ),
    "fit NUL in picture": (
        FIT,
        lambda f: scene(f, image={"width": 640, "height": 480, "path": "a\0b.jpg"}),
        "scene.json",
    ),
    "fit surrogate in picture": (
        FIT,
        lambda f: scene(f, image={"width": 640, "height": 480, "path": "a\ud800.jpg"}),
        "scene.json",
    ),
    "fit NUL in name": (FIT, lambda f: one_line(f, "a\0b"), "null character"),
    "fit surrogate in name": (FIT, lambda f: one_line(f, "a\ud800"), "surrogate"),
    "fit long name": (FIT, lambda f: one_line(f, "x" * 253), "253 bytes"),
    "fit path as name": (FIT, lambda f: one_line(f, "../x"), "separates folders"),
    "fit no path": (FIT, lambda f: f / "gone.json", "gone.json"),
    "fit empty folder": (FIT, lambda f: f, "no .json"),
    "fit preset nested": (
        (*FIT, "--preset", "p.json"),
        lambda f: written(f, "p.json", DEEP) and scene(f),
        "nested|p.json",
    ),
    "fit body text": ((*FIT, "--body", "b.npz"), lambda f: written(f, "b.npz", "x") and scene(f), "b.npz"),
    "fit regions text": (
        (*FIT, "--regions", "r.npz"),
        lambda f: written(f, "r.npz", "x") and scene(f),
        "r.npz|region",
    ),
    "fit device": ((*FIT, "--device", "abacus"), scene, "abacus"),
    "fit into a file": (("fit", "-o", "file"), lambda f: written(f, "file", "x") and scene(f), "is a file"),
    "fit into nothing": (("fit", "-o", ""), scene, "-o is empty"),
    "fit into proc": (("fit", "-o", "/proc/apu/out"), scene, "/proc/apu"),
    "fit over input": (("fit", "-o", "."), scene, "also an input"),
    "fit log over input": ((*FIT, "--log", "scene.json"), scene, "also an input"),
    "fit log is folder": ((*FIT, "--log", "."), scene, "is a folder"),
    "fit log over notes": (
        (*FIT, "--log", "notes.txt"),
        lambda f: written(f, "notes.txt", "mine") and scene(f),
        "notes.txt is there already",
    ),
    "fit film into a file": (
        (*FIT, "--film", "file"),
        lambda f: written(f, "file", "x") and scene(f),
        "is a file",
    ),
    "fit batch of none": ((*FIT, "--batch-size", "0"), scene, "batch-size"),
    "convert text": (CONVERT, lambda f: written(f, "x.npz", "text"), "x.npz"),
    "convert empty": (CONVERT, lambda f: written(f, "x.npz", b""), "x.npz"),
    "convert encrypted": (CONVERT, encrypted, ""),
    "convert broken header": (CONVERT, lambda f: member(f, header("{'descr': (((")), ""),
    "convert endless header": (CONVERT, lambda f: member(f, header("(" * 5000)), ""),
    "convert no array": (CONVERT, lambda f: member(f, b"hello"), ""),
    "convert over input": (
        ("convert", "--to", "free", "-o", "x.npz"),
        lambda f: member(f, b""),
        "also an input",
    ),
    "convert another ending": (
        ("convert", "--to", "free", "-o", "x.txt"),
        lambda f: member(f, b"1"),
        "end in .npz",
    ),
    "convert body": (("convert", "--to", "NOBODY.npz", "-o", "out.npz"), lambda f: member(f, b"1"), "NOBODY"),
    "propose manifest nested": (PROPOSE, lambda f: written(f, "a.jsonl", DEEP), "a.jsonl|nested"),
    "propose manifest list": (PROPOSE, lambda f: written(f, "a.jsonl", "[]"), "line 1"),
    "propose into a folder": (
        ("propose", "-o", "/"),
        lambda f: image_folder(f, openpose_json=json.dumps(OPENPOSE)),
        "is a folder",
    ),
    "propose over input": (
        ("propose", "-o", "openpose.json"),
        lambda f: image_folder(f, openpose_json=json.dumps(OPENPOSE)),
        "also an input",
    ),
    "propose over notes": (
        ("propose", "-o", "notes.txt"),
        lambda f: image_folder(f, openpose_json=json.dumps(OPENPOSE), notes_txt="mine"),
        "notes.txt is there already",
    ),
    "propose option": (
        (*PROPOSE, "--max-distance", "-1"),
        lambda f: image_folder(f, openpose_json=json.dumps(OPENPOSE)),
        "max_distance",
    ),
    "presets nested": (("presets",), lambda f: written(f, "p.json", DEEP), "nested|p.json"),
    "presets over a preset of one's own": (
        ("presets", "-o", "mine.json"),
        lambda f: written(f, "mine.json", "{}") and "best",
        "mine.json is there already",
    ),
    "parse binary": (("parse",), lambda f: written(f, "a.txt", b"\xff\xfe\x00"), "a.txt|UTF-8"),
    "parse folder": (("parse",), lambda f: f, "director"),
    "detect nothing": (("detect", "-o", "out.jsonl"), lambda f: f / "gone.png", "gone.png"),
    "ask nothing": (("ask", "-o", "out.jsonl", "--model", "m"), lambda f: f / "gone.png", "gone.png"),
    "demo over notes": (
        ("demo", "-o", "."),
        lambda f: written(f, "result.json", "{}") and None,
        "result.json is there already",
    ),
    "demo preset": (("demo", "--preset"), lambda f: "worst", "worst"),
    "regions": (("regions",), lambda f: "75", "75"),
    "an option that is none": (("fit", "--wings"), lambda f: None, "--wings"),
}


def one_line(folder: Path, name: str) -> Path:
    return written(folder, "a.jsonl", json.dumps(json.loads(scene(folder).read_text()) | {"name": name}))


@pytest.mark.parametrize("case", ONE_LINE)
def test_bad_input_ends_in_one_line_and_changes_nothing(case, apu, tmp_path, monkeypatch):
    arguments, make, said = ONE_LINE[case]
    monkeypatch.chdir(tmp_path)
    given = make(tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    code, out, err = apu(*arguments, *([] if given is None else [given]))
    assert code == 2 and out == "", (out, err)
    assert err.count("\n") == 1 and err.startswith(f"apu {arguments[0]}: ") and "Traceback" not in err, err
    assert any(words in err for words in said.split("|")), err
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("content", [DEEP, "{", "[1e999]", '{"people": 3}', b"\xff\xfe", '{"people": [[]]}'])
def test_one_bad_file_costs_itself_alone(content, apu, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a", "b"):
        (tmp_path / "d" / name).mkdir(parents=True)
    image_folder(tmp_path / "d" / "a", openpose_json=content)
    image_folder(tmp_path / "d" / "b", openpose_json=json.dumps(OPENPOSE))
    code, out, err = apu("propose", "d", "-o", "out.jsonl")
    assert code == 1 and "note: a:" in err and "Traceback" not in err, err
    assert out.split("people with keypoints")[1].split()[0] == "1"
    assert (tmp_path / "out.jsonl").is_file()


def test_an_error_of_the_program_can_be_looked_at(apu, tmp_path, monkeypatch):
    monkeypatch.setenv("APU_TRACEBACK", "1")
    _, _, err = apu("fit", tmp_path / "gone.json", "-o", tmp_path / "out")
    assert "Traceback" in err and err.rstrip().endswith("gone.json: no such file or folder")


@pytest.mark.parametrize(
    "encoding", ["ascii", *(pytest.param(name, marks=pytest.mark.long) for name in ("cp1252", "cp932"))]
)
def test_a_name_that_the_terminal_lacks_is_escaped(encoding, quick, tmp_path):
    save_scene(demo_scene(), tmp_path / "ü名.json")
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    command = [sys.executable, "-m", "apu_losses.app.cli", "fit", "ü名.json", "-o", "ü", "--no-pictures"]
    done = subprocess.run(
        [*command, "--preset", str(quick)], capture_output=True, cwd=tmp_path, env=environment
    )
    assert done.returncode == 0 and b"Traceback" not in done.stderr, done.stderr
    assert (tmp_path / "ü" / "ü名.npz").is_file() and b"results in" in done.stdout
