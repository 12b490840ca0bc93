"""Weights from paths and addresses: a real server on this machine, hashes, archives, broken connections."""

from __future__ import annotations

import hashlib
import re
import socket
import ssl
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.error import URLError

import pytest

from apu_contacts.detect import WeightsError, fetch_weights, weights
from apu_contacts.detect.weights import weights_folder

GRAPH = bytes(range(256)) * 20000
# the outermost fields of an ONNX file: its version (1), who made it (2), the graph (7: three bytes of length)
CONTENT = (
    b"\x08\x0a\x12\x05tests\x3a"
    + bytes(
        (len(GRAPH) >> shift & 127) | (128 if more else 0)
        for shift, more in ((0, 1), (7, 1), (14, 1), (21, 0))
    )
    + GRAPH
)


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def archive(path: Path, *members: str) -> Path:
    with zipfile.ZipFile(path, "w") as packed:
        for number, member in enumerate(members):
            packed.writestr(member, CONTENT + bytes([32, number]))
        packed.writestr("export/pipeline.json", "{}")
    return path


@pytest.fixture
def server(tmp_path):
    """Serves what is in ``files``; a ``short`` name promises more than it sends."""
    files: dict[str, bytes] = {"/model.onnx": CONTENT, "/short.onnx": CONTENT}
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            content = files.get(self.path)
            if content is None:
                self.send_error(404)
                return
            self.send_response(200)
            if not self.path.startswith("/unsaid"):
                length = len(content) + 100 * self.path.startswith("/short")
                self.send_header("Content-Length", str(length))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *arguments):
            pass

    listening = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=listening.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{listening.server_port}", files, asked
    listening.shutdown()
    listening.server_close()
    thread.join()


def test_a_path_is_taken_as_it_is_and_checked_where_a_hash_is_given(tmp_path):
    file = tmp_path / "model.onnx"
    file.write_bytes(CONTENT)
    assert fetch_weights(file) == file
    assert fetch_weights(f"{file}#sha256={sha256(CONTENT).upper()}") == file
    with pytest.raises(WeightsError, match=f"sha256 is {sha256(CONTENT)}, expected 0{{64}}"):
        fetch_weights(f"{file}#sha256={'0' * 64}")
    with pytest.raises(WeightsError, match="must be 64 hex digits, got 8"):
        fetch_weights(f"{file}#sha256=c2c7a14a")
    with pytest.raises(WeightsError, match="no such file; expected weights"):
        fetch_weights(tmp_path / "other.onnx")


def test_an_address_is_fetched_once(server, tmp_path):
    address, _, asked = server
    told = []
    options = {"folder": tmp_path / "kept", "progress": lambda share, what: told.append((share, what))}
    first = fetch_weights(f"{address}/model.onnx", **options)
    second = fetch_weights(f"{address}/model.onnx#sha256={sha256(CONTENT)}", **options)
    assert first == second and first.read_bytes() == CONTENT and asked == ["/model.onnx"]
    assert told[-1] == (1.0, "fetching model.onnx") and len(told) > 2
    with pytest.raises(WeightsError, match=r"kept from .*expected 0{64}"):
        fetch_weights(f"{address}/model.onnx#sha256={'0' * 64}", **options)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("/short.onnx", "connection ended after|cannot be fetched"),
        ("/gone.onnx", r"cannot be fetched: \S+ answered 404 \(Not Found\).*give its path instead"),
        (f"/model.onnx#sha256={'0' * 64}", "another file, or a damaged one"),
    ],
)
def test_what_fails_leaves_nothing_behind(server, tmp_path, path, message):
    with pytest.raises(WeightsError, match=message):
        fetch_weights(server[0] + path, folder=tmp_path / "kept")
    assert list((tmp_path / "kept").iterdir()) == []


def test_no_server_at_all(tmp_path):
    with pytest.raises(
        WeightsError, match=r"127\.0\.0\.1:9 refused .*where there is a connection, and save it"
    ):
        fetch_weights("http://127.0.0.1:9/model.onnx", folder=tmp_path)


@pytest.mark.parametrize(
    ("cause", "message"),
    [
        (socket.gaierror(-2, "Name or service not known"), "weights.example is unknown to this machine"),
        (ssl.SSLCertVerificationError("self-signed certificate"), "no certificate that this machine trusts"),
        (TimeoutError("timed out"), "did not answer within 60 seconds"),
        (ConnectionResetError(104, "Connection reset by peer"), "refused or closed the connection"),
        (OSError(28, "No space left on device"), "No space left on device"),
    ],
    ids=lambda value: type(value).__name__,
)
@pytest.mark.parametrize("wrapped", [True, False])
def test_a_failure_is_a_sentence_that_says_what_to_do(monkeypatch, tmp_path, cause, message, wrapped):
    """urllib wraps what goes wrong while it connects, and lets through what goes wrong afterwards."""

    def fail(*_, **__):
        raise URLError(cause) if wrapped else cause

    monkeypatch.setattr(weights, "urlopen", fail)
    with pytest.raises(WeightsError, match=message) as caught:
        fetch_weights("https://weights.example/model.onnx", folder=tmp_path)
    said = str(caught.value)
    assert "Errno" not in said and "--pose-weights" in said
    # what is saved where it says is found the next time
    where = Path(re.search(r"save it as (\S+),", said)[1])
    where.write_bytes(CONTENT)
    assert fetch_weights("https://weights.example/model.onnx", folder=tmp_path) == where


def test_the_one_network_of_an_archive_is_unpacked(server, tmp_path):
    address, files, asked = server
    packed = archive(tmp_path / "model.zip", "export/end2end.onnx")
    files["/model.zip"] = packed.read_bytes()
    digest = sha256(packed.read_bytes())
    kept = tmp_path / "kept"
    for _ in range(2):
        found = fetch_weights(f"{address}/model.zip#sha256={digest}", folder=kept)
        assert found.parent == kept and found.suffix == ".onnx" and found.read_bytes() == CONTENT + b" \0"
    assert asked == ["/model.zip"]
    assert fetch_weights(packed, folder=kept) == found  # the same archive by its path
    # two archives hold files of one name
    other = archive(tmp_path / "other.zip", "a/end2end.onnx", "end2end.txt")
    other_found = fetch_weights(other, folder=kept)
    assert other_found != found and other_found.read_bytes() == CONTENT + b" \0"


def test_archives_without_a_clear_answer_are_refused(tmp_path):
    with pytest.raises(WeightsError, match=r"found a.onnx, b.onnx; unpack it"):
        fetch_weights(archive(tmp_path / "two.zip", "a.onnx", "b.onnx"), folder=tmp_path)
    with pytest.raises(WeightsError, match=r"expected one .onnx in it, found none"):
        fetch_weights(archive(tmp_path / "none.zip"), folder=tmp_path)
    (tmp_path / "broken.zip").write_bytes(b"PK no archive")
    with pytest.raises(WeightsError, match=r"broken\.zip: "):
        fetch_weights(tmp_path / "broken.zip", folder=tmp_path)


PAGE = b"<!DOCTYPE html><html><body>Please log in to use this network</body></html>"


@pytest.mark.parametrize("name", ["model.onnx", "model.zip"])
@pytest.mark.parametrize("content", [PAGE, b"", b'{"error": "quota"}', CONTENT[:-1], GRAPH[:5000]])
def test_what_is_no_network_is_not_kept(server, tmp_path, name, content):
    """The login page of a network, an error that is sent with status 200, half a file."""
    address, files, asked = server
    kept = tmp_path / "kept"
    files[f"/{name}"] = content
    with pytest.raises(WeightsError, match=r"what came is no .* starts with .*Nothing was kept.*login page"):
        fetch_weights(f"{address}/{name}", folder=kept)
    assert list(kept.iterdir()) == []
    # once the server gives the file, it is taken
    files[f"/{name}"] = CONTENT if name.endswith("onnx") else archive(tmp_path / name, "a.onnx").read_bytes()
    assert fetch_weights(f"{address}/{name}", folder=kept).read_bytes().startswith(CONTENT)
    assert len(asked) == 2


def test_a_page_that_was_kept_before_is_fetched_anew(server, tmp_path):
    address, _, asked = server
    file = fetch_weights(f"{address}/model.onnx", folder=tmp_path)
    file.write_bytes(PAGE)
    assert fetch_weights(f"{address}/model.onnx", folder=tmp_path).read_bytes() == CONTENT
    assert len(asked) == 2


@pytest.mark.parametrize("name", ["model.onnx", "unsaid.onnx"])
def test_no_server_fills_the_disk(server, tmp_path, monkeypatch, name):
    """Whether it says how much is to come or not."""
    address, files, _ = server
    files["/unsaid.onnx"] = CONTENT
    monkeypatch.setattr(weights, "MOST_BYTES", 3 << 20)
    with pytest.raises(WeightsError, match="a network has at most 3"):
        fetch_weights(f"{address}/{name}", folder=tmp_path / "kept")
    assert list((tmp_path / "kept").iterdir()) == []
    with pytest.raises(WeightsError, match=r"a\.onnx: more than .* at most 3"):
        fetch_weights(archive(tmp_path / "bomb.zip", "a.onnx"), folder=tmp_path / "kept")


def test_where_weights_are_kept(monkeypatch, tmp_path):
    monkeypatch.setenv("APU_WEIGHTS", str(tmp_path))
    assert weights_folder() == tmp_path
    monkeypatch.delenv("APU_WEIGHTS")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert weights_folder() == tmp_path / "apu-losses" / "weights"
