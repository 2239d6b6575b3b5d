import io
import urllib.error
import urllib.request

import numpy as np
import pytest
from PIL import Image

from lensless_capture.preview import BARS, PreviewPage, histogram, thumbnail


def get(page, path, **headers):
    request = urllib.request.Request(page.url + path, headers=headers)
    with urllib.request.urlopen(request, timeout=10) as answer:
        return answer.read()


def test_a_histogram_has_a_bar_where_the_counts_are(frame):
    line = histogram(frame(np.full((8, 8), 2048 + 10)), columns=16)
    bars = line.split("|")[1]
    assert bars == 8 * " " + BARS[-1] + 7 * " "
    assert "47% of full scale, 0.00% clipped, 0.01 s, gain 1" in line


def test_a_thumbnail_averages_the_mosaic_and_is_bright_for_the_eye(frame):
    counts = np.full((6, 9), 256)
    counts[:2, :2] = [[256, 2256], [2256, 4256 - 161]]
    picture = np.asarray(Image.open(io.BytesIO(thumbnail(frame(counts)))))
    assert picture.shape == (3, 4)
    share = np.mean(counts[:2, :2] - 256) / 3839
    assert picture[0, 0] == round(255 * share ** (1 / 2.2)) and picture[1:].max() == 0


def test_the_page_shows_the_last_frame_to_this_machine_only(frame):
    with PreviewPage(0) as page:
        assert page.server_address[0] == "127.0.0.1"
        assert b"<script>" in get(page, "")
        with pytest.raises(urllib.error.HTTPError, match="404"):
            get(page, "frame.png")
        page.frame = frame(np.full((8, 8), 1000))
        assert get(page, "histogram").decode() == histogram(page.frame)
        assert get(page, "frame.png?1") == thumbnail(page.frame)
        with pytest.raises(urllib.error.HTTPError, match="403"):
            get(page, "frame.png", Host="camera.example.com:80")
