"""One way to write results: whole or not at all, beside the target, synced to disk, then renamed.

Everything that this project writes goes through here. A target is followed to where its links lead, and what
is under way lies in the same folder, so that the last step is a rename on one file system. Temporary names
are never shared, their owner holds a lock on them, and what a killed process left behind is removed by the
next one that writes there. What is already there and is something else is refused, not replaced.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import secrets
import shutil
import signal
import stat
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

if sys.platform == "win32":
    fcntl = None
else:
    import fcntl

PART_PREFIX = ".apu-part-"
"""Names of files that are being written begin so; they are hidden, and nobody else's."""
WORK_PREFIX = ".apu-work-"
"""Names of folders for what is under way, likewise."""
_WORK = re.compile(re.escape(WORK_PREFIX) + r"[0-9a-f]{16}")
_PART = re.compile(re.escape(PART_PREFIX) + r"[0-9a-f]{16}(\..*)?", re.DOTALL)
_NAME_BYTES = 240  # of the 255 that file systems admit: room for an ending
_UNSUPPORTED = {errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL}
_swept: set[Path] = set()


class OutputError(OSError):
    """An output that cannot be written, or must not be; nothing was changed, the message says what to do."""


def cannot_write(path: str | Path, error: OSError) -> OutputError:
    """Return the error of the system in words, with the path that the user knows."""
    why = error.strerror or str(error)
    return OutputError(f"{path}: cannot be written: {why[:1].lower()}{why[1:]}")


def real_target(path: str | Path) -> Path:
    """Where a path leads once links are followed; nothing need be there.

    Raises:
        OutputError: an empty path, or one that no file system can have.
    """
    text = os.fspath(path)
    if not text:
        raise OutputError("an empty path names no output: give a name, or . for this folder")
    if "\0" in text:
        raise OutputError(f"{text!r}: a path cannot contain a NUL character")
    try:
        os.fsencode(text)
    except UnicodeEncodeError:
        raise OutputError(f"{text!r}: a path cannot contain lone surrogates") from None
    return Path(os.path.realpath(text))


def is_stream(path: str | Path) -> bool:
    """Whether a path is that of a device, a pipe or an open stream, which is never replaced."""
    for text in (os.path.normpath(path), os.path.realpath(path)):
        # /dev/stdout may lead to a file that somebody else has open; nothing in /dev is ours to replace
        if re.match(r"/dev/(?!shm(/|$))|/proc/", text):
            return True
    target = Path(path)
    return target.exists() and not (target.is_file() or target.is_dir())


def name_problem(name: str) -> str | None:
    """Why ``name`` cannot be that of a file, with a dot and a short ending; None if it can.

    >>> name_problem("hug")
    >>> name_problem("a/b")
    "holds '/', which separates folders"
    """
    if not name or name.strip(" .") == "":
        return "is empty, or only dots and spaces"
    for sign in "/\\":
        if sign in name:
            return f"holds {sign!r}, which separates folders"
    if any(ord(sign) < 32 or ord(sign) == 127 for sign in name):
        return "holds a control character"
    if name.startswith(".apu-"):
        return "begins with '.apu-', as files in progress do"
    try:
        size = len(name.encode("utf-8"))
    except UnicodeEncodeError:
        return "holds a lone surrogate, which is no character"
    if size > _NAME_BYTES:
        return f"is {size} bytes long, file names hold {_NAME_BYTES}"
    if os.name == "nt" and (set(name) & set('<>:"|?*') or name[-1] in " ."):
        return "holds a character that Windows does not admit"
    return None


def refuse_inputs(outputs: Iterable[str | Path], inputs: Iterable[str | Path]) -> None:
    """Refuse to write over what is read, whatever it is called.

    Args:
        outputs: files, or folders, that will be written; those that do not exist yet are nobody's input.
        inputs: files, or folders, that are read.

    Raises:
        OutputError: one is the same file as one of the inputs.
    """
    read = {key: path for path in inputs if (key := _identity(path)) is not None}
    for output in outputs:
        key = _identity(output)
        if key is not None and key in read:
            same = "" if os.fspath(output) == os.fspath(read[key]) else f" ({read[key]})"
            raise OutputError(
                f"{output} is also an input{same}: it would be overwritten; name another output"
            )


def refuse_foreign(
    path: str | Path, is_ours: Callable[[Path], bool], what: str, *, overwrite: bool = False
) -> None:
    """Refuse to replace a file that is something else; one that is absent or empty is free.

    Args:
        path: of the output, a file.
        is_ours: whether an existing file is one that the same command wrote; errors count as no.
        what: such a file in words: "a list of detections".
        overwrite: replace any file; a folder is refused all the same.

    Raises:
        OutputError: a folder, or somebody else's file.
    """
    target = real_target(path)
    try:
        kind = target.stat()
    except (FileNotFoundError, NotADirectoryError):
        return  # making the folder will say what is in the way
    if stat.S_ISDIR(kind.st_mode):
        raise OutputError(f"{path} is a folder, and {what} is a file: name a file in it")
    if overwrite or is_stream(path) or kind.st_size == 0:
        return
    try:
        ours = is_ours(target)
    except Exception:  # readers raise a dozen kinds over other people's files
        ours = False
    if not ours:
        raise OutputError(
            f"{path} is there already and is not {what}: it is left alone; name another file, move it away, "
            "or ask to overwrite it"
        )


@contextmanager
def staged_file(path: str | Path, *, private: bool = False) -> Iterator[Path]:
    """Write a file that appears whole or not at all.

    The block writes to the yielded path, which has the ending of ``path`` and lies in the folder that it
    leads to. When the block ends without error, the file is synced and takes the place of ``path``, whose
    permissions it keeps; otherwise ``path`` is as it was. Missing folders are made.

    Args:
        path: the file; a link is followed. Of a device or pipe, what was written is copied to it.
        private: whether nobody else may read it.

    Raises:
        OutputError: ``path`` is a folder, or cannot be a path.
        OSError: nothing can be written there.
    """
    target = real_target(path)
    if target.is_dir():
        raise OutputError(f"{path} is a folder: name a file in it")
    if is_stream(path):
        yield from _through_stream(Path(path))
        return
    with _folder_of(target):
        sweep(target.parent)
        part, hold = _new_part(target, 0o600 if private else 0o666)
        try:
            yield part
            with contextlib.suppress(FileNotFoundError):
                if not private:
                    part.chmod(stat.S_IMODE(target.stat().st_mode))
            sync(part)
            part.replace(target)
        except BaseException as error:
            part.unlink(missing_ok=True)
            if isinstance(error, OSError) and error.errno and error.filename in (None, str(part)):
                raise cannot_write(target, error) from None  # the name that the user knows
            raise
        finally:
            os.close(hold)
        sync(target.parent)


def write_bytes(path: str | Path, data: bytes, *, private: bool = False) -> None:
    """Write a file whole or not at all; see `staged_file`."""
    with staged_file(path, private=private) as part:
        part.write_bytes(data)


def write_text(path: str | Path, text: str, *, private: bool = False) -> None:
    """Write UTF-8 text with plain line feeds, whole or not at all; see `staged_file`."""
    write_bytes(path, text.encode("utf-8"), private=private)


@contextmanager
def staged_folder(target: str | Path) -> Iterator[Path]:
    """Collect files in a temporary folder inside ``target``; they move up if the block ends without error.

    A folder that exists already keeps its other files, and those of the same name are replaced, each at once.
    When the block raises, the target is as it was.

    Yields:
        The temporary folder to write into.

    Raises:
        OutputError: ``target``, or a folder above it, is a file; or a folder has the name of a result.
        OSError: nothing may be written there.
    """
    with made_folder(target) as folder, work_folder(folder) as stage:
        yield stage
        move_all(stage, folder)


@contextmanager
def work_folder(folder: Path, finish: Callable[[Path], None] | None = None) -> Iterator[Path]:
    """Return a hidden folder inside ``folder`` for what is under way; it goes when the block ends.

    Args:
        folder: an existing folder.
        finish: called with each such folder that a killed process left there, before that is removed.

    Raises:
        OutputError: nothing can be written in ``folder``.
    """
    sweep(folder)
    for left in _entries(folder) if fcntl is not None else []:
        if _WORK.fullmatch(left.name):
            with _owned(left) as ours:
                if ours:
                    if finish is not None:
                        finish(left)
                    shutil.rmtree(left, ignore_errors=True)
    stage, hold = _new_stage(folder)
    try:
        yield stage
    finally:
        shutil.rmtree(stage, ignore_errors=True)
        if hold is not None:
            os.close(hold)


def move_all(stage: Path, folder: Path, *, last: str | None = None) -> None:
    """Move every file of one folder into another on the same file system, synced; all names are tried first.

    Args:
        stage: where they lie.
        folder: where they go; files of the same name are replaced.
        last: the name of the file that goes last.

    Raises:
        OutputError: a folder has the name of one of them; nothing was moved.
    """
    items = sorted(stage.iterdir(), key=lambda item: (item.name == last, item.name))
    for item in items:
        if (folder / item.name).is_dir() and not item.is_dir():
            raise OutputError(f"{folder / item.name} is a folder, and a result has its name: move it away")
        sync(item)
    with uninterrupted():
        for item in items:
            item.replace(folder / item.name)
        sync(folder)


@contextmanager
def made_folder(folder: str | Path) -> Iterator[Path]:
    """Make a folder and those above it; remove those that are new and empty if the block raises.

    Raises:
        OutputError: there is a file where a folder is needed.
    """
    folder = real_target(folder)
    for place in (folder, *folder.parents):
        if place.exists() and not place.is_dir():
            raise OutputError(f"{place} is a file: results need a folder; name another")
    missing = [place for place in (folder, *folder.parents) if not place.exists()]
    try:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise cannot_write(folder, error) from None
        yield folder
    except BaseException:
        for place in missing:
            with contextlib.suppress(OSError):
                place.rmdir()  # only an empty one goes
        raise


@contextmanager
def exclusive(path: str | Path) -> Iterator[None]:
    """Keep other processes from writing to the same file or folder while the block runs.

    The folder must exist. A killed process leaves nothing locked. Where the file system knows no locks there
    is none.

    Raises:
        OutputError: another process writes there.
    """
    target = real_target(path)
    if is_stream(path):
        yield
        return
    if target.is_dir():
        lock = target / ".apu-lock"
    else:
        lock = target.parent / f".apu-lock-{hashlib.sha256(os.fsencode(target.name)).hexdigest()[:16]}"
    hold = None
    while fcntl is not None:
        try:
            hold = os.open(lock, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
                hold = None  # a file may be open to us in a folder that is not
                break
            raise
        locked = _lock(hold)
        if locked is False:
            owner = os.pread(hold, 32, 0).decode("ascii", "replace").strip()
            os.close(hold)
            raise OutputError(
                f"{path}: another process{f' ({owner})' if owner else ''} is writing there; wait until it "
                "has ended, or name another output"
            )
        if locked is None or _is_still(hold, lock):
            break
        os.close(hold)  # its last owner removed it in between
    try:
        if hold is not None:
            os.ftruncate(hold, 0)
            os.pwrite(hold, str(os.getpid()).encode(), 0)
        yield
    finally:
        if hold is not None:
            lock.unlink(missing_ok=True)
            os.close(hold)


class LineFile:
    """A file of lines that grows while a run goes on; see `growing_lines`.

    Attributes:
        lines: what it held when it was opened, without line ends.
    """

    def __init__(self, stream: BinaryIO, lines: list[bytes]) -> None:
        self.lines = lines
        self._stream = stream

    def write(self, line: str, *, synced: bool = False) -> None:
        """Append one line, given without its end; it is whole in the file when this returns.

        Raises:
            OSError: the line cannot be written; what was written of it is taken off again.
        """
        before = os.fstat(self._stream.fileno()).st_size
        try:
            rest = line.encode("utf-8", "backslashreplace") + b"\n"
            while rest:  # no buffer: what a full disk did not take would come out of it later
                rest = rest[self._stream.write(rest) :]
            if synced:
                os.fsync(self._stream.fileno())
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(self._stream.fileno(), before)
            raise


@contextmanager
def growing_lines(
    path: str | Path, is_ours: Callable[[bytes], bool], what: str, *, begins: bytes
) -> Iterator[LineFile]:
    """Open a file of lines to go on with it; nobody else may at the same time.

    A last line that a killed run left half-written is taken off, and only if the file is known to be ours.

    Args:
        path: the file; a link is followed. It and its folder are made where they are missing.
        is_ours: whether a whole line, without its end, is one of such a file. Empty lines are passed over.
        what: such a file in words: "a file of answers".
        begins: how each line begins; a file that is one half-written line is ours only then.

    Raises:
        OutputError: the file is something else (it is not changed), a folder, or in use.
    """
    target = real_target(path)
    if target.is_dir():
        raise OutputError(f"{path} is a folder, and {what} is a file: name a file in it")
    with _folder_of(target), exclusive(path):
        data = target.read_bytes() if target.is_file() and not is_stream(path) else b""
        whole = data.rfind(b"\n") + 1
        lines = [line for line in data[:whole].split(b"\n") if line.strip()]
        rest = data[whole:]
        for number, line in enumerate(lines, 1):
            if not is_ours(line):
                raise OutputError(
                    f"{path}, line {number}: not {what}: {line[:60]!r}; the file is left alone, name another"
                )
        unended = bool(rest.strip()) and is_ours(rest)
        if unended:
            lines.append(rest)
        elif rest and not lines and not (rest.startswith(begins) or begins.startswith(rest)):
            raise OutputError(f"{path}: not {what}: {rest[:60]!r}; the file is left alone, name another")
        with target.open("ab", buffering=0) as stream:
            if unended:
                stream.write(b"\n")
            elif rest:
                os.ftruncate(stream.fileno(), whole)
            stream.flush()
            yield LineFile(stream, lines)
            with contextlib.suppress(OSError):
                os.fsync(stream.fileno())


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Hold signals that end the program back while a few files change their names; the first comes after.

    Only the main thread can, others are never interrupted.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    waiting: list[int] = []
    numbers = [getattr(signal, name, None) for name in ("SIGINT", "SIGTERM", "SIGHUP")]
    held = {
        number: signal.signal(number, lambda came, _: waiting.append(came))
        for number in numbers
        if number is not None and signal.getsignal(number) is not None
    }
    try:
        yield
    finally:
        for number, handler in held.items():
            signal.signal(number, handler)
        if waiting:
            signal.raise_signal(waiting[0])


def sync(path: str | Path) -> None:
    """Have a file, or the names in a folder, written to disk; a folder that cannot be synced is left."""
    path = Path(path)
    folder = path.is_dir()
    if folder and os.name == "nt":
        return
    handle = os.open(path, os.O_RDONLY if folder or os.name != "nt" else os.O_RDWR)
    try:
        os.fsync(handle)
    except OSError as error:
        if not folder and error.errno not in _UNSUPPORTED:
            raise
    finally:
        os.close(handle)


def sweep(folder: Path) -> None:
    """Remove what killed processes were writing in a folder; looked for once a process and folder."""
    if fcntl is None or folder in _swept:
        return
    _swept.add(folder)
    for item in [item for item in _entries(folder) if _PART.fullmatch(item.name)]:
        with _owned(item) as ours:  # whoever writes it holds its lock
            if ours:
                with contextlib.suppress(OSError):
                    item.unlink()


@contextmanager
def _owned(item: Path) -> Iterator[bool]:
    """Whether nobody is at work on what has a hidden name; its lock is ours while the block runs."""
    try:
        hold = os.open(item, os.O_RDONLY | os.O_NOFOLLOW)
    except OSError:
        yield False
        return
    try:
        yield _lock(hold) is True and _is_still(hold, item)
    finally:
        os.close(hold)


def _entries(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:
        return []


@contextmanager
def _folder_of(target: Path) -> Iterator[None]:
    with made_folder(target.parent):
        yield


def _through_stream(sink: Path) -> Iterator[Path]:
    """Write to a device or a pipe, which cannot be replaced, when all is there."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        part = Path(folder) / f"part{sink.suffix}"
        yield part
        with part.open("rb") as source, sink.open("ab") as stream:
            shutil.copyfileobj(source, stream)


def _new_part(target: Path, mode: int) -> tuple[Path, int]:
    """Return an empty file beside the target, and a handle that holds its lock."""
    while True:
        part = target.with_name(f"{PART_PREFIX}{secrets.token_hex(8)}{target.suffix[:16]}")
        try:
            hold = os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL, mode)
        except OSError as error:
            raise cannot_write(target, error) from None
        if _lock(hold) is not False and _is_still(hold, part):
            return part, hold
        os.close(hold)  # swept up between the two lines


def _new_stage(folder: Path) -> tuple[Path, int | None]:
    """Return an empty folder inside ``folder``, and a handle that holds its lock."""
    while True:
        stage = folder / f"{WORK_PREFIX}{secrets.token_hex(8)}"
        try:
            stage.mkdir()
        except OSError as error:
            raise cannot_write(folder, error) from None
        if fcntl is None:
            return stage, None
        try:
            hold = os.open(stage, os.O_RDONLY)
        except FileNotFoundError:
            continue
        if _lock(hold) is not False and _is_still(hold, stage):
            return stage, hold
        os.close(hold)


def _lock(handle: int) -> bool | None:
    """Lock the file: True if we hold it, False if somebody else does, None where there are no locks."""
    if fcntl is None:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno in _UNSUPPORTED:
            return None
        raise
    return True


def _is_still(handle: int, path: Path) -> bool:
    """Whether a path is still that of an open file."""
    if os.name == "nt":
        return True
    try:
        there = path.stat()
    except FileNotFoundError:
        return False
    ours = os.fstat(handle)
    return (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino)


def _identity(path: str | Path) -> tuple[int, int] | None:
    """Return what tells a file from all others; None if there is none. Devices are nobody's."""
    try:
        found = Path(path).stat()
    except (OSError, ValueError):
        return None
    if not (stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode)):
        return None
    return found.st_dev, found.st_ino
