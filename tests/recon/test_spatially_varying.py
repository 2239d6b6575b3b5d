"""Spatially varying deconvolution: its blend, Wiener before training, better than Wiener after it."""

import numpy as np
import pytest
import torch
from torch.nn.functional import interpolate, mse_loss

from lensless.errors import InputError
from lensless.physics.convolution import LenslessConvolution
from lensless.physics.multi_psf import MultiPSF, bilinear_weights
from lensless.recon.spatially_varying import SpatiallyVaryingDeconvolution, inverse_distance_weights
from lensless.recon.wiener import Wiener


def uniform(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_weights_by_hand():
    """At a centre, with another one 2 pixels away: 1 against 1 / sqrt(5); half way between: equal."""
    weights = inverse_distance_weights((1, 3), rows=[0], columns=[0, 2])
    one = 1 / (1 + 5**-0.5)
    expected = torch.tensor([[[one, 0.5, 1 - one]], [[1 - one, 0.5, one]]], dtype=torch.float64)
    torch.testing.assert_close(weights, expected)


def test_weights_are_shares_largest_at_their_centres():
    weights = inverse_distance_weights((9, 15), rows=[1, 7], columns=[2, 7, 12])
    torch.testing.assert_close(weights.sum(0), torch.ones(9, 15, dtype=torch.float64))
    assert float(weights.min()) > 0
    assert [divmod(int(i), 15) for i in weights.flatten(1).argmax(1)] == [(r, c) for r in (1, 7) for c in (2, 7, 12)]


@pytest.mark.parametrize("regions", [1, 3])
@pytest.mark.parametrize("scene_shape", [(9, 14), (7, 17)])
def test_is_wiener_before_training(regions: int, scene_shape: tuple[int, int]):
    camera, y = LenslessConvolution(uniform(2, 2, 9, 14), scene_shape=scene_shape), uniform(2, 2, 9, 14, seed=1)
    inversion = SpatiallyVaryingDeconvolution((2, 9, 14), regions=regions, k=0.02).double()
    torch.testing.assert_close(inversion(y, camera), Wiener(0.02)(y, camera), rtol=0, atol=1e-12)


def test_blends_the_deconvolutions_with_the_psfs_that_were_learned():
    psf, y, size = uniform(1, 7, 10), uniform(1, 1, 7, 10, seed=1), (7, 10)
    inversion = SpatiallyVaryingDeconvolution((1, *size), regions=2, k=0.05).double()
    learned = uniform(4, 1, *size, seed=2)
    inversion.differences.data = (learned - psf) / psf.square().mean().sqrt()
    # the DC is the largest value of a spectrum of something that is nowhere negative
    alone = [Wiener(0.05 * float((psf.sum() / p.sum()) ** 2))(y, LenslessConvolution(p)) for p in learned]
    weights = inverse_distance_weights(size, rows=[1.25, 4.75], columns=[2.0, 7.0])
    expected = sum(w * x for w, x in zip(weights, alone, strict=True))
    torch.testing.assert_close(inversion(y, LenslessConvolution(psf)), expected, rtol=0, atol=1e-10)


def test_learns_psfs_that_vary_over_the_field():
    """Measured with two PSFs, calibrated with one of them: after training nearer to unseen scenes than any Wiener."""
    generator = torch.Generator().manual_seed(0)
    size = (21, 33)
    psfs = torch.rand(2, 1, *size, generator=generator) ** 30
    psfs /= psfs.sum((-2, -1), keepdim=True)
    truth = MultiPSF(psfs, weights=bilinear_weights(size, rows=[10], columns=[8, 24]).float())
    calibrated = LenslessConvolution(psfs[0])
    x = interpolate(torch.rand(24, 1, 6, 8, generator=generator), size=size, mode="bilinear")
    y = truth(x)
    inversion = SpatiallyVaryingDeconvolution((1, *size), regions=2)
    optimiser = torch.optim.Adam(inversion.parameters(), lr=3e-2)
    for _ in range(40):
        loss = mse_loss(inversion(y[:16], calibrated), x[:16])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    with torch.no_grad():
        unseen = mse_loss(inversion(y[16:], calibrated), x[16:])
    wiener = min(float(mse_loss(Wiener(k)(y[16:], calibrated), x[16:])) for k in np.logspace(-4, 0, 9))
    assert float(unseen) < 0.6 * wiener


def test_refuses_other_sensors_and_no_regions():
    inversion = SpatiallyVaryingDeconvolution((2, 9, 14)).double()
    with pytest.raises(InputError, match=r"made for a sensor \(2, 9, 14\), the camera has \(2, 9, 13\)"):
        inversion(uniform(1, 2, 9, 13), LenslessConvolution(uniform(2, 9, 13)))
    with pytest.raises(InputError, match="regions: expected at least 1, got 0"):
        SpatiallyVaryingDeconvolution((2, 9, 14), regions=0)
