import io
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image

from lensless_capture.errors import InputError
from lensless_capture.png import encode, read_picture, read_raw


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (5, 1), (37, 52)])
def test_counts_come_back_through_every_reader(shape, tmp_path):
    counts = np.random.default_rng(0).integers(0, 2**16, shape).astype(np.uint16)
    counts.flat[0], counts.flat[-1] = 65535, 0
    content = encode(counts)
    (tmp_path / "a.png").write_bytes(content)
    np.testing.assert_array_equal(read_raw(tmp_path / "a.png"), counts)
    decoded = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    assert decoded.dtype == np.uint16
    np.testing.assert_array_equal(decoded, counts)
    image = Image.open(io.BytesIO(content))
    image.verify()  # checksums of all parts
    assert image.mode == "I;16"


def test_a_view_into_another_array_is_encoded_as_it_looks(tmp_path):
    counts = np.arange(6 * 8, dtype=np.uint16).reshape(6, 8)[1:5, ::2]
    (tmp_path / "a.png").write_bytes(encode(counts))
    np.testing.assert_array_equal(read_raw(tmp_path / "a.png"), counts)


def test_files_are_no_larger_than_pillows_that_tries_all_filters():
    rows, columns = np.mgrid[:300, :400]
    light = 500 + 300 * np.sin(rows / 60) * np.cos(columns / 80)
    noise = np.random.default_rng(1).normal(0, 1, light.shape) * np.sqrt(light / 2)
    counts = (256 + light + noise).round().astype(np.uint16)
    buffer = io.BytesIO()
    Image.fromarray(counts).save(buffer, "PNG", compress_level=1, compress_type=zlib.Z_HUFFMAN_ONLY)
    assert len(encode(counts)) < 1.02 * len(buffer.getvalue()) < 0.6 * counts.nbytes


def test_other_files_are_refused(tmp_path):
    Image.fromarray(np.zeros((3, 4), np.uint8)).save(tmp_path / "grey.png")
    with pytest.raises(InputError, match=r"grey.png: expected 16-bit grey \(H, W\), got uint8 \(3, 4\)"):
        read_raw(tmp_path / "grey.png")
    (tmp_path / "cut.png").write_bytes(encode(np.ones((50, 50), np.uint16))[:-30])
    with pytest.raises(InputError, match=r"cut.png: cannot be read as a picture"):
        read_picture(tmp_path / "cut.png")
    with pytest.raises(InputError, match=r"none.png: no such file"):
        read_raw(tmp_path / "none.png")
