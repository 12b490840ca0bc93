"""Batch files: what is asked, what comes back, and everything that breaks on the way."""

from __future__ import annotations

import json
import os
import re
import stat
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from apu_contacts.asking import (
    Prompt,
    ReplayModel,
    ask_all,
    collect_batch,
    image_queries,
    pair_query,
    read_answers,
    write_batch,
)
from apu_contacts.asking.request_body import chat_body
from apu_contacts.files import OutputError
from apu_contacts.keypoints.types import Keypoints2D

TEXT = '{"contacts": []}'


class Writer:
    """Writes requests as a client does, without the openai package."""

    def __init__(self, identity: str = "m", temperature: float = 0.0) -> None:
        self.identity, self.temperature = identity, temperature

    def body(self, prompt: Prompt, sample: int = 0) -> dict[str, Any]:
        return chat_body("m", prompt, sample, temperature=self.temperature)


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "a folder with: odd name.s"
    folder.mkdir()
    for i in range(5):
        Image.new("RGB", (20, 10), (40 * i, 0, 0)).save(folder / f"{'p' * 150}{i}.png")
    return folder


def requests_of(paths: list[Path]) -> list[dict[str, Any]]:
    return [json.loads(line) for path in paths for line in path.read_bytes().split(b"\n") if line]


def good(custom_id: str, text: str | None = TEXT, **body: Any) -> dict[str, Any]:
    message = {"role": "assistant", "content": text}
    body = {"model": "m-1", "choices": [{"finish_reason": "stop", "message": message}], **body}
    return {"custom_id": custom_id, "response": {"status_code": 200, "body": body}, "error": None}


def expired(custom_id: str) -> dict[str, Any]:
    return {"custom_id": custom_id, "response": None, "error": {"code": "x", "message": "it expired"}}


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_there_and_back(pictures: Path, tmp_path: Path) -> None:
    queries = image_queries([pictures])
    written = write_batch(queries, tmp_path / "requests.jsonl", Writer(temperature=0.5), samples=2)
    (path,) = written.paths
    rows = requests_of([path])
    assert len(rows) == written.requests == 10 and {row["method"] for row in rows} == {"POST"}
    assert rows[0]["url"] == "/v1/chat/completions" and rows[1]["body"]["seed"] == 1
    ids = {row["custom_id"] for row in rows}
    # the strictest of servers: at most 64 of [a-zA-Z0-9_-]
    assert len(ids) == 10 and all(re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", name) for name in ids)
    results = [good(row["custom_id"]) for row in rows]
    results[0] = expired(rows[0]["custom_id"])
    results[1]["response"]["body"] = {}
    out = tmp_path / "answers.jsonl"
    summary = collect_batch([write(tmp_path / "results.jsonl", results)], out)
    assert summary.statuses == {"answer": 8} and not summary.complete
    assert {(name, sample) for name, sample, _ in summary.failures} == {
        (queries[0].id, 0),
        (queries[0].id, 1),
    }
    assert any("it expired" in why for *_, why in summary.failures)
    again = collect_batch([tmp_path / "results.jsonl"], out)
    assert (again.asked, again.already) == (0, 8)
    # What the batch lacks is asked directly, and nothing else.
    model = ReplayModel(TEXT, name=Writer().identity)
    assert ask_all(queries, model, out, samples=2).asked == 2


def test_what_a_request_is_about_comes_back(pictures: Path, tmp_path: Path) -> None:
    people = []
    for x in (14, 2):
        xy = np.stack([x + np.arange(17) / 8, np.arange(17) / 2], axis=1)
        people.append(Keypoints2D("coco17", xy, np.full(17, 0.9)))
    image = next(pictures.iterdir())
    query = pair_query(image, people, 0, 1)
    written = write_batch([query], tmp_path / "r.jsonl", Writer())
    (request,) = requests_of(written.paths)
    batch, direct = tmp_path / "batch.jsonl", tmp_path / "direct.jsonl"
    results = write(tmp_path / "results.jsonl", [good(request["custom_id"], usage={"prompt_tokens": 7})])
    collect_batch([results], batch)
    ask_all([query], ReplayModel(TEXT, name="m"), direct)
    (ours,), (asked,) = read_answers(batch), read_answers(direct)
    assert (ours["person_left"], ours["person_right"], ours["image"]) == (1, 0, image.as_posix())
    assert ours["prompt_tokens"] == 7 and ours["model"] == "m-1"
    told = ("question", "id", "sample", "prompt_hash", "wording", "prompt_version", "asked_of", "status")
    assert {key: ours[key] for key in told} == {key: asked[key] for key in told}


def test_what_is_there_is_not_asked(pictures: Path, tmp_path: Path) -> None:
    queries, answers = image_queries([pictures]), tmp_path / "answers.jsonl"
    ask_all(queries[:3], ReplayModel(TEXT, name="m"), answers)
    written = write_batch(queries, tmp_path / "r.jsonl", Writer(), answers=answers)
    assert (written.requests, written.already) == (2, 3) and len(requests_of(written.paths)) == 2
    other = write_batch(queries, tmp_path / "s.jsonl", Writer("another model"), answers=answers)
    assert (other.requests, other.already) == (5, 0)
    ask_all(queries, ReplayModel(TEXT, name="m"), answers)
    nothing = write_batch(queries, tmp_path / "t.jsonl", Writer(), answers=answers)
    assert (nothing.paths, nothing.questions, nothing.already) == ([], None, 5)
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match="expected an answer"):
        write_batch(queries, tmp_path / "u.jsonl", Writer(), answers=tmp_path / "notes.txt")


def test_an_unreadable_picture_stops_nothing(pictures: Path, tmp_path: Path) -> None:
    broken = sorted(pictures.iterdir())[2]
    broken.write_bytes(b"\x89PNG\r\n\x1a\n broken")
    written = write_batch(image_queries([pictures]), tmp_path / "r.jsonl", Writer())
    assert written.requests == 4 and [name for name, *_ in written.failures] == [broken.as_posix()]


def test_files_stay_within_the_limits(pictures: Path, tmp_path: Path) -> None:
    queries = image_queries([pictures])
    paths = write_batch(queries, tmp_path / "r.jsonl", Writer(), max_requests=2).paths
    assert [path.name for path in paths] == ["r.jsonl", "r-2.jsonl", "r-3.jsonl"]
    assert [len(path.read_text().splitlines()) for path in paths] == [2, 2, 1]
    size = paths[2].stat().st_size
    by_size = write_batch(queries, tmp_path / "s.jsonl", Writer(), max_bytes=2 * size + 10).paths
    assert all(path.stat().st_size <= 2 * size + 10 for path in by_size) and len(by_size) == 3
    too_large = write_batch(queries, tmp_path / "t.jsonl", Writer(), max_bytes=100)
    assert len(too_large.failures) == 5 and "more than 100" in too_large.failures[0][2]
    assert not (tmp_path / "t.jsonl").exists()


@pytest.mark.parametrize("name", ["r.jsonl", "r-2.jsonl", "r.questions.jsonl"])
def test_nothing_is_overwritten(pictures: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("mine, and paid for")
    before = set(tmp_path.iterdir())
    with pytest.raises(OutputError, match="is there already"):
        write_batch(image_queries([pictures]), tmp_path / "r.jsonl", Writer(), max_requests=2)
    assert (tmp_path / name).read_text() == "mine, and paid for" and set(tmp_path.iterdir()) == before


@pytest.mark.skipif(os.name == "nt", reason="permissions of POSIX")
def test_only_the_owner_reads_requests(pictures: Path, tmp_path: Path) -> None:
    written = write_batch(image_queries([pictures]), tmp_path / "r.jsonl", Writer())
    assert written.questions is not None
    for path in (*written.paths, written.questions):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


class TestResults:
    """Results as they come back."""

    @pytest.fixture
    def ids(self, pictures: Path, tmp_path: Path) -> list[str]:
        written = write_batch(image_queries([pictures]), tmp_path / "r.jsonl", Writer())
        return [row["custom_id"] for row in requests_of(written.paths)]

    @pytest.fixture
    def out(self, tmp_path: Path) -> Path:
        return tmp_path / "answers.jsonl"

    @pytest.mark.parametrize("order", [(0, 1), (1, 0)])
    def test_a_success_in_another_file_counts(
        self, ids: list[str], tmp_path: Path, out: Path, order: tuple[int, int]
    ) -> None:
        files = [
            write(tmp_path / "errors.jsonl", [expired(name) for name in ids[:2]]),
            write(tmp_path / "results.jsonl", [good(name) for name in ids]),
        ]
        summary = collect_batch([files[i] for i in order], out)
        assert summary.asked == 5 and summary.failures == [] and summary.complete
        late = collect_batch([files[0]], out)  # answered long ago
        assert late.failures == []

    def test_marks_halves_and_blank_lines(self, ids: list[str], tmp_path: Path, out: Path) -> None:
        path = write(tmp_path / "results.jsonl", [good(name) for name in ids])
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n\r\n")[:-60])
        summary = collect_batch([path], out)
        assert summary.asked == 4
        ((where, _, why),) = summary.failures
        assert "line 9" in where and "half" in why

    def test_half_an_emoji_loses_no_other_line(self, ids: list[str], tmp_path: Path, out: Path) -> None:
        rows = [
            good(name, '{"contacts": [], "note": "\ud83d"}' if i == 1 else TEXT) for i, name in enumerate(ids)
        ]
        assert collect_batch([write(tmp_path / "x.jsonl", rows)], out).asked == 5
        assert len(list(read_answers(out))) == 5

    def test_unknown_ids_are_refused(self, ids: list[str], tmp_path: Path, out: Path) -> None:
        rows = [good(ids[0]), good("0:somebody-else.png"), good(ids[0][:-1])]
        summary = collect_batch([write(tmp_path / "x.jsonl", rows)], out)
        assert summary.asked == 1 and len(summary.failures) == 2 and not summary.complete
        assert all("is no request of r.questions.jsonl" in why for *_, why in summary.failures)

    def test_another_file_is_refused_before_anything_is_written(
        self, ids: list[str], tmp_path: Path, out: Path
    ) -> None:
        results = write(tmp_path / "results.jsonl", [good(name) for name in ids])
        (tmp_path / "x.jsonl").write_text('{"id": 1}\nhello\n')
        with pytest.raises(ValueError, match=r"x\.jsonl: no line is a batch result"):
            collect_batch([results, tmp_path / "x.jsonl"], out)
        assert not out.exists()

    def test_without_the_list_of_questions(self, ids: list[str], tmp_path: Path) -> None:
        elsewhere = tmp_path / "elsewhere"
        elsewhere.mkdir()
        results = write(elsewhere / "results.jsonl", [good(name) for name in ids])
        with pytest.raises(ValueError, match=r"questions\.jsonl"):
            collect_batch([results], elsewhere / "answers.jsonl")
        named = collect_batch([results], elsewhere / "answers.jsonl", [tmp_path / "r.questions.jsonl"])
        assert named.asked == 5

    def test_an_empty_reply_is_replaced_by_a_later_one(
        self, ids: list[str], tmp_path: Path, out: Path
    ) -> None:
        empty = write(tmp_path / "x.jsonl", [good(name, "") for name in ids])
        first = collect_batch([empty], out)
        assert first.statuses == {"empty": 5} and not first.complete
        again = collect_batch([empty], out)
        assert (again.asked, again.already, again.complete) == (0, 5, False)
        later = collect_batch([write(tmp_path / "y.jsonl", [good(name) for name in ids])], out)
        assert later.statuses == {"answer": 5} and later.complete
        assert [row["status"] for row in read_answers(out)] == ["answer"] * 5

    def test_a_full_disk_is_said_and_what_was_taken_stays(
        self, ids: list[str], tmp_path: Path, out: Path
    ) -> None:
        resource = pytest.importorskip("resource", reason="limits of POSIX")
        results = write(tmp_path / "x.jsonl", [good(name) for name in ids])
        collect_batch([results], tmp_path / "all.jsonl")
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, ((tmp_path / "all.jsonl").stat().st_size // 2, hard))
        try:
            summary = collect_batch([results], out)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert summary.stopped and summary.asked == 2 == len(list(read_answers(out)))
        assert collect_batch([results], out).asked == 3

    def test_answers_without_a_status_around_them(self, ids: list[str], tmp_path: Path, out: Path) -> None:
        rows = [{"custom_id": name, "response": good(name)["response"]["body"]} for name in ids]
        assert collect_batch([write(tmp_path / "x.jsonl", rows)], out).asked == 5

    def test_results_of_anthropic(self, ids: list[str], tmp_path: Path, out: Path) -> None:
        message = {
            "id": "msg_1",
            "type": "message",
            "model": "claude",
            "content": [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": TEXT}],
            "stop_reason": "end_turn",
            "usage": {"input_tokens": 10, "output_tokens": 5},
        }
        cut = {**message, "stop_reason": "max_tokens"}
        declined = {**message, "content": [], "stop_reason": "refusal"}
        error = {"type": "error", "error": {"type": "invalid_request_error", "message": "too large"}}
        rows = [
            {"custom_id": ids[0], "result": {"type": "succeeded", "message": message}},
            {"custom_id": ids[1], "result": {"type": "succeeded", "message": cut}},
            {"custom_id": ids[2], "result": {"type": "succeeded", "message": declined}},
            {"custom_id": ids[3], "result": {"type": "errored", "error": error}},
            {"custom_id": ids[4], "result": {"type": "expired"}},
        ]
        summary = collect_batch([write(tmp_path / "x.jsonl", rows)], out)
        assert summary.statuses == {"answer": 2, "refused": 1}
        assert [why for *_, why in summary.failures] == [
            "failed in the batch: too large",
            "failed in the batch: expired",
        ]
        record = next(iter(read_answers(out)))
        assert (record["text"], record["model"], record["prompt_tokens"]) == (TEXT, "claude", 10)
        assert [row["finish_reason"] for row in read_answers(out)] == ["stop", "length", "refusal"]

    def test_results_of_gemini(self, ids: list[str], tmp_path: Path, out: Path) -> None:
        def answer(parts: list[dict[str, Any]], reason: str = "STOP") -> dict[str, Any]:
            candidate = {"content": {"parts": parts, "role": "model"}, "finishReason": reason}
            usage = {"promptTokenCount": 10, "candidatesTokenCount": 5, "thoughtsTokenCount": 3}
            return {"candidates": [candidate], "usageMetadata": usage, "modelVersion": "gemini"}

        rows = [
            {"key": ids[0], "response": answer([{"text": "hm", "thought": True}, {"text": TEXT}])},
            {"key": ids[1], "response": answer([{"text": TEXT}], "MAX_TOKENS")},
            {"key": ids[2], "response": answer([], "PROHIBITED_CONTENT")},
            {"key": ids[3], "response": {"promptFeedback": {"blockReason": "SAFETY"}}},
            {"key": ids[4], "error": {"code": 3, "message": "bad request"}},
        ]
        summary = collect_batch([write(tmp_path / "x.jsonl", rows)], out)
        assert summary.statuses == {"answer": 2, "refused": 2}
        assert [why for *_, why in summary.failures] == ["failed in the batch: bad request"]
        records = list(read_answers(out))
        assert [row["finish_reason"] for row in records[:3]] == ["stop", "length", "content_filter"]
        assert (records[0]["text"], records[0]["completion_tokens"]) == (TEXT, 8)
