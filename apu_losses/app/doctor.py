"""What is installed, which kernels would run and why, which body and region map are found."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import Literal

State = Literal["ok", "absent", "problem"]

CORE = ("torch", "numpy", "scipy", "numba", "jsonschema", "roma", "trimesh", "pillow", "rich", "typer")
OPTIONAL: tuple[tuple[str, str, str], ...] = (
    ("smplx", "smplx", "pip install 'apu-losses[smplx]': objects of the smplx package as bodies"),
    ("openai", "openai", "pip install 'apu-losses[lvlm]': asking a vision language model"),
    ("rtmlib", "rtmlib", "pip install 'apu-losses[pose]': detecting keypoints in pictures"),
    ("triton", "triton", "comes with torch's CUDA builds on Linux: kernels on the GPU"),
    ("pytorch3d", "pytorch3d", "built from source: comparisons only, nothing needs it"),
)
"""Module, distribution, and how to get it and what for."""


@dataclass(frozen=True)
class Finding:
    """One line of the examination.

    Attributes:
        topic: what it belongs to, such as ``"versions"``.
        name: what was looked at.
        state: ``"ok"``; ``"absent"`` for something optional that is not there; ``"problem"`` for something
            without which a part of the library does not work.
        detail: what was found, or what to do.
    """

    topic: str
    name: str
    state: State
    detail: str


def examine() -> list[Finding]:
    """Look at everything. A check that fails is a finding; it does not stop the others."""
    checks: tuple[tuple[str, Callable[[], Iterator[Finding]]], ...] = (
        ("system", _system),
        ("packages", _packages),
        ("accelerator", _accelerator),
        ("kernels", _kernels),
        ("body", _bodies),
        ("regions", _regions),
        ("optional", _optional),
    )
    findings: list[Finding] = []
    for topic, check in checks:
        try:
            findings += check()
        except Exception as error:
            findings.append(Finding(topic, topic, "problem", f"{type(error).__name__}: {error}"))
    return findings


def _system() -> Iterator[Finding]:
    from apu_contacts import __version__

    yield Finding("system", "apu-losses", "ok", __version__)
    yield Finding("system", "Python", "ok", f"{platform.python_version()} ({sys.executable})")
    yield Finding("system", "machine", "ok", f"{platform.platform()}, {os.cpu_count()} cores")


TRIED = {"torch": (2, 13)}
"""The oldest versions that the tests were run with, where `pyproject.toml` admits older ones."""


def _version_and_whether_tried(name: str) -> str:
    found = version(name)
    numbers = tuple(int(number) for number in found.split("+")[0].split(".")[:2] if number.isdigit())
    oldest = TRIED.get(name, ())
    if numbers >= oldest:
        return found
    return f"{found}, older than {'.'.join(map(str, oldest))}, the oldest that the tests were run with"


def _packages() -> Iterator[Finding]:
    for name in CORE:
        try:
            yield Finding("packages", name, "ok", _version_and_whether_tried(name))
        except PackageNotFoundError:
            yield Finding("packages", name, "problem", f"not installed: pip install {name}")


def _accelerator() -> Iterator[Finding]:
    import torch

    if torch.cuda.is_available():
        for i in range(torch.cuda.device_count()):
            free, total = torch.cuda.mem_get_info(i)
            detail = f"{torch.cuda.get_device_name(i)}, {free / 2**30:.0f} of {total / 2**30:.0f} GiB free"
            yield Finding("accelerator", f"cuda:{i}", "ok", detail)
    else:
        built = torch.version.cuda or torch.version.hip
        why = (
            f"torch is built for {built}, but sees no device"
            if built
            else "this torch is built for the CPU only"
        )
        yield Finding("accelerator", "GPU", "absent", why)
    yield Finding("accelerator", "CPU threads", "ok", f"torch computes with {torch.get_num_threads()}")


def _kernels() -> Iterator[Finding]:
    from apu_losses import geometry

    for backend in geometry.describe():
        chosen = f"; 'auto' runs it for {' and '.join(backend.auto_for)}" if backend.auto_for else ""
        # nothing needs the others; without compiled code a fit takes a hundred times as long
        missing: State = "problem" if backend.name == "cpu" else "absent"
        state = "ok" if backend.available else missing
        yield Finding("kernels", backend.name, state, backend.reason + chosen)
        if backend.name == "cpu" and backend.available:
            yield _disk_cache()


def _disk_cache() -> Finding:
    from apu_losses.numerics.disk_cache import cache_folder

    folder = cache_folder()
    if folder is not None:
        return Finding("kernels", "disk cache", "ok", str(folder))
    detail = "no folder can be written to: every process compiles anew; set NUMBA_CACHE_DIR to one"
    return Finding("kernels", "disk cache", "absent", detail)


def _bodies() -> Iterator[Finding]:
    from apu_losses.bodies import find_body_file, load_body
    from apu_losses.bodies.load import SEARCH_VARIABLE

    body = load_body()
    stature = float(body.stature({}).mean())
    posed = body.pose({}).vertices()  # as every fit does: what is broken shows here
    detail = f"{body.num_vertices} vertices, {len(body.joint_names)} joints, {stature:.2f} m tall at rest"
    plausible = 0.4 < stature < 2.5 and bool(posed.isfinite().all())
    yield Finding("body", "free", "ok" if plausible else "problem", detail)
    try:
        yield Finding("body", "SMPL-X", "ok", str(find_body_file("SMPLX_NEUTRAL.npz")))
    except FileNotFoundError:
        folders = os.environ.get(SEARCH_VARIABLE)
        where = f"not in {folders}" if folders else f"set {SEARCH_VARIABLE} to the folder of your SMPLX_*.npz"
        yield Finding("body", "SMPL-X", "absent", f"{where}; nothing needs it")


def _regions() -> Iterator[Finding]:
    from apu_contacts.regions import RegionMap
    from apu_losses.bodies import load_body

    regions = RegionMap.load("free")
    expected = load_body().num_vertices
    empty = int((regions.sizes == 0).sum())
    detail = f"{len(regions.sizes)} regions over {regions.vertex_count} vertices, {regions.provenance}"
    if regions.vertex_count != expected:
        yield Finding(
            "regions", "free", "problem", f"{detail}; but the free body has {expected}: reinstall apu-losses"
        )
    elif empty:
        yield Finding("regions", "free", "problem", f"{detail}; {empty} regions are empty")
    else:
        yield Finding("regions", "free", "ok", detail)


def _optional() -> Iterator[Finding]:
    for module, distribution, hint in OPTIONAL:
        if find_spec(module) is None:
            yield Finding("optional", module, "absent", hint)
            continue
        try:
            yield Finding("optional", module, "ok", version(distribution))
        except PackageNotFoundError:
            yield Finding("optional", module, "ok", "importable, version unknown")
