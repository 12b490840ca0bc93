"""Asking about many pairs: resumable, in parallel, one line of JSON per answer."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from apu_contacts.keypoints.types import Keypoints2D
from apu_contacts.lvlm.answer import AnswerParseError, ContactAnswer
from apu_contacts.lvlm.crop import Box, crop_picture, pair_box
from apu_contacts.lvlm.model import AskError, BudgetError, Reply, VisionLanguageModel
from apu_contacts.lvlm.parse import parse_answer
from apu_contacts.lvlm.prompt import Example, Prompt, build_prompt

PICTURE_ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")


@dataclass(frozen=True)
class PairQuery:
    """One pair to ask about.

    Args:
        id: names the question in the output; unique in a run.
        image: the picture's file.
        box: x0, y0, x1, y1 in pixels of what is shown of it; None for all.
        keep: boxes of the pair, which stay bright where ``dim`` reaches into them.
        dim: boxes of other people, to be dimmed.
        action: a known label of the interaction.
        person_left: which detection stands further left; carried to the output, not used.
        person_right: the other.
    """

    id: str
    image: str
    box: Box | None = None
    keep: tuple[Box, ...] = ()
    dim: tuple[Box, ...] = ()
    action: str | None = None
    person_left: int | None = None
    person_right: int | None = None

    def prompt(self, example: Example | None = None) -> Prompt:
        """The question, with the picture cropped.

        Raises:
            OSError: if the picture cannot be read.
            ValueError: if the box lies outside of the picture.
        """
        picture = crop_picture(self.image, self.box, others=self.dim, keep=self.keep)
        return build_prompt(picture, action=self.action, example=example)


def image_queries(paths: Iterable[str | Path], action: str | None = None) -> list[PairQuery]:
    """One question per picture, about all of it; folders stand for the pictures in them.

    Raises:
        ValueError: on a path that does not exist, a file that is no picture, or a folder without pictures.
    """
    files: list[Path] = []
    for path in map(Path, paths):
        if path.is_dir():
            found = sorted(file for file in path.iterdir() if file.suffix.lower() in PICTURE_ENDINGS)
            if not found:
                raise ValueError(f"{path} has no pictures ({', '.join(PICTURE_ENDINGS)})")
            files += found
        elif not path.is_file():
            raise ValueError(f"{path} does not exist")
        elif path.suffix.lower() not in PICTURE_ENDINGS:
            raise ValueError(f"{path} is no picture ({', '.join(PICTURE_ENDINGS)})")
        else:
            files.append(path)
    return [PairQuery(path.as_posix(), path.as_posix(), action=action) for path in dict.fromkeys(files)]


def pair_query(
    image: str | Path,
    people: Sequence[Keypoints2D],
    first: int,
    second: int,
    *,
    margin: float = 0.15,
    dim_others: bool = False,
    action: str | None = None,
    id: str | None = None,
) -> PairQuery:
    """The question about two of the people detected in a picture, cropped to them.

    Args:
        image: the picture's file.
        people: everybody's keypoints in pixels of the picture.
        first: position of one of the two in ``people``.
        second: of the other.
        margin: as of `apu_contacts.lvlm.crop.pair_box`.
        dim_others: darken the others, so that the model takes the right two.
        action: a known label of the interaction.
        id: of the question; ``image:left-right`` if None.

    Raises:
        ValueError: if the two are the same, out of range, or without keypoints.
    """
    if first == second or not (0 <= first < len(people) and 0 <= second < len(people)):
        raise ValueError(f"first and second must be two of {len(people)} people, got {first} and {second}")
    left, right = sorted((first, second), key=lambda i: _middle(people[i]))
    name = Path(image).as_posix()
    boxes = {i: pair_box(k, k, 0.1) for i, k in enumerate(people) if bool((k.confidence >= 0.2).any())}
    return PairQuery(
        id or f"{name}:{left}-{right}",
        name,
        pair_box(people[first], people[second], margin),
        (boxes[left], boxes[right]),
        tuple(box for i, box in boxes.items() if i not in (left, right)) if dim_others else (),
        action,
        left,
        right,
    )


def _middle(keypoints: Keypoints2D) -> float:
    box = pair_box(keypoints, keypoints, 0.0)
    return (box[0] + box[2]) / 2


def answer_of(reply: Reply) -> ContactAnswer:
    """A reply read into an answer; what the server says about it counts too.

    A refusal by the server, and an answer that its content filter withheld, are refusals. An answer that the
    server cut off at the token limit is truncated, whatever its text looks like.

    Raises:
        AnswerParseError: as `parse_answer`.
    """
    if reply.refusal is not None:
        return ContactAnswer(refusal=reply.refusal, raw=reply.text)
    if reply.finish_reason == "content_filter" and not reply.text.strip():
        return ContactAnswer(refusal="withheld by the server's content filter", raw=reply.text)
    answer = parse_answer(reply.text)
    if reply.finish_reason in ("length", "content_filter") and not answer.truncated:
        answer = dataclasses.replace(answer, truncated=True)
    return answer


def answer_record(query: PairQuery, sample: int, prompt: Prompt | None, reply: Reply) -> dict[str, Any]:
    """One line of the output. ``status`` is ``"answer"``, ``"refused"`` or ``"unreadable"``; ``text`` is kept
    as it came, so that a better parser can read it again."""
    record: dict[str, Any] = {
        "id": query.id,
        "sample": sample,
        "image": query.image,
        "person_left": query.person_left,
        "person_right": query.person_right,
        "prompt_version": prompt.version if prompt else None,
        "prompt_hash": prompt.content_hash if prompt else None,
        "wording": prompt.wording_hash if prompt else None,
        **reply.to_json(),
    }
    try:
        answer = answer_of(reply)
    except AnswerParseError as error:
        return {**record, "status": "unreadable", "error": str(error), "contacts": []}
    status = "refused" if answer.refused else "answer"
    contacts = [
        {key: value for key, value in asdict(c).items() if key not in ("weight", "margin")}
        for c in answer.contacts
    ]
    return {**record, "status": status, "error": None, "contacts": contacts}


@dataclass
class AskSummary:
    """What became of a run.

    Args:
        asked: answers that were got in this run.
        already: answers that were there from before.
        statuses: how many records have which ``status``, of this run.
        failures: ``(id, sample, why)``; they are asked again in the next run.
        stopped: why the run ended early, or None.
    """

    asked: int = 0
    already: int = 0
    statuses: dict[str, int] = field(default_factory=dict)
    failures: list[tuple[str, int, str]] = field(default_factory=list)
    stopped: str | None = None


def ask_all(
    queries: Iterable[PairQuery],
    model: VisionLanguageModel,
    out: str | Path,
    *,
    samples: int = 1,
    parallel: int = 4,
    example: Example | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> AskSummary:
    """Asks every question ``samples`` times and appends each answer to a file of JSON lines as it comes.

    The file is the memory: what it has is not asked again, and a line that a killed run left half-written is
    taken off first. Answers come in any order.

    Args:
        queries: the questions.
        model: is called from ``parallel`` threads.
        out: the file; made if it does not exist.
        samples: answers per question.
        parallel: questions at the same time.
        example: in-context example for the prompts.
        progress: called with (done, total) after each answer.

    Raises:
        ValueError: if two questions have the same id, or ``samples`` or ``parallel`` is below 1.
    """
    if samples < 1 or parallel < 1:
        raise ValueError(f"samples and parallel must be at least 1, got {samples} and {parallel}")
    chosen = list(queries)
    if len({query.id for query in chosen}) != len(chosen):
        raise ValueError("queries must have different ids; was a picture given twice?")
    path = Path(out)
    path.parent.mkdir(parents=True, exist_ok=True)
    done = finished(path)
    todo = [(query, s) for query in chosen for s in range(samples) if (query.id, s) not in done]
    total = len(chosen) * samples
    summary = AskSummary(already=total - len(todo))

    def one(query: PairQuery, sample: int) -> dict[str, Any]:
        prompt = query.prompt(example)
        return answer_record(query, sample, prompt, model(prompt, sample))

    with path.open("a", encoding="utf-8") as file, ThreadPoolExecutor(parallel) as pool:
        waiting = iter(todo)
        running: dict[Future[dict[str, Any]], tuple[PairQuery, int]] = {}
        try:
            while True:
                # Only a few are in the pool at a time: crops are made when their turn comes.
                while summary.stopped is None and len(running) < 2 * parallel:
                    following = next(waiting, None)
                    if following is None:
                        break
                    running[pool.submit(one, *following)] = following
                if not running:
                    break
                ready, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in ready:
                    query, sample = running.pop(future)
                    _collect(future, query, sample, file.write, summary)
                    file.flush()
                    if progress is not None:
                        progress(summary.already + summary.asked, total)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return summary


def _collect(
    future: Future[dict[str, Any]],
    query: PairQuery,
    sample: int,
    write: Callable[[str], Any],
    summary: AskSummary,
) -> None:
    try:
        record = future.result()
    except BudgetError as error:
        summary.stopped = str(error)
        return
    except (AskError, OSError, ValueError) as error:
        summary.failures.append((query.id, sample, str(error)))
        return
    write(json.dumps(record, ensure_ascii=False) + "\n")
    summary.asked += 1
    summary.statuses[record["status"]] = summary.statuses.get(record["status"], 0) + 1


def finished(path: Path) -> set[tuple[str, int]]:
    """The (id, sample) that a file of answers has; takes off a last line without its end.

    Raises:
        ValueError: if a whole line is no answer: the file is then something else, and is left alone.
    """
    if not path.is_file():
        return set()
    data = path.read_bytes()
    whole = data.rfind(b"\n") + 1
    found = set()
    for number, line in enumerate(data[:whole].splitlines(), 1):
        if line.strip():
            record = _record(line, path, number)
            found.add((str(record["id"]), int(record["sample"])))
    if whole < len(data):
        with path.open("r+b") as file:
            file.truncate(whole)
    return found


def _record(line: bytes, path: Path, number: int) -> dict[str, Any]:
    try:
        record = json.loads(line)
        if isinstance(record, dict) and "id" in record and "sample" in record and "text" in record:
            return record
    except ValueError:
        pass
    raise ValueError(f"{path}, line {number}: expected an answer (id, sample, text), got {line[:60]!r}")


def read_answers(path: str | Path) -> Iterator[dict[str, Any]]:
    """The records of a file of answers, one after the other.

    Raises:
        ValueError: on a line that is no answer; it is named.
    """
    with Path(path).open("rb") as file:
        for number, line in enumerate(file, 1):
            if line.strip():
                yield _record(line, Path(path), number)
