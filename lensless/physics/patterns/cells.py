"""A rectangular array of cells with rectangular openings, drawn on a grid by the area they cover."""

from collections.abc import Callable

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
    row_factors: Tensor | None = None,
) -> Tensor:
    """m(r) = sum_ij values(i, j) (share of sample r that lies in the opening of cell (i, j)).

    Cell (i, j) is centred on offset + Q ((i - I // 2) c_y, (j - J // 2) c_x), with Q the turn by ``rotation``,
    counter-clockwise as displayed (y points down). The share is exact for an array that is not turned; for a
    turned one it is exact on straight edges and approximate in corners. Differentiable in values and, given as
    tensors, in every length and angle; no loop over cells or samples.

    values: (..., I, J). cell: pitch (c_y, c_x) of the array, metres. opening: (height, width) of the
    transparent part, metres, default the whole cell. rotation: radians. offset: (y, x), metres.
    row_factors: (L, I); with them L drawings are returned, (..., L, H, W), the values of row i times factor (l, i) in
    drawing l, else one, (..., H, W). Raises InputError for cells smaller than a sample or openings larger than
    the cell.
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
        columns, shares = _two_nearest(x[0], values.shape[-1], cell[1], lambda d: _overlap(d, opening[1], dx))
        weights = shares.new_zeros(values.shape[-1], x.shape[1]).scatter_add(0, columns, shares)
        lines = values @ weights.to(values.dtype)
        rows, shares = _two_nearest(y[:, 0], values.shape[-2], cell[0], lambda d: _overlap(d, opening[0], dy))
        return _sums_of_lines(lines, rows, shares if row_factors is None else shares * row_factors[:, rows])
    if row_factors is not None:
        values = values.unsqueeze(-3) * row_factors.to(values.dtype)[..., None]
    down, across = cos * y + sin * x, cos * x - sin * y
    rows, row_shares = _two_nearest(
        down, values.shape[-2], cell[0], lambda d: _share(d, opening[0], footprint[0])
    )
    columns, column_shares = _two_nearest(
        across, values.shape[-1], cell[1], lambda d: _share(d, opening[1], footprint[1])
    )
    touched = rows[:, None] * values.shape[-1] + columns[None]
    shares = row_shares[:, None] * column_shares[None]
    patterns = values.reshape(-1, values.shape[-2] * values.shape[-1])
    drawn = _weighted_sums(patterns.T, touched.flatten(0, 1).flatten(1), shares.flatten(0, 1).flatten(1))
    return drawn.T.reshape(*values.shape[:-2], *grid.shape)


def _weighted_sums(table: Tensor, index: Tensor, share: Tensor) -> Tensor:
    """sum_k share(k, m) table(index(k, m)), (M, W), for ``table`` (N, W), ``index`` and ``share`` (K, M)."""
    return F.embedding_bag(index.T, table, per_sample_weights=share.T.to(table.dtype), mode="sum")


def _sums_of_lines(lines: Tensor, rows: Tensor, shares: Tensor) -> Tensor:
    """sum_k share(..., k, h) lines(..., row(k, h)): lines (..., I, W), rows (2, H), shares (2, H) or (L, 2, H).

    Shares of zero, such as those of rows that a colour filter darkens, cost nothing. Returns (..., H, W) or
    (..., L, H, W).
    """
    shares = shares.mT.to(lines.dtype)
    kept = shares != 0
    table, (count, width) = lines.flatten(0, -2), lines.shape[-2:]
    first = torch.arange(0, len(table), count, device=lines.device)[:, None]
    index = first + rows.mT.expand(shares.shape)[kept]
    share = shares[kept].expand(index.shape)
    ends = kept.sum(-1).flatten().cumsum(0)
    starts = F.pad(ends, (1, -1)) + first // count * index.shape[1]
    drawn = F.embedding_bag(
        index.flatten(), table, starts.flatten(), per_sample_weights=share.flatten(), mode="sum"
    )
    return drawn.reshape(*lines.shape[:-2], *shares.shape[:-1], width)


def _two_nearest(
    position: Tensor, count: int, cell: Tensor, share: Callable[[Tensor], Tensor]
) -> tuple[Tensor, Tensor]:
    """Indices and shares, each (2, ...), of the cells that a sample at ``position`` (...) can touch along one axis.

    share: of a sample inside the opening of a cell, from its distance to the cell's centre.
    """
    place = position / cell + count // 2
    first = place.detach().floor()
    index = torch.stack((first, first + 1))
    inside = (index >= 0) & (index < count)
    return index.clamp(0, count - 1).long(), torch.where(inside, share((place - index) * cell), 0.0)


def _overlap(distance: Tensor, opening: Tensor, width: float) -> Tensor:
    """Share of samples, ``width`` wide and ``distance`` from the middle of an opening, that lies inside it."""
    end = torch.minimum(distance + width / 2, opening / 2)
    return (end - torch.maximum(distance - width / 2, -opening / 2)).clamp_min(0) / width


def _share(distance: Tensor, opening: Tensor, footprint: Tensor) -> Tensor:
    """The same for turned samples; ``footprint``: see :func:`_below`."""
    upper, lower = _below(torch.stack((distance - opening / 2, distance + opening / 2)), footprint)
    return upper - lower


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
    cells, openings, across = (
        lengths.detach().tolist() for lengths in (cell, opening, torch.stack(footprint).sum(1))
    )
    if any(part > whole * (1 + 1e-9) for part, whole in zip(openings, cells, strict=True)):
        raise InputError(f"opening: expected at most the cell {cells} m, got {openings} m")
    if any(sample > whole * (1 + 1e-9) for sample, whole in zip(across, cells, strict=True)):
        raise InputError(
            f"cell: {cells} m is finer than the grid can hold, whose samples measure {across} m "
            "across the cells; expected a grid of smaller pitch"
        )
