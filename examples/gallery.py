"""Every mask of configs/mask and the PSF that it makes, on one page: docs/gallery.png.

    python examples/gallery.py [FILE]
"""

import sys

from matplotlib.figure import Figure

from lensless.evaluation.mask_figure import draw_mask, draw_psf
from lensless.tasks.compose import build, compose
from lensless.tasks.mask import simulated

# From the mask to the sensor, metres: where a phase mask focuses, near enough for an amplitude mask's shadow.
DISTANCES = {
    "mura": 1.5e-3,
    "mls": 1.5e-3,
    "zone": 1.5e-3,
    "pinholes": 1.5e-3,
    "lcd": 2e-3,
    "diffuser": 4e-3,
    "tape": 4e-3,
    "contour": 2e-3,
    "multilens": 4.5e-3,
    "voronoi": 4.5e-3,
}
COLUMNS = 5


def gallery() -> Figure:
    """Two panels for each mask, the PSF below."""
    rows = -(-len(DISTANCES) // COLUMNS)
    page = Figure(figsize=(2.4 * COLUMNS, 3.6 * rows), layout="constrained")
    axes = page.subplots(2 * rows, COLUMNS)
    for place, (name, distance) in enumerate(DISTANCES.items()):
        cfg = compose("mask", [f"mask={name}", f"optics.distance={distance}"])
        mask, optics = build(cfg.mask, "mask"), build(cfg.optics, "optics")
        row, column = divmod(place, COLUMNS)
        above, below = axes[2 * row : 2 * row + 2, column]
        draw_mask(above, mask, mask.grid(optics.window.pitch), optics.wavelengths)
        draw_psf(below, simulated(mask, optics, cfg.source_distance))
        above.set_title(name)
        below.set_title(f"PSF at {1e3 * distance:g} mm", fontsize=9)
        for axis in (above, below):
            axis.set_xlabel("")
            axis.set_axis_off()
    return page


if __name__ == "__main__":
    gallery().savefig(sys.argv[1] if len(sys.argv) > 1 else "docs/gallery.png", dpi=66)
