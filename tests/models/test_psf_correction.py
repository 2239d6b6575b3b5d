"""PSF correction: what it keeps, and that it corrects."""

import pytest
import torch
from torch import nn
from torch.nn.functional import interpolate, mse_loss

from lensless.errors import InputError
from lensless.models.drunet import DRUNet
from lensless.models.psf_correction import PSFCorrection
from lensless.physics.convolution import LenslessConvolution
from lensless.recon.wiener import Wiener


def uniform(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def network(residual: bool = False, seed: int = 0) -> DRUNet:
    torch.manual_seed(seed)
    return DRUNet(4, widths=(8, 12), blocks=1, residual=residual)


class Channels(nn.Module):
    """Half of the image, less a tenth of its channels' mean: no pixel sees another."""

    in_channels = out_channels = 3
    multiple = 4

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 0.5 * x - 0.1 * x.mean(1, keepdim=True)


@pytest.mark.parametrize("residual", [False, True])
def test_by_hand(residual: bool):
    psf = uniform(2, 3, 7, 10)
    whole = (psf if residual else 0) + 0.5 * psf - 0.1 * psf.mean(1, keepdim=True)
    expected = whole.clamp(min=0)
    expected = expected * (psf.sum((1, 2, 3)) / expected.sum((1, 2, 3)))[:, None, None, None]
    torch.testing.assert_close(PSFCorrection(Channels(), residual=residual)(psf), expected)


@pytest.mark.parametrize("residual", [False, True])
def test_keeps_light_and_scale_and_is_nowhere_negative(residual: bool):
    psf, correct = uniform(2, 3, 7, 11) ** 4, PSFCorrection(network(seed=1), residual=residual)
    corrected = correct(psf)
    assert corrected.shape == psf.shape
    assert float(corrected.detach().min()) >= 0
    assert not torch.allclose(corrected, psf, atol=1e-3)
    torch.testing.assert_close(corrected.sum((1, 2, 3)), psf.sum((1, 2, 3)))
    torch.testing.assert_close(correct(4 * psf), 4 * corrected, rtol=1e-6, atol=0)
    torch.testing.assert_close(correct(psf[1:]), corrected[1:])


def test_a_network_that_starts_as_the_identity_leaves_the_psf():
    psf = uniform(1, 3, 7, 11)
    torch.testing.assert_close(PSFCorrection(network(residual=True), residual=False)(psf), psf)


def test_learns_to_undo_a_wrong_calibration():
    """Calibrated with a stray background under the PSF: pictures come nearer to the scenes."""
    truth = uniform(1, 3, 17, 23, seed=1) ** 30
    calibrated = truth + 0.05 * truth.amax() * torch.linspace(0, 1, 23)
    x = interpolate(uniform(3, 3, 4, 5), size=(17, 23), mode="bilinear")
    y = LenslessConvolution(truth)(x)
    correct = PSFCorrection(network(residual=True), residual=False)
    optimiser = torch.optim.Adam(correct.parameters(), lr=1e-2)
    losses = []
    for _ in range(25):
        found = Wiener(1e-2)(y, LenslessConvolution(correct(calibrated)))
        scale = (found * x).sum() / found.square().sum()
        loss = mse_loss(scale * found, x)
        optimiser.zero_grad()
        loss.backward()
        assert all(bool(torch.isfinite(parameter.grad).all()) for parameter in correct.parameters())
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.8 * losses[0]


def test_refuses_another_number_of_channels():
    with pytest.raises(InputError, match=r"x: expected \(B, 3, H, W\) for this network, got \(1, 1, 7, 11\)"):
        PSFCorrection(network())(uniform(1, 1, 7, 11))
