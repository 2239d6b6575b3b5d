"""The bench's optics against the workstation's operator, and against geometry by hand."""

import numpy as np
import pytest
import torch

from lensless.images.gamma import srgb_to_linear
from lensless.physics.convolution import LenslessConvolution
from lensless_capture.cameras.base import Settings
from lensless_capture.cameras.bench import Bench, overlap
from lensless_capture.cameras.psfs import caustic, stored_psfs
from lensless_capture.cameras.virtual import VirtualCamera, mosaic
from lensless_capture.errors import InputError
from lensless_capture.mask import Mask
from lensless_capture.screens.base import black
from lensless_capture.screens.simulated import SimulatedScreen

SIZE = (13, 18)


@pytest.fixture
def psf():
    psf = np.random.default_rng(2).random((3, *SIZE)).astype(np.float32)
    return psf / psf.sum((1, 2)).mean()


def screen(size=SIZE, **arguments):
    """One pixel of the screen for one of the sensor: as wide as high a field, pixels of 1 cm."""
    return SimulatedScreen(size, height=0.01 * size[0], **arguments)


def field(size=SIZE):
    return tuple(0.01 * extent for extent in size)


def delta(label=0, size=SIZE):
    sharp = np.zeros((1, *size), np.float32)
    sharp[0, size[0] // 2, size[1] // 2] = 1
    return sharp


def test_a_point_in_the_middle_of_the_screen_gives_the_psf(psf):
    shown, monitor = black(SIZE), screen()
    shown[SIZE[0] // 2, SIZE[1] // 2] = 255
    monitor.show(shown)
    light = Bench(lambda label: 7 * psf, screen=monitor, white=(1.0, 2.0, 4.0))(0)
    np.testing.assert_allclose(light, psf * np.array([1, 2, 4])[:, None, None], atol=1e-6)


def test_the_light_is_that_of_the_workstations_operator_with_the_whole_field_lit(psf):
    # a screen of 1.4 x 1.3 fields, so that some of it is seen by light from beside the field alone
    size = (19, 23)
    shown = np.random.default_rng(3).integers(0, 256, (*size, 3), dtype=np.uint8)
    monitor = screen(size, brightness=0.5)
    monitor.show(shown)
    light = Bench(lambda label: psf, screen=monitor, field=field(), white=(3.0, 3.0, 3.0), ambient=0.2)(0)

    camera = LenslessConvolution(torch.from_numpy(psf), fft_shape=(26, 36)).whole_field()
    scene = torch.full((1, *camera.scene_shape), 0.2)
    top, left = 26 // 2 - size[0] // 2, 36 // 2 - size[1] // 2
    linear = 0.5 * srgb_to_linear(torch.from_numpy(shown / 255).float().movedim(-1, 0))
    scene[0, :, top : top + size[0], left : left + size[1]] += linear
    np.testing.assert_allclose(light, 3 * camera(scene)[0].numpy(), rtol=1e-4)


def test_screen_pixels_are_shared_out_among_scene_pixels_by_area():
    # 3 intervals of length 2 around the origin, 5 of length 1: the middle ones are centred on each other
    expected = [[0.5, 0.25, 0, 0, 0], [0, 0.25, 0.5, 0.25, 0], [0, 0, 0, 0.25, 0.5]]
    np.testing.assert_allclose(overlap(3, 2.0, 5, 1.0), expected)
    expected = [[1, 0, 0], [0.5, 0.5, 0], [0, 1, 0], [0, 0.5, 0.5], [0, 0, 1]]
    np.testing.assert_allclose(overlap(5, 0.5, 3, 1.0), expected)


def test_a_screen_that_covers_half_the_field_is_seen_in_its_middle():
    monitor = SimulatedScreen((40, 40), height=0.2)
    monitor.show(np.full((40, 40, 3), 255, np.uint8))
    light = Bench(lambda label: delta(0, (20, 20)), screen=monitor, field=(0.4, 0.4), white=(1.0, 1.0, 1.0))(0)[0]
    assert light.sum() == pytest.approx(100, rel=1e-4)  # a quarter of 400 pixels
    assert light[6:14, 6:14].min() == pytest.approx(1, abs=1e-5) and light[:5].max() == pytest.approx(0, abs=1e-5)


def test_grey_levels_are_those_of_a_monitor():
    monitor = screen()
    monitor.show(np.full((*SIZE, 3), 188, np.uint8))  # half the light of white on an sRGB monitor: 187.5
    assert Bench(delta, screen=monitor, white=(1.0, 1.0, 1.0))(0)[1, 6, 9] == pytest.approx(0.503, abs=1e-3)


def test_a_mask_chooses_the_psf_and_nothing_passes_a_closed_one(psf):
    mask, monitor = Mask([{}, {}]), screen()
    monitor.show(np.full((*SIZE, 3), 255, np.uint8))
    bench = Bench([delta(), psf].__getitem__, screen=monitor, mask=mask, ambient=1.0)
    assert bench(0).max() == 0
    lights = []
    for label in (0, 1, 0):
        mask.show(label)
        lights.append(bench(0))
    np.testing.assert_array_equal(lights[0], lights[2])
    assert np.abs(lights[0] - lights[1]).max() > 10
    mask.close()
    assert bench(0).max() == 0


def test_the_mask_moves_and_the_lamp_is_lit_at_their_frames():
    monitor = screen()
    point = black(SIZE)
    point[6, 9] = 255
    monitor.show(point)
    disturbances = {3: "moved", 5: "lamp"}
    bench = Bench(
        delta, screen=monitor, white=(1.0, 1.0, 1.0), move=(2, -3, 0), lamp=0.25, disturbances=disturbances
    )
    places = [np.unravel_index(bench(index)[0].argmax(), SIZE) for index in range(7)]
    assert places == [(6, 9)] * 3 + [(8, 6)] * 4
    assert [float(bench(index)[0, 0, 0]) for index in (2, 4, 5, 6)] == pytest.approx([0, 0, 0.25, 0.25], abs=1e-6)


def test_the_mask_turns_about_the_middle_of_the_sensor():
    spot = np.zeros((1, *SIZE), np.float32)
    spot[0, 6, 13] = 1  # 4 pixels right of the middle
    bench = Bench(lambda label: spot, screen=screen(), move=(0, 0, 90), disturbances={0: "moved"})
    bench.screen.show(np.where(delta()[0, ..., None] > 0, np.uint8(255), np.uint8([0, 0, 0])))
    assert np.unravel_index(bench(0)[0].argmax(), SIZE) == (2, 9)  # 4 above it


def test_pixels_see_the_colour_of_their_filter():
    light = np.stack([np.full((4, 6), colour, float) for colour in (1, 2, 3)])
    np.testing.assert_array_equal(mosaic(light, "GBRG")[:2, :4], [[2, 3, 2, 3], [1, 2, 1, 2]])
    np.testing.assert_array_equal(mosaic(light, None), np.full((4, 6), 2))
    camera = VirtualCamera(lambda index: light, bayer="BGGR", black_level=0, read_noise=0.0, full_well=1e12)
    counts = camera.capture(Settings(0.2)).pixels
    assert counts[:2, :2].tolist() == [[2457, 1638], [1638, 819]]  # 0.6, 0.4, 0.2 of 4095


@pytest.mark.parametrize("size", [(31, 44), (120, 160)])
def test_a_caustic_is_light_within_the_sensor_and_another_for_another_seed(size):
    first, second = caustic(0, size), caustic(1, size)
    assert first.shape == (3, *size) and first.min() == 0
    # 16 rays a pixel of the aperture, half as high and wide as the sensor is high; all of them land
    assert first.sum((1, 2)) == pytest.approx(16 * (size[0] / 2) ** 2, rel=0.15)
    assert np.corrcoef(first[0].ravel(), second[0].ravel())[0, 1] < 0.6
    # a net of bright lines, and red and blue apart from each other
    assert first.max() > 8 * first.mean() and (first[0] != first[2]).any()


def test_what_is_wrong_with_a_bench_is_said(tmp_path):
    with pytest.raises(InputError, match="disturbances: expected moved, lamp, got quake"):
        Bench(delta, disturbances={1: "quake"})
    with pytest.raises(InputError, match="white, ambient, lamp: expected >= 0"):
        Bench(delta, ambient=-1.0)
    with pytest.raises(InputError, match=r"psf: expected \(1 or 3, 13, 18\) for mask 0, got \(2, 13, 18\)"):
        Bench(lambda label: np.ones((2, *SIZE)))(0)
    with pytest.raises(InputError, match="psf: expected light for mask 0"):
        Bench(lambda label: np.zeros((1, *SIZE)))(0)
    with pytest.raises(InputError, match=r"psfs: .*001.npy: no such file; expected the PSF of every mask"):
        stored_psfs(tmp_path)(1)
    np.save(tmp_path / "000.npy", np.zeros((3, *SIZE)))
    with pytest.raises(InputError, match=r"psfs: expected \(h, w\) or .* in .*000.npy, got \(3, 13, 18\)"):
        stored_psfs(tmp_path)(0)
    (tmp_path / "000.npy").write_bytes(b"no array")
    with pytest.raises(InputError, match=r"psfs: .*000.npy cannot be read as NPY"):
        stored_psfs(tmp_path)(0)
    with pytest.raises(InputError, match="height, brightness: expected > 0"):
        SimulatedScreen((3, 4), height=0.0)
