"""Work that is independent of its neighbours, spread over processes."""

from collections.abc import Callable, Iterator
from typing import Any

from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm


def in_workers(
    function: Callable[[int], Any], numbers: list[int], *, workers: int, unit: str
) -> Iterator[tuple[int, Any]]:
    """(number, function(number)) in order, computed by ``workers`` processes (0 for this one), with a progress bar.

    function: no lambda, so that it can be sent to a process. unit: what the bar counts.
    """
    results = DataLoader(_Calls(function, numbers), batch_size=None, num_workers=min(workers, len(numbers)))
    yield from zip(numbers, tqdm(results, unit=unit, total=len(numbers), disable=not numbers), strict=True)


class _Calls(Dataset):
    def __init__(self, function: Callable[[int], Any], numbers: list[int]):
        self.function, self.numbers = function, numbers

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, place: int) -> Any:
        return self.function(self.numbers[place])
