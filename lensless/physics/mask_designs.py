"""Masks made of a pattern on a map of cells: MURA, MLS, diffuser, contour.

Each function is the ``_target_`` of a file in ``configs/mask``. Lengths are metres, sizes (H, W) in cells.
``trainable`` lets gradients reach the map, each cell on its own. Masks of a few numbers are in ``mask_shapes``.
"""

from torch import Tensor

from lensless.physics.masks import AmplitudeMask, PhaseMask
from lensless.physics.patterns.coded import mls, mura, separable
from lensless.physics.patterns.contour import contour
from lensless.physics.patterns.diffuser import diffuser
from lensless.physics.patterns.retrieval import phase_to_height, retrieve_phase
from lensless.physics.propagation import Grid


def mura_mask(p: int, *, cell: float, repeats: int = 2, trainable: bool = False) -> AmplitudeMask:
    """``repeats`` x ``repeats`` tiles of :func:`~lensless.physics.patterns.coded.mura`, ``cell`` metres a side each.

    Its cyclic autocorrelation has sidelobes of two levels one cell apart; correlated with
    :func:`~lensless.physics.patterns.coded.mura_decoding` instead, it has none at all.
    """
    return _coded(mura(p), cell, repeats, trainable)


def mls_mask(
    row_order: int, *, column_order: int, cell: float, repeats: int = 1, trainable: bool = False
) -> AmplitudeMask:
    """``repeats`` x ``repeats`` tiles of the separable aperture of two :func:`~lensless.physics.patterns.coded.mls`.

    row_order, column_order: of the sequence down the rows and of the one along the columns. cell: side, metres.
    """
    return _coded(separable(mls(row_order), mls(column_order)), cell, repeats, trainable)


def diffuser_mask(
    shape: tuple[int, int],
    *,
    pitch: tuple[float, float],
    correlation_length: float,
    slope: float,
    index: float | tuple[float, float],
    seed: int,
    trainable: bool = False,
) -> PhaseMask:
    """A :func:`~lensless.physics.patterns.diffuser.diffuser`: frosted plastic, or tape with longer bumps.

    index: as in :class:`~lensless.physics.masks.PhaseMask`.
    """
    grid = Grid(shape, pitch)
    height = diffuser(grid, correlation_length=correlation_length, slope=slope, seed=seed)
    return PhaseMask(height.float(), pitch=grid.pitch, index=index, trainable=trainable)


def contour_mask(
    shape: tuple[int, int],
    *,
    pitch: tuple[float, float],
    correlation_length: float,
    line_width: float,
    distance: float,
    wavelength: float,
    iterations: int,
    index: float,
    seed: int,
    trainable: bool = False,
) -> PhaseMask:
    """The phase mask whose PSF is a :func:`~lensless.physics.patterns.contour.contour` (PhlatCam).

    distance, wavelength: where it is. iterations: of :func:`~lensless.physics.patterns.retrieval.retrieve_phase`.
    index: at that wavelength, and held at others.
    """
    grid = Grid(shape, pitch)
    target = contour(grid, correlation_length=correlation_length, line_width=line_width, seed=seed).float()
    phase = retrieve_phase(target, grid, wavelength=wavelength, distance=distance, iterations=iterations)
    height = phase_to_height(phase, wavelength=wavelength, index=index)
    return PhaseMask(height, pitch=grid.pitch, index=index, trainable=trainable)


def _coded(pattern: Tensor, cell: float, repeats: int, trainable: bool) -> AmplitudeMask:
    return AmplitudeMask(pattern.tile(repeats, repeats).float(), pitch=(cell, cell), trainable=trainable)
