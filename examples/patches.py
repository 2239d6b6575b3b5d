"""Pictures to practise on: patches of the photographs that scikit-image ships, of the proportions of a monitor.

    python examples/patches.py photos 200

writes photos/000.png to 199.png, 90 x 120 pixels each, cut out at random places and sizes, half of them mirrored. Patch
i is a function of i alone. The photographs are in the public domain or CC0 (`lensless.data.scenes.SKIMAGE`).
"""

import argparse
from pathlib import Path

import cv2
import numpy as np

from lensless.data.scenes import list_pictures

SIZE = (90, 120)
# the largest patch that fits, and the share of its height down to which patches are cut
LEAST = 0.35


def patch(photograph: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """A random part of (H, W, 3), resized to SIZE."""
    height, width = photograph.shape[:2]
    scale = random.uniform(LEAST, 1) * min(height / SIZE[0], width / SIZE[1])
    rows, columns = (int(scale * side) for side in SIZE)
    top, left = random.integers(height - rows + 1), random.integers(width - columns + 1)
    part = photograph[top : top + rows, left : left + columns]
    if random.random() < 0.5:
        part = part[:, ::-1]
    return cv2.resize(part, SIZE[::-1], interpolation=cv2.INTER_AREA)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("count", type=int)
    options = parser.parse_args(arguments)
    options.folder.mkdir(parents=True, exist_ok=True)
    photographs = [cv2.imread(str(file)) for file in list_pictures("skimage")]
    for index in range(options.count):
        picture = patch(photographs[index % len(photographs)], np.random.default_rng(index))
        cv2.imwrite(str(options.folder / f"{index:03d}.png"), picture)


if __name__ == "__main__":
    main()
