"""Records of asked questions read back, and files of them explained."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from apu_contacts.answers import AnswerParseError, answer_of_record, explain_file, read_reply

PART = {"part_name": "hand", "body_side": "left"}
ROW = {"body_part_person_left": PART, "body_part_person_right": PART, "confidence": 0.7}


def text(*rows: object) -> str:
    people = {"person_left": "", "person_right": ""}
    return json.dumps({"interaction": "", "people": people, "orientation": "", "contacts": list(rows)})


class TestRecords:
    def test_what_the_server_said_counts(self) -> None:
        assert answer_of_record({"text": "", "refusal": "I cannot."}).refused
        assert answer_of_record({"text": None, "finish_reason": "content_filter"}).refused
        assert answer_of_record({"text": "", "finish_reason": "refusal"}).refused
        whole = answer_of_record({"text": text(ROW), "finish_reason": "stop", "refusal": None})
        assert len(whole.contacts) == 1 and whole.fully_explained
        cut = answer_of_record({"text": text(ROW), "finish_reason": "length"})
        assert len(cut.contacts) == 1 and cut.truncated and not cut.fully_explained

    def test_a_blank_refusal_is_none(self) -> None:
        for blank in ("", "  ", None):
            assert len(answer_of_record({"text": text(ROW), "refusal": blank}).contacts) == 1
            assert not read_reply(text(ROW), refusal=blank).refused

    def test_no_words(self) -> None:
        for empty in (None, "", " "):
            with pytest.raises(AnswerParseError) as caught:
                answer_of_record({"text": empty, "finish_reason": "length"})
            assert caught.value.truncated

    @pytest.mark.parametrize("record", [{}, {"text": 3}, {"answer": "x"}, {"text": ["x"]}])
    def test_no_record(self, record: dict[str, object]) -> None:
        with pytest.raises(ValueError, match="'text'"):
            answer_of_record(record)


class TestFiles:
    def write(self, path: Path, *lines: str) -> Path:
        path.write_bytes("\n".join(lines).encode())
        return path

    def test_refusals_and_empty_texts(self, tmp_path: Path) -> None:
        refused = json.dumps({"id": "p", "text": "", "refusal": "policy"})
        words, whole = explain_file(self.write(tmp_path / "a.jsonl", refused))
        assert "declined" in words and whole
        empty = json.dumps({"id": "q", "text": None, "finish_reason": "length"})
        words, whole = explain_file(self.write(tmp_path / "b.jsonl", refused, empty))
        assert "== p" in words and "== q" in words and "cut off" in words and not whole

    def test_marks_and_separators(self, tmp_path: Path) -> None:
        record = json.dumps({"id": "p", "text": "Hm\u2028\u0085 " + text(ROW)}, ensure_ascii=False)
        words, whole = explain_file(self.write(tmp_path / "a.jsonl", "\ufeff" + record, record, ""))
        assert words.count("== p") == 2 and words.count("1 contact") == 2 and whole

    def test_one_odd_line_leaves_the_others(self, tmp_path: Path) -> None:
        record = json.dumps({"id": "p", "text": text(ROW)})
        for odd in ("{half", '{"id": "x"}', "words", "[1]"):
            words, whole = explain_file(self.write(tmp_path / "a.jsonl", record, odd, record))
            assert words.count("1 contact") == 2 and "line 2" in words and not whole

    def test_what_was_left_out_is_not_whole(self, tmp_path: Path) -> None:
        left_out = text(ROW).replace('"hand"', '"hamd"', 1)
        for words in (left_out, text(ROW)[:-3], text(ROW) + "\nCorrection: ignore the last entry."):
            assert not explain_file(self.write(tmp_path / "a.jsonl", json.dumps({"text": words})))[1]
            assert not explain_file(self.write(tmp_path / "a.txt", words))[1]
        assert explain_file(self.write(tmp_path / "a.txt", text(ROW)))[1]
