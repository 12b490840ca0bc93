"""Where bodies are looked for, and that loads share nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from apu_losses.bodies import find_body_file, load_body


def test_a_path_a_folder_and_the_search_folders_lead_to_the_same_file(
    folder: Path, model_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("APU_BODY_MODELS", f"{tmp_path / 'none'}:{folder}")
    for given in (model_file, str(model_file), folder, folder / "smplx", "SMPLX_NEUTRAL.npz", "smplx"):
        assert find_body_file(given).resolve() == model_file.resolve(), given
    assert load_body("SMPLX_FEMALE.npz").name == "SMPLX_FEMALE"


def test_a_missing_file_says_where_it_was_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("APU_BODY_MODELS", raising=False)
    with pytest.raises(FileNotFoundError, match=r"looked at SMPLX_MALE\.npz; APU_BODY_MODELS is not set"):
        load_body("SMPLX_MALE.npz")
    monkeypatch.setenv("APU_BODY_MODELS", str(tmp_path / "models"))
    with pytest.raises(FileNotFoundError) as caught:
        load_body("SMPLX_MALE.npz")
    for place in ("models/SMPLX_MALE.npz", "models/smplx/SMPLX_MALE.npz"):
        assert str(tmp_path / place) in str(caught.value)


def test_what_is_no_body_is_refused() -> None:
    with pytest.raises(TypeError, match="got Linear"):
        load_body(torch.nn.Linear(1, 1))
    with pytest.raises(ValueError, match="kid_template must be None for the free body"):
        load_body("free", kid_template="kid.npy")


def test_the_free_body_loads_in_both_types_and_shares_nothing() -> None:
    first, second = load_body(), load_body("free", dtype=torch.float64)
    assert first.name == "free" and first.dtype == torch.float32 and second.dtype == torch.float64
    assert {"betas", "age", "body_pose", "left_hand_pose"} <= first.parameter_specs.keys()
    assert "expression" not in first.parameter_specs
    first.faces.zero_()
    assert second.faces.any()
    height = second.stature({"age": torch.tensor([[0.0], [1.0]], dtype=torch.float64)})
    assert 1.5 < height[0] < 1.9 and 0.45 < height[1] < 0.9
