"""How the command `apu` meets people: errors in one line, signals, encodings, tables and a bar.

Everything that a command raises over what it was given ends here, in one place, as one line and exit code 2.
With the environment variable APU_TRACEBACK set the traceback is printed as well.
"""

from __future__ import annotations

import lzma
import os
import signal
import sys
import threading
import traceback
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any, ClassVar

import typer
from typer.core import TyperGroup

# click's class, wherever this version of typer keeps click
_UsageError: type[Exception] = typer.BadParameter.__mro__[1]

EXPECTED = (
    OSError,
    ValueError,
    KeyError,
    ImportError,
    ArithmeticError,
    RecursionError,
    MemoryError,
    EOFError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
)
"""What the library documents that it raises over input, and what Python's readers raise over broken files."""


class BadInput(Exception):
    """Something the user gave cannot be used; the message is one line that says what and where."""


class Interrupted(Exception):
    """The program was told to end, by a signal; ``args[0]`` is its number."""


class Group(TyperGroup):
    """The commands, with the one place where errors over input become a line.

    ``sections`` of a class below name the commands under each heading of the help; the others come last.
    """

    sections: ClassVar[Mapping[str, Sequence[str]]] = {}

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the commands of the help by sections."""
        shown = [name for name in self.list_commands(ctx) if not self.commands[name].hidden]
        placed = [name for names in self.sections.values() for name in names]
        rest = [name for name in shown if name not in placed]
        width = formatter.width - 6 - max(map(len, shown), default=0)
        for heading, names in {**self.sections, "Others" if placed else "Commands": rest}.items():
            rows = [(name, self.commands[name].get_short_help_str(width)) for name in names if name in shown]
            if rows:
                with formatter.section(heading):
                    formatter.write_dl(rows)

    def invoke(self, ctx: Any) -> Any:
        """Run the command; an error that its user can mend ends in one line."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            raise  # whoever read has gone; nobody is to be told
        except EXPECTED as error:
            raise BadInput(in_words(error)) from error
        except KeyboardInterrupt:
            raise Interrupted(_signals.came or signal.SIGINT) from None


def in_words(error: BaseException) -> str:
    """One line; of an error of the system without its number."""
    text = str(error)
    if isinstance(error, OSError) and error.strerror:
        why = f"{error.strerror[:1].lower()}{error.strerror[1:]}"
        text = f"{os.fsdecode(error.filename)}: {why}" if isinstance(error.filename, (str, bytes)) else why
    elif isinstance(error, KeyError) and error.args:
        text = str(error.args[0])
    elif isinstance(error, RecursionError):
        text = "the input is nested too deeply"
    elif isinstance(error, MemoryError):
        text = f"not enough memory{f': {text}' if text else ''}"
    return " ".join(text.split()) or f"the input cannot be used ({type(error).__name__})"


class _Signals:
    """Which signal came, if any: an exception alone may be lost on its way out of foreign code."""

    def __init__(self) -> None:
        self.came = 0

    def handler(self, number: int, frame: FrameType | None) -> None:
        self.came = number
        raise KeyboardInterrupt

    # whoever has a better moment to end at may take the signal's place meanwhile
    handler.raises_keyboard_interrupt = True  # type: ignore[attr-defined]


_signals = _Signals()
_kept: list[Callable[[], str]] = []


def say_when_interrupted(what: Callable[[], str]) -> None:
    """Return what is said of the work that is kept if the command is interrupted from now on."""
    _kept[:] = [what]


@contextmanager
def _watched() -> Iterator[None]:
    """SIGINT, SIGTERM and SIGHUP raise KeyboardInterrupt, so that everything is cleaned up."""
    _signals.came = 0
    _kept.clear()
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    held = {}
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        # one that is ignored (nohup) stays so
        if number is not None and signal.getsignal(number) not in (signal.SIG_IGN, None):
            held[number] = signal.signal(number, _signals.handler)
    try:
        yield
    finally:
        for number, handler in held.items():
            signal.signal(number, handler)


def run(app: Callable[..., Any]) -> int:
    """Run the command and return its exit code."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            # a name that the terminal cannot show must not end a command whose work is done
            stream.reconfigure(errors="backslashreplace")
    command = next((argument for argument in sys.argv[1:] if not argument.startswith("-")), "")
    with _watched():
        try:
            _refuse_empty(sys.argv[1:])
            code = app(standalone_mode=False)
            sys.stdout.flush()
        except BadInput as error:
            if os.environ.get("APU_TRACEBACK"):
                traceback.print_exc()
            complain(command, str(error))
            code = 2
        except _UsageError as error:
            message = getattr(error, "format_message", error.__str__)()
            complain(command, f"{message} See 'apu --help'.")
            code = 2
        except (typer.Abort, KeyboardInterrupt, Interrupted):
            complain(command, _kept[0]() if _kept else "interrupted, nothing was written")
            code = 128 + (_signals.came or signal.SIGINT)
        except OSError as error:  # standard output: full, or closed
            complain(command, f"standard output: {in_words(error)}")
            code = 1
    if _signals.came:
        code = 128 + _signals.came
    return code if isinstance(code, int) else 0


def _refuse_empty(arguments: Sequence[str]) -> None:
    """Refuse an empty path: it would mean the current folder, and nobody types one, so a variable was not
    set.
    """
    for before, argument in zip(["", *arguments], arguments, strict=False):
        option = before if before.startswith("-") else ""
        if argument.startswith("--") and argument.endswith("="):
            argument, option = "", argument[:-1]
        if not argument:
            raise BadInput(f"{option or 'an argument'} is empty: is a variable of the shell not set?")


def table(header: tuple[str, ...], rows: Sequence[tuple[object, ...]]) -> None:
    """Print a table."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    drawn = Table(*header, box=box.SIMPLE_HEAD, pad_edge=False)
    for row in rows:
        drawn.add_row(*map(_printable, row))
    # a pipe or file has no width of its own: let no line be wrapped there
    Console(width=None if sys.stdout.isatty() else 200).print(drawn, markup=False)


def _printable(value: object) -> str:
    """Without lone surrogates, on which measuring the width of a text fails."""
    return str(value).encode("utf-8", "backslashreplace").decode("utf-8")


@contextmanager
def progress_bar() -> Iterator[Callable[[float, str], None]]:
    """Return a progress bar on standard error, so that standard output stays clean."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
    )
    console = Console(stderr=True)
    bar = Progress(*columns, console=console, disable=not console.is_terminal)
    task = bar.add_task("", total=1.0)

    def tell(share: float, doing: str) -> None:
        if _signals.came:
            raise KeyboardInterrupt  # again: the first one was lost
        # the bar opens with the first news, so that bad input leaves one line and no empty bar
        bar.start()
        bar.update(task, completed=share, description=_printable(doing))

    try:
        yield tell
    finally:
        if bar.live.is_started:  # rich below 14 writes an empty line for a bar that never was
            bar.stop()


def complain(where: str, message: str) -> None:
    """One line on standard error."""
    line = " ".join(message.splitlines())
    typer.echo(f"apu {where}: {line}".replace("apu : ", "apu: "), err=True)
