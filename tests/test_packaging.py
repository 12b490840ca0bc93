"""What is shipped and what it promises: wheel, versions, imports, layers, the README's code."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import zipfile
from importlib import metadata
from pathlib import Path

import pytest

import apu_contacts
import apu_losses

ROOT = Path(__file__).resolve().parents[1]

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

DATA = (
    "apu_contacts/regions/data/free.npz",
    "apu_contacts/regions/data/regions.json",
    "apu_contacts/py.typed",
    "apu_contacts/__init__.pyi",
    "apu_contacts/answers/__init__.pyi",
    "apu_contacts/asking/__init__.pyi",
    "apu_losses/__init__.pyi",
    "apu_losses/functional/__init__.pyi",
    "apu_losses/bodies/data/free_body.npz",
    "apu_losses/app/demo/side_hug.json",
    "apu_losses/fitting/scene/scene_schema.json",
    "apu_losses/fitting/start/data/pose_proposal.npz",
    "apu_losses/synthetic/data/truth_scenes.npz",
    "apu_losses/py.typed",
)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel as pip builds it; skipped where the build backend is not there and cannot be fetched."""
    folder = tmp_path_factory.mktemp("wheel")
    built = run("-m", "pip", "wheel", "--no-deps", "--wheel-dir", str(folder), str(ROOT))
    if built.returncode:
        pytest.skip(f"pip could not build a wheel here: {built.stderr.strip().splitlines()[-1]}")
    (path,) = folder.glob("*.whl")
    return path


def run(*arguments: str, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # type: ignore[call-overload, no-any-return]
        [sys.executable, *arguments], capture_output=True, text=True, check=False, **options
    )


def project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def test_the_wheel_holds_the_data(wheel):
    with zipfile.ZipFile(wheel) as archive:
        sizes = {info.filename: info.file_size for info in archive.infolist()}
    assert not set(DATA) - set(sizes)
    assert sizes["apu_losses/bodies/data/free_body.npz"] <= 3e6
    assert not [name for name in sizes if name.startswith(("tests/", "docs/", "tools/"))]


def test_every_data_file_of_the_checkout_is_in_the_wheel(wheel):
    with zipfile.ZipFile(wheel) as archive:
        shipped = set(archive.namelist())
    tracked = subprocess.run(
        ["git", "ls-files", "apu_contacts", "apu_losses"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if tracked.returncode:
        pytest.skip("not a git checkout: there is no list of files to compare with")
    missing = [name for name in tracked.stdout.split() if name not in shipped and (ROOT / name).exists()]
    assert not missing


def test_the_wheel_carries_licence_and_notice(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        about = archive.read(next(n for n in names if n.endswith(".dist-info/METADATA"))).decode()
    assert {"LICENSE", "NOTICE"} <= {Path(name).name for name in names if ".dist-info/licenses/" in name}
    assert "License-Expression: Apache-2.0" in about
    assert "Requires-Python: >=3.10" in about


def test_the_packages_under_test_are_those_that_were_installed():
    """Where a wheel was installed, no test may have the checkout's packages in their place."""
    try:
        origin = json.loads(metadata.distribution("apu-losses").read_text("direct_url.json") or "{}")
    except metadata.PackageNotFoundError:
        pytest.skip("the packages are on the path, and not installed")
    if origin.get("dir_info", {}).get("editable"):
        pytest.skip("an editable install is the checkout")
    for package in (apu_contacts, apu_losses):
        assert Path(package.__file__).resolve().parent != ROOT / package.__name__


def test_notice_names_every_data_file():
    notice = (ROOT / "NOTICE").read_text(encoding="utf-8")
    ours = {"regions.json", "calibration.json", "scene_schema.json", "record_schema.json", "free.safetensors"}
    data = [p for name in ("apu_contacts", "apu_losses") for p in (ROOT / name).rglob("*") if p.is_file()]
    kinds = {".npz", ".json", ".png", ".jpg", ".safetensors"}
    missing = [p.name for p in data if p.suffix in kinds and p.name not in ours and p.name not in notice]
    assert not missing


def test_the_command_is_installed(wheel):
    with zipfile.ZipFile(wheel) as archive:
        entry = next(n for n in archive.namelist() if n.endswith("entry_points.txt"))
        assert "apu = apu_losses.app.cli:main" in archive.read(entry).decode()


def test_constraints_pin_every_dependency_on_every_python():
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [Requirement(line) for line in lines if line and not line.startswith("#")]
    assert all(re.fullmatch(r"==[^*,]+", str(pin.specifier)) for pin in pins)
    table = project()["project"]
    wanted = [Requirement(line) for line in table["dependencies"]]
    for extra in table["optional-dependencies"].values():
        wanted += [r for r in map(Requirement, extra) if r.name != "apu-losses"]
    for python in ("3.10", "3.11", "3.12", "3.13"):
        chosen = {
            canonicalize_name(pin.name): str(pin.specifier).removeprefix("==")
            for pin in pins
            if pin.marker is None or pin.marker.evaluate({"python_version": python})
        }
        assert chosen["torch"] == "2.13.0"
        for requirement in wanted:
            if requirement.marker and not requirement.marker.evaluate({"python_version": python}):
                continue
            version = chosen.get(canonicalize_name(requirement.name))
            assert version is not None, f"{requirement.name} is not pinned for Python {python}"
            assert version in requirement.specifier, (
                f"the pin of {requirement.name} does not satisfy pyproject"
            )


def added_by(package: str, to: str) -> set[str]:
    """Modules that importing a package adds to those that are there after another import."""
    code = f"import sys, {to}; before = set(sys.modules); import {package}; print(*set(sys.modules) - before)"
    done = run("-c", code, cwd=ROOT)
    assert not done.returncode, done.stderr
    return set(done.stdout.split())


@pytest.mark.parametrize(("package", "to"), [("apu_contacts", "sys"), ("apu_losses", "torch")])
def test_an_import_loads_little(package, to):
    """A module takes about 1 ms to import, a library such as SciPy a good part of a second."""
    added = added_by(package, to)
    assert package in added and len(added) < 150
    assert not {"torch", "numba", "scipy", "trimesh", "PIL", "jsonschema", "triton"} & added


def test_layers_hold():
    pytest.importorskip("importlinter", reason="import-linter is an extra: pip install '.[dev]'")
    done = run("-c", "from importlinter.cli import lint_imports_command as c; c()", "--no-cache", cwd=ROOT)
    assert not done.returncode, done.stdout


def test_the_readme_has_the_lines_that_the_checks_run():
    """`.ci/run` takes them from the page as printed, so that what a newcomer types is what passes."""
    wanted = re.findall(
        r"as_printed '(.+)'$", (ROOT / ".ci" / "run").read_text(encoding="utf-8"), re.MULTILINE
    )
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    assert len(wanted) == 2
    assert all(any(re.search(pattern, line) for line in lines) for pattern in wanted), wanted
