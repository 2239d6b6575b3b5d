"""A virtual rig small enough to be quick, as the TOML that both ends of a link read."""

import numpy as np
import pytest
from PIL import Image

from lensless_capture.cameras.base import Frame, Reported


@pytest.fixture
def frame():
    """frame(counts, exposure=..., ...): a frame of these counts, 12 bits above a black level of 256."""

    def make(counts, *, exposure=0.01, gain=1.0, bits=12, black_level=256, timestamp=1.0):
        reported = Reported(
            exposure=exposure,
            gain=gain,
            colour_gains=None,
            black_level=black_level,
            bits=bits,
            bayer="RGGB",
            timestamp=timestamp,
        )
        return Frame(np.asarray(counts, np.uint16), reported)

    return make


@pytest.fixture
def scenes(tmp_path):
    """Seven even pictures; scene i has the level 255 - 20 i."""
    folder = tmp_path / "scenes"
    folder.mkdir()
    for index in range(7):
        Image.fromarray(np.full((9, 12, 3), 255 - 20 * index, np.uint8)).save(folder / f"{index}.png")
    return folder


@pytest.fixture
def virtual(tmp_path):
    """virtual(camera=..., masks=...): file of a small virtual rig; ``camera`` are more lines of its [camera]."""

    def write(camera="", *, masks=2, size=(24, 34)):
        file = tmp_path / "rig.toml"
        file.write_text(
            f'[display]\nkind = "simulated"\nsize = [18, 24]\n'
            f'[mask]\nkind = "simulated"\nsize = [10, 8]\nseeds = {list(range(masks))}\nshape = [6, 5]\n'
            f'[camera]\nkind = "virtual"\nsize = {list(size)}\n{camera}\n'
        )
        return file

    return write
