"""Facts about mask patterns: hand-worked values, exact correlations, measured statistics."""

import math

import pytest
import torch

from lensless.errors import InputError
from lensless.physics.convolution import LenslessConvolution
from lensless.physics.fft import pad_centred
from lensless.physics.patterns.coded import convolution_matrix, mls, mura, mura_decoding, separable, ura
from lensless.physics.patterns.contour import contour
from lensless.physics.patterns.diffuser import diffuser, gaussian_field
from lensless.physics.patterns.lenslets import lens_array, voronoi_lenslets
from lensless.physics.patterns.pinholes import pinholes
from lensless.physics.patterns.placement import scatter_discs
from lensless.physics.patterns.zone import fresnel_zone_aperture
from lensless.physics.propagation import Grid
from lensless.physics.separable import SeparableMask


def cyclic_correlation(a, b):
    """sum_r a(r) b(r + s) for every shift s, by its definition."""
    shifts = [(i, j) for i in range(a.shape[0]) for j in range(a.shape[1])]
    return torch.stack([(a * b.roll((-i, -j), (0, 1))).sum() for i, j in shifts]).reshape(a.shape)


def delta(shape, peak, elsewhere=0.0):
    expected = torch.full(shape, float(elsewhere), dtype=torch.float64)
    expected[0, 0] = peak
    return expected


def test_mura_5_by_hand():
    # residues mod 5 are 1 and 4: c = (., 1, -1, -1, 1)
    expected = [
        [0, 0, 0, 0, 0],
        [1, 1, 0, 0, 1],
        [1, 0, 1, 1, 0],
        [1, 0, 1, 1, 0],
        [1, 1, 0, 0, 1],
    ]
    assert mura(5).tolist() == expected


@pytest.mark.parametrize("p", [3, 5, 7, 11, 13, 17, 19])
def test_mura_decodes_to_a_delta_for_primes_of_both_kinds(p):
    aperture = mura(p)
    assert torch.equal(
        cyclic_correlation(aperture, mura_decoding(p)), delta((p, p), (p**2 - 1) / 2)
    )


@pytest.mark.parametrize("p", [3, 5, 7, 11, 13, 17, 19])
def test_mura_sidelobes_take_two_levels_one_apart_and_are_not_flat(p):
    aperture = mura(p)
    expected = (p**2 - 1) / 4 - aperture
    expected[0, 0] = (p**2 - 1) / 2
    correlation = cyclic_correlation(aperture, aperture)
    assert torch.equal(correlation, expected)
    assert correlation.flatten()[1:].unique().tolist() == [(p**2 - 1) / 4 - 1, (p**2 - 1) / 4]


@pytest.mark.parametrize("p", [3, 5, 11])
def test_ura_autocorrelation_is_flat(p):
    aperture = ura(p)
    cells = p * (p + 2)
    assert torch.equal(
        cyclic_correlation(aperture, aperture), delta((p + 2, p), (cells + 1) / 2, (cells + 1) / 4)
    )


@pytest.mark.parametrize("order", range(2, 13))
def test_mls_autocorrelation_is_n_and_minus_one(order):
    signs = 2 * mls(order).float() - 1
    every_shift = torch.cat([signs, signs[:-1]]).unfold(0, len(signs), 1)
    assert (every_shift @ signs).tolist() == [2**order - 1] + [-1] * (2**order - 2)


def test_separable_aperture_is_a_separable_camera_and_a_convolution():
    rows, columns = mls(3), mls(2)
    left, right = convolution_matrix(rows, 9, 13), convolution_matrix(columns, 6, 10)
    camera = LenslessConvolution(pad_centred(separable(rows, columns), (13, 10))[None], scene_shape=(9, 6))
    scene = torch.rand(1, 1, 9, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    torch.testing.assert_close(SeparableMask(left, right=right)(scene), camera(scene))


def test_convolution_matrix_of_a_kernel_longer_than_the_sensor_by_hand():
    # i - 2 - (j - 4) + 7: sensor pixel i from its centre 2, scene pixel j from 4, kernel from 7
    matrix = convolution_matrix(torch.arange(15.0), 9, 5)
    assert matrix[2, 4] == 7
    assert matrix[0].tolist() == [9, 8, 7, 6, 5, 4, 3, 2, 1]


def test_fresnel_zone_aperture_at_known_radii():
    grid = Grid((9, 13), (1e-4, 1e-4))
    light = fresnel_zone_aperture(grid, radius=4e-4) ** 2
    assert light[4, 6] == 1  # on the axis
    assert light[4, 10] == pytest.approx(0)  # r = r_1: cos(pi)
    assert light[2, 8] == pytest.approx(0.5)  # r^2 = r_1^2 / 2: cos(pi / 2)
    opposite = fresnel_zone_aperture(grid, radius=4e-4, phase=math.pi) ** 2
    torch.testing.assert_close(opposite, 1 - light)


def test_binary_zone_aperture_opens_where_the_grey_one_passes_half_the_light():
    arguments = {"grid": Grid((41, 57), (1e-5, 8e-6)), "radius": 1.3e-4, "phase": 0.3}
    grey = fresnel_zone_aperture(**arguments)
    assert torch.equal(fresnel_zone_aperture(**arguments, binary=True), (grey**2 >= 0.5).double())


def test_zone_aperture_finer_than_the_grid_is_refused():
    with pytest.raises(InputError, match="radius"):
        fresnel_zone_aperture(Grid((101, 201), (1e-5, 1e-5)), radius=1e-4)


def test_pinholes_are_apart_inside_and_have_the_area_of_discs():
    radius, gap = 4e-5, 2e-5
    centres = scatter_discs(12, radius=radius, size=(4e-4, 6e-4), gap=gap, seed=3)
    distances = torch.cdist(centres, centres) + torch.eye(12)
    assert distances.min() >= 2 * radius + gap
    assert (centres.abs() <= torch.tensor([2e-4, 3e-4]) - radius).all()
    t = pinholes(Grid((201, 301), (2e-6, 2e-6)), centres=centres, radius=radius)
    assert float(t.sum()) * 2e-6**2 == pytest.approx(12 * math.pi * radius**2, rel=2e-3)


def test_discs_that_cannot_fit_are_refused():
    with pytest.raises(InputError, match="count"):
        scatter_discs(5, radius=1e-3, size=(3e-3, 5e-3), seed=0)
    with pytest.raises(InputError, match="count"):
        scatter_discs(1, radius=2e-3, size=(3e-3, 5e-3), seed=0)


def test_diffuser_has_the_chosen_correlation_length_and_slope():
    pitch, length, slope = (2e-6, 1.5e-6), 2.4e-5, 0.15
    height = diffuser(Grid((600, 900), pitch), correlation_length=length, slope=slope, seed=1)
    dy, dx = torch.gradient(height, spacing=list(pitch))
    assert float((dy**2 + dx**2).mean().sqrt()) == pytest.approx(slope, rel=0.03)
    variance = float(height.square().mean())
    for lag in (6, 12, 24):
        for axis in (0, 1):
            expected = math.exp(-((lag * pitch[axis] / length) ** 2))
            measured = float((height * height.roll(lag, axis)).mean()) / variance
            assert measured == pytest.approx(expected, abs=0.04)


def test_gaussian_field_is_a_function_of_its_seed():
    arguments = {"grid": Grid((31, 44), (1e-6, 1e-6)), "correlation_length": 5e-6}
    first = gaussian_field(**arguments, seed=7)
    assert torch.equal(first, gaussian_field(**arguments, seed=7))
    assert not torch.equal(first, gaussian_field(**arguments, seed=8))


def test_diffuser_finer_than_the_grid_is_refused():
    with pytest.raises(InputError, match="correlation_length"):
        diffuser(Grid((30, 40), (1e-5, 1e-5)), correlation_length=1.5e-5, slope=0.1, seed=0)


def test_contours_have_the_line_width_and_follow_the_zero_level():
    width = 6e-6
    arguments = {"grid": Grid((300, 410), (1e-6, 1e-6)), "correlation_length": 6e-5, "seed": 5}
    lines = contour(line_width=width, **arguments)
    field = gaussian_field(**arguments)
    # Kac-Rice: length of the zero contour per area is pi / 2 times the crossings per length along x,
    # sqrt(-C''(0)) / pi = sqrt(2) / (pi l), that is 1 / (sqrt(2) l)
    crossings = field[:, 1:].sign() != field[:, :-1].sign()
    assert (lines[:, 1:][crossings] + lines[:, :-1][crossings]).min() > 1.5
    open_share = width / (math.sqrt(2) * arguments["correlation_length"])
    assert float(lines.mean()) == pytest.approx(open_share, rel=0.25)


def test_lens_sag_by_hand():
    # f = 1 mm, n = 1.5: R = 0.5 mm; a = 0.3 mm: 0.5 - 0.4 = 0.1 mm in the middle, 0.48 - 0.4 = 0.08 mm at 0.14 mm
    heights = lens_array(
        Grid((81, 61), (2e-5, 2e-5)),
        centres=torch.tensor([[1e-4, -2e-4]], dtype=torch.float64),
        focal_lengths=torch.tensor([1e-3], dtype=torch.float64),
        radii=torch.tensor([3e-4], dtype=torch.float64),
        index=1.5,
    )
    assert float(heights[45, 20]) == pytest.approx(1e-4, rel=1e-9)  # (0.1, -0.2) mm
    assert float(heights[52, 20]) == pytest.approx(0.8e-4, rel=1e-9)
    assert float(heights[45, 36]) == 0  # r = 0.32 mm: the plate


def test_lens_focuses_at_its_focal_length():
    # the optical path from a flat wave through the lens to the focus is constant to second order in r
    focal_length, index, pitch = 2e-3, 1.46, 1e-6
    heights = lens_array(
        Grid((1, 101), (pitch, pitch)),
        centres=torch.zeros(1, 2, dtype=torch.float64),
        focal_lengths=torch.tensor([focal_length], dtype=torch.float64),
        radii=torch.tensor([6e-5], dtype=torch.float64),
        index=index,
    )[0]
    x = (torch.arange(101, dtype=torch.float64) - 50) * pitch
    path = (index - 1) * heights + torch.hypot(x, torch.tensor(focal_length, dtype=torch.float64))
    assert float(path.max() - path.min()) < 1e-9  # of a wavelength's hundreds of nanometres
    assert float(heights.max()) * (index - 1) > 8e-7  # while the lens alone bends the wave by more than one


def test_a_lens_wider_than_its_sphere_is_refused():
    with pytest.raises(InputError, match="radii"):
        lens_array(
            Grid((20, 30), (1e-5, 1e-5)),
            centres=torch.zeros(1, 2),
            focal_lengths=torch.tensor([2e-4]),
            radii=torch.tensor([1.1e-4]),
            index=1.5,
        )


def test_voronoi_lenslets_are_the_highest_of_equal_spheres():
    generator = torch.Generator().manual_seed(2)
    centres = (torch.rand(9, 2, generator=generator, dtype=torch.float64) - 0.5) * 4e-4
    height = voronoi_lenslets(Grid((43, 57), (1e-5, 1e-5)), centres=centres, focal_length=2e-3, index=1.5)
    y = (torch.arange(43, dtype=torch.float64) - 21)[:, None] * 1e-5
    x = (torch.arange(57, dtype=torch.float64) - 28)[None] * 1e-5
    spheres = torch.stack([(1e-6 - (y - cy) ** 2 - (x - cx) ** 2).sqrt() for cy, cx in centres])
    envelope = spheres.amax(0)
    torch.testing.assert_close(height, envelope - envelope.min(), rtol=0, atol=1e-15)


def test_lens_array_is_differentiable_in_places_and_focal_lengths():
    def heights(centres, focal_lengths, radii):
        grid = Grid((17, 23), (1e-5, 1e-5))
        return 1e5 * lens_array(
            grid, centres=1e-4 * centres, focal_lengths=1e-3 * focal_lengths, radii=1e-5 * radii, index=1.5
        )

    centres = torch.tensor([[0.02, -0.5], [-0.1, 0.61]], dtype=torch.float64, requires_grad=True)
    focal_lengths = torch.tensor([1.0, 1.7], dtype=torch.float64, requires_grad=True)
    radii = torch.tensor([4.3, 5.2], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(heights, (centres, focal_lengths, radii), eps=1e-7, atol=1e-5)


@pytest.mark.parametrize("p", [1, 2, 9, 15, 25])
def test_mura_needs_an_odd_prime(p):
    with pytest.raises(InputError, match="odd prime"):
        mura(p)
