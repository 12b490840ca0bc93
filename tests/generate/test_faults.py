"""`apu generate` with faults of disks, servers, pictures and files: the next run ends as an undisturbed one.

Disks are real: a small file system in memory where one may be mounted (as root, on Linux), limits of the
process elsewhere. Servers are real, on the loopback.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from line_kills import FAILED, files_of, in_child
from line_setup import answering, content, options, photos
from synthetic_photos import AnswerServer, Handler

from apu_losses.dataset import records, verify
from apu_losses.generate.line.run import GenerateSummary, generate
from apu_losses.generate.line.shard_work import LineOptions

pytest.importorskip("pyarrow", reason="data sets are Parquet: the extra [parquet]")
linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="forks; limits of Linux")


class MoodyServer(AnswerServer):
    """Fails as ``mood`` says: ``"stall"``, ``"hang up"``, ``"half"``, ``"no json"``; ``""``: not at all."""

    mood = ""

    def __init__(self, answers: list[str]) -> None:
        super().__init__(answers)
        self.RequestHandlerClass = _Moody
        self.go_on = threading.Event()


class _Moody(Handler):
    server: MoodyServer

    def reply(self, text: str) -> None:
        mood = self.server.mood
        if mood == "stall":
            self.server.go_on.wait(20)
            self.close_connection = True
        elif mood == "hang up":
            self.close_connection = True
        elif mood == "half":
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", "5000")
            self.end_headers()
            self.wfile.write(b'{"id": "1", "choices": [{"ind')
            self.close_connection = True
        elif mood == "no json":
            self.send_response(200)
            self.send_header("Content-Length", "26")
            self.end_headers()
            self.wfile.write(b"<html>Bad gateway</html>\r\n")
        else:
            super().reply(text)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    folder = tmp_path_factory.mktemp("faults") / "rendered"
    return folder, photos(folder, 3)


@pytest.fixture(scope="module")
def server(made: tuple[Path, list[str]]) -> Iterator[MoodyServer]:
    with answering(made[1], MoodyServer) as running:
        assert isinstance(running, MoodyServer)
        yield running


@pytest.fixture(scope="module")
def calm(made: tuple[Path, list[str]], server: MoodyServer) -> Path:
    out = made[0].parent / "calm"
    assert line(made[0], out, server).whole
    return out


def line(folder: Path, out: Path, server: AnswerServer, **ask: object) -> GenerateSummary:
    chosen = options(folder, server.url)
    chosen = LineOptions(chosen.config.changed({"ask": ask}))
    return generate([folder], out, chosen, images_per_shard=2)


def work(folder: Path, out: Path, server: AnswerServer) -> Callable[[], bool]:
    def run() -> bool:
        done = line(folder, out, server)
        return done.whole and not done.unfinished

    return run


@pytest.mark.parametrize("mood", ["stall", "hang up", "half", "no json"])
def test_a_moody_server_leaves_its_shards_to_the_next_run(
    made: tuple[Path, list[str]], server: MoodyServer, calm: Path, tmp_path: Path, mood: str
) -> None:
    server.mood = mood
    server.go_on.clear()
    try:
        done = line(made[0], tmp_path / "out", server, timeout=0.4)
    finally:
        server.mood = ""
        server.go_on.set()
    assert done.unfinished == [0, 1] and not done.whole and done.totals.pairs == 0
    assert any("not answered" in p or "stopped" in p for p in done.problems), done.problems
    assert line(made[0], tmp_path / "out", server).whole
    assert content(tmp_path / "out") == content(calm) and files_of(tmp_path / "out") == files_of(calm)


def test_what_was_answered_before_a_server_failed_is_not_asked_again(
    made: tuple[Path, list[str]], server: MoodyServer, calm: Path, tmp_path: Path
) -> None:
    chosen = options(made[0], server.url)
    part = generate([made[0]], tmp_path / "out", chosen, images_per_shard=2, shard=(0, 2))
    assert not part.unfinished and not part.whole
    server.status, asked = 503, server.asked
    try:
        assert line(made[0], tmp_path / "out", server).unfinished == [1]
    finally:
        server.status = 200
    failed = server.asked - asked
    assert line(made[0], tmp_path / "out", server).whole and server.asked == asked + failed + 1
    assert content(tmp_path / "out") == content(calm)


def test_nonsense_is_an_answer_that_cannot_be_read_and_is_kept_as_it_came(
    made: tuple[Path, list[str]], tmp_path: Path
) -> None:
    with answering(["%%% \x00 ]]] \u2028"]) as liar:
        done = line(made[0], tmp_path / "out", liar)
    assert done.whole and done.totals.pairs == 3 and done.totals.kept == 0
    for row in records(tmp_path / "out"):
        assert row["evidence"]["status"] == "unreadable" and not row["contacts"]
        assert row["answers"][0]["text"].startswith("%%%") and "contacts stated" in row["verdict"]["reasons"]
    assert not verify(tmp_path / "out")


def test_a_broken_picture_is_named_and_no_other_pair_is_touched(
    made: tuple[Path, list[str]], server: MoodyServer, calm: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "rendered"
    shutil.copytree(made[0], folder)
    shutil.copy(made[0].parent / "short.json", tmp_path)
    first, second, _ = sorted(folder.glob("*.png"))
    first.write_bytes(first.read_bytes()[:200])
    second.write_bytes(b"")
    done = line(folder, tmp_path / "out", server)
    for broken in (first, second):
        assert any(broken.stem in problem for problem in done.problems)
    assert done.whole and not done.unfinished
    entries = json.loads((tmp_path / "out/000000.json").read_text())["images"]
    assert all(entry["problem"] for entry in entries)

    def told(out: Path) -> list[object]:
        rows = [row for row in records(out) if row["image"]["name"] not in (first.stem, second.stem)]
        return [{**row, "image": {**row["image"], "path": None}} for row in rows]

    assert told(tmp_path / "out") == told(calm) and len(told(calm)) == 1


# --- disks


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own in memory, 2 MB."""
    place = tmp_path / "disk"
    place.mkdir()
    if not sys.platform.startswith("linux") or mount("-t", "tmpfs", "-o", "size=2m", "tmpfs", str(place)):
        pytest.skip("no file system may be mounted here")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def mount(*words: str) -> int:
    return subprocess.run(["mount", *words], capture_output=True, check=False).returncode


@linux
@pytest.mark.parametrize("free", [0, 20_000, 60_000, 120_000, 160_000])
def test_a_full_disk_loses_nothing(
    made: tuple[Path, list[str]], server: MoodyServer, calm: Path, disk: Path, free: int
) -> None:
    out = disk / "out"
    ballast = disk / "ballast"
    with ballast.open("wb") as stream:
        os.posix_fallocate(stream.fileno(), 0, 2_097_152 - free)
    asked = server.asked
    assert in_child(work(made[0], out, server)) == FAILED << 8
    for index in out.glob("00*.json"):
        assert index.with_suffix(".parquet").is_file()  # what has an index is there
    ballast.unlink()
    assert in_child(work(made[0], out, server)) == 0
    assert content(out) == content(calm) and files_of(out) == files_of(calm) and not verify(out)
    assert server.asked - asked <= 3 + 3  # what was answered and could not be kept


@linux
def test_a_disk_that_becomes_read_only_loses_nothing(
    made: tuple[Path, list[str]], server: MoodyServer, calm: Path, disk: Path
) -> None:
    out = disk / "out"
    generate([made[0]], out, options(made[0], server.url), images_per_shard=2, shard=(0, 2))
    before = {name: (out / name).read_bytes() for name in files_of(out)}
    assert mount("-o", "remount,ro", str(disk)) == 0
    assert in_child(work(made[0], out, server)) == FAILED << 8
    assert {name: (out / name).read_bytes() for name in files_of(out)} == before
    assert mount("-o", "remount,rw,size=8m", str(disk)) == 0
    asked = server.asked
    assert in_child(work(made[0], out, server)) == 0 and server.asked == asked + 1
    assert content(out) == content(calm)


@linux
@pytest.mark.parametrize("largest", [0, 3_000, 12_000, 70_000])
def test_files_that_cannot_grow_lose_nothing(
    made: tuple[Path, list[str]], server: MoodyServer, calm: Path, tmp_path: Path, largest: int
) -> None:
    """As a quota or a file system with a limit does: a write ends in the middle, with an error."""
    out = tmp_path / "out"

    def limit() -> None:
        import resource

        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest, resource.RLIM_INFINITY))

    assert in_child(work(made[0], out, server), limit=limit) == FAILED << 8
    assert in_child(work(made[0], out, server)) == 0
    assert content(out) == content(calm) and files_of(out) == files_of(calm) and not verify(out)


# --- files that are damaged, and two at one output


@linux
@pytest.mark.long
def test_whatever_file_of_a_line_under_way_is_cut_off_it_is_made_again(
    made: tuple[Path, list[str]], server: MoodyServer, calm: Path, tmp_path: Path
) -> None:
    whole = tmp_path / "whole"
    chosen = options(made[0], server.url, keep_work=True)
    assert generate([made[0]], whole, chosen, images_per_shard=3).whole
    (whole / "000000.json").unlink()
    names = [n for n in files_of(whole) if ".apu-lock" not in n]
    assert len(names) > 15
    refused = {}
    for number, name in enumerate(names):
        out = tmp_path / f"out-{number}"
        shutil.copytree(whole, out)
        data = (out / name).read_bytes()
        (out / name).write_bytes(data[: len(data) // 2])
        try:
            done = generate([made[0]], out, chosen, images_per_shard=3)
        except OSError as error:
            refused[name] = str(error)
            continue
        assert done.whole and content(out) == content(calm), name
        shutil.rmtree(out)
    # what nobody but this line could have written is made again, unless it says what was asked for
    assert set(refused) <= {"plan/000000.json", "generate.toml"}, refused
    assert all(name in said for name, said in refused.items())


@linux
def test_two_lines_at_once_on_one_output_end_as_one(
    made: tuple[Path, list[str]], server: MoodyServer, calm: Path, tmp_path: Path
) -> None:
    out, asked = tmp_path / "out", server.asked
    ended: list[int] = []
    both = [
        threading.Thread(target=lambda: ended.append(in_child(work(made[0], out, server)))) for _ in range(2)
    ]
    for one in both:
        one.start()
    for one in both:
        one.join()
    assert 0 in ended and set(ended) <= {0, FAILED << 8}  # the other was told that somebody is at work
    assert content(out) == content(calm) and not verify(out) and server.asked == asked + 3


@linux
def test_the_parts_of_an_array_at_once_are_one_data_set(
    made: tuple[Path, list[str]], server: MoodyServer, calm: Path, tmp_path: Path
) -> None:
    out, asked = tmp_path / "out", server.asked

    def part(number: int) -> Callable[[], bool]:
        def run() -> bool:
            chosen = options(made[0], server.url)
            done = generate([made[0]], out, chosen, images_per_shard=1, shard=(number, 3))
            return not done.unfinished and not done.problems

        return run

    ended: list[int] = []
    parts = [threading.Thread(target=lambda n=n: ended.append(in_child(part(n)))) for n in range(3)]
    for one in parts:
        one.start()
    for one in parts:
        one.join()
    assert ended == [0, 0, 0] and server.asked == asked + 3
    assert content(out) == content(calm) and (out / "README.md").is_file() and not verify(out)
