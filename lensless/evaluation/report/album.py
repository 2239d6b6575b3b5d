"""The example pictures that the page carries, as data URIs within a number of bytes."""

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2

from lensless.evaluation.pictures import picture_file
from lensless.evaluation.results import Column, Results

BYTES = 5_000_000
LONGEST_SIDE = 480
QUALITY = 90  # of WebP; 100 would be lossless
ORIGINALS = ("scene", "measurement")


@dataclass(frozen=True)
class Page:
    """What is known of one image of a system: data URIs by name, those of ORIGINALS and of rows."""

    system: str
    image: int
    pictures: dict[str, str]


def album(results: Results, *, budget: int = BYTES) -> tuple[list[Page], int]:
    """Pages by system and image, and how many there was no room for within ``budget`` bytes.

    The first image of every system comes before the second one of any. A group shows the member that its scores are of.
    """
    pages, left_out, room = [], 0, budget
    images = {column: _images(results, column) for column in results.columns}
    for place in range(max(map(len, images.values()))):
        for column in results.columns:
            pictures = dict(_pictures(results, column, images[column][place])) if place < len(images[column]) else {}
            if not set(pictures) - set(ORIGINALS):
                continue
            room -= sum(map(len, pictures.values()))
            if room < 0:
                left_out += 1
            else:
                pages.append(Page(column.name, images[column][place], pictures))
    order = [column.name for column in results.columns]
    return sorted(pages, key=lambda page: (order.index(page.system), page.image)), left_out


def _images(results: Results, column: Column) -> list[int]:
    return sorted(set().union(*(results.cell(row, column) for row in results.rows)))


def _pictures(results: Results, column: Column, image: int) -> Iterator[tuple[str, str]]:
    contenders = {name: name for name in ORIGINALS}
    contenders |= {row.name: results.chosen.get((row.name, column.name)) for row in results.rows}
    for name, contender in contenders.items():
        file = contender and picture_file(results.out, system=column.name, image=image, contender=contender)
        if file and file.exists() and (uri := _data_uri(file)):
            yield name, uri


def _data_uri(file: Path) -> str | None:
    """A picture, shrunk to LONGEST_SIDE, as WebP; None where the file is no picture."""
    pixels = cv2.imread(str(file), cv2.IMREAD_COLOR)
    if pixels is None:
        return None
    shrink = LONGEST_SIDE / max(pixels.shape)
    if shrink < 1:
        pixels = cv2.resize(pixels, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA)
    _, webp = cv2.imencode(".webp", pixels, [cv2.IMWRITE_WEBP_QUALITY, QUALITY])
    return f"data:image/webp;base64,{base64.b64encode(webp).decode()}"
