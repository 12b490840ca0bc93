"""Runs over many pictures: crops, resuming after a kill, batch files, explanations."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from apu_contacts.answers import ContactAnswer, explain_answer, explain_file, parse_answer
from apu_contacts.asking import (
    AskError,
    BudgetError,
    PairQuery,
    Prompt,
    ReplayModel,
    Reply,
    answer_of,
    ask_all,
    build_prompt,
    crop_picture,
    image_queries,
    load_example,
    pair_box,
    pair_query,
    read_answers,
)
from apu_contacts.asking.answer_file import read_index
from apu_contacts.asking.prompt import PROMPT_VERSION, Example
from apu_contacts.files import OutputError
from apu_contacts.keypoints.types import Keypoints2D
from apu_contacts.regions.table import PARTS

CONTACT = {
    "body_part_person_left": {"part_name": "hand", "body_side": "left"},
    "body_part_person_right": {"part_name": "back", "body_side": "right"},
    "confidence": 0.7,
}
DOCUMENT = {
    "interaction": "hugging",
    "people": {"person_left": "a woman", "person_right": "a man"},
    "orientation": "front to front",
    "contacts": [CONTACT],
}
TEXT = json.dumps(DOCUMENT)


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for i in range(5):
        Image.new("RGB", (20, 10), (40 * i, 0, 0)).save(folder / f"p{i}.png")
    return folder


def person(x: float, y: float = 20.0) -> Keypoints2D:
    xy = np.zeros((17, 2))
    xy[:, 0], xy[:, 1] = x + np.arange(17), y + np.arange(17) * 2
    return Keypoints2D("coco17", xy, np.full(17, 0.9))


class TestPrompt:
    def test_says_what_is_asked(self) -> None:
        picture = crop_picture(Image.new("RGB", (4, 4)))
        prompt = build_prompt(picture, action="giving  a\nhug")
        words = " ".join(piece for piece in prompt.pieces if isinstance(piece, str))
        assert ", ".join(PARTS) in words and "giving a hug" in words and "the picture" in words
        assert "second" not in words and prompt.version == PROMPT_VERSION
        assert [part["type"] for part in prompt.messages()[0]["content"]] == ["text", "text", "image_url"]

    def test_example_comes_first(self) -> None:
        picture, other = (crop_picture(Image.new("RGB", (4, 4), color)) for color in ("red", "blue"))
        prompt = build_prompt(picture, example=Example(other, TEXT))
        assert prompt.pieces.index(other) < prompt.pieces.index(picture) == len(prompt.pieces) - 1
        assert TEXT in prompt.pieces and "the second" in str(prompt.pieces[-2])

    def test_hashes_tell_questions_apart(self) -> None:
        red, blue = (crop_picture(Image.new("RGB", (4, 4), color)) for color in ("red", "blue"))
        one, other = build_prompt(red), build_prompt(blue)
        assert one.content_hash == build_prompt(red).content_hash != other.content_hash
        assert one.wording_hash == other.wording_hash != build_prompt(red, action="hug").wording_hash
        assert len({one.content_hash, build_prompt(red, action="hug").content_hash}) == 2

    def test_only_pictures_are_taken(self) -> None:
        with pytest.raises(ValueError, match="PNG or JPEG"):
            build_prompt(b"GIF89a")

    def test_the_example_of_the_package_conforms(self) -> None:
        example = load_example()
        if example is None:
            pytest.skip("this copy of the package has no in-context example")
        answer = parse_answer(example.answer)
        assert answer.conforms and answer.contacts and not answer.repairs
        assert build_prompt(example.picture, example=example).messages()


class TestCrop:
    def test_box_holds_both_people(self) -> None:
        x0, y0, x1, y1 = pair_box(person(10), person(60), margin=0.0)
        assert (x0, y0, x1, y1) == (10, 20, 76, 52)
        assert pair_box(person(10), person(60), margin=0.5) == (-23, -13, 109, 85)

    def test_unseen_joints_do_not_count(self) -> None:
        a = person(10)
        confidence = a.confidence.copy()
        confidence[1:] = 0.1
        with pytest.raises(ValueError, match="no keypoint"):
            pair_box(*(Keypoints2D("coco17", a.xy, confidence * 0.1),) * 2)
        assert pair_box(*(Keypoints2D("coco17", a.xy, confidence),) * 2, margin=0.0) == (10, 20, 10, 20)

    def test_crops_and_dims(self) -> None:
        white = Image.new("RGB", (100, 50), "white")
        data = crop_picture(
            white, (10, -5, 60, 30), others=[(0, 0, 40, 50)], keep=[(30, 0, 35, 50)], format="png"
        )
        import io

        pixels = np.asarray(Image.open(io.BytesIO(data)))
        assert pixels.shape == (30, 50, 3)
        assert pixels[5, 2, 0] == int(255 * 0.35)  # dimmed
        assert pixels[5, 22, 0] == 255  # dimmed and kept
        assert pixels[5, 45, 0] == 255  # nobody there

    def test_large_crops_shrink(self) -> None:
        import io

        data = crop_picture(Image.new("RGB", (3000, 1000)), max_side=300)
        assert Image.open(io.BytesIO(data)).size == (300, 100)

    def test_box_elsewhere(self) -> None:
        with pytest.raises(ValueError, match="does not overlap"):
            crop_picture(Image.new("RGB", (10, 10)), (20, 20, 30, 30))

    def test_pair_query_puts_the_left_one_first(self) -> None:
        people = [person(200), person(10), person(90)]
        query = pair_query("a.png", people, 0, 2, dim_others=True)
        assert (query.person_left, query.person_right) == (2, 0)
        assert query.id == "a.png:2-0" and len(query.dim) == 1 and len(query.keep) == 2
        with pytest.raises(ValueError, match="two of 3 people"):
            pair_query("a.png", people, 1, 1)


class TestAskAll:
    def test_writes_one_line_per_answer(self, pictures: Path, tmp_path: Path) -> None:
        out = tmp_path / "answers.jsonl"
        seen: list[tuple[int, int]] = []
        queries = image_queries([pictures], action="hug")
        summary = ask_all(
            queries, ReplayModel(TEXT), out, samples=2, progress=lambda *now: seen.append(now), parallel=3
        )
        rows = list(read_answers(out))
        assert (
            summary.asked == len(rows) == 10 and summary.statuses == {"answer": 10} and not summary.failures
        )
        assert seen[-1] == (10, 10)
        assert {(row["id"], row["sample"]) for row in rows} == {(q.id, s) for q in queries for s in (0, 1)}
        assert all(row["prompt_version"] == PROMPT_VERSION and len(row["prompt_hash"]) == 64 for row in rows)
        assert rows[0]["contacts"][0]["part_b"] == "back" and rows[0]["text"] == TEXT

    def test_asks_nothing_twice(self, pictures: Path, tmp_path: Path) -> None:
        out = tmp_path / "answers.jsonl"
        ask_all(image_queries([pictures]), ReplayModel(TEXT), out)
        summary = ask_all(image_queries([pictures]), ReplayModel({}), out)
        assert (summary.asked, summary.already, summary.failures) == (0, 5, [])

    def test_takes_off_a_half_written_line(self, pictures: Path, tmp_path: Path) -> None:
        out = tmp_path / "answers.jsonl"
        ask_all(image_queries([pictures]), ReplayModel(TEXT), out)
        whole = out.read_bytes()
        out.write_bytes(whole[:-20])
        summary = ask_all(image_queries([pictures]), ReplayModel(TEXT), out)
        assert (summary.asked, summary.already) == (1, 4)
        assert sorted(out.read_bytes().splitlines()) == sorted(whole.splitlines())

    def test_leaves_another_file_alone(self, pictures: Path, tmp_path: Path) -> None:
        out = tmp_path / "notes.txt"
        out.write_text("my notes\nmore")
        with pytest.raises(OutputError, match="line 1"):
            ask_all(image_queries([pictures]), ReplayModel(TEXT), out)
        assert out.read_text() == "my notes\nmore"

    def test_failures_are_reported_and_asked_again(self, pictures: Path, tmp_path: Path) -> None:
        out = tmp_path / "answers.jsonl"
        (pictures / "p1.png").write_bytes(b"no picture")

        class Moody:
            identity = "moody"

            def __call__(self, prompt: Prompt, sample: int = 0) -> Reply:
                if prompt.content_hash == first.prompt().content_hash:
                    raise AskError("not today")
                return Reply("Sorry, I can't help with that.")

        queries = image_queries([pictures])
        first = queries[0]
        summary = ask_all(queries, Moody(), out)
        assert summary.statuses == {"refused": 3}
        assert sorted(name for name, *_ in summary.failures) == [queries[0].id, queries[1].id]
        assert len(read_index(out).answered) == 3

    def test_stops_when_the_budget_is_spent(self, pictures: Path, tmp_path: Path) -> None:
        class Poor:
            identity, calls = "poor", 0

            def __call__(self, prompt: Prompt, sample: int = 0) -> Reply:
                self.calls += 1
                if self.calls > 2:
                    raise BudgetError("the budget is spent")
                return Reply(TEXT)

        summary = ask_all(image_queries([pictures]), Poor(), tmp_path / "a.jsonl", parallel=1)
        assert summary.asked == 2 and summary.stopped == "the budget is spent" and not summary.failures

    def test_questions_need_different_names(self, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match="different ids"):
            ask_all(
                [PairQuery("x", "a.png"), PairQuery("x", "b.png")], ReplayModel(TEXT), tmp_path / "a.jsonl"
            )

    def test_image_queries_say_what_is_wrong(self, tmp_path: Path) -> None:
        (tmp_path / "notes.txt").write_text("x")
        for path, words in (
            (tmp_path, "no pictures"),
            (tmp_path / "x.png", "not exist"),
            (tmp_path / "notes.txt", "no picture"),
        ):
            with pytest.raises(ValueError, match=words):
                image_queries([path])

    def test_resumes_after_a_kill(self, pictures: Path, tmp_path: Path) -> None:
        out = tmp_path / "answers.jsonl"
        for i in range(5, 40):
            Image.new("RGB", (20, 10), (6 * i, 5, 0)).save(pictures / f"p{i}.png")
        program = (
            "import sys, time\n"
            "from apu_contacts.asking import ask_all, image_queries, Reply\n"
            "class Slow:\n"
            "    identity = 'slow'\n"
            "    def __call__(self, prompt, sample=0):\n"
            "        time.sleep(0.05)\n"
            f"        return Reply({TEXT!r})\n"
            "ask_all(image_queries([sys.argv[1]]), Slow(), sys.argv[2], parallel=2)\n"
        )
        command = [sys.executable, "-c", program, str(pictures), str(out)]
        root = str(Path(__file__).resolve().parents[2])
        environment = {**os.environ, "PYTHONPATH": root}
        process = subprocess.Popen(command, env=environment)
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and (not out.exists() or out.read_bytes().count(b"\n") < 5):
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        process.wait()
        before = len(read_index(out).answered)
        assert 5 <= before < 40
        subprocess.run(command, env=environment, check=True, timeout=60)
        rows = list(read_answers(out))
        assert len(rows) == 40 == len({row["id"] for row in rows})


class TestReplies:
    def test_server_refusals(self) -> None:
        assert answer_of(Reply("", refusal="no")).refusal == "no"
        assert answer_of(Reply("", "content_filter")).refused
        assert not answer_of(Reply(TEXT)).refused

    def test_token_limit_truncates(self) -> None:
        assert answer_of(Reply(TEXT, "length")).truncated
        assert not answer_of(Reply(TEXT, "stop")).truncated


class TestExplain:
    def test_says_what_was_read(self) -> None:
        text = TEXT.replace('"hand"', '"palm"').replace("0.7", "70%")
        words = explain_answer(parse_answer(text))
        assert "left hand of a - right back of b (0.70)" in words
        assert "'palm' read as hand" in words and "line 1, column" in words and "hugging" in words
        assert "conforms" in explain_answer(parse_answer(TEXT))

    def test_refusals_and_leftovers(self) -> None:
        assert explain_answer(ContactAnswer(refusal="I can't")).startswith("The model declined")
        words = explain_answer(parse_answer(TEXT.replace('"hand"', '"hamd"')))
        assert "does not know" in words and "'hamd'" in words and "do not touch" not in words

    def test_files(self, tmp_path: Path) -> None:
        lines = tmp_path / "a.jsonl"
        rows = [{"id": "p1", "text": TEXT}, {"image": "p2", "text": "what?"}]
        lines.write_text("".join(json.dumps(row) + "\n" for row in rows))
        words, good = explain_file(lines)
        assert "== p1" in words and "== p2" in words and "Not readable" in words and not good
        alone = tmp_path / "a.txt"
        alone.write_text(TEXT)
        assert explain_file(alone)[1]
        (tmp_path / "b.bin").write_bytes(b"\xff\xfe\x00")
        with pytest.raises(ValueError, match="UTF-8"):
            explain_file(tmp_path / "b.bin")
