"""Facts about the numbers that masks are compared by."""

import math

import pytest
import torch

from lensless.errors import InputError
from lensless.physics.mask_report import autocorrelation, condition, effective_rank, mtf, peak_to_sidelobe
from lensless.physics.patterns.coded import ura


def point(shape):
    psf = torch.zeros(shape)
    psf[shape[0] // 2, shape[1] // 2] = 0.3
    return psf


def random_psf(shape=(6, 8)):
    return torch.rand(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def cyclic_matrix(psf):
    columns = [psf.roll((i, j), (0, 1)).flatten() for i in range(psf.shape[0]) for j in range(psf.shape[1])]
    return torch.stack(columns, 1)


def test_autocorrelation_by_its_definition():
    psf = random_psf((3, 4))
    correlation = autocorrelation(psf)
    assert correlation.shape == (5, 7)
    energy = (psf * psf).sum()
    assert float(correlation[2, 3]) == pytest.approx(1)
    torch.testing.assert_close(correlation[3, 5], (psf[:-1, :-2] * psf[1:, 2:]).sum() / energy)
    torch.testing.assert_close(correlation, correlation.flip(0, 1))


def test_two_points_have_a_sidelobe_of_one_half():
    psf = torch.zeros(9, 15)
    psf[2, 3] = psf[5, 7] = 1
    assert peak_to_sidelobe(psf) == pytest.approx(2)


def test_a_point_and_a_bell_have_no_sidelobes():
    y, x = torch.meshgrid(torch.arange(-16.0, 17), torch.arange(-20.0, 21), indexing="ij")
    assert peak_to_sidelobe(point((9, 11))) == math.inf
    assert peak_to_sidelobe(torch.exp(-(y**2 + x**2) / 8)) > 1e9


def test_a_point_is_a_perfect_camera():
    psf = point((12, 18))
    assert effective_rank(psf) == pytest.approx(1)
    assert condition(psf) == pytest.approx(1)
    _, transfer = mtf(psf, (2e-6, 2e-6))
    torch.testing.assert_close(transfer, torch.ones_like(transfer))


def test_an_even_blur_has_rank_one():
    assert effective_rank(torch.ones(6, 8, dtype=torch.float64)) == pytest.approx(1 / 48, rel=1e-6)


def test_rank_and_condition_are_those_of_the_cyclic_matrix():
    psf = random_psf()
    values = torch.linalg.svdvals(cyclic_matrix(psf))
    share = values / values.sum()
    assert effective_rank(psf) == pytest.approx(float(torch.exp(-(share * share.log()).sum())) / 48)
    assert condition(psf) == pytest.approx(float(values[0] / values[-1]))


def test_mtf_of_a_gaussian_is_a_gaussian():
    pitch, sigma = 2e-6, 6e-6
    y, x = torch.meshgrid(torch.arange(-32.0, 32), torch.arange(-40.0, 40), indexing="ij")
    psf = torch.exp(-(y**2 + x**2).double() * pitch**2 / (2 * sigma**2))
    frequency, transfer = mtf(psf, (pitch, pitch))
    assert float(frequency[1]) == pytest.approx(1 / (64 * pitch), rel=0.1)
    assert float(frequency[-1]) == pytest.approx(0.5 / pitch, rel=0.02)
    expected = torch.exp(-2 * (math.pi * sigma * frequency) ** 2)
    torch.testing.assert_close(transfer, expected, atol=0.01, rtol=0)


def test_a_uniformly_redundant_array_is_as_well_conditioned_as_its_peak_says():
    # flat sidelobes: |P(f)|^2 = (v + 1) / 4 at every f but 0, where P = (v + 1) / 2; v = 11 * 13
    psf = torch.cat([ura(11), torch.zeros(13, 1, dtype=torch.float64)], 1)  # an even width; no longer a URA
    assert condition(psf) > math.sqrt(144)
    spectrum = torch.linalg.svdvals(cyclic_matrix(ura(11)))
    assert float(spectrum[0] / spectrum[-1]) == pytest.approx(72 / 6)


@pytest.mark.parametrize("measure", [autocorrelation, peak_to_sidelobe, effective_rank, condition])
def test_an_empty_psf_is_refused(measure):
    with pytest.raises(InputError, match="psf"):
        measure(torch.zeros(5, 7))
