"""What a run pays for and keeps: identity of questions, broken records, interrupts, other people's files."""

from __future__ import annotations

import io
import json
import os
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from apu_contacts.asking import (
    AskSummary,
    CachedModel,
    PairQuery,
    Prompt,
    ReplayModel,
    Reply,
    ask_all,
    crop_picture,
    image_queries,
    read_answers,
)
from apu_contacts.asking.commands import summary_lines
from apu_contacts.files import OutputError

TEXT = '{"contacts": []}'
ROOT = str(Path(__file__).resolve().parents[2])


class Asked:
    """A model that says how often it was asked."""

    def __init__(self, answer: Callable[[int], Reply] | str = TEXT, identity: str = "m") -> None:
        self.answer, self.identity, self.calls = answer, identity, 0
        self._lock = threading.Lock()

    def __call__(self, prompt: Prompt, sample: int = 0) -> Reply:
        with self._lock:
            self.calls += 1
            number = self.calls
        return Reply(self.answer) if isinstance(self.answer, str) else self.answer(number)


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for i in range(4):
        Image.new("RGB", (20, 10), (60 * i, 0, 0)).save(folder / f"p{i}.png")
    return folder


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "answers.jsonl"


class TestIdentity:
    def test_another_model_wording_or_setting_is_asked(self, pictures: Path, out: Path) -> None:
        for number, (identity, action) in enumerate([("a", None), ("b", None), ("b", "hug")], 1):
            summary = ask_all(image_queries([pictures], action), Asked(identity=identity), out)
            assert (summary.asked, summary.already, summary.others) == (4, 0, 4 * (number - 1))
        assert any("answer another question" in line for line in summary_lines(summary))
        rows = list(read_answers(out))
        assert len(rows) == 12 == len({row["question"] for row in rows})
        assert {row["asked_of"] for row in rows} == {"a", "b"}

    def test_another_picture_under_the_same_name_is_asked(self, pictures: Path, out: Path) -> None:
        ask_all(image_queries([pictures]), Asked(), out)
        Image.new("RGB", (20, 10), "blue").save(pictures / "p2.png")
        summary = ask_all(image_queries([pictures]), Asked(), out)
        assert (summary.asked, summary.already) == (1, 3)

    def test_another_part_of_the_picture_is_asked(self, pictures: Path, out: Path) -> None:
        path = str(pictures / "p0.png")
        model = Asked()
        ask_all([PairQuery("x", path, (0, 0, 10, 10)), PairQuery("y", path, (5, 0, 10, 10))], model, out)
        assert model.calls == 2
        keep = PairQuery("z", path, (0, 0, 10, 10), keep=((0, 0, 5, 5),))  # nobody to be dimmed: the same
        ask_all([keep], model, out)
        assert model.calls == 2

    def test_another_spelling_of_a_path_is_not_paid_again(
        self, pictures: Path, out: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(pictures)
        model = Asked()
        relative = image_queries(["p0.png", "../pictures/p0.png", pictures / "p0.png"])
        assert [query.id for query in relative] == ["p0.png"]
        ask_all(relative, model, out)
        absolute = image_queries([pictures / "p0.png"])
        summary = ask_all(absolute, model, out)
        assert model.calls == 1 and (summary.asked, summary.already) == (0, 1)
        # whoever looks for the second name finds the same answer under it, once
        ask_all(absolute, model, out)
        rows = list(read_answers(out))
        assert [row["id"] for row in rows] == ["p0.png", absolute[0].id]
        assert rows[0]["question"] == rows[1]["question"] and rows[1]["image"] == absolute[0].image

    def test_copies_of_a_picture_are_paid_once_and_answered_each(self, pictures: Path, out: Path) -> None:
        for name in ("q0.png", "q1.png"):
            (pictures / name).write_bytes((pictures / "p0.png").read_bytes())
        model = Asked()
        summary = ask_all(image_queries([pictures]), model, out)
        assert model.calls == 4 and summary.asked == 6
        assert len({row["id"] for row in read_answers(out)}) == 6

    def test_a_picture_is_not_decoded_to_be_known(self, pictures: Path, out: Path) -> None:
        queries = image_queries([pictures])
        (pictures / "p0.png").write_bytes(b"broken, but the same name")
        assert len(queries[0].question("m")) == 64


class TestBrokenRecords:
    HALF = '{"contacts": [], "note": "\ud83d"}'

    def test_half_an_emoji_is_written_and_the_others_too(self, pictures: Path, out: Path) -> None:
        model = Asked(lambda number: Reply(self.HALF if number == 2 else TEXT))
        summary = ask_all(image_queries([pictures]), model, out, parallel=1)
        assert summary.asked == 4 and summary.complete
        assert ask_all(image_queries([pictures]), model, out).already == 4 and model.calls == 4
        texts = [row["text"] for row in read_answers(out)]
        assert texts.count(TEXT) == 3 and texts.count(self.HALF.replace("\ud83d", "\ufffd")) == 1

    def test_and_from_a_cache(self, pictures: Path, out: Path, tmp_path: Path) -> None:
        cached = CachedModel(Asked(self.HALF), tmp_path / "cache")
        for target in (out, tmp_path / "other.jsonl"):
            assert ask_all(image_queries([pictures]), cached, target).asked == 4

    def test_no_character_of_a_text_ends_a_line(self, pictures: Path, out: Path) -> None:
        text = '{"contacts": [], "note": "a\u2028b\u0085c\x0bd"}'
        ask_all(image_queries([pictures]), Asked(text), out)
        assert {json.loads(line)["text"] for line in out.read_text(encoding="utf-8").splitlines()} == {text}

    def test_a_name_that_is_no_utf8(self, pictures: Path, out: Path) -> None:
        odd = os.fsencode(pictures) + b"/caf\xe9.png"
        try:
            Path(os.fsdecode(odd)).write_bytes((pictures / "p0.png").read_bytes() + b"\n")
        except OSError:
            pytest.skip("this file system takes only UTF-8")
        summary = ask_all(image_queries([pictures]), Asked(), out)
        assert summary.asked == 5 and summary.complete
        (row,) = [row for row in read_answers(out) if "caf" in row["id"]]
        assert os.fsencode(row["image"]) == odd
        for line in summary_lines(AskSummary(failures=[(row["id"], 0, "\x1b[2J")])):
            assert line.encode("utf-8") and line.isprintable()

    def test_whatever_one_question_raises_the_others_go_on(self, pictures: Path, out: Path) -> None:
        def moody(number: int) -> Reply:
            if number == 1:
                raise RuntimeError("something of a library")
            return Reply(TEXT)

        summary = ask_all(image_queries([pictures]), Asked(moody), out, parallel=1)
        assert summary.asked == 3 and [why for *_, why in summary.failures] == ["something of a library"]

    def test_broken_and_huge_pictures(
        self, pictures: Path, out: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (pictures / "p1.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
        Image.new("1", (20000, 20000)).save(pictures / "p2.png")  # 400 megapixels in 50 kB
        queries = image_queries([pictures])
        (pictures / "p3.png").unlink()
        model = Asked()
        summary = ask_all(queries, model, out)
        assert summary.asked == model.calls == 1
        words = {Path(name).name: why for name, _, why in summary.failures}
        assert set(words) == {"p1.png", "p2.png", "p3.png"}
        assert "20000 x 20000 pixels" in words["p2.png"]


class TestEmptyAnswers:
    def test_are_no_answers_and_can_be_asked_again(self, pictures: Path, out: Path, tmp_path: Path) -> None:
        empty = Reply("", "length", note="the model thought until max_tokens", completion_tokens=2000)
        model = Asked(lambda number: empty if number == 1 else Reply(TEXT))
        cached = CachedModel(model, tmp_path / "cache")
        queries = image_queries([pictures])
        first = ask_all(queries, cached, out, parallel=1)
        assert first.statuses == {"answer": 3, "empty": 1} and not first.complete
        (row,) = [row for row in read_answers(out) if row["status"] == "empty"]
        assert row["error"] == "the model thought until max_tokens" and row["completion_tokens"] == 2000
        second = ask_all(queries, cached, out)
        assert (second.asked, second.already, second.unanswered) == (0, 4, 1) and not second.complete
        assert any("--again empty" in line for line in summary_lines(second))
        third = ask_all(queries, cached, out, again=("empty",))
        assert (third.asked, third.already) == (1, 3) and third.complete and model.calls == 5
        assert [row["status"] for row in read_answers(out)] == ["answer"] * 4

    def test_others_can_be_asked_again_past_the_cache(
        self, pictures: Path, out: Path, tmp_path: Path
    ) -> None:
        model = Asked(lambda number: Reply("Sorry, I can't help with that." if number <= 4 else TEXT))
        cached = CachedModel(model, tmp_path / "cache")
        queries = image_queries([pictures])
        assert ask_all(queries, cached, out).statuses == {"refused": 4}
        assert ask_all(queries, cached, out, again=("refused",)).statuses == {"answer": 4}
        assert {row["status"] for row in read_answers(out)} == {"answer"}
        with pytest.raises(ValueError, match="again"):
            ask_all(queries, cached, out, again=("silent",))


class TestOtherFiles:
    @pytest.mark.parametrize("content", [b"my notes, one line", b'{"id": "mine"', b"\x89PNG\r\n", b"{}"])
    def test_a_file_without_a_line_end_is_not_emptied(
        self, pictures: Path, tmp_path: Path, content: bytes
    ) -> None:
        notes = tmp_path / "notes.txt"
        notes.write_bytes(content)
        model = Asked()
        with pytest.raises(OutputError, match=r"notes\.txt"):
            ask_all(image_queries([pictures]), model, notes)
        assert notes.read_bytes() == content and model.calls == 0

    def test_a_half_line_is_cut_only_where_it_is_ours(self, pictures: Path, out: Path) -> None:
        queries = image_queries([pictures])
        ask_all(queries[:1], Asked(), out)
        whole = out.read_bytes()
        out.write_bytes(whole[:200])  # the run was killed in its first line
        assert ask_all(queries[:1], Asked(), out).asked == 1
        assert out.read_bytes() == whole

    def test_a_whole_last_line_without_its_end_is_kept(self, pictures: Path, out: Path) -> None:
        queries = image_queries([pictures])
        ask_all(queries, Asked(), out)
        whole = out.read_bytes()
        out.write_bytes(whole[:-1])
        model = Asked()
        assert ask_all(queries, model, out).already == 4
        assert model.calls == 0 and out.read_bytes() == whole

    def test_half_a_line_does_not_keep_others_from_reading(self, pictures: Path, out: Path) -> None:
        ask_all(image_queries([pictures]), Asked(), out)
        out.write_bytes(out.read_bytes()[:-20])
        with pytest.warns(UserWarning, match="half-written"):
            assert len(list(read_answers(out))) == 3

    @pytest.mark.skipif(os.name == "nt", reason="permissions of POSIX")
    def test_only_the_owner_reads_new_files(self, pictures: Path, out: Path, tmp_path: Path) -> None:
        cached = CachedModel(Asked(), tmp_path / "cache")
        ask_all(image_queries([pictures]), cached, out)
        kept = list((tmp_path / "cache").rglob("*.json"))
        assert len(kept) == 4
        for path in (out, *kept):
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
        out.chmod(0o644)
        ask_all(image_queries([pictures], "hug"), cached, out)
        assert stat.S_IMODE(out.stat().st_mode) == 0o644

    def test_nothing_is_left_of_a_run_without_answers(self, pictures: Path, out: Path) -> None:
        summary = ask_all(image_queries([pictures]), ReplayModel({}), out)
        assert len(summary.failures) == 4 and not out.exists()

    def test_a_full_disk_stops_the_run_with_a_word(self, pictures: Path, out: Path) -> None:
        resource = pytest.importorskip("resource", reason="limits of POSIX")
        ask_all(image_queries([pictures])[:1], Asked(), out)
        line = out.stat().st_size
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        model = Asked()
        resource.setrlimit(resource.RLIMIT_FSIZE, (line * 5 // 2, hard))  # room for one more answer
        try:
            summary = ask_all(image_queries([pictures]), model, out, parallel=1)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert summary.stopped and "cannot be written" in summary.stopped and not summary.complete
        assert summary.asked == 1 and out.read_bytes().endswith(b"\n") and len(list(read_answers(out))) == 2

    def test_a_cache_that_cannot_be_written_loses_no_answer(
        self, pictures: Path, out: Path, tmp_path: Path
    ) -> None:
        (tmp_path / "cache").write_text("a file")
        with pytest.warns(UserWarning, match="could not be kept"):
            summary = ask_all(image_queries([pictures]), CachedModel(Asked(), tmp_path / "cache"), out)
        assert summary.asked == 4


SLOW = """
import sys, time
from apu_contacts.asking import Reply, ask_all, image_queries
class Slow:
    identity = 'slow'
    def __call__(self, prompt, sample=0):
        sys.stdout.write('asked\\n')
        sys.stdout.flush()
        time.sleep(float(sys.argv[3]))
        return Reply('{"contacts": []}')
ask_all(image_queries([sys.argv[1]]), Slow(), sys.argv[2], parallel=2)
"""


def test_two_processes_do_not_pay_for_the_same(pictures: Path, out: Path) -> None:
    first = subprocess.Popen(
        [sys.executable, "-c", SLOW, str(pictures), str(out), "60"],
        env={**os.environ, "PYTHONPATH": ROOT},
        stdout=subprocess.PIPE,
    )
    try:
        assert first.stdout is not None and first.stdout.readline() == b"asked\n"
        model = Asked()
        with pytest.raises(OutputError, match=r"another process.*name another output"):
            ask_all(image_queries([pictures]), model, out)
        assert model.calls == 0
    finally:
        first.kill()
        first.communicate()
    # a killed run locks nobody out
    assert ask_all(image_queries([pictures]), Asked(), out).asked == 4


class Server(ThreadingHTTPServer):
    """Answers the first ``quick`` questions at once, and the others when it ends."""

    daemon_threads = True

    def __init__(self, quick: int) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.quick, self.questions, self.lock = quick, 0, threading.Lock()
        self.over, self.waiting = threading.Event(), threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that leave are part of the play."""


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        with self.server.lock:
            self.server.questions += 1
            late = self.server.questions > self.server.quick
        if late:
            self.server.waiting.set()
            self.server.over.wait(60)
        message = {"role": "assistant", "content": TEXT}
        choice = {"index": 0, "finish_reason": "stop", "message": message}
        body = {"id": "1", "object": "chat.completion", "created": 0, "model": "m", "choices": [choice]}
        data = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    running = Server(quick=2)
    thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield running
    running.over.set()
    running.shutdown()
    running.server_close()


@pytest.mark.long
@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_keeps_what_was_paid_and_waits_for_nobody(
    server: Server, pictures: Path, out: Path, number: int
) -> None:
    """The server holds every answer after the second for as long as it runs: who waits for it never ends."""
    pytest.importorskip("openai", reason="the openai package is optional")
    command = [sys.executable, "-m", "apu_losses.app.cli", "ask", str(pictures), "-o", str(out)]
    command += ["--model", "m", "--base-url", server.url, "--no-example", "--parallel", "2"]
    process = subprocess.Popen(
        command,
        env={**os.environ, "PYTHONPATH": ROOT, "OPENAI_API_KEY": "sk-test"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert server.waiting.wait(60)
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline and (not out.exists() or out.read_bytes().count(b"\n") < 2):
            time.sleep(0.01)
        process.send_signal(number)
        words, complaints = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == 128 + number, complaints
    assert "2 asked (2 answer)" in words and "stopped: interrupted" in words
    assert "nothing was written" not in complaints + words
    assert len(list(read_answers(out))) == 2
    server.over.set()
    # the interrupted run holds no lock, and only what was not answered is asked again
    done = subprocess.run(
        command,
        env={**os.environ, "PYTHONPATH": ROOT, "OPENAI_API_KEY": "sk-test"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0 and "2 asked (2 answer), 2 already there" in done.stdout, done.stderr


@pytest.mark.long
@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_an_interrupt_in_a_program_carries_the_summary(pictures: Path, out: Path) -> None:
    program = SLOW.replace("ask_all(", "try:\n    ask_all(") + (
        "except BaseException as error:\n"
        "    print(type(error).__name__, isinstance(error, KeyboardInterrupt), error.summary.stopped)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(pictures), str(out), "60"],
        env={**os.environ, "PYTHONPATH": ROOT},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert (
            process.stdout is not None and process.stdout.readline() == process.stdout.readline() == "asked\n"
        )
        process.send_signal(signal.SIGINT)
        words, _ = process.communicate(timeout=30)
    finally:
        process.kill()
    assert "AskInterrupted True interrupted; 2 questions were still with the model" in words
    assert process.returncode == 0


class TestPicturesOfARun:
    def test_what_is_left_out_is_counted(self, pictures: Path, tmp_path: Path) -> None:
        from apu_contacts.asking.commands import left_out_note

        assert left_out_note([pictures]) == ""
        for name in ("a.dng", "b.dng", "c.txt", ".hidden"):
            (pictures / name).write_bytes(b"x")
        assert (
            left_out_note([pictures]) == "3 files were left out as no picture by the ending: 2 .dng, 1 .txt"
        )
        empty = tmp_path / "raw"
        empty.mkdir()
        (empty / "a.dng").write_bytes(b"x")
        with pytest.raises(ValueError, match=r"no pictures; 1 file was left out .*\.dng"):
            image_queries([empty])

    @pytest.mark.parametrize("ending", [".jfif", ".gif", ".JPG", ".tif", ".bmp"])
    def test_further_endings_are_asked_about(self, tmp_path: Path, out: Path, ending: str) -> None:
        kind = {".jfif": "JPEG", ".JPG": "JPEG", ".tif": "TIFF"}.get(ending, ending[1:].upper())
        Image.new("RGB", (20, 10), "red").save(tmp_path / f"x{ending}", format=kind)
        assert ask_all(image_queries([tmp_path]), Asked(), out).asked == 1

    def test_a_picture_of_another_ending_by_its_name(self, tmp_path: Path, pictures: Path) -> None:
        (tmp_path / "photo").write_bytes((pictures / "p0.png").read_bytes())
        assert len(image_queries([tmp_path / "photo"])) == 1

    def test_crops_are_jpeg_unless_asked_otherwise(self) -> None:
        smooth = np.tile(np.linspace(0, 255, 64).astype(np.uint8)[:, None, None], (1, 48, 3))
        jpeg, png = (crop_picture(Image.fromarray(smooth), format=kind) for kind in ("jpeg", "png"))
        assert jpeg.startswith(b"\xff\xd8\xff") and png.startswith(b"\x89PNG")
        np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(png))), smooth)
        assert np.abs(np.asarray(Image.open(io.BytesIO(jpeg))).astype(int) - smooth).max() < 6
        with pytest.raises(ValueError, match="jpeg, png"):
            crop_picture(Image.fromarray(smooth), format="webp")
