"""The parser: whole contacts or none, every character accounted for, nothing invented."""

from __future__ import annotations

import contextlib
import copy
import importlib.util
import json
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, ClassVar

import jsonschema
import pytest

import apu_contacts
from apu_contacts.answers import ANSWER_SCHEMA, AnswerParseError, ContactAnswer, parse_answer, response_format
from apu_contacts.answers.blocks import read_text
from apu_contacts.answers.explanation import describe
from apu_contacts.answers.lenient import plain
from apu_contacts.answers.schema import conforms, violations
from apu_contacts.regions.table import PARTS

ROOT = Path(__file__).resolve().parents[2]
DOCS = sorted((ROOT / "docs" / "repairs").glob("*.md"))
CORPUS = ROOT.parent / "shared" / "lvlm" / "malformed_model_output.jsonl"
SOURCES = sorted((Path(apu_contacts.__file__).parent / "answers").glob("*.py"))


def contact(
    a: str = "hand", side_a: str = "left", b: str = "back", side_b: str = "right", confidence: Any = 0.7
) -> Any:
    return {
        "body_part_person_left": {"part_name": a, "body_side": side_a},
        "body_part_person_right": {"part_name": b, "body_side": side_b},
        "confidence": confidence,
    }


def document(*contacts: Any) -> dict[str, Any]:
    return {
        "interaction": "hugging",
        "people": {"person_left": "a woman in red", "person_right": "a man"},
        "orientation": "front to front",
        "contacts": list(contacts),
    }


def text(*contacts: Any, indent: int | None = 1) -> str:
    return json.dumps(document(*contacts), indent=indent)


TWO = (contact(), contact("chest", "both", "upper arm", "left", 0.9))
BOTH = [("hand", "left", "back", "right"), ("chest", "both", "upper arm", "left")]


def rows(answer: ContactAnswer) -> list[tuple[str, str, str, str]]:
    return [(c.part_a, c.side_a, c.part_b, c.side_b) for c in answer.contacts]


class TestSchema:
    def test_is_a_schema_in_strict_form(self) -> None:
        jsonschema.Draft202012Validator.check_schema(ANSWER_SCHEMA)

        def check(node: Any) -> None:
            if isinstance(node, dict):
                if node.get("type") == "object":
                    assert node["additionalProperties"] is False
                    assert node["required"] == list(node["properties"])
                assert "default" not in node
                for value in node.values():
                    check(value)

        check(ANSWER_SCHEMA)
        assert list(ANSWER_SCHEMA["properties"])[-1] == "contacts"

    def test_accepts_the_format_of_the_paper(self) -> None:
        assert conforms(document(*TWO)) and violations(document(*TWO)) == []
        for part in PARTS:
            assert conforms(document(contact(a=part)))

    @pytest.mark.parametrize(
        "break_it",
        [
            lambda d: d.pop("orientation"),
            lambda d: d.update(extra=1),
            lambda d: d["contacts"][0].update(note="x"),
            lambda d: d["contacts"][0].pop("confidence"),
            lambda d: d["contacts"][0].update(confidence=1.2),
            lambda d: d["contacts"][0]["body_part_person_left"].update(part_name="wrist"),
            lambda d: d["contacts"][0]["body_part_person_left"].update(body_side="upper"),
        ],
    )
    def test_rejects_everything_else(self, break_it: Any) -> None:
        broken = copy.deepcopy(document(*TWO))
        break_it(broken)
        assert not conforms(broken) and violations(broken)

    def test_response_format(self) -> None:
        sent = response_format(bounds=False)["json_schema"]
        assert sent["strict"] is True and "minimum" not in json.dumps(sent["schema"])
        assert "minimum" in json.dumps(response_format()) and "minimum" in json.dumps(ANSWER_SCHEMA)


class TestConforming:
    def test_reads_everything(self) -> None:
        answer = parse_answer(text(*TWO))
        assert rows(answer) == BOTH and [c.confidence for c in answer.contacts] == [0.7, 0.9]
        assert answer.interaction == "hugging" and answer.people["person_left"] == "a woman in red"
        assert answer.conforms and answer.fully_explained and not answer.repairs and not answer.refused
        assert answer.to_document() == document(*TWO)

    def test_transposed(self) -> None:
        answer = parse_answer(text(*TWO)).transposed()
        assert rows(answer)[0] == ("back", "right", "hand", "left")
        assert answer.people["person_right"] == "a woman in red"
        assert rows(answer.transposed()) == BOTH

    def test_the_real_answers_conform(self, real_dir: Path) -> None:
        lines = [
            line
            for file in sorted(real_dir.glob("*/answers.jsonl"))
            for line in file.read_text().splitlines()
        ]
        answers = [parse_answer(json.loads(line)["text"]) for line in lines]
        assert [len(answer.contacts) for answer in answers] == [6, 3, 3, 3]
        assert all(answer.conforms for answer in answers)


def examples() -> list[tuple[str, str, list[str]]]:
    pattern = re.compile(
        r"^## (.+?)\n(.*?)(`{3,4})text\n(.*?)\n\3\n\n((?:    [^\n]*\n)+)", re.MULTILINE | re.DOTALL
    )
    found = [one for page in DOCS for one in pattern.findall(page.read_text(encoding="utf-8") + "\n")]
    return [
        (kind, example, [line.strip() for line in read.splitlines()]) for kind, _, _, example, read in found
    ]


class TestRepairs:
    @pytest.mark.parametrize(("kind", "example", "read"), examples(), ids=[kind for kind, *_ in examples()])
    def test_examples_of_the_documentation(self, kind: str, example: str, read: list[str]) -> None:
        answer = parse_answer(example)
        assert ([describe(c) for c in answer.contacts] or ["no contacts"]) == read
        assert kind in {repair.kind for repair in answer.repairs}
        assert all(0 <= r.start <= r.end <= len(example) + 1 and r.meaning for r in answer.repairs)

    def test_every_repair_is_documented(self) -> None:
        source = "\n".join(path.read_text(encoding="utf-8") for path in SOURCES)
        kinds = set(re.findall(r"(?:repair|Repair)\(\s*\"([^\"]+)\"", source))
        assert kinds == {kind for kind, *_ in examples()}

    @pytest.mark.parametrize(
        "shape",
        [
            "```json\n{0}\n```",
            "```\n{0}",
            "{0}\n```",
            "Here you are:\n\n{0}\n\nIs there anything else?",
            "<think>The list [1, 2] says...</think>{0}",
            "I'm sorry, I can't name the people, but here are the contacts:\n{0}",
            "\ufeff{0}<|im_end|>",
        ],
    )
    def test_around_the_answer(self, shape: str) -> None:
        for inner in (text(*TWO), text(*TWO, indent=None), str(document(*TWO)), json.dumps(list(TWO))):
            answer = parse_answer(shape.replace("{0}", inner))
            assert rows(answer) == BOTH and answer.fully_explained and answer.repairs

    def test_lines_of_json(self) -> None:
        for glue in ("\n", ",\n", ", ", "\n\n"):
            answer = parse_answer(glue.join(json.dumps(c) for c in TWO) + glue)
            assert rows(answer) == BOTH and answer.fully_explained

    def test_percentages_beside_fractions(self) -> None:
        answer = parse_answer(
            text(contact(confidence=85), contact("chest", confidence="70%"), contact("head", confidence=0.6))
        )
        assert [c.confidence for c in answer.contacts] == [0.85, 0.7, 0.6]

    @pytest.mark.parametrize("bad", [-0.5, 7, 1.5, 1000, "maybe", None, [1], True, "1e400", "0.0 - 1.0"])
    def test_unreadable_confidence_takes_the_default(self, bad: Any) -> None:
        answer = parse_answer(text(contact(confidence=bad)), default_confidence=0.25)
        assert rows(answer) == BOTH[:1] and answer.contacts[0].confidence == 0.25
        assert any("confidence" in repair.kind for repair in answer.repairs)

    def test_default_confidence_is_checked(self) -> None:
        with pytest.raises(ValueError, match="default_confidence"):
            parse_answer("{}", default_confidence=2)


class TestNothingIsInvented:
    def test_every_cut_keeps_whole_contacts_only(self) -> None:
        whole = text(*TWO)
        ends = [match.end() for match in re.finditer(r"\n  \}", whole)]
        for cut in range(len(whole)):
            try:
                answer = parse_answer(whole[:cut])
            except AnswerParseError:
                continue
            assert rows(answer) == BOTH[: len(answer.contacts)]
            assert answer.truncated or cut >= len(whole) - 1
            assert len(answer.contacts) == sum(cut >= end for end in ends)

    def test_a_number_at_the_end_might_go_on(self) -> None:
        line = json.dumps(contact())
        answer = parse_answer(line[:-1])
        assert answer.truncated and answer.unexplained and not answer.contacts

    @pytest.mark.parametrize(
        "bad",
        [
            contact(a="hamd"),
            contact(a="hand not touching"),
            contact(a="body"),
            contact(a=""),
            contact(a=3),
            contact(a=None),
            contact(side_a="upwards"),
            {**contact(), "touching": False},
            {**contact(), "negated": True},
            {**contact(), "note": "they are not actually touching here"},
            {**contact(), "extra": {"a": 1}},
            {"body_part_person_left": {"part_name": "hand", "body_side": "left"}, "confidence": 1},
            {"part": "hand", "other_part": "back"},
            contact(a="person 2's hand"),
            "left hand on right shoulder",
            ["hand", "back"],
        ],
        ids=lambda bad: json.dumps(bad)[:60],
    )
    def test_what_is_not_understood_is_left_out_and_said(self, bad: Any) -> None:
        answer = parse_answer(text(bad, TWO[1]))
        assert rows(answer) == BOTH[1:]
        assert answer.unexplained or {"no part", "not in contact"} & {r.kind for r in answer.repairs}

    def test_unknown_words_are_reported(self) -> None:
        answer = parse_answer(text(contact(a="hamd"), contact(b="zorp"), TWO[1]))
        assert answer.unknown_words == ("hamd", "zorp") and not answer.fully_explained

    def test_keys_given_twice(self) -> None:
        raw = text(TWO[0]).replace(
            '"confidence"',
            '"body_part_person_left": {"part_name": "foot", "body_side": "left"}, "confidence"',
        )
        answer = parse_answer(raw)
        assert not answer.contacts and "twice" in answer.unexplained[0].reason

    def test_two_contacts_run_together_are_none(self) -> None:
        raw = text(*TWO, indent=None).replace("}, {", ", ")
        assert not parse_answer(raw).contacts

    def test_comments_reasoning_and_quoted_json_state_nothing(self) -> None:
        decoy = json.dumps(contact("foot", "left", "foot", "left"))
        inside = document(*TWO)
        inside["interaction"] = f"not {decoy}"
        for raw in (
            text(*TWO, indent=None).replace("[{", f"[ /* {decoy} */ {{"),
            text(*TWO, indent=None).replace("[{", f"[ // {decoy}\n{{"),
            f"<think>{decoy}</think>" + text(*TWO),
            f"{decoy}</think>" + text(*TWO),
            json.dumps(inside),
            "/* " + decoy + " */" + text(*TWO),
        ):
            assert rows(parse_answer(raw)) == BOTH

    def test_different_answers_are_refused(self) -> None:
        with pytest.raises(AnswerParseError, match="2 answers"):
            parse_answer(text(TWO[0]) + "\n\nAnswer of the second annotator:\n" + text(TWO[1]))
        with pytest.raises(AnswerParseError, match="2 answers"):
            parse_answer(text() + "\n" + text(TWO[1]))
        assert rows(parse_answer(text(*TWO) + "\n\n" + text(*TWO))) == BOTH

    def test_words_between_contacts_are_unexplained(self) -> None:
        lines = [json.dumps(c) for c in TWO]
        answer = parse_answer(f"{lines[0]} but that is wrong, rather {lines[1]}")
        assert [u.text.strip() for u in answer.unexplained] == ["but that is wrong, rather"]

    def test_a_space_in_a_key_is_said(self) -> None:
        answer = parse_answer(text(*TWO).replace('"confidence"', '" confidence "', 1))
        assert rows(answer) == BOTH and [r.kind for r in answer.repairs] == ["renamed key"]
        twice = parse_answer(text(TWO[0]).replace('"confidence"', '" confidence": 0.1, "confidence"', 1))
        assert not twice.contacts and "twice" in twice.unexplained[0].reason

    def test_unknown_keys_are_unexplained(self) -> None:
        answer = parse_answer(json.dumps({**document(*TWO), "mood": "happy"}))
        assert rows(answer) == BOTH and "mood" in answer.unexplained[0].reason

    def test_sentences(self) -> None:
        good = "Person 1's left hand is touching Person 2's back"
        for bad in (
            "Person 1's left hand is not touching Person 2's back",
            "Person 1's left hand almost touches Person 2's back",
            "Person 1's left hand is near Person 2's back",
            "The left hand touches the back",
            "Person 1's left hand touches Person 1's face",
            "Person 1's left hand might be touching Person 2's back",
            "Person 1's left hand touching Person 2's back and face on chest",
        ):
            answer = parse_answer(f"- {good}\n- {bad}")
            assert rows(answer) == [("hand", "left", "back", "none")], bad
            assert len(answer.unexplained) == 1

    def test_tables(self) -> None:
        table = (
            "They hug.\n\n| # | Left person | Side | Person 2 | Confidence |\n|---|:--|---|---|---|\n"
            "| 1 | hand | left | back | 80% |\n| 2 | zorp | left | back | 0.5 |\n| 3 | none | | none | "
            "|\n| 4 | chest |\n"
        )
        with pytest.raises(AnswerParseError):
            parse_answer(table)  # whose side the third column means is not said
        answer = parse_answer(table.replace("| Side |", "| Left person side |"))
        assert rows(answer) == [("hand", "left", "back", "none")] and answer.contacts[0].confidence == 0.8
        assert answer.unknown_words == ("zorp",) and len(answer.unexplained) == 2


class TestRefusals:
    @pytest.mark.parametrize(
        "words",
        [
            "I'm sorry, but I can't help with identifying people in images.",
            "I\u2019m sorry, I can\u2019t assist with that request.",
            "I cannot analyze this image.",
            "Unfortunately, I am unable to provide annotations of people.",
            "As an AI language model, I can't view images.",
            '{"error": "I cannot comply with this request"}',
            '{"refusal": "policy"}',
            '{"interaction": "I\'m sorry, but I can\'t assist with that.", "people": {}, "contacts": []}',
        ],
    )
    def test_are_results(self, words: str) -> None:
        answer = parse_answer(words)
        assert answer.refused and not answer.contacts

    @pytest.mark.parametrize(
        "words",
        ["No contact.", "[]", "None", "There is no contact between the two people.", '{"contacts": []}'],
    )
    def test_nothing_touches_is_no_refusal(self, words: str) -> None:
        answer = parse_answer(words)
        assert not answer.refused and not answer.contacts and answer.fully_explained

    @pytest.mark.parametrize(
        "words", ["", "   ", "42", "hello", "{}", "true", "invalid", '{"a": 1}', "[", '```json\n[\n {"box_']
    )
    def test_no_answer_is_an_error(self, words: str) -> None:
        with pytest.raises(AnswerParseError):
            parse_answer(words)

    def test_a_conforming_refusal(self) -> None:
        refused = {**document(), "interaction": "I'm sorry, but I can't help with that."}
        assert parse_answer(json.dumps(refused)).refused


class TestLimits:
    def test_size_and_depth(self) -> None:
        with pytest.raises(AnswerParseError, match="characters"):
            parse_answer(" " * 4_000_001)
        for bomb in (
            "[" * 100_000,
            '{"a":' * 100_000,
            "(" * 1000 + "1",
            '{"contacts":' + "[" * 70 + "]" * 70 + "}",
        ):
            with pytest.raises(AnswerParseError):
                parse_answer(bomb)

    def test_large_numbers(self) -> None:
        answer = parse_answer(text(TWO[1]).replace("0.9", "9" * 6000))
        assert rows(answer) == BOTH[1:] and answer.contacts[0].confidence == 0.5

    @pytest.mark.parametrize(
        "piece",
        [
            '"',
            "{",
            "[",
            '{"a":',
            '"a" ',
            "\\",
            "```",
            "<think>",
            "/*",
            "# ",
            ',"',
            '":',
            "'",
            " ",
            '"a":"b",',
            "| a | b |\n",
            "- a - b - c\n",
            '"\\',
            "{}",
            '"""',
            "sorry i ",
            '{"k": "v" x" ',
            '["x", "y" "z", ',
            "<think></think>",
            "1,",
            '" ,"',
            "<answer>",
            "<|channel|>analysis<|message|>",
            "Person A: the man on the ",
            "not touching ",
            "- [ ] ",
            "Not touching:\n",
            "  b: c\n",
            "- Person 1: hand\n",
            "Person 1's left hand touches ",
            "the second entry ",
            "\uff0c",
        ],
    )
    def test_time_is_linear(self, piece: str) -> None:
        def seconds(length: int, before: str) -> float:
            begin = time.process_time()
            with contextlib.suppress(AnswerParseError):
                parse_answer(before + piece * (length // len(piece)))
            return time.process_time() - begin

        for before in ("", '{"contacts": ['):
            # Quadratic time would make it 64 times, in every try; a busy machine now and then adds some.
            tries = ((seconds(5_000, before), seconds(40_000, before)) for _ in range(3))
            # A floor keeps the clock's grain out.
            assert any(long < 24 * max(short, 0.005) for short, long in tries)

    def test_answers_are_read_in_a_millisecond_or_two(self) -> None:
        raw = text(*(contact(a=part, confidence=0.5) for part in PARTS[:5]))
        parse_answer(raw)

        def seconds() -> float:
            begin = time.process_time()
            for _ in range(100):
                parse_answer(raw)
            return time.process_time() - begin

        # 1,000 a second would be 0.1 s; twice that, and three tries, for a busy machine
        assert any(seconds() < 0.2 for _ in range(3))

    def test_import_is_light(self) -> None:
        program = (
            "import sys, apu_contacts.answers\n"
            "heavy = {'torch', 'openai', 'jsonschema', 'scipy', 'PIL', 'numba'} & set(sys.modules)\n"
            "assert not heavy, heavy"
        )
        subprocess.run([sys.executable, "-c", program], check=True, cwd=ROOT)


class TestCorpus:
    """Texts of public test suites, which lie beside the checkout and are not ours to ship."""

    # Lines of the file whose expected value asks for a guess; each must at least not pass as clean.
    GUESSES: ClassVar[dict[int, str]] = {
        17: "a lone backslash as text (line 19 expects the opposite)",
        18: "a backtick as a quotation mark (line 20 expects the opposite)",
        31: "three strings as a row of their own",
        40: "a stray quotation mark as two strings",
        44: "where a comment ends inside of its line",
        51: "two numbers as one text",
        66: "a key as a text",
        71: "brackets inside a text without quotes",
        74: "four quotation marks as a bracket",
        75: "two elements out of one list",
        76: "which of the backslashes are too many",
        108: "JSON inside a string without escapes",
    }
    # Lines whose expectation is about another question; nothing that they say is lost.
    OTHER: ClassVar[dict[int, str]] = {
        6: "an empty value beside another is dropped",
        23: "an empty object that is not closed is dropped",
        46: "a number alone; here it is no answer",
        80: "two values side by side are merged into one",
        81: "an empty value beside another is dropped",
        82: "an empty value beside another is dropped",
        83: "two values side by side are merged into one",
        115: "a schema turns a text into a number",
        119: "a schema turns a text into a list",
        120: "a schema turns a text into a list",
        128: "a schema turns a text into a number",
        129: "a schema turns a text into a number",
    }

    @staticmethod
    def load() -> list[dict[str, Any]]:
        if not CORPUS.is_file():
            pytest.skip(
                "the folder shared/lvlm beside the checkout is absent (texts of others are not redistributed)"
            )
        return [json.loads(line) for line in CORPUS.read_text(encoding="utf-8").splitlines()]

    @staticmethod
    def expected(record: dict[str, Any]) -> Any:
        value = record["expected"]
        if isinstance(value, str):
            try:
                value = json.loads(value)
            except ValueError:
                return value
        logged = isinstance(value, list) and len(value) == 2 and isinstance(value[1], list) and value[1]
        if logged and isinstance(value[1][0], dict) and "context" in value[1][0]:
            return value[0]
        return value

    def test_recoverable_texts_are_recovered(self) -> None:
        compared = 0
        for number, record in enumerate(self.load()):
            if "expected" not in record or record["expected"] is None:
                continue
            reading = read_text(record["raw"])
            values = [plain(value) for value in reading.values]
            got = values[0] if len(values) == 1 else values
            expected = self.expected(record)
            if number in self.GUESSES or number in self.OTHER:
                assert got != expected, (number, "is read as expected: it need not be set aside")
                flagged = reading.repairs or reading.unexplained or reading.truncated or reading.gaps
                assert flagged or number in self.OTHER
                continue
            compared += 1
            nothing: tuple[Any, ...] = ("", [], {}, None, [""])
            assert got == expected or (expected in nothing and got in nothing), (number, record["raw"], got)
        assert compared == 93

    def test_what_is_json_is_read_as_it_is(self) -> None:
        """An oracle that is nobody's opinion; also for the lines set aside and those without expectation."""
        compared = 0
        for number, record in enumerate(self.load()):
            try:
                expected = json.loads(record["raw"])
            except ValueError:
                continue
            if isinstance(expected, (dict, list)):
                compared += 1
                reading = read_text(record["raw"])
                assert [plain(value) for value in reading.values] == [expected], (number, record["raw"])
                assert not (reading.repairs or reading.unexplained or reading.truncated or reading.gaps)
        assert compared == 28

    def test_shapes_of_production(self) -> None:
        for record in self.load():
            if "expect" not in record:
                continue
            reading = read_text(record["raw"])
            values = [plain(value) for value in reading.values]
            flat = [x for value in values for x in (value if isinstance(value, list) else [value])]
            if record["expect"] == "recover_list_of_2":
                assert len(flat) == 2 and not reading.gaps and not reading.truncated
            elif record["expect"] == "recover_object":
                assert len(flat) == 1 and isinstance(flat[0], dict)
            else:
                with pytest.raises(AnswerParseError):
                    parse_answer(record["raw"])
                assert reading.gaps or reading.truncated

    def test_none_of_them_states_a_contact(self) -> None:
        for record in self.load():
            with contextlib.suppress(AnswerParseError):
                assert not parse_answer(record["raw"]).contacts


def test_fuzz() -> None:
    """A few thousand mutants of the benchmark; 200,000 are in benchmarks/results/parser.md."""
    spec = importlib.util.spec_from_file_location("parser_fuzz", ROOT / "benchmarks" / "parser_fuzz.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["parser_fuzz"] = module
    spec.loader.exec_module(module)
    tally = module.run(3000, 20261123, module.load_noise())
    assert tally.failures == []
    assert tally.read["form only"] == tally.stated["form only"]
    assert tally.read["damaged"] > 0.3 * tally.stated["damaged"]


def test_renamed_keys_inside_a_body_part_are_logged():
    text = (
        '{"interaction": "hug", "people": {"person_left": "", "person_right": ""}, "orientation": "unknown", '
        '"contacts": [{"body_part_person_left": {"part": "hand", "side": "left"}, '
        '"body_part_person_right": {"part_name": "back", "body_side": "both"}, "confidence": 0.5}]}'
    )
    answer = parse_answer(text)
    assert len(answer.contacts) == 1
    renamed = [repair.meaning for repair in answer.repairs if repair.kind == "renamed key"]
    assert renamed == ["'part' read as 'part_name'", "'side' read as 'body_side'"]
