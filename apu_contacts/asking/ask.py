"""Asking about many pairs: resumable, in parallel, one line of JSON per answer."""

from __future__ import annotations

import signal
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from apu_contacts.answers.answer import AnswerParseError, ContactAnswer
from apu_contacts.answers.records import read_reply
from apu_contacts.asking.answer_file import (
    NOT_ANSWERED,
    STATUSES,
    AnswerFile,
    open_answers,
    sound,
)
from apu_contacts.asking.model import Reply, StopRunError, VisionLanguageModel
from apu_contacts.asking.prompt import Example, Prompt
from apu_contacts.asking.queries import PairQuery
from apu_contacts.asking.workers import Interrupt, Workers, noticed_interrupts

GRACE = 1.0
"""Seconds that answers in flight have to arrive after Ctrl-C."""


def answer_of(reply: Reply) -> ContactAnswer:
    """Return a reply read into an answer; what the server says about it counts too.

    A refusal by the server, and an answer that its content filter withheld, are refusals. An answer that the
    server cut off at the token limit is truncated, whatever its text looks like.

    Raises:
        AnswerParseError: as `parse_answer`.
    """
    return read_reply(reply.text, reply.finish_reason, reply.refusal)


def query_record(
    query: PairQuery,
    sample: int,
    prompt: Prompt,
    question: str,
    asked_of: str,
    settings: Mapping[str, Any] = MappingProxyType({}),
) -> dict[str, Any]:
    """Return what a record says of the question: all of it but the reply.

    Args:
        query: what is asked.
        sample: which of several answers.
        prompt: the words and pixels.
        question: as `PairQuery.question` gives it.
        asked_of: identity of the model.
        settings: the same in parts, ready for JSON: server, temperature.
    """
    return {
        "question": question,
        **query.record(),
        "sample": sample,
        "prompt_version": prompt.version,
        "prompt_hash": prompt.content_hash,
        "wording": prompt.wording_hash,
        "asked_of": asked_of,
        **settings,
    }


def settings_of(model: object) -> dict[str, Any]:
    """Return what a model says of itself for the records, beside its identity: server and sampling."""
    return dict(getattr(model, "settings", {}))


def answer_record(asked: Mapping[str, Any], reply: Reply) -> dict[str, Any]:
    """One line of the output: what was asked (`query_record`), and the reply.

    ``status`` is ``"answer"``, ``"refused"``, ``"unreadable"``, or ``"empty"`` for a reply that was paid
    for and says nothing. ``text`` is kept as it came, so that a better parser can read it again; only halves
    of characters become U+FFFD.
    """
    said = {key: sound(value) if isinstance(value, str) else value for key, value in reply.to_json().items()}
    reply = Reply.from_json(said)
    record: dict[str, Any] = {**asked, **said}
    if reply.empty:
        why = reply.note or f"the reply is empty (finish_reason {reply.finish_reason!r})"
        return {**record, "status": NOT_ANSWERED, "error": why, "contacts": []}
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
        already: answers that were there from before; under another id they got a line with this one.
        statuses: how many records have which ``status``, of this run.
        failures: ``(id, sample, why)``; they are asked again in the next run.
        stopped: why the run ended early, or None.
        unanswered: questions that have a reply without words, of this run or from before; ``again`` asks them
            anew.
        others: records in the file that have an id of this run, but are of another question: another model,
            wording or picture.
        repairs: questions that were put once more, because an answer could not be read whole.
    """

    asked: int = 0
    already: int = 0
    statuses: dict[str, int] = field(default_factory=dict)
    failures: list[tuple[str, int, str]] = field(default_factory=list)
    stopped: str | None = None
    unanswered: int = 0
    others: int = 0
    repairs: int = 0

    @property
    def complete(self) -> bool:
        """Whether every question of this run has an answer; an empty one is none."""
        return not (self.failures or self.stopped or self.unanswered)

    def count(self, record: Mapping[str, Any]) -> None:
        """Count a record that was written."""
        self.asked += 1
        self.unanswered += record["status"] == NOT_ANSWERED
        self.statuses[record["status"]] = self.statuses.get(record["status"], 0) + 1


class AskInterrupted(KeyboardInterrupt):
    """A run that Ctrl-C ended. What had arrived is in the file.

    Args:
        summary: what became of the run until then.
        number: of the signal.
    """

    def __init__(self, summary: AskSummary, number: int = signal.SIGINT) -> None:
        super().__init__(summary.stopped)
        self.summary = summary
        self.number = number


def ask_all(
    queries: Iterable[PairQuery],
    model: VisionLanguageModel,
    out: str | Path,
    *,
    samples: int = 1,
    parallel: int = 4,
    example: Example | None = None,
    again: Collection[str] = (),
    picture_format: str = "jpeg",
    progress: Callable[[int, int], None] | None = None,
) -> AskSummary:
    """Asks every question ``samples`` times and appends each answer to a file of JSON lines as it comes.

    The file is the memory: a question that it has an answer to is not asked again. A question is what is
    asked of whom (`PairQuery.question`): under another id it gets another line, and is not paid for twice;
    with another model, wording or picture it is another question, and is asked. A line that a killed run left
    half-written is taken off first. Answers come in any order. Whatever goes wrong with one question is in
    the summary, and the others go on; a `StopRunError` ends the run.

    Args:
        queries: the questions.
        model: is called from ``parallel`` threads.
        out: the file; made, for its owner only, if it does not exist. One run writes into it at a time.
        samples: answers per question.
        parallel: questions at the same time.
        example: in-context example for the prompts.
        again: statuses whose questions are asked anew, past a cache, too: ``("empty",)``.
        picture_format: ``"jpeg"`` or ``"png"``, how crops are sent.
        progress: called with (done, total) after each answer.

    Raises:
        ValueError: if two questions have the same id, ``samples`` or ``parallel`` is below 1, or ``again``
            has a word that is no status.
        OSError: if ``out`` is something else, or another run is writing into it.
        AskInterrupted: on Ctrl-C, a second after it at the latest.
    """
    if samples < 1 or parallel < 1:
        raise ValueError(f"samples and parallel must be at least 1, got {samples} and {parallel}")
    if not set(again) <= set(STATUSES):
        raise ValueError(f"again must be of {', '.join(STATUSES)}, got {', '.join(again)}")
    chosen = list(queries)
    if len({query.id for query in chosen}) != len(chosen):
        raise ValueError("queries must have different ids; was a picture given twice?")
    with open_answers(out) as answers, noticed_interrupts() as interrupt:
        run = _Run(model, answers, samples, example, frozenset(again), picture_format)
        todo = ((query, sample) for query in chosen for sample in range(samples))
        run.all(todo, parallel, interrupt, progress, len(chosen) * samples)
    if interrupt:
        raise AskInterrupted(run.summary, interrupt.number)
    return run.summary


@dataclass(frozen=True)
class _Task:
    query: PairQuery
    sample: int
    question: str


class _Run:
    """One run over many questions."""

    def __init__(
        self,
        model: VisionLanguageModel,
        answers: AnswerFile,
        samples: int,
        example: Example | None,
        again: frozenset[str],
        picture_format: str,
    ) -> None:
        self.model, self.answers, self.samples = model, answers, samples
        self.example, self.again, self.picture_format = example, again, picture_format
        self.identity = model.identity
        self.summary = AskSummary()
        self.asking: dict[str, list[_Task]] = {}  # question -> all that wait for its answer
        self.done: set[str] = set()  # questions that were answered in this run
        self.before: dict[str, set[str]] = {}  # id -> questions that the file had an answer to
        for (name, question), sample in answers.index.named.items():
            if sample < samples:
                self.before.setdefault(name, set()).add(question)

    def all(
        self,
        todo: Iterator[tuple[PairQuery, int]],
        parallel: int,
        interrupt: Interrupt,
        progress: Callable[[int, int], None] | None,
        total: int,
    ) -> None:
        """Works the questions off; only a few are under way at a time, so that crops are made when needed."""
        workers: Workers[_Task, dict[str, Any]] = Workers(parallel, self.ask)
        try:
            while True:
                ended = self.summary.stopped is not None or bool(interrupt)
                if ended:
                    workers.drop()
                while not ended and len(self.asking) < 2 * parallel and not interrupt:
                    following = next(todo, None)
                    if following is None:
                        break
                    self.place(workers, *following)
                if not self.asking or interrupt.left(GRACE) <= 0:
                    break
                # short, so that Ctrl-C is noticed where waiting for a lock does not end by it
                ready = workers.next(min(0.1, interrupt.left(GRACE)))
                if ready is not None:
                    self.collect(*ready)
                    if progress is not None:
                        progress(self.summary.already + self.summary.asked, total)
        finally:
            workers.close()
        self.summary.others = sum(len(questions) for questions in self.before.values() if questions)
        if interrupt:
            # further attempts would be paid for and read by nobody
            getattr(self.model, "cancel", lambda: None)()
            lost = min(len(self.asking), parallel)
            lost_words = f"; {lost} questions were still with the model and are asked again" if lost else ""
            self.summary.stopped = f"interrupted{lost_words}"

    def place(self, workers: Workers[_Task, dict[str, Any]], query: PairQuery, sample: int) -> None:
        """Asks a question unless it has been asked."""
        try:
            question = query.question(self.identity, sample, self.example, self.picture_format)
        except Exception as error:
            self.fail(query, sample, error)
            return
        self.before.get(query.id, set()).discard(question)
        task = _Task(query, sample, question)
        if question in self.asking:
            self.asking[question].append(task)
        elif self.answers.index.has(question, () if question in self.done else self.again):
            self.summary.already += 1
            self.summary.unanswered += self.answers.index.answered[question][0] == NOT_ANSWERED
            if (query.id, question) not in self.answers.index.named:
                self.write(task, self.answers.record(question))
        else:
            self.asking[question] = [task]
            workers.give(task)

    def ask(self, task: _Task) -> dict[str, Any]:
        """In a worker: the crop, the question, and the reading of the reply."""
        prompt = task.query.prompt(self.example, self.picture_format)
        anew = task.question in self.answers.index.answered
        model = getattr(self.model, "ask_anew", self.model) if anew else self.model
        asked = query_record(
            task.query, task.sample, prompt, task.question, self.identity, settings_of(self.model)
        )
        return answer_record(asked, model(prompt, task.sample))

    def collect(self, task: _Task, result: dict[str, Any] | BaseException | None) -> None:
        """Write down what came of a task."""
        waiting = self.asking.pop(task.question)
        if result is None:
            return  # not begun when the run ended
        if isinstance(result, StopRunError):
            self.summary.stopped = self.summary.stopped or str(result)
            return
        if isinstance(result, Exception):
            for each in waiting:
                self.fail(each.query, each.sample, result)
            return
        if isinstance(result, BaseException):
            raise result
        self.done.add(task.question)
        for each in waiting:
            if self.write(each, result):
                self.summary.count(result)

    def write(self, task: _Task, record: Mapping[str, Any]) -> bool:
        """Append a record, under the id of this task. A file that cannot be written ends the run."""
        query = task.query
        try:
            self.answers.append({**record, **query.record()})
        except OSError as error:
            self.summary.stopped = f"the answers cannot be written: {error}"
            self.fail(query, task.sample, error)
            return False
        return True

    def fail(self, query: PairQuery, sample: int, error: Exception) -> None:
        """Note why a question has no answer."""
        self.summary.failures.append((query.id, sample, str(error) or type(error).__name__))
