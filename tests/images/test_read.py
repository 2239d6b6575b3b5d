"""From files to linear light: every value is count / full scale, and every wrong file says what to do."""

import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from lensless.errors import InputError
from lensless.images.gamma import srgb_to_linear
from lensless.images.read import list_images, read_image
from lensless.physics.cfa import bayer_mask

DATA = Path(__file__).parents[3] / "shared" / "data"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason=f"real data not found in {DATA}")

COUNTS = {"uint8": 255, "uint16": 65535}
sides = st.tuples(st.integers(1, 9), st.integers(1, 9))


@st.composite
def pictures(draw, channels=(None, 3)):
    """uint8 or uint16, (H, W) or (H, W, C)."""
    count = draw(st.sampled_from(channels))
    shape = draw(sides) + (() if count is None else (count,))
    return draw(hnp.arrays(draw(st.sampled_from(["uint8", "uint16"])), shape))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("files")


def save(path, array):
    """An RGB or gray array in the format of the suffix, by the format's own library."""
    if path.suffix in (".tif", ".tiff"):
        tifffile.imwrite(path, array, photometric="rgb" if array.ndim == 3 else "minisblack")
    elif path.suffix == ".npy":
        np.save(path, array)
    elif path.suffix == ".npz":
        np.savez_compressed(path, image=array)
    else:
        ok, data = cv2.imencode(path.suffix, array if array.ndim == 2 else array[..., ::-1])
        assert ok
        path.write_bytes(data)
    return path


def expected(array):
    """Channels first, counts over full scale in double precision, rounded once."""
    array = array[..., None] if array.ndim == 2 else array
    light = array.astype(np.float64) / COUNTS[array.dtype.name]
    return torch.from_numpy(np.moveaxis(light, -1, -3).astype(np.float32))


@pytest.mark.parametrize("suffix", [".png", ".tif", ".npy", ".npz"])
def test_a_value_is_its_count_over_full_scale_exactly(folder, suffix):
    @settings(max_examples=60, deadline=None)
    @given(pictures())
    def check(array):
        assert torch.equal(read_image(save(folder / f"a{suffix}", array)), expected(array))

    check()


@settings(max_examples=60, deadline=None)
@given(
    array=hnp.arrays(
        st.sampled_from(["<f4", ">f4", "<f2", "<f8"]),
        hnp.array_shapes(min_dims=4, max_dims=4, max_side=5),
        elements=st.floats(-100, 100, width=16),
    )
)
def test_floats_are_taken_as_they_are(folder, array):
    image = read_image(save(folder / "f.npy", array))
    assert image.dtype == torch.float32 and image.is_contiguous()
    assert np.array_equal(image.numpy(), np.moveaxis(array, -1, 1))


@settings(max_examples=60, deadline=None)
@given(
    bits=st.integers(1, 16),
    data=st.data(),
    black=st.floats(0, 1, exclude_max=True, width=16),
)
def test_bits_and_black_level(folder, bits, data, black):
    full = 2**bits - 1
    array = data.draw(hnp.arrays("uint16", sides, elements=st.integers(0, full)))
    level = black * full
    image = read_image(save(folder / "b.npy", array), bits=bits, black_level=level)
    np.testing.assert_allclose(image[0].double(), (array - level) / (full - level), rtol=2e-7, atol=1e-6 / (1 - black))


def test_depth_is_never_guessed_from_the_content(tmp_path):
    file = save(tmp_path / "dim.png", np.full((3, 4), 4095, np.uint16))
    assert float(read_image(file).max()) == pytest.approx(4095 / 65535)
    assert float(read_image(file, bits=12).max()) == 1
    with pytest.raises(InputError, match=r"dim.png: expected at most 1023, the full scale of bits=10, got 4095"):
        read_image(file, bits=10)


def test_values_below_the_black_level_stay_negative(tmp_path):
    file = save(tmp_path / "dark.png", np.array([[60, 64, 1023]], np.uint16))
    image = read_image(file, bits=10, black_level=64)
    np.testing.assert_allclose(image[0, 0], [-4 / 959, 0, 1], rtol=1e-6)


def test_alpha_is_dropped(tmp_path):
    rgba = np.random.default_rng(0).integers(0, 256, (5, 7, 4), dtype=np.uint8)
    cv2.imwrite(str(tmp_path / "a.png"), rgba[..., [2, 1, 0, 3]])
    tifffile.imwrite(tmp_path / "a.tif", rgba, photometric="rgb", extrasamples=["unassalpha"])
    for name in ("a.png", "a.tif"):
        assert torch.equal(read_image(tmp_path / name), expected(rgba[..., :3]))
    tifffile.imwrite(tmp_path / "g.tif", rgba[..., :2], photometric="minisblack", extrasamples=["unassalpha"])
    assert torch.equal(read_image(tmp_path / "g.tif"), expected(rgba[..., 0]))


def test_a_flat_jpeg_is_srgb_unless_told_otherwise(tmp_path):
    file = save(tmp_path / "flat.jpg", np.full((16, 24), 188, np.uint8))
    linear = read_image(file, encoding="linear")
    assert torch.equal(linear, torch.full((1, 16, 24), 188) / 255)
    assert torch.equal(read_image(file), srgb_to_linear(linear))
    assert torch.equal(read_image(save(tmp_path / "flat.png", np.full((16, 24), 188, np.uint8))), linear)


def test_colours_of_jpeg_and_webp_are_rgb(tmp_path):
    red = np.zeros((32, 48, 3), np.uint8)
    red[..., 0] = 255
    for suffix in (".jpg", ".webp"):
        means = read_image(save(tmp_path / f"red{suffix}", red)).mean((1, 2))
        assert means[0] > 0.9 and means[1:].max() < 0.02


def test_bgr_arrays_are_reversed_and_gray_is_left_alone(tmp_path):
    array = np.random.default_rng(1).random((5, 7, 3), dtype=np.float32)
    colour = read_image(save(tmp_path / "c.npy", array), channel_order="bgr")
    assert np.array_equal(colour.numpy(), array[..., ::-1].transpose(2, 0, 1))
    gray = read_image(save(tmp_path / "g.npy", array[..., 0]), channel_order="bgr")
    assert np.array_equal(gray.numpy()[0], array[..., 0])


def test_axes_of_arrays(tmp_path):
    array = np.random.default_rng(2).random((5, 6, 7), dtype=np.float32)
    file = save(tmp_path / "v.npy", array)
    with pytest.raises(InputError, match=r"v.npy: the shape \(5, 6, 7\) does not say .* axes=DHW for a stack"):
        read_image(file)
    assert np.array_equal(read_image(file, axes="DHW").numpy(), array[:, None])
    assert np.array_equal(read_image(file, axes="CHW").numpy(), array)
    assert np.array_equal(read_image(file, axes="WHC").numpy(), array.transpose(2, 1, 0))
    for axes, message in (("DHH", "at most one D"), ("DCW", "expected H and W"), ("HW", "one letter an axis")):
        with pytest.raises(InputError, match=message):
            read_image(file, axes=axes)


def test_pages_of_a_tiff_are_a_stack(tmp_path):
    pages = np.random.default_rng(3).integers(0, 65536, (4, 5, 7), dtype=np.uint16)
    colour = np.random.default_rng(4).integers(0, 256, (2, 5, 7, 3), dtype=np.uint8)
    with tifffile.TiffWriter(tmp_path / "appended.tif") as file:
        for page in pages:
            file.write(page)
    tifffile.imwrite(tmp_path / "shaped.tif", pages, photometric="minisblack", compression="lzw")
    tifffile.imwrite(tmp_path / "imagej.tif", pages, imagej=True)
    cv2.imwritemulti(str(tmp_path / "opencv.tif"), list(pages))
    for name in ("appended.tif", "shaped.tif", "imagej.tif", "opencv.tif"):
        assert torch.equal(read_image(tmp_path / name), expected(pages[..., None])), name
    tifffile.imwrite(tmp_path / "colour.tif", colour, photometric="rgb")
    assert torch.equal(read_image(tmp_path / "colour.tif"), expected(colour))
    tifffile.imwrite(tmp_path / "one.tif", pages[:1], photometric="minisblack")
    assert torch.equal(read_image(tmp_path / "one.tif"), expected(pages[0]))


def test_four_planes_that_tifffile_labels_as_colour_are_all_kept(tmp_path):
    planes = np.random.default_rng(5).integers(0, 65536, (4, 5, 7), dtype=np.uint16)
    tifffile.imwrite(tmp_path / "p.tif", planes, photometric="rgb", planarconfig="separate")
    assert torch.equal(read_image(tmp_path / "p.tif", axes="DHW"), expected(planes[..., None]))


def test_float_tiff(tmp_path):
    array = np.random.default_rng(6).random((5, 7), dtype=np.float32)
    tifffile.imwrite(tmp_path / "f.tif", array)
    assert np.array_equal(read_image(tmp_path / "f.tif").numpy()[0], array)


@pytest.mark.parametrize("suffix", [".png", ".npy", ".tif"])
@pytest.mark.parametrize("pattern", ["RGGB", "GBRG"])
def test_a_raw_frame_becomes_linear_rgb(tmp_path, suffix, pattern):
    colour = np.array([1000, 2000, 3000])
    counts = (bayer_mask((6, 9), pattern).numpy() * colour[:, None, None]).sum(0).astype(np.uint16)
    image = read_image(save(tmp_path / f"raw{suffix}", counts), bayer=pattern, bits=12, black_level=256)
    scene = torch.from_numpy((colour - 256) / (4095 - 256)).float()[:, None, None].expand(3, 6, 9)
    torch.testing.assert_close(image, scene, rtol=1e-6, atol=0)


def write_dng(path, mosaic):
    """The smallest DNG that a raw converter accepts: 12 bits, BGGR, black level 256."""
    tags = [
        (33421, "H", 2, (2, 2), True),  # CFARepeatPatternDim
        (33422, "B", 4, bytes([2, 1, 1, 0]), True),  # CFAPattern
        (50706, "B", 4, bytes([1, 4, 0, 0]), True),  # DNGVersion
        (50708, "s", 0, "Test camera", True),  # UniqueCameraModel
        (50714, "H", 1, 256, True),  # BlackLevel
        (50717, "H", 1, 4095, True),  # WhiteLevel
        (50721, "2i", 9, (1, 1, *(0, 1) * 3) * 2 + (1, 1), True),  # ColorMatrix1
    ]
    tifffile.imwrite(path, mosaic, photometric="cfa", extratags=tags, metadata=None)
    return path


def test_dng_states_its_scale_and_pattern(tmp_path):
    pytest.importorskip("rawpy", reason="rawpy (extra raw) is not installed")
    counts = np.random.default_rng(7).integers(200, 4096, (64, 96)).astype(np.uint16)
    counts[10, 20] = 5000  # above the white level: saturated
    file = write_dng(tmp_path / "shot.dng", counts)
    same = save(tmp_path / "same.png", np.minimum(counts, 4095))
    reference = read_image(same, bits=12, black_level=256, bayer="BGGR")
    torch.testing.assert_close(read_image(file), reference, rtol=1e-6, atol=1e-7)
    with pytest.raises(InputError, match=r"shot.dng: a DNG states bits, bayer and black_level itself"):
        read_image(file, bits=12)


def test_dng_without_rawpy_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "rawpy", None)
    file = write_dng(tmp_path / "shot.dng", np.zeros((64, 96), np.uint16))
    with pytest.raises(InputError, match=r"shot.dng: reading DNG needs rawpy; pip install 'lensless-torch\[raw\]'"):
        read_image(file)


def test_an_array_of_an_npz_is_chosen_by_key(tmp_path):
    a, b = np.zeros((3, 4), np.float32), np.ones((5, 6), np.float32)
    np.savez(tmp_path / "two.npz", a=a, b=b)
    assert read_image(tmp_path / "two.npz", key="b").shape == (1, 5, 6)
    with pytest.raises(InputError, match=r"two.npz: expected one array, got a, b; state which by key=NAME"):
        read_image(tmp_path / "two.npz")
    with pytest.raises(InputError, match=r"key: expected one of a, b in .*two.npz, got 'c'"):
        read_image(tmp_path / "two.npz", key="c")
    with pytest.raises(InputError, match=r"key: names an array of an NPZ file, got 'a' for .*a.npy"):
        read_image(save(tmp_path / "a.npy", a), key="a")


@pytest.mark.parametrize(
    ("array", "options", "message"),
    [
        (np.zeros((3, 4), np.int32), {}, r"expected uint8, uint16 or floating point, got int32; convert"),
        (np.zeros((3, 4), bool), {}, "got bool"),
        (np.zeros((3, 4), np.complex64), {}, "got complex64"),
        (np.zeros((3, 4), "U3"), {}, "got <U3"),
        (np.array([[1.0, np.nan], [np.inf, 0]]), {}, "expected finite float32 values, got 2 NaN or infinite"),
        (np.array([[1e300]]), {}, "got 1 NaN or infinite"),
        (np.zeros((0, 4)), {}, r"expected at least one pixel, got the shape \(0, 4\)"),
        (np.zeros(4), {}, r"the shape \(4,\) does not say which axis is which"),
        (np.zeros((2, 2, 2, 2, 2)), {}, "does not say which axis is which"),
        (np.zeros((3, 4)), {"bits": 12}, "bits and black_level are for integer pixels, this file holds float64"),
        (np.zeros((3, 4)), {"black_level": 5}, "subtract a background instead"),
        (np.zeros((3, 4), np.uint8), {"bits": 12}, "bits: expected an integer from 1 to 8 for the uint8"),
        (np.zeros((3, 4), np.uint8), {"bits": 0}, "bits: expected an integer from 1 to 8"),
        (np.zeros((3, 4), np.uint8), {"black_level": 255}, "black_level: expected 0 up to 255 counts, got 255"),
        (np.zeros((3, 4), np.uint8), {"black_level": -1}, "got -1"),
        (np.zeros((3, 4), np.uint8), {"bits": "ten"}, "bits: expected an integer .* got ten"),
        (np.zeros((3, 4), np.uint8), {"black_level": "low"}, "black_level: expected 0 up to 255 counts, got low"),
        (np.zeros((3, 4)), {"axes": 2}, "axes: expected H and W .* got 2"),
        (np.zeros((3, 4, 3)), {"bayer": "RGGB"}, r"the Bayer mosaic RGGB needs 1 channel\(s\), got 3"),
        (np.zeros((3, 4, 4)), {"channel_order": "bgr"}, r"channel_order=bgr needs 3 channel\(s\), got 4"),
        (np.zeros((3, 4)), {"bayer": "RGBG"}, "bayer: expected one of RGGB, BGGR, GRBG, GBRG, got 'RGBG'"),
        (np.zeros((3, 4)), {"encoding": "gamma"}, "encoding: expected one of linear, srgb, got 'gamma'"),
        (np.zeros((3, 4)), {"channel_order": "brg"}, "channel_order: expected one of rgb, bgr, got 'brg'"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path, array, options, message):
    with pytest.raises(InputError, match=message):
        read_image(save(tmp_path / "x.npy", array), **options)


def test_a_folder_is_listed_in_natural_order_and_other_files_left_out(tmp_path):
    for name in ("im10.png", "im2.png", "IM1.PNG", "notes.txt", ".hidden.png", "sub.png/deep1.npy"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert [file.name for file in list_images(tmp_path)] == ["IM1.PNG", "im2.png", "im10.png"]
    assert [file.name for file in list_images(tmp_path / "im*.png")] == ["im2.png", "im10.png"]
    assert list_images(str(tmp_path / "**" / "*.npy")) == [tmp_path / "sub.png" / "deep1.npy"]
    assert list_images(tmp_path / "im2.png") == [tmp_path / "im2.png"]


def test_brackets_in_a_name_are_no_pattern_where_the_file_exists(tmp_path):
    (tmp_path / "run [1]").mkdir()
    (tmp_path / "run [1]" / "a[2].png").touch()
    assert list_images(tmp_path / "run [1]" / "a[2].png") == list_images(tmp_path / "run [1]")


@pytest.mark.parametrize("pattern", ["none*.png", "missing", "."])
def test_nothing_found_is_an_error(tmp_path, pattern):
    with pytest.raises(InputError, match=r"expected a file, a folder or a glob of images \(.png, .*found none"):
        list_images(tmp_path / pattern)


@needs_data
def test_the_tutorial_capture():
    image = read_image(DATA / "diffusercam_tutorial" / "raw_hand.tif")
    with tifffile.TiffFile(DATA / "diffusercam_tutorial" / "raw_hand.tif") as file:
        counts = file.asarray()
    assert image.shape == (1, 1200, 1600) and image.dtype == torch.float32
    assert np.array_equal(image[0].numpy(), counts.astype(np.float32) / np.float32(65535))


@needs_data
def test_the_depth_stack_is_float_and_its_capture_16_bit():
    planes = [read_image(file) for file in list_images(DATA / "diffusercam_3d" / "psf*.tiff")]
    assert len(planes) == 44 and {tuple(plane.shape) for plane in planes} == {(1, 270, 320)}
    assert float(planes[0].max()) == pytest.approx(0.906072)
    raw = read_image(DATA / "diffusercam_3d" / "raw_usaf.tiff")
    assert raw.shape == (1, 270, 320) and float(raw.max()) == 1 and float(raw.min()) == pytest.approx(99 / 65535)


@needs_data
def test_the_mirflickr_pairs_are_bgr():
    file = DATA / "diffusercam_mirflickr" / "lensed" / "im43.npy"
    assert torch.equal(read_image(file, channel_order="bgr")[0], torch.from_numpy(np.load(file)[..., 2]))
    psf = read_image(DATA / "diffusercam_mirflickr" / "psf_recovered.npy", channel_order="bgr")
    assert psf.shape == (1, 270, 480)
    names = [found.name for found in list_images(DATA / "diffusercam_mirflickr" / "lensless")]
    assert names == [f"im{n}.npy" for n in (43, 65, 157, 189, 326, 394, 408)]


@needs_data
def test_a_photograph_is_srgb():
    file = list_images(DATA / "photos" / "erase_0*.webp")[0]
    image = read_image(file)
    assert image.shape[0] == 3 and 0 <= float(image.min()) < float(image.max()) <= 1
    assert float(image.mean()) < float(read_image(file, encoding="linear").mean())
