"""The batch path: questions as a file, answers as a file, half the price and no waiting.

OpenAI's Batch API and vLLM's ``run_batch`` read and write the same lines of JSON.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from apu_contacts.lvlm.ask import AskSummary, PairQuery, answer_record, finished
from apu_contacts.lvlm.model import Reply
from apu_contacts.lvlm.openai_client import RetryableError, chat_body, read_completion
from apu_contacts.lvlm.prompt import Example
from apu_contacts.reading import parse_json, read_json_lines

URL = "/v1/chat/completions"
MAX_REQUESTS = 50_000
MAX_BYTES = 180_000_000
"""A little under the 200 MB that the Batch API takes in a file."""


def custom_id(query: PairQuery, sample: int) -> str:
    """The name of a request in a batch file: the sample's number, a colon, the question's id."""
    return f"{sample}:{query.id}"


def write_batch(
    queries: Iterable[PairQuery],
    out: str | Path,
    model: str,
    *,
    samples: int = 1,
    example: Example | None = None,
    temperature: float = 0.0,
    max_tokens: int = 2000,
    format: str = "json_schema",
    max_requests: int = MAX_REQUESTS,
    max_bytes: int = MAX_BYTES,
) -> list[Path]:
    """Writes requests as JSON lines; a second file begins where the first would grow beyond the limits.

    Args:
        queries: the questions.
        out: ``requests.jsonl``; further files are ``requests-2.jsonl`` and so on.
        model: name that the server knows.
        samples: answers per question.
        example: in-context example for the prompts.
        temperature, max_tokens, format: as of `apu_contacts.lvlm.openai_client.OpenAIClient`.
        max_requests: in one file.
        max_bytes: of one file.

    Returns:
        the files that were written.

    Raises:
        ValueError: if there are no questions, two have the same id, or one request alone exceeds
            ``max_bytes``.
        OSError: if a picture cannot be read.
    """
    chosen = list(queries)
    if not chosen or len({query.id for query in chosen}) != len(chosen):
        raise ValueError(f"queries must be at least one and have different ids, got {len(chosen)}")
    first = Path(out)
    first.parent.mkdir(parents=True, exist_ok=True)
    paths: list[Path] = []
    file = None
    requests = size = 0
    try:
        for query in chosen:
            prompt = query.prompt(example)
            for sample in range(samples):
                body = chat_body(
                    model, prompt, sample, temperature=temperature, max_tokens=max_tokens, format=format
                )
                row = {"custom_id": custom_id(query, sample), "method": "POST", "url": URL, "body": body}
                line = json.dumps(row) + "\n"
                if len(line) > max_bytes:
                    raise ValueError(
                        f"the request {row['custom_id']!r} has {len(line)} bytes, more than {max_bytes}"
                    )
                if file is None or requests == max_requests or size + len(line) > max_bytes:
                    if file is not None:
                        file.close()
                    number = len(paths) + 1
                    paths.append(first if number == 1 else first.with_stem(f"{first.stem}-{number}"))
                    file = paths[-1].open("w", encoding="ascii")
                    requests = size = 0
                file.write(line)
                requests, size = requests + 1, size + len(line)
    finally:
        if file is not None:
            file.close()
    return paths


def read_batch(path: str | Path) -> Iterator[tuple[str, int, Reply | str]]:
    """The lines of a batch's output file as ``(id, sample, reply)``, with a reason in place of a reply that
    failed.

    Raises:
        ValueError: on a line that is no batch result; it is named.
    """
    for number, line in read_json_lines(path):
        yield _result(line, Path(path), number)


def _result(line: str, path: Path, number: int) -> tuple[str, int, Reply | str]:
    try:
        row = parse_json(line, "result", finite=False)
        sample, _, name = row["custom_id"].partition(":")
        if not name or "response" not in row:
            raise KeyError("response")
        index = int(sample)
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ValueError(
            f"{path}, line {number}: expected a batch result (custom_id, response) written from this "
            f"package's "
            f"requests, got {line[:60]!r}"
        ) from None
    response: Any = row["response"]
    if row.get("error") or not isinstance(response, dict) or response.get("status_code") != 200:
        return name, index, f"failed in the batch: {json.dumps(row.get('error') or response)[:200]}"
    try:
        return name, index, read_completion(response.get("body"))
    except RetryableError as error:
        return name, index, str(error)


def collect_batch(
    paths: Iterable[str | Path], out: str | Path, queries: Iterable[PairQuery] = ()
) -> AskSummary:
    """Appends the answers of batch output files to a file of answers, as `apu_contacts.lvlm.ask.ask_all`
    does.

    Args:
        paths: the output files.
        out: the file of answers; what it has is not written again.
        queries: the questions, for what the output carries of them; may be left out.

    Raises:
        ValueError: on a line that is no batch result.
    """
    known = {query.id: query for query in queries}
    target = Path(out)
    target.parent.mkdir(parents=True, exist_ok=True)
    done = finished(target)
    summary = AskSummary()
    with target.open("a", encoding="utf-8") as file:
        for path in paths:
            for name, sample, reply in read_batch(path):
                if (name, sample) in done:
                    summary.already += 1
                elif isinstance(reply, str):
                    summary.failures.append((name, sample, reply))
                else:
                    done.add((name, sample))
                    record = answer_record(known.get(name, PairQuery(name, name)), sample, None, reply)
                    file.write(json.dumps(record, ensure_ascii=False) + "\n")
                    summary.asked += 1
                    status = record["status"]
                    summary.statuses[status] = summary.statuses.get(status, 0) + 1
    return summary
