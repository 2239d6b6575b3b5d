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
    """virtual(camera, bench, masks=...): file of a small virtual rig that sees its display pixel by pixel, 10 full
    scales a second where it is white; ``camera`` and ``bench`` are more lines of these sections."""

    def write(camera="", bench="", *, masks=2, size=(24, 34)):
        file, psfs = tmp_path / "rig.toml", tmp_path / "psfs"
        psfs.mkdir(exist_ok=True)
        sharp = np.zeros(size, np.float32)
        sharp[size[0] // 2, size[1] // 2] = 1
        for label in range(masks):
            np.save(psfs / f"{label:03d}.npy", sharp)
        file.write_text(
            f'[display]\nkind = "simulated"\nsize = [18, 24]\n'
            f'[mask]\nkind = "simulated"\nsize = [10, 8]\nseeds = {list(range(masks))}\nshape = [6, 5]\n'
            f'[bench]\npsfs = "psfs"\nwhite = [10, 10, 10]\n{bench}\n[camera]\nkind = "virtual"\n{camera}\n'
        )
        return file

    return write
