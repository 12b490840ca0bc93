"""The batch path: questions as a file, answers as a file, half the price and no waiting.

OpenAI's Batch API and vLLM's ``run_batch`` read the lines of JSON that are written here. What a request is
about does not fit into its id, so a list of the questions lies beside the requests: NAME.questions.jsonl.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from apu_contacts.asking.answer_file import NOT_ANSWERED, AnswerFile, encode_record, open_answers, read_index
from apu_contacts.asking.ask import AskInterrupted, AskSummary, answer_record, query_record, settings_of
from apu_contacts.asking.batch_results import BatchResult, read_results
from apu_contacts.asking.model import Reply
from apu_contacts.asking.prompt import Example, Prompt
from apu_contacts.asking.queries import PairQuery
from apu_contacts.asking.workers import noticed_interrupts
from apu_contacts.files import OutputError, staged_file
from apu_contacts.reading import parse_json, read_json_lines

URL = "/v1/chat/completions"
MAX_REQUESTS = 50_000
MAX_BYTES = 180_000_000
"""A little under the 200 MB that the Batch API takes in a file."""

QUESTIONS = ".questions.jsonl"
"""Ending of the list of questions beside a file of requests."""


class RequestWriter(Protocol):
    """What puts a question into a request, such as an `OpenAIClient`."""

    @property
    def identity(self) -> str:
        """Return what distinguishes this model and its settings from others."""
        ...

    def body(self, prompt: Prompt, sample: int = 0) -> dict[str, Any]:
        """Return the request of one sample of a prompt, as it is sent."""
        ...


@dataclass
class BatchFiles:
    """What was written.

    Args:
        paths: the files of requests, in the order in which they fill up.
        questions: the list of what they ask; `collect_batch` needs it. None if nothing was to be asked.
        requests: how many there are.
        already: questions that were left out, because the file of answers has them.
        failures: ``(id, sample, why)`` of questions that could not be put into a request.
    """

    paths: list[Path] = field(default_factory=list)
    questions: Path | None = None
    requests: int = 0
    already: int = 0
    failures: list[tuple[str, int, str]] = field(default_factory=list)


def write_batch(
    queries: Iterable[PairQuery],
    out: str | Path,
    client: RequestWriter,
    *,
    samples: int = 1,
    example: Example | None = None,
    picture_format: str = "jpeg",
    answers: str | Path | None = None,
    max_requests: int = MAX_REQUESTS,
    max_bytes: int = MAX_BYTES,
) -> BatchFiles:
    """Write requests as JSON lines; a second file begins where the first would grow beyond the limits.

    The id of a request is its question (`PairQuery.question`): 64 letters and digits, which every server
    takes. The files appear when all of them are whole, readable by their owner only, and replace nothing. A
    picture that cannot be read is among the failures, and the others go on.

    Args:
        queries: the questions.
        out: ``requests.jsonl``; further files are ``requests-2.jsonl`` and so on, and
            ``requests.questions.jsonl`` says what they ask.
        client: writes the requests, an `OpenAIClient`; it is not called, and what it would ask directly and
            the batch asks are the same questions.
        samples: answers per question.
        example: in-context example for the prompts.
        picture_format: as of `apu_contacts.asking.ask_all`.
        answers: a file of answers; what it has is not asked.
        max_requests: in one file.
        max_bytes: of one file.

    Raises:
        ValueError: if there are no questions, two have the same id, or ``answers`` is another file.
        OSError: if one of the files is there already, or cannot be written.
    """
    chosen = list(queries)
    if not chosen or len({query.id for query in chosen}) != len(chosen):
        raise ValueError(f"queries must be at least one and have different ids, got {len(chosen)}")
    identity = client.identity
    index = None if answers is None else read_index(answers)
    written = BatchFiles()
    with ExitStack() as files:
        requests = _Shards(Path(out), max_requests, max_bytes, files)
        rows: list[str] = []
        seen: set[str] = set()
        for query in chosen:
            for sample in range(samples):
                try:
                    question = query.question(identity, sample, example, picture_format)
                    if index is not None and index.has(question, (NOT_ANSWERED,)):
                        written.already += 1
                        continue
                    prompt = query.prompt(example, picture_format)
                    body = client.body(prompt, sample)
                    request = {"custom_id": question, "method": "POST", "url": URL, "body": body}
                    line = json.dumps(request).encode("ascii") + b"\n"
                    if len(line) > max_bytes:
                        raise ValueError(f"the request has {len(line)} bytes, more than {max_bytes}")
                except Exception as error:
                    written.failures.append((query.id, sample, str(error) or type(error).__name__))
                    continue
                if question not in seen:  # a copy of the picture under another name is asked about once
                    requests.write(line)
                seen.add(question)
                row = query_record(query, sample, prompt, question, identity, settings_of(client))
                rows.append(encode_record(row) + "\n")
        written.requests = len(seen)
        if rows:
            written.questions = _question_list(Path(out))
            _new_file(written.questions, files).write("".join(rows).encode("ascii"))
        written.paths = requests.paths
    return written


def _question_list(out: Path) -> Path:
    return out.with_name(out.stem + QUESTIONS)


def _new_file(path: Path, files: ExitStack) -> BinaryIO:
    """Return a file that appears when ``files`` ends; one that is there is not replaced."""
    if path.exists():
        raise OutputError(
            f"{path} is there already: its requests may be with a server, whose results need it; name "
            "another file, or move it away"
        )
    stream: BinaryIO = files.enter_context(files.enter_context(staged_file(path, private=True)).open("wb"))
    return stream


class _Shards:
    """Files of requests within the limits."""

    def __init__(self, first: Path, max_requests: int, max_bytes: int, files: ExitStack) -> None:
        self.first, self.max_requests, self.max_bytes, self._files = first, max_requests, max_bytes, files
        self.paths: list[Path] = []
        self._stream: BinaryIO | None = None
        self._requests = self._size = 0

    def write(self, line: bytes) -> None:
        full = self._requests == self.max_requests or self._size + len(line) > self.max_bytes
        if self._stream is None or full:
            number = len(self.paths) + 1
            path = self.first if number == 1 else self.first.with_stem(f"{self.first.stem}-{number}")
            self._stream = _new_file(path, self._files)
            self.paths.append(path)
            self._requests = self._size = 0
        self._stream.write(line)
        self._requests, self._size = self._requests + 1, self._size + len(line)


def find_question_lists(results: Iterable[str | Path], out: str | Path) -> list[Path]:
    """Return the lists of questions in the folders of some results and of a file of answers."""
    folders = dict.fromkeys(Path(path).absolute().parent for path in (*results, out))
    return sorted(path for folder in folders if folder.is_dir() for path in folder.glob(f"*{QUESTIONS}"))


def read_question_lists(paths: Iterable[str | Path]) -> dict[str, list[dict[str, Any]]]:
    """Return what each request asks: its id -> records without a reply, one for each id of a query.

    Raises:
        ValueError: on a line that `write_batch` did not write.
        OSError: if a file cannot be read.
    """
    found: dict[str, list[dict[str, Any]]] = {}
    for path in paths:
        for number, line in read_json_lines(path):
            try:
                row = parse_json(line, f"{path}, line {number}", checked=False)
                same = found.setdefault(row["question"], [])
                if all(other["id"] != row["id"] for other in same):
                    same.append(row)
            except (ValueError, KeyError, TypeError):
                raise ValueError(
                    f"{path}, line {number}: expected a question (question, id), got {line[:60]!r}"
                ) from None
    return found


def collect_batch(
    paths: Iterable[str | Path], out: str | Path, questions: Iterable[str | Path] | None = None
) -> AskSummary:
    """Append the answers of a batch's result files to a file of answers, as `apu_contacts.asking.ask_all`
    does. May be repeated when more has come.

    A request that failed in one file and succeeded in another has succeeded. Lines that cannot be read, and
    results of requests that no list names, are among the failures; the others are taken.

    Args:
        paths: the files of results (OpenAI, vLLM, Anthropic, Gemini), files of errors included.
        out: the file of answers; what it has is not written again.
        questions: the lists that `write_batch` wrote, ``requests.questions.jsonl``; None takes those in the
            folders of the results and of ``out``.

    Raises:
        ValueError: if there is no list, a file is none, or one has no batch result in it.
        OSError: if a file cannot be read, or ``out`` is something else, or in use.
        AskInterrupted: on Ctrl-C; what was taken until then is in the file.
    """
    results = list(paths)
    lists = find_question_lists(results, out) if questions is None else list(questions)
    if not lists:
        raise ValueError(
            f"no list of questions (NAME{QUESTIONS}, which was written beside the requests) lies beside the "
            "results or the answers: without it nobody knows what they answer; name it"
        )
    asked = read_question_lists(lists)
    # All is read before anything is written: a file that is something else is refused whole.
    found = [result for path in results for result in read_results(path)]
    summary = AskSummary()
    failed: dict[str, BatchResult] = {}
    with open_answers(out) as answers, noticed_interrupts() as interrupt:
        try:
            for result in found:
                if interrupt:
                    summary.stopped = "interrupted"
                    raise AskInterrupted(summary, interrupt.number)
                if not result.request:
                    summary.failures.append((result.where, -1, str(result.reply)))
                elif result.request not in asked:
                    why = f"{result.request[:80]!r} is no request of {', '.join(Path(x).name for x in lists)}"
                    summary.failures.append((result.where, -1, why))
                elif isinstance(result.reply, str):
                    failed[result.request] = result
                else:
                    failed.pop(result.request, None)
                    for row in asked[result.request]:
                        _take(row, result.reply, answers, summary)
        except OSError as error:
            summary.stopped = f"the answers cannot be written: {error}"
        for request, result in failed.items():
            if not answers.index.has(request):
                for row in asked[request]:
                    summary.failures.append((row["id"], row["sample"], str(result.reply)))
    return summary


def _take(row: Mapping[str, Any], reply: Reply, answers: AnswerFile, summary: AskSummary) -> None:
    record = answer_record(row, reply)
    here = (row["id"], row["question"]) in answers.index.named
    improves = record["status"] != NOT_ANSWERED and not answers.index.has(row["question"], (NOT_ANSWERED,))
    if here and not improves:
        summary.already += 1
        summary.unanswered += answers.index.answered[row["question"]][0] == NOT_ANSWERED
        return
    answers.append(record, synced=False)
    summary.count(record)
