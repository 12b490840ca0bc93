"""Threads that do not keep a program from ending, and interrupts that wait for a good moment."""

from __future__ import annotations

import queue
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Generic, TypeVar

Task = TypeVar("Task")
Result = TypeVar("Result")


class Workers(Generic[Task, Result]):
    """Daemon threads that work tasks off. ``concurrent.futures`` joins its threads when a program ends, and
    would wait for a server that does not answer.

    Args:
        count: of threads.
        work: from a task to its result.
    """

    def __init__(self, count: int, work: Callable[[Task], Result]) -> None:
        self._tasks: queue.SimpleQueue[Task | None] = queue.SimpleQueue()
        self._done: queue.SimpleQueue[tuple[Task, Result | BaseException | None]] = queue.SimpleQueue()
        self._dropping = threading.Event()
        self._work = work
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(count)]
        for thread in self._threads:
            thread.start()

    def _run(self) -> None:
        while (task := self._tasks.get()) is not None:
            if self._dropping.is_set():
                self._done.put((task, None))
                continue
            try:
                result: Result | BaseException = self._work(task)
            except BaseException as error:
                result = error
            self._done.put((task, result))

    def give(self, task: Task) -> None:
        """Add a task."""
        self._tasks.put(task)

    def drop(self) -> None:
        """Begins no further task; what has not begun comes back with the result None."""
        self._dropping.set()

    def next(self, timeout: float) -> tuple[Task, Result | BaseException | None] | None:
        """Return a task that is done with its result or what it raised; None after ``timeout`` seconds."""
        try:
            return self._done.get(timeout=max(0.0, timeout))
        except queue.Empty:
            return None

    def close(self) -> None:
        """Lets idle threads end; waits for nobody."""
        self.drop()
        for _ in self._threads:
            self._tasks.put(None)


class Interrupt:
    """Whether a signal came that ends the program, which, and how long ago; see `noticed_interrupts`."""

    at: float | None = None
    number: int = signal.SIGINT

    def __bool__(self) -> bool:
        return self.at is not None

    def left(self, grace: float) -> float:
        """Seconds of ``grace`` that are left since then."""
        return grace if self.at is None else self.at + grace - time.monotonic()


@contextmanager
def noticed_interrupts() -> Iterator[Interrupt]:
    """Note the first Ctrl-C instead of raising at whatever is being done, such as a line being written; a
    second one raises. In another than the main thread, and where a program handles it by itself, nothing
    changes.

    A handler of a program that only raises KeyboardInterrupt says so by its attribute
    ``raises_keyboard_interrupt``; its signal, be it SIGTERM, is noted too.
    """
    pressed = Interrupt()

    def note(number: int, frame: Any) -> None:
        if pressed:
            raise KeyboardInterrupt
        pressed.at, pressed.number = time.monotonic(), number

    usual: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():
        for name in ("SIGINT", "SIGTERM", "SIGHUP"):
            handler = signal.getsignal(getattr(signal, name, signal.SIGINT))
            if handler is signal.default_int_handler or getattr(handler, "raises_keyboard_interrupt", False):
                usual[getattr(signal, name, signal.SIGINT)] = handler
    for number in usual:
        signal.signal(number, note)
    try:
        yield pressed
    finally:
        for number, handler in usual.items():
            signal.signal(number, handler)
