"""What a file is whose ending says something else, by its first bytes."""

from __future__ import annotations

_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"PK\x03\x04", "a zip: an .npz, or what torch.save writes (call it .pt)"),
    (b"\x1f\x8b", "compressed by gzip: unpack it first"),
    (b"BZh", "compressed by bzip2: unpack it first"),
    (b"\xfd7zXZ", "compressed by xz: unpack it first"),
    (b"\x28\xb5\x2f\xfd", "compressed by zstd: unpack it first"),
    (b"\x93NUMPY", "a single array of NumPy: call it .npy"),
    (b"\x89PNG", "a picture (PNG)"),
    (b"\xff\xd8\xff", "a picture (JPEG)"),
    (b"\x89HDF", "HDF5"),
    (b"%PDF", "a PDF"),
    (b"version https://git-lfs", "a pointer of Git LFS: fetch the file itself with `git lfs pull`"),
    (b"<!DOCTYPE", "a web page: was a link saved instead of the file?"),
    (b"<!doctype", "a web page: was a link saved instead of the file?"),
    (b"<html", "a web page: was a link saved instead of the file?"),
)
_ZLIB = (b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda")


def looks_like(data: bytes) -> str:
    """Return what the first bytes of a file say that it is, in words; empty where they say nothing."""
    if not data:
        return "an empty file"
    if data[:2] in _ZLIB:
        return "compressed by zlib, as joblib does"
    return next((words for magic, words in _MAGIC if data.startswith(magic)), "")
