"""`apu run` is killed at any moment, run again, and leaves what a calm run leaves; nothing is asked twice."""

from __future__ import annotations

import base64
import io
import json
import random
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import run_with_detector
from loopback import Handler, Server, completion, serving
from PIL import Image

from apu_losses.app.demo import demo_scene
from apu_losses.fitting import Preset, Stage
from apu_losses.generate.config import RunConfig

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is POSIX's")

TIME_OUT = 1800  # no measurement: a command that never ends must not hold up the rest
GREYS = {"a": 10, "b": 90, "c": 170}
PRESET = Preset(
    "short",
    {"keypoints": {}, "contact": {"over": "parts"}, "initial_pose": {}},
    (Stage("one", {"keypoints": 0.02, "contact": 1e4, "initial_pose": 100.0}, ("transl",), 0.02, 2),),
)
HUG = """{"contacts": [{"body_part_person_left": {"part_name": "hand", "body_side": "left"},
    "body_part_person_right": {"part_name": "back", "body_side": "none"}, "confidence": 0.9}]}"""


def photograph(body: dict[str, Any]) -> str:
    """Which photograph a request shows: the crops differ in their grey."""
    shown = [p["image_url"]["url"] for p in body["messages"][0]["content"] if p["type"] == "image_url"][-1]
    with Image.open(io.BytesIO(base64.b64decode(shown.partition(",")[2]))) as picture:
        grey = float(np.asarray(picture.convert("L")).mean())
    return min(GREYS, key=lambda name: abs(GREYS[name] - grey))


def answer(handler: Handler) -> None:
    time.sleep(0.2)  # so that a kill also falls into the asking
    handler.send(200, json.dumps(completion(HUG)).encode())


def answered(out: Path) -> set[str]:
    """Photographs whose answer is in the file as a whole line."""
    file = out / "answers.jsonl"
    lines = file.read_bytes().split(b"\n")[:-1] if file.is_file() else []
    return {json.loads(line)["scene"] for line in lines if line.strip()}


def detected(out: Path) -> set[str]:
    """Photographs whose keypoints are there; a file appears whole or not at all."""
    return {path.stem for path in (out / "detected").glob("*.npz") if path.name[0] != "."}


def left_by(out: Path) -> dict[str, object]:
    """All that a run left, without times and places, and without the order in which answers came."""
    found: dict[str, object] = {"files": sorted(p.name for p in out.rglob("*") if p.is_file())}
    found["answers"] = sorted((out / "answers.jsonl").read_text(encoding="utf-8").splitlines())
    for file in sorted(out.rglob("*")):
        name = str(file.relative_to(out))
        if file.suffix in (".jsonl", ".html", ".toml", ".json") and file.name != "answers.jsonl":
            text = file.read_text(encoding="utf-8").replace(str(out), "OUT")
            text = re.sub(r'"seconds": [0-9.e-]+', "", text)
            # digests of files that name the folder
            found[name] = re.sub(r'"[0-9a-f]{32}"', "", text) if file.name == "steps.json" else text
        elif file.suffix == ".npz":
            with np.load(file) as arrays:
                found[name] = {key: arrays[key].tobytes() for key in arrays.files}
    return found


class Runs:
    """The same run as a process, again and again."""

    def __init__(self, folder: Path, server: Server) -> None:
        self.folder, self.server = folder, server
        self.photos = folder / "photos"
        self.photos.mkdir()
        scene = demo_scene()
        for name, grey in GREYS.items():
            size = (scene.width, scene.height)
            Image.new("RGB", size, (grey, grey, grey)).save(self.photos / f"{name}.png")
        PRESET.save(folder / "short.json")
        ask = {"model": "m", "base_url": server.url, "example": False, "parallel": 1}
        fit = {"preset": str(folder / "short.json"), "batch_size": 1, "pictures": False}
        config = RunConfig().changed({"ask": ask, "fit": fit, "starts": {"from_answers": "none"}})
        (folder / "run.toml").write_text(config.to_toml(), encoding="utf-8")

    def start(self, out: Path, looked_at: Path) -> subprocess.Popen[str]:
        program = run_with_detector.__file__
        command = [sys.executable, program, self.photos, out, self.folder / "run.toml", looked_at]
        return subprocess.Popen(list(map(str, command)), text=True, stderr=subprocess.PIPE)

    def end(self, process: subprocess.Popen[str]) -> None:
        _, err = process.communicate(timeout=TIME_OUT)
        assert process.returncode == 0, err

    def asked(self) -> Counter[str]:
        return Counter(map(photograph, self.server.requests))


def kill(folder: Path, count: int, seed: int) -> None:
    rng = random.Random(seed)
    with serving() as server:
        server.script = [answer]
        runs = Runs(folder, server)
        calm, out = folder / "calm", folder / "out"
        begun = time.monotonic()
        runs.end(runs.start(calm, folder / "calm.log"))
        whole = time.monotonic() - begun
        assert runs.asked() == dict.fromkeys(GREYS, 1)
        server.requests.clear()
        looked_at = folder / "looked.log"
        looked_at.touch()
        killed = 0
        for turn in range(5 * count):
            if killed == count:
                break
            had, seen = answered(out), detected(out)
            asked, looks = runs.asked(), len(looked_at.read_text().splitlines())
            process = runs.start(out, looked_at)
            try:
                _, err = process.communicate(timeout=rng.uniform(0, whole))
            except subprocess.TimeoutExpired:
                process.kill()
                _, err = process.communicate(timeout=TIME_OUT)
            assert process.returncode in (-signal.SIGKILL, 0), err
            killed += process.returncode == -signal.SIGKILL
            assert not set(runs.asked() - asked) & had, "what has an answer is not asked again"
            again = {Path(name).stem for name in looked_at.read_text().splitlines()[looks:]}
            assert not again & seen, "whose keypoints are there is not looked at again"
            assert had <= answered(out) and seen <= detected(out), "what was done is kept"
            if (
                process.returncode == 0
            ):  # it was done before the kill came: as a calm run, and the next one begins
                assert left_by(out) == left_by(calm)
                out = folder / f"out{turn}"
                server.requests.clear()
        assert killed == count
        had, asked = answered(out), runs.asked()
        runs.end(runs.start(out, looked_at))
        assert not set(runs.asked() - asked) & had
        assert left_by(out) == left_by(calm)


@pytest.mark.long
def test_three_kills_of_run(tmp_path: Path) -> None:
    kill(tmp_path, 3, 0)


@pytest.mark.slow
def test_twenty_kills_of_run(tmp_path: Path) -> None:
    kill(tmp_path, 20, 1)
