"""Results appear whole or not at all, where the name leads to, and nothing of anybody else's is lost."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import tempfile
import zipfile
import zlib
from pathlib import Path

import pytest

from apu_contacts import files
from apu_contacts.files import (
    OutputError,
    exclusive,
    growing_lines,
    name_problem,
    refuse_foreign,
    refuse_inputs,
    staged_file,
    staged_folder,
    write_bytes,
    write_text,
)

SHM = Path("/dev/shm")
posix = pytest.mark.skipif(sys.platform == "win32", reason="locks of files are those of POSIX")


@pytest.fixture
def elsewhere(tmp_path):
    """A folder on another file system."""
    if not SHM.is_dir() or SHM.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is no second file system at /dev/shm")
    with tempfile.TemporaryDirectory(dir=SHM) as folder:
        yield Path(folder)


def names(folder: Path) -> list[str]:
    return sorted(item.name for item in folder.iterdir())


def test_a_file_is_old_or_new_and_never_half(tmp_path):
    path = tmp_path / "deep" / "a.txt"
    write_text(path, "old\n")
    with pytest.raises(RuntimeError), staged_file(path) as part:
        part.write_text("half")
        assert path.read_text() == "old\n" and part.suffix == ".txt" and part.parent == path.parent
        raise RuntimeError
    assert path.read_text() == "old\n" and names(path.parent) == ["a.txt"]
    write_text(path, "new\n")
    assert path.read_text() == "new\n" and names(path.parent) == ["a.txt"]


def test_permissions_are_the_users(tmp_path):
    umask = os.umask(0o027)
    try:
        write_text(tmp_path / "new", "")
        write_text(tmp_path / "private", "", private=True)
    finally:
        os.umask(umask)
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o640
    assert stat.S_IMODE((tmp_path / "private").stat().st_mode) == 0o600
    (tmp_path / "new").chmod(0o604)
    write_text(tmp_path / "new", "x")
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o604


def test_links_are_followed_to_another_file_system(tmp_path, elsewhere):
    (tmp_path / "folder").symlink_to(elsewhere)
    with staged_folder(tmp_path / "folder") as stage:
        assert stage.stat().st_dev == elsewhere.stat().st_dev
        (stage / "a").write_text("1")
    (tmp_path / "file").symlink_to(elsewhere / "b")
    write_text(tmp_path / "file", "2")
    assert names(elsewhere) == ["a", "b"] and (tmp_path / "file").is_symlink()


def test_a_mount_point_is_written_into(elsewhere):
    if not os.access(SHM, os.W_OK):
        pytest.skip("/dev/shm cannot be written")
    name = elsewhere.name + ".txt"
    try:
        with staged_folder(SHM) as stage:
            (stage / name).write_text("1")
        assert (SHM / name).read_text() == "1"
    finally:
        (SHM / name).unlink(missing_ok=True)


def test_staged_folder_is_all_or_nothing(tmp_path):
    target = tmp_path / "deep" / "out"
    with pytest.raises(RuntimeError), staged_folder(target) as stage:
        (stage / "half.txt").write_text("half")
        raise RuntimeError
    assert not names(tmp_path)
    for content in ("1", "2"):
        with staged_folder(target) as stage:
            (stage / "whole.txt").write_text(content)
    assert (target / "whole.txt").read_text() == "2" and names(target) == ["whole.txt"]
    (target / "b").mkdir()
    with pytest.raises(OutputError, match="is a folder"), staged_folder(target) as stage:
        (stage / "a").write_text("")
        (stage / "b").write_text("")
    assert names(target) == ["b", "whole.txt"]
    with pytest.raises(OutputError, match="is a file"), staged_folder(target / "whole.txt" / "x"):
        pass


def test_what_cannot_be_a_path_is_said(tmp_path):
    for path, why in (("", "empty"), ("a\0b", "NUL"), ("\ud800", "surrogate")):
        with pytest.raises(OutputError, match=why):
            write_text(path, "")
    with pytest.raises(OutputError, match="is a folder"):
        write_text(tmp_path, "")
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="is a file"):
        write_text(tmp_path / "file" / "a", "")


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("", "empty"),
        ("..", "dots"),
        ("a/b", "separates"),
        ("a\\b", "separates"),
        ("a\0b", "control"),
        ("a\nb", "control"),
        ("\udce4", "surrogate"),
        ("x" * 241, "241 bytes"),
        ("ü" * 121, "242 bytes"),
        (".apu-part-1", "in progress"),
    ],
)
def test_names_that_no_file_can_have(name, why):
    assert why in (name_problem(name) or "")


def test_names_that_files_can_have(tmp_path):
    for name in ("hug", "hug.v2", ".hidden", "ü名", "a b", "x" * 240):
        assert name_problem(name) is None
        write_text(tmp_path / f"{name}.json", name)


def test_an_input_is_never_an_output(tmp_path):
    (tmp_path / "in.json").write_text("{}")
    (tmp_path / "link.json").symlink_to("in.json")
    os.link(tmp_path / "in.json", tmp_path / "hard.json")
    for spelling in ("in.json", "./in.json", "link.json", "hard.json", f"../{tmp_path.name}/in.json"):
        with pytest.raises(OutputError, match="also an input"):
            refuse_inputs([f"{tmp_path}/{spelling}"], [tmp_path / "in.json"])
    refuse_inputs([tmp_path / "new.json", "/dev/null"], [tmp_path / "in.json", "/dev/null", tmp_path / "no"])


def test_somebody_elses_file_is_refused(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("mine")
    for ours in (lambda path: False, lambda path: 1 / 0 if False else int(path.read_text()) > 0):
        with pytest.raises(OutputError, match=r"notes\.txt is there already and is not a list"):
            refuse_foreign(path, ours, "a list")
    refuse_foreign(path, lambda path: False, "a list", overwrite=True)
    refuse_foreign(path, lambda path: path.read_text() == "mine", "a list")
    path.write_text("")
    refuse_foreign(path, lambda path: False, "a list")
    refuse_foreign(tmp_path / "absent", lambda path: False, "a list")
    with pytest.raises(OutputError, match="is a folder"):
        refuse_foreign(tmp_path, lambda path: True, "a list", overwrite=True)


@posix
def test_two_processes_do_not_write_to_one_place(tmp_path):
    program = "import sys; from apu_contacts.files import exclusive\nwith exclusive(sys.argv[1]): pass"
    for target in (tmp_path, tmp_path / "file.jsonl"):
        with exclusive(target):
            done = subprocess.run(
                [sys.executable, "-c", program, str(target)], capture_output=True, text=True
            )
            assert done.returncode and f"another process ({os.getpid()}) is writing" in done.stderr
        done = subprocess.run([sys.executable, "-c", program, str(target)], capture_output=True, text=True)
        assert not done.returncode, done.stderr
    assert not names(tmp_path)


@posix
def test_what_a_killed_process_left_goes_and_what_a_live_one_writes_stays(tmp_path):
    program = (
        "import os, sys, time; from apu_contacts.files import staged_file, staged_folder, exclusive\n"
        "with exclusive(sys.argv[1]), staged_file(sys.argv[1] + '/a.txt') as part,"
        " staged_folder(sys.argv[1]) as stage:\n"
        "    part.write_text('half'); (stage / 'b').write_text('half'); print('ready', flush=True)\n"
        "    time.sleep(600)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE)
    try:
        assert process.stdout.readline() == b"ready\n"
        hidden = names(tmp_path)
        assert len(hidden) == 3 and all(name.startswith(".apu-") for name in hidden)
        mine = tmp_path / ".apu-part-mine"
        mine.write_text("no such name of ours")
        files._swept.clear()
        with staged_folder(tmp_path):
            pass
        assert set(hidden) <= set(names(tmp_path)), "they are at work"
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
    files._swept.clear()
    with exclusive(tmp_path), staged_folder(tmp_path) as stage:
        (stage / "c").write_text("")
    assert names(tmp_path) == [".apu-part-mine", "c"]


@posix
def test_signals_wait_until_all_files_have_their_names(tmp_path):
    (tmp_path / "stage").mkdir()
    reached = []
    with pytest.raises(KeyboardInterrupt), files.uninterrupted():
        os.kill(os.getpid(), signal.SIGINT)
        reached.append("the end")
    assert reached and signal.getsignal(signal.SIGINT) is signal.default_int_handler


def is_answer(line: bytes) -> bool:
    return line.startswith(b'{"id"') and line.endswith(b"}")


def test_lines_are_added_and_a_half_one_is_taken_off(tmp_path):
    path = tmp_path / "answers.jsonl"

    def opened():
        return growing_lines(path, is_answer, "a file of answers", begins=b'{"id"')

    with opened() as grown:
        assert grown.lines == []
        grown.write('{"id": 1}')
        assert path.read_bytes() == b'{"id": 1}\n'
    path.write_bytes(b'{"id": 1}\n\n{"id": 2}\n{"i')
    with opened() as grown:
        assert grown.lines == [b'{"id": 1}', b'{"id": 2}']
        grown.write('{"id": 3}')
    assert path.read_bytes() == b'{"id": 1}\n\n{"id": 2}\n{"id": 3}\n'
    path.write_bytes(b'{"id": 1}')  # whole, and without its end
    with opened() as grown:
        grown.write('{"id": 2}')
    assert path.read_bytes() == b'{"id": 1}\n{"id": 2}\n'


@pytest.mark.parametrize(
    "content", [b"my notes", b"a\nb\n", b'{"id": 1}\nnotes\n', b'{"people": []}', b"\xff\n"]
)
def test_a_file_that_is_no_such_file_is_left_alone(content, tmp_path):
    path = tmp_path / "notes.txt"
    path.write_bytes(content)
    with (
        pytest.raises(OutputError, match="not a file of answers"),
        growing_lines(path, is_answer, "a file of answers", begins=b'{"id"'),
    ):
        pass
    assert path.read_bytes() == content and names(tmp_path) == ["notes.txt"]


def test_a_disk_that_is_full_leaves_the_old_file(tmp_path):
    """RLIMIT_FSIZE stands in for a full disk: a write fails half-way."""
    resource = pytest.importorskip("resource")
    write_bytes(tmp_path / "a.npz", b"old")
    program = (
        "import resource, sys\nfrom apu_contacts.files import write_bytes\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (5000, resource.RLIM_INFINITY))\n"
        "write_bytes(sys.argv[1], bytes(100000))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "a.npz")], capture_output=True, text=True
    )
    assert done.returncode and f"{tmp_path}/a.npz: cannot be written: file too large" in done.stderr
    assert (tmp_path / "a.npz").read_bytes() == b"old" and names(tmp_path) == ["a.npz"]
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 5000


def test_streams_are_written_to(tmp_path, capfd):
    write_text("/dev/null", "gone")
    assert Path("/dev/null").is_char_device()
    write_text("/dev/stdout", "seen")
    assert capfd.readouterr().out == "seen"


@pytest.mark.parametrize(
    "error", [zipfile.BadZipFile("no zip"), EOFError(), zlib.error("bad"), AttributeError()]
)
def test_whatever_a_reader_raises_over_a_file_makes_it_somebody_elses(
    error: Exception, tmp_path: Path
) -> None:
    path = tmp_path / "notes.npz"
    path.write_bytes(b"PK\x03\x04 mine")

    def is_ours(path: Path) -> bool:
        raise error

    with pytest.raises(OutputError, match=r"notes\.npz is there already and is not a result"):
        refuse_foreign(path, is_ours, "a result")
    assert path.read_bytes() == b"PK\x03\x04 mine"
