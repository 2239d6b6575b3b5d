"""Scores of reconstructions against the single metrics, and the reprojection error by hand."""

import pytest
import torch

from lensless.errors import InputError
from lensless.evaluation.lpips import LPIPS
from lensless.evaluation.metrics import scores
from lensless.evaluation.scoring import Scorer, perceptual, reprojection
from lensless.images.gamma import linear_to_srgb
from lensless.physics.convolution import LenslessConvolution


@pytest.fixture
def pair():
    generator = torch.Generator().manual_seed(5)
    scenes = torch.rand(3, 3, 35, 42, generator=generator)
    return scenes, 0.6 * scenes + 0.1 + 0.05 * torch.randn(scenes.shape, generator=generator)


def test_scores_are_those_of_the_single_metrics(pair):
    scenes, estimates = pair
    for found, estimate, scene in zip(Scorer(scenes, lpips={})(estimates), estimates, scenes, strict=True):
        expected = scores(estimate, scene)
        assert found["strict/psnr"] == pytest.approx(expected["psnr"])
        assert found["strict/ssim"] == pytest.approx(expected["ssim"])
        assert found["affine/psnr"] == pytest.approx(expected["psnr_affine"], abs=1e-4)
        assert found["affine/ssim"] == pytest.approx(expected["ssim_affine"], abs=1e-5)
        assert found["strict/mse"] == pytest.approx(10 ** (-expected["psnr"] / 10))


def test_an_affine_fit_forgives_brightness(pair):
    scenes, _ = pair
    for found in Scorer(scenes, lpips={})(0.5 * scenes + 0.2):
        assert found["affine/mse"] < 1e-10
        assert found["strict/mse"] > 1e-3


def test_perceptual_distances_are_of_display_pictures(pair):
    scenes, estimates = pair
    network = LPIPS("alex")
    found = Scorer(scenes, lpips={"alex": network})(estimates)
    expected = network(linear_to_srgb(estimates.clamp(0, 1)), linear_to_srgb(scenes))
    torch.testing.assert_close(torch.tensor([score["strict/lpips_alex"] for score in found]), expected)


def test_reprojection_by_hand():
    """A delta for a PSF measures the scene itself; half of it misses half of the measurement."""
    psf = torch.zeros(1, 1, 5, 7)
    psf[..., 2, 3] = 1
    physics = LenslessConvolution(psf)
    y = torch.rand(2, 1, 5, 7, generator=torch.Generator().manual_seed(0))
    assert reprojection(0.5 * y, y, physics) == pytest.approx([0.5, 0.5], abs=1e-5)
    assert reprojection(y, y, physics) == pytest.approx([0, 0], abs=1e-5)


def test_wrong_input_is_refused(pair):
    scenes, estimates = pair
    with pytest.raises(InputError, match=r"estimates: expected \(3, 3, 35, 42\) like the scenes, got \(2, 3, 35, 42\)"):
        Scorer(scenes, lpips={})(estimates[:2])
    with pytest.raises(InputError, match="estimate: expected finite values, got 1 NaN"):
        bad = estimates.clone()
        bad[1, 0, 3, 4] = torch.nan
        Scorer(scenes, lpips={})(bad)
    with pytest.raises(InputError, match="lpips: 'alexx' is not known; did you mean alex"):
        perceptual(["alexx"])
