"""The names on the first screen exist, and importing them stays light."""

from __future__ import annotations

import subprocess
import sys

import pytest

import apu_contacts
import apu_losses

FIRST_SCREEN = {
    apu_contacts: [
        "parse_answer",
        "denoise_chirality",
        "ContactMap",
        "PartContact",
        "RegionMap",
        "Keypoints2D",
    ],
    apu_losses: ["SoftContactLoss", "load_body", "SceneFitter", "Scene", "Preset", "soft_contact"],
}


@pytest.mark.parametrize("package", [apu_contacts, apu_losses], ids=lambda p: p.__name__)
def test_every_exported_name_resolves(package):
    assert set(FIRST_SCREEN[package]) <= set(package.__all__)
    for name in package.__all__:
        assert getattr(package, name) is not None
    assert set(package.__all__) <= set(dir(package))
    with pytest.raises(AttributeError, match="no attribute 'nothing_of_this_name'"):
        package.nothing_of_this_name  # noqa: B018


def loaded_by(statement: str) -> set[str]:
    """Top-level modules that a fresh interpreter holds after a statement."""
    code = f"import sys; {statement}; print(*sorted({{name.partition('.')[0] for name in sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_the_contacts_package_never_loads_torch():
    names = "import apu_contacts; [getattr(apu_contacts, name) for name in apu_contacts.__all__]"
    assert "torch" not in loaded_by(names)


def test_imports_bring_no_heavy_library():
    assert not {"scipy", "jsonschema", "PIL", "torch"} & loaded_by("import apu_contacts")
    assert not {"torch", "numba", "scipy", "smplx", "trimesh"} & loaded_by("import apu_losses")
