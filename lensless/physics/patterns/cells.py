"""A rectangular array of cells with rectangular openings, drawn on a grid by the area they cover."""

import torch
import torch.nn.functional as F
from torch import Tensor

from lensless.errors import InputError
from lensless.physics.patterns.limits import require_positive
from lensless.physics.propagation import Grid


def draw_cells(
    values: Tensor,
    grid: Grid,
    *,
    cell: tuple[float, float] | Tensor,
    opening: tuple[float, float] | Tensor | None = None,
    rotation: float | Tensor = 0.0,
    offset: tuple[float, float] | Tensor = (0.0, 0.0),
) -> Tensor:
    """m(r) = sum_ij values(i, j) (share of sample r that lies in the opening of cell (i, j)).

    Cell (i, j) is centred on offset + Q ((i - I // 2) c_y, (j - J // 2) c_x), with Q the turn by ``rotation``,
    counter-clockwise as displayed (y points down). The share is exact for an array that is not turned; for a
    turned one it is exact on straight edges and approximate in corners. Differentiable in values and, given as
    tensors, in every length and angle; no loop over cells or samples.

    values: (..., I, J). cell: pitch (c_y, c_x) of the array, metres. opening: (height, width) of the
    transparent part, metres, default the whole cell. rotation: radians. offset: (y, x), metres.
    Returns (..., H, W). Raises InputError for cells smaller than a sample or openings larger than the cell.
    """
    y, x = grid.coordinates(values.device)
    rotation, cell, opening, offset = (
        torch.as_tensor(given, dtype=y.dtype, device=y.device)
        for given in (rotation, cell, cell if opening is None else opening, offset)
    )
    cos, sin = rotation.cos(), rotation.sin()
    dy, dx = grid.pitch
    footprint = torch.stack((cos * dy, sin * dx)).abs(), torch.stack((cos * dx, sin * dy)).abs()
    _check(cell, opening, footprint)
    y, x = y - offset[0], x - offset[1]
    if not rotation.requires_grad and float(rotation) == 0:
        columns = _shares(x.mT, values.shape[-1], cell[1], opening[1], footprint[1])
        lines = (values @ columns.to(values.dtype).mT).flatten(0, -2)
        rows, shares = _two_nearest(y, values.shape[-2], cell[0], opening[0], footprint[0])
        first = torch.arange(0, len(lines), values.shape[-2], device=lines.device)
        touched = first[:, None] + rows.flatten(1)[:, None]
        drawn = _weighted_sums(lines, touched.flatten(1), shares.flatten(1).repeat(1, len(first)))
        return drawn.reshape(*values.shape[:-2], *grid.shape)
    rows, row_shares = _two_nearest(cos * y + sin * x, values.shape[-2], cell[0], opening[0], footprint[0])
    columns, column_shares = _two_nearest(cos * x - sin * y, values.shape[-1], cell[1], opening[1], footprint[1])
    touched = rows[:, None] * values.shape[-1] + columns[None]
    shares = row_shares[:, None] * column_shares[None]
    patterns = values.reshape(-1, values.shape[-2] * values.shape[-1])
    drawn = _weighted_sums(patterns.T, touched.flatten(0, 1).flatten(1), shares.flatten(0, 1).flatten(1))
    return drawn.T.reshape(*values.shape[:-2], *grid.shape)


def _weighted_sums(table: Tensor, index: Tensor, share: Tensor) -> Tensor:
    """sum_k share(k, m) table(index(k, m)), (M, W), for ``table`` (N, W), ``index`` and ``share`` (K, M)."""
    return F.embedding_bag(index.T, table, per_sample_weights=share.T.to(table.dtype), mode="sum")


def _shares(position: Tensor, count: int, cell: Tensor, opening: Tensor, footprint: Tensor) -> Tensor:
    """Share of each sample at ``position`` (n, 1) inside each of ``count`` openings, (n, count)."""
    centres = (torch.arange(count, device=cell.device) - count // 2) * cell
    return _share(position - centres, opening, footprint)


def _two_nearest(
    position: Tensor, count: int, cell: Tensor, opening: Tensor, footprint: Tensor
) -> tuple[Tensor, Tensor]:
    """Indices and shares, each (2, H, W), of the cells that a sample at ``position`` can touch along one axis."""
    place = position / cell + count // 2
    first = place.detach().floor()
    index = torch.stack((first, first + 1))
    share = _share((place - index) * cell, opening, footprint)
    inside = (index >= 0) & (index < count)
    return index.clamp(0, count - 1).long(), torch.where(inside, share, 0.0)


def _share(distance: Tensor, opening: Tensor, footprint: Tensor) -> Tensor:
    """Share of samples, ``distance`` from the middle of an opening, that lies between its two edges."""
    return _below(distance - opening / 2, footprint) - _below(distance + opening / 2, footprint)


def _below(distance: Tensor, footprint: Tensor) -> Tensor:
    """Share of samples, ``distance`` above an edge, that lies below it: 1/2 for a sample on the edge.

    Seen along the edge's normal, a sample turned by t is two boxes convolved, as wide as its sides times |cos t|
    and |sin t| (``footprint``). This is the integral of that trapezoid from ``distance`` on.
    """
    longer, shorter = footprint.max(), footprint.min().clamp_min(1e-30)
    d = distance.abs()
    flank = (((longer + shorter) / 2 - d) / shorter).clamp(0, 1)
    tail = (shorter / 2 * flank**2 + ((longer - shorter) / 2 - d).clamp_min(0)) / longer
    return torch.where(distance < 0, 1 - tail, tail)


def _check(cell: Tensor, opening: Tensor, footprint: tuple[Tensor, Tensor]) -> None:
    require_positive("cell", cell)
    require_positive("opening", opening)
    if bool((opening > cell * (1 + 1e-9)).any()):
        raise InputError(f"opening: expected at most the cell {cell.tolist()} m, got {opening.tolist()} m")
    across = torch.stack([widths.detach().sum() for widths in footprint])
    if bool((across > cell * (1 + 1e-9)).any()):
        raise InputError(
            f"cell: {cell.tolist()} m is finer than the grid can hold, whose samples measure {across.tolist()} m "
            "across the cells; expected a grid of smaller pitch"
        )
