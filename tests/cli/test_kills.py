"""`apu fit` and `apu propose` are killed at any moment, run again, and leave the same files as a calm run."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from fit_contents import contents
from PIL import Image

from apu_losses.fitting import load_parameters

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the signals are POSIX's")

CODES = {signal.SIGKILL: -9, signal.SIGTERM: 143, signal.SIGINT: 130}
TIME_OUT = 1800  # no measurement: a command that never ends must not hold up the rest


def start(arguments: list[object], folder: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "apu_losses.app.cli", *map(str, arguments)]
    return subprocess.Popen(command, cwd=folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def hidden(folder: Path) -> list[str]:
    return [path.name for path in folder.rglob(".apu-*")]


def check_whole(out: Path) -> int:
    """Where there is a record, the others are there and can be read; how many there are."""
    records = list(out.glob("*.json")) if out.is_dir() else []
    for path in records:
        for name in json.loads(path.read_text())["files"]:
            assert (out / name).stat().st_size > 0
        load_parameters(path.with_suffix(".npz"))
    return len(records)


def kill_and_go_on(arguments, folder, moments, signals, state, check, code=0) -> None:
    """Run, end each run at a moment after it has begun, and let the last one reach its end.

    A run has begun once ``state`` is another than before: what an earlier one left says nothing of this one.
    """
    for moment, number in zip(moments, signals, strict=True):
        before = state()
        process = start(arguments, folder)
        begun = time.monotonic()
        while state() == before and process.poll() is None and time.monotonic() - begun < TIME_OUT:
            time.sleep(0.01)
        time.sleep(moment)
        process.send_signal(number)
        _, err = process.communicate(timeout=TIME_OUT)
        # one that had ended when the signal came has its own code
        assert process.returncode in (CODES[number], -number, code), err
        if process.returncode == CODES[number] and number != signal.SIGKILL:
            assert "interrupted" in err and "Traceback" not in err, err
            assert not [name for name in hidden(folder) if not name.startswith(".apu-propose")]
        check()
    process = start(arguments, folder)
    _, err = process.communicate(timeout=TIME_OUT)
    assert process.returncode == code, err


def fit_arguments(scenes: Path, quick: Path, out: str) -> list[object]:
    fixed = ["--preset", quick, "--no-pictures", "--batch-size", 1, "--log", f"{out}.jsonl"]
    return ["fit", scenes, "-o", out, *fixed]


def kill_fits(scenes, quick, folder, count, seed) -> None:
    rng = random.Random(seed)
    process = start(fit_arguments(scenes, quick, "whole"), folder)
    assert process.wait(TIME_OUT) == 0
    signals = [list(CODES)[number % 3] for number in range(count)]
    moments = [rng.uniform(0, 1.5) for _ in range(count)]
    done = [0]

    def check() -> None:
        now = check_whole(folder / "out")
        assert now >= done[0], "what was done is kept"
        done[0] = now

    kill_and_go_on(
        fit_arguments(scenes, quick, "out"),
        folder,
        moments,
        signals,
        lambda: {path.name for path in (folder / "out").glob(".apu-work-*")},
        check,
    )
    assert contents(folder / "out") == contents(folder / "whole")
    assert (folder / "out.jsonl").read_bytes() == (folder / "whole.jsonl").read_bytes()
    assert not hidden(folder)


@pytest.mark.long
def test_three_kills_of_fit(scenes, quick, tmp_path):
    kill_fits(scenes, quick, tmp_path, 3, 0)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_many_kills_of_fit(scenes, quick, tmp_path, seed):
    kill_fits(scenes, quick, tmp_path, 9, seed)


def write_detections(folder: Path, count: int) -> None:
    for number in range(count):
        image = folder / f"i{number:03d}"
        image.mkdir(parents=True)
        Image.new("RGB", (640, 480)).save(image / "image.png")
        people = [{"pose_keypoints_2d": [100.0 + 5 * p, 100.0 + number, 0.9] * 25} for p in range(2)]
        (image / "openpose.json").write_text(json.dumps({"people": people}))


def size_of_journal(folder: Path) -> int:
    try:
        return sum(path.stat().st_size for path in folder.glob(".apu-propose-*"))
    except FileNotFoundError:  # it went in between
        return -1


def kill_proposals(folder, count, images, seed) -> None:
    rng = random.Random(seed)
    write_detections(folder / "d", images)
    first = start(["propose", "d", "--start", "estimate", "-o", "whole.jsonl"], folder)
    out, _ = first.communicate(timeout=TIME_OUT)
    assert first.returncode == 1  # there is a note: nobody has an estimate
    signals = [list(CODES)[number % 3] for number in range(count)]
    kill_and_go_on(
        ["propose", "d", "--start", "estimate", "-o", "out.jsonl"],
        folder,
        [rng.uniform(0, 0.3) for _ in range(count)],
        signals,
        lambda: size_of_journal(folder),
        lambda: None,
        code=1,
    )
    assert (folder / "out.jsonl").read_bytes() == (folder / "whole.jsonl").read_bytes()
    assert not hidden(folder)
    last = start(["propose", "d", "--start", "estimate", "-o", "third.jsonl"], folder)
    assert last.communicate(timeout=TIME_OUT)[0].replace("third", "whole") == out


@pytest.mark.long
def test_three_kills_of_propose(tmp_path):
    kill_proposals(tmp_path, 3, 60, 0)


@pytest.mark.slow
def test_many_kills_of_propose(tmp_path):
    kill_proposals(tmp_path, 12, 1500, 1)


@pytest.mark.long
def test_two_proposals_into_one_file(tmp_path):
    write_detections(tmp_path / "d", 100)
    both = [start(["propose", "d", "--start", "estimate", "-o", "out.jsonl"], tmp_path) for _ in range(2)]
    said = [process.communicate(timeout=TIME_OUT) for process in both]
    codes = [process.returncode for process in both]
    assert 1 in codes and set(codes) <= {1, 2}, said
    for code, (_, err) in zip(codes, said, strict=True):
        assert code == 1 or "another process" in err
    assert not hidden(tmp_path) and (tmp_path / "out.jsonl").is_file()
