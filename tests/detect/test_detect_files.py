"""The files of `apu detect`: what they replace, and what stops nothing."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from apu_contacts.detect import detect_pictures, find_pictures
from apu_contacts.detect.detector import DetectedPeople
from apu_contacts.files import OutputError
from apu_contacts.images import read_picture


def nobody(picture: Path) -> DetectedPeople:
    height, width, _ = read_picture(picture).shape
    empty = np.zeros((0, 17))
    return DetectedPeople("coco17", np.zeros((0, 17, 2)), empty, empty, np.zeros((0, 4)), (width, height))


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for name in ("a.png", "b.gif", "c.jfif"):
        kind = "JPEG" if name.endswith("jfif") else None
        Image.new("RGB", (20, 10)).save(folder / name, format=kind)
    return folder


def test_one_broken_or_huge_picture_stops_nothing(pictures: Path, tmp_path: Path) -> None:
    (pictures / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    Image.new("1", (20000, 20000)).save(pictures / "huge.png")
    summary = detect_pictures(find_pictures([pictures]), nobody, tmp_path / "out.jsonl")
    assert summary.pictures == 3 and len(summary.unread) == 2
    names = [json.loads(line)["name"] for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert names == ["a", "b", "c"]
    # and again: a list replaces a list
    detect_pictures(find_pictures([pictures / "a.png"]), nobody, tmp_path / "out.jsonl")
    assert len((tmp_path / "out.jsonl").read_text().splitlines()) == 1


def test_what_a_kill_would_tear_stays_as_it_was(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    detect_pictures(find_pictures([pictures]), nobody, tmp_path / "out.jsonl")
    before = {path: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    assert len(before) == 3

    def torn(path: Path | str, **arrays: object) -> None:
        (path.write if hasattr(path, "write") else Path(path).write_bytes)(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(np, "savez_compressed", torn)
    with pytest.raises(KeyboardInterrupt):
        detect_pictures(find_pictures([pictures]), nobody, tmp_path / "out.jsonl")
    assert {path: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before


@pytest.mark.parametrize("content", ["my notes", '{"name": "a"}\n', "[1]"])
def test_another_file_is_left_alone(pictures: Path, tmp_path: Path, content: str) -> None:
    notes = tmp_path / "notes.jsonl"
    notes.write_text(content)
    with pytest.raises(OutputError, match="not a list of detections"):
        detect_pictures(find_pictures([pictures]), nobody, notes)
    assert notes.read_text() == content and not (tmp_path / "notes").exists()


def test_pictures_that_were_looked_at_are_not_looked_at_again(pictures: Path, tmp_path: Path) -> None:
    looked: list[str] = []

    def somebody(picture: Path) -> DetectedPeople:
        looked.append(picture.name)
        xy = np.full((1, 33, 2), float(len(looked)))
        one = np.full((1, 33), 0.5)
        return DetectedPeople("mediapipe33", xy, one, one, np.ones((1, 4)), (20, 10), np.ones((1, 33, 3)))

    def detect(resume: str | None) -> str:
        looked.clear()
        detect_pictures(find_pictures([pictures]), somebody, tmp_path / "out.jsonl", resume=resume)
        return "".join(name[0] for name in looked)

    assert detect("one") == "abc"
    listed = (tmp_path / "out.jsonl").read_bytes()
    (tmp_path / "out" / "b.npz").unlink()  # as after a kill
    (tmp_path / "out.jsonl").unlink()
    assert detect("one") == "b" and (tmp_path / "out.jsonl").read_bytes() == listed
    Image.new("RGB", (20, 10), (9, 9, 9)).save(pictures / "a.png")  # another picture of the same name
    (tmp_path / "out" / "c.npz").write_bytes(b"half")
    assert detect("one") == "ac"
    assert detect("two") == "abc" and detect(None) == "abc" and detect("two") == "abc"
