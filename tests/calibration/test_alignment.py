"""Where lensed pictures lie in reconstructions: the geometry by hand, and found again from pairs."""

import math
from pathlib import Path

import cv2
import numpy as np
import pytest
import skimage.data
import torch

from lensless.calibration.alignment import Alignment, aligned_region, mirror
from lensless.calibration.registration import register
from lensless.errors import InputError
from lensless.images.decode import decode
from lensless.physics.convolution import LenslessConvolution
from lensless.recon.admm import ADMM

REAL = Path(__file__).parents[3] / "shared" / "data" / "diffusercam_mirflickr"


def geometry(flip, scale, degrees, shift, size):
    """Mirror the scene, scale and turn it about its first pixel, shift that by (x, y)."""
    c, s = scale * math.cos(math.radians(degrees)), scale * math.sin(math.radians(degrees))
    return np.array([[c, -s, shift[0]], [s, c, shift[1]], [0, 0, 1]]) @ mirror(flip, size)


def scenes(size, count=6):
    """Parts of photographs."""
    random = np.random.default_rng(0)
    found = []
    for index in range(count):
        photo = (skimage.data.astronaut, skimage.data.chelsea, skimage.data.coffee)[index % 3]()
        top, left = (random.integers(0, whole - part) for whole, part in zip(photo.shape, (280, 380), strict=False))
        part = photo[top : top + 280, left : left + 380].astype(np.float32) / 255
        found.append(torch.from_numpy(cv2.resize(part, size[::-1], interpolation=cv2.INTER_AREA)).movedim(-1, 0))
    return found


def estimate(scene, matrix, shape, random):
    """What a reconstruction makes of a scene: blurred, dimmer, with noise and slow shading."""
    seen = cv2.warpPerspective(scene.movedim(0, -1).numpy(), matrix, shape[::-1], flags=cv2.INTER_AREA)
    seen = 0.3 * cv2.GaussianBlur(seen, (0, 0), 1.0) + 0.02 * random.standard_normal(seen.shape)
    shade = cv2.GaussianBlur(random.standard_normal(seen.shape), (0, 0), 15)
    return torch.from_numpy((seen + 0.05 * shade / shade.std()).astype(np.float32)).movedim(-1, 0)


def corner_error(alignment, matrix):
    height, width = alignment.size
    corners = np.array([[[0, 0], [width - 1, 0], [0, height - 1], [width - 1, height - 1]]], np.float64)
    places = [cv2.perspectiveTransform(corners, np.array(one)) for one in (alignment.matrix, matrix)]
    return float(np.linalg.norm(places[0] - places[1], axis=-1).max())


def test_a_region_is_a_crop():
    x = torch.rand(2, 3, 9, 11)
    alignment = Alignment.region((2, 3), (4, 5))
    assert torch.equal(aligned_region(x, alignment), x[..., 2:6, 3:8])
    assert alignment.to_card() == {"top_left": [2, 3], "size": [4, 5]}
    assert Alignment.from_card(alignment.to_card()) == alignment


def test_interpolation_at_whole_pixels_is_the_crop_too():
    x = torch.rand(1, 2, 9, 11, dtype=torch.float64)
    nearly = Alignment(((1, 0, 3.00001), (0, 1, 2), (0, 0, 1)), (4, 5))
    assert nearly.top_left is None
    torch.testing.assert_close(aligned_region(x, nearly), x[..., 2:6, 3:8], atol=2e-5, rtol=0)


def test_half_a_pixel_is_the_mean_of_two():
    x = torch.rand(1, 1, 5, 7)
    shifted = aligned_region(x, Alignment(((1, 0, 0.5), (0, 1, 1), (0, 0, 1)), (3, 4)))
    torch.testing.assert_close(shifted, (x[..., 1:4, 0:4] + x[..., 1:4, 1:5]) / 2)


def test_a_region_agrees_with_opencv():
    x = torch.rand(1, 1, 40, 50)
    matrix = geometry("horizontal", 1.3, 8, (9, 3), (20, 24))
    ours = aligned_region(x, Alignment(tuple(map(tuple, matrix)), (20, 24)))[0, 0]
    theirs = cv2.warpPerspective(x[0, 0].numpy(), matrix, (24, 20), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
    # OpenCV rounds places to 1/32 of a pixel
    assert float((ours - torch.from_numpy(theirs)).abs().max()) < 0.05


def test_beyond_the_reconstruction_it_is_black_and_gradients_flow():
    x = torch.ones(1, 1, 4, 6, requires_grad=True)
    seen = aligned_region(x, Alignment.region((-1, 4), (3, 4)))
    expected = torch.tensor([[0.0, 0, 0, 0], [1, 1, 0, 0], [1, 1, 0, 0]])
    torch.testing.assert_close(seen[0, 0], expected, atol=1e-6, rtol=0)
    seen.sum().backward()
    assert float(x.grad.sum()) == pytest.approx(4, abs=1e-5)


@pytest.mark.parametrize("flip", ["none", "vertical", "horizontal", "both"])
@pytest.mark.parametrize("degrees", [-7.0, 0.0, 3.0])
def test_parts_of_a_geometry_are_told_apart(flip, degrees):
    alignment = Alignment(tuple(map(tuple, geometry(flip, 0.7, degrees, (5, 6), (30, 40)))), (30, 40))
    assert alignment.flip == flip
    assert alignment.scale == pytest.approx(0.7)
    assert math.degrees(alignment.rotation) == pytest.approx(degrees, abs=1e-9)


def test_mirroring_both_keeps_the_correspondence():
    x = torch.rand(1, 1, 12, 14)
    alignment = Alignment(tuple(map(tuple, geometry("none", 0.9, 4, (3, 2), (7, 9)))), (7, 9))
    for axes, dims in (("vertical", (-2,)), ("horizontal", (-1,)), ("both", (-2, -1))):
        mirrored = aligned_region(x.flip(dims), alignment.flipped(axes, (12, 14)))
        torch.testing.assert_close(mirrored, aligned_region(x, alignment).flip(dims), atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("flip", "scale", "degrees", "shift", "size", "shape"),
    [
        ("vertical", 0.66, 1.5, (40, 35), (150, 201), (140, 191)),
        ("both", 0.5, -4.0, (20, 25), (181, 240), (130, 161)),
        ("none", 0.9, 0.3, (-9, -6), (120, 160), (100, 131)),
    ],
)
def test_a_known_geometry_is_found_from_pairs(flip, scale, degrees, shift, size, shape):
    random = np.random.default_rng(1)
    matrix = geometry(flip, scale, degrees, shift, size)
    pictures = scenes(size)
    found = register([estimate(scene, matrix, shape, random) for scene in pictures], pictures)
    assert found.alignment.flip == flip
    assert found.alignment.scale == pytest.approx(scale, rel=0.01)
    assert math.degrees(found.alignment.rotation) == pytest.approx(degrees, abs=0.4)
    assert corner_error(found.alignment, matrix) < 1.0
    assert np.median(found.correlations) > 0.5


def test_a_screen_at_an_angle_needs_a_homography():
    random = np.random.default_rng(1)
    matrix = geometry("none", 0.7, 1.0, (12, 10), (150, 201))
    matrix[2, :2] = [3e-4, -4e-4]
    pictures = scenes((150, 201))
    estimates = [estimate(scene, matrix, (140, 181), random) for scene in pictures]
    found = [register(estimates, pictures, model=model) for model in ("similarity", "homography")]
    similar, exact = (corner_error(one.alignment, matrix) for one in found)
    assert exact < 1.5 < 3 < similar


def test_pictures_that_do_not_match_are_refused():
    random = np.random.default_rng(1)
    pictures = scenes((100, 133), count=6)
    matrix = geometry("none", 0.8, 0, (9, 9), (100, 133))
    estimates = [estimate(scene, matrix, (101, 131), random) for scene in pictures]
    with pytest.raises(InputError, match=r"scenes: they correlate with the reconstructions by .* are they paired"):
        register(estimates[:3], [torch.rand(3, 100, 133) for _ in range(3)])
    with pytest.raises(InputError, match="scenes: expected one for each of 2 estimates, got 3"):
        register(estimates[:2], pictures[:3])
    with pytest.raises(InputError, match="model: expected similarity or homography"):
        register(estimates, pictures, model="affine")
    with pytest.raises(InputError, match="scenes: expected one size"):
        register(estimates[:2], [pictures[0], pictures[1][:, :-1]])


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"top_left": [1, 2]}, "alignment: expected size with either top_left or matrix, got top_left"),
        ({"size": [3, 4]}, "alignment: expected size with either"),
        ({"size": [3, 4], "matrix": [[1, 0, 0], [2, 0, 0], [0, 0, 1]]}, "matrix: expected finite numbers and an inv"),
        ({"size": [3, 0], "top_left": [0, 0]}, r"size: expected \(H, W\) > 0"),
        ({"size": [3, 4], "matrix": [[1, 0], [0, 1]]}, "matrix: expected 3 x 3 numbers"),
    ],
)
def test_a_wrong_entry_of_a_card_is_refused(entry, message):
    with pytest.raises(InputError, match=message):
        Alignment.from_card(entry)


@pytest.mark.skipif(not REAL.is_dir(), reason="needs ../shared/data/diffusercam_mirflickr")
def test_real_pairs_that_are_registered_already_are_found_to_be():
    def read(path):
        return torch.from_numpy(decode(path, None).values.copy()).mean(-1)[None]

    names = ("im65.npy", "im189.npy", "im326.npy")
    psf = torch.from_numpy(np.load(REAL / "psf_recovered.npy"))[None, None]
    y = torch.stack([read(REAL / "lensless" / name) for name in names])
    estimates = ADMM(20)(y, LenslessConvolution(psf))
    found = register(list(estimates), [read(REAL / "lensed" / name) for name in names])
    assert found.alignment.flip == "none" and found.used == 3
    # the PSF is a recovered one: a few pixels are its own shift
    assert corner_error(found.alignment, np.eye(3)) < 6
    assert min(found.correlations) > 0.5
