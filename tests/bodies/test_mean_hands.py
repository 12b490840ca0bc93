"""Hands relative to the mean hand or not, as angles or PCA coefficients: the smplx package's hands."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from apu_losses.bodies import flat_hand_pose, hand_parameter, load_body

SIDES = ("left", "right")


@pytest.fixture
def theirs(smplx_create):
    """The package's body with either convention."""

    def create(flat, pca=None):
        return smplx_create(
            flat_hand_mean=flat, use_pca=pca is not None, num_pca_comps=pca or 45, dtype=torch.float64
        )

    return create


def some_hands(seed=0):
    return {
        f"{side}_hand_pose": np.random.default_rng(seed + k).normal(0, 0.3, 45)
        for k, side in enumerate(SIDES)
    }


@pytest.mark.parametrize("flat", [False, True])
@pytest.mark.parametrize("load_flat", [False, True])
def test_a_hand_is_the_same_whatever_it_is_relative_to(theirs, model_file, flat, load_flat):
    """What smplx makes of the values under one convention, our body makes of the converted ones."""
    hands = some_hands()
    expected = theirs(flat)(**{k: torch.tensor(v[None]) for k, v in hands.items()}).vertices
    body = load_body(model_file, flat_hand_mean=load_flat, dtype=torch.float64)
    spaces = {"left_hand_pose": body.data.left_hand, "right_hand_pose": body.data.right_hand}
    own = {name: hand_parameter(spaces[name], value, flat) for name, value in hands.items()}
    found = body.pose({name: torch.tensor(value[None]) for name, value in own.items()}).vertices()
    torch.testing.assert_close(found, expected.detach(), atol=1e-6, rtol=0)
    if flat == load_flat:
        assert all(np.allclose(own[name], hands[name]) for name in hands)
    else:
        assert np.abs(own["left_hand_pose"] - hands["left_hand_pose"]).max() > 0.05


def test_pca_coefficients_are_those_of_the_nearest_hand(theirs, model_file):
    body = load_body(model_file, num_pca_comps=6, dtype=torch.float64)
    space = body.data.left_hand
    coefficients = np.random.default_rng(3).normal(0, 0.5, 6)
    pose = flat_hand_pose(space, coefficients)
    np.testing.assert_allclose(hand_parameter(space, pose, True), coefficients, atol=1e-9)
    np.testing.assert_allclose(hand_parameter(space, pose - space.model_mean, False), coefficients, atol=1e-9)
    # the package, with its own six coefficients, against ours
    value = torch.tensor(coefficients[None])
    expected = theirs(False, 6)(left_hand_pose=value).vertices.detach()
    torch.testing.assert_close(body.pose({"left_hand_pose": value}).vertices(), expected, atol=1e-6, rtol=0)
    # off the six directions, the rest is lost, and nothing else
    away = pose + np.linalg.svd(space.components)[2][-1] * 0.4
    np.testing.assert_allclose(hand_parameter(space, away, True), coefficients, atol=1e-9)


def test_there_and_back(model_file):
    for flat in (False, True):
        body = load_body(model_file, flat_hand_mean=flat)
        for pose in some_hands(5).values():
            back = flat_hand_pose(body.data.right_hand, hand_parameter(body.data.right_hand, pose, True))
            np.testing.assert_allclose(back, pose, atol=1e-12)


def test_a_body_that_does_not_know_its_mean_hand_says_so(theirs):
    body = load_body(theirs(True))
    with pytest.raises(ValueError, match=r"which this body was made without.*flat_hand_mean=False"):
        hand_parameter(body.data.left_hand, np.zeros(45), False)
    assert (hand_parameter(body.data.left_hand, np.ones(45), True) == 1).all()
    with pytest.raises(ValueError, match=r"shape \(45,\), got \(6,\)"):
        hand_parameter(body.data.left_hand, np.zeros(6), True)
