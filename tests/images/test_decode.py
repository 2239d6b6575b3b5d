"""Damaged, foreign and missing files: always an InputError that names the path, never another exception."""

import io
import logging

import cv2
import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st

from lensless.errors import InputError
from lensless.images.decode import DECODERS, decode
from lensless.images.read import read_image

RAMP = (np.arange(13 * 17 * 3).reshape(13, 17, 3) * 97 % 65536).astype(np.uint16)


def _buffered(write, *arguments, **options):
    buffer = io.BytesIO()
    write(buffer, *arguments, **options)
    return buffer.getvalue()


WHOLE = {
    ".png": cv2.imencode(".png", RAMP)[1].tobytes(),
    ".jpg": cv2.imencode(".jpg", (RAMP >> 8).astype(np.uint8))[1].tobytes(),
    ".webp": cv2.imencode(".webp", (RAMP >> 8).astype(np.uint8))[1].tobytes(),
    ".tif": _buffered(tifffile.imwrite, RAMP, photometric="rgb", compression="lzw"),
    ".tiff": _buffered(tifffile.imwrite, RAMP[..., 0], photometric="minisblack"),
    ".npy": _buffered(np.save, RAMP),
    ".npz": _buffered(np.savez_compressed, image=RAMP),
}


@pytest.fixture(scope="module", autouse=True)
def quiet():
    """tifffile logs each wrong tag."""
    logging.getLogger("tifffile").setLevel(logging.CRITICAL + 1)
    yield
    logging.getLogger("tifffile").setLevel(logging.NOTSET)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("damaged")


@pytest.mark.parametrize("suffix", WHOLE)
def test_a_truncated_file_is_refused(folder, suffix):
    file, data = folder / f"cut{suffix}", WHOLE[suffix]
    file.write_bytes(data)
    decode(file, None)
    # the last bytes of some formats carry no pixels: an end marker, padding
    for length in {0, 1, 7, *np.linspace(8, len(data) - 16, 25, dtype=int).tolist()}:
        file.write_bytes(data[:length])
        with pytest.raises(InputError, match=rf"cut{suffix}: cannot be read, is it damaged or truncated"):
            decode(file, None)


@pytest.mark.parametrize("suffix", DECODERS)
def test_random_bytes_are_refused(folder, suffix):
    if suffix == ".dng":
        pytest.importorskip("rawpy", reason="rawpy (extra raw) is not installed")

    @settings(max_examples=30, deadline=None)
    @given(st.binary(max_size=200))
    def check(data):
        (folder / f"random{suffix}").write_bytes(data)
        with pytest.raises(InputError, match=rf"random{suffix}: cannot be read"):
            read_image(folder / f"random{suffix}")

    check()


@pytest.mark.parametrize("suffix", WHOLE)
def test_changed_bytes_give_an_image_or_an_input_error(folder, suffix):
    whole = WHOLE[suffix]
    places = st.one_of(st.integers(0, min(len(whole), 300) - 1), st.integers(0, len(whole) - 1))

    @settings(max_examples=80, deadline=None, derandomize=True)
    @given(st.lists(st.tuples(places, st.integers(0, 255)), min_size=1, max_size=5))
    def check(changes):
        data = bytearray(whole)
        for place, value in changes:
            data[place] = value
        (folder / f"changed{suffix}").write_bytes(data)
        try:
            image = read_image(folder / f"changed{suffix}")
        except InputError as error:
            assert f"changed{suffix}" in str(error)
        else:
            assert image.ndim in (3, 4) and image.numel() > 0 and bool(image.isfinite().all())

    check()


@pytest.mark.parametrize("suffix", [".npy", ".npz"])
def test_a_pickled_array_is_refused(tmp_path, suffix):
    array = np.array([[{}, None]], dtype=object)
    file = tmp_path / f"pickle{suffix}"
    np.save(file, array, allow_pickle=True) if suffix == ".npy" else np.savez(file, a=array)
    with pytest.raises(InputError, match=rf"pickle{suffix}: cannot be read.*Object arrays cannot be loaded"):
        read_image(file)


def test_what_is_not_an_image_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"nowhere.png: no such file"):
        read_image(tmp_path / "nowhere.png")
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(InputError, match=r"folder.png: expected an image file, got a folder"):
        read_image(tmp_path / "folder.png")
    (tmp_path / "film.gif").touch()
    with pytest.raises(InputError, match=r"film.gif: expected a file of type .png, .jpg, .*, got .gif"):
        read_image(tmp_path / "film.gif")
    (tmp_path / "plain").touch()
    with pytest.raises(InputError, match=r"plain: .* got no suffix"):
        read_image(tmp_path / "plain")


def test_tiffs_of_other_kinds_are_refused(tmp_path):
    tifffile.imwrite(tmp_path / "inverted.tif", RAMP[..., 0], photometric="miniswhite")
    with pytest.raises(InputError, match=r"inverted.tif: expected a gray or RGB TIFF, got .*MINISWHITE"):
        read_image(tmp_path / "inverted.tif")
    with tifffile.TiffWriter(tmp_path / "mixed.tif") as file:
        file.write(RAMP[..., 0])
        file.write(RAMP[:5, :, 0])
    with pytest.raises(InputError, match=r"mixed.tif: expected pages of one size and type, got \(13, 17\) uint16, "):
        read_image(tmp_path / "mixed.tif")
    tifffile.imwrite(tmp_path / "time.tif", np.zeros((2, 3, 5, 7), np.uint16), imagej=True, metadata={"axes": "TZYX"})
    with pytest.raises(InputError, match=r"time.tif: the shape \(2, 3, 5, 7\) does not say which axis is which"):
        read_image(tmp_path / "time.tif")
    assert read_image(tmp_path / "time.tif", axes="DCHW").shape == (2, 3, 5, 7)
