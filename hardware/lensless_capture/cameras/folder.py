"""Frames from files, one after the other: a recording replayed."""

from pathlib import Path

from lensless_capture.cameras.base import CameraInfo, Frame, Reported, Settings, check_layout
from lensless_capture.errors import DeviceError, require
from lensless_capture.png import read_raw


class FolderCamera:
    """16-bit grey PNG or TIFF files of a folder in the order of their names; each is given once.

    bits, black_level, bayer: of the files. exposure (seconds) and gain: what all of them were taken with, reported
    whatever is asked.
    Raises InputError where there is no file or a file is no raw frame, DeviceError after the last one.
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        bits: int,
        black_level: float = 0.0,
        bayer: str | None = None,
        exposure: float = 1.0,
        gain: float = 1.0,
    ):
        check_layout(bits, bayer)
        self.files = sorted(file for file in Path(folder).glob("*") if file.suffix.lower() in (".png", ".tif", ".tiff"))
        require(bool(self.files), f"folder: {folder} holds no PNG or TIFF file")
        self.count, self.black_level = 0, black_level
        self.info = CameraInfo(
            model=f"folder {Path(folder).name}",
            size=read_raw(self.files[0]).shape,
            bits=bits,
            bayer=bayer,
            exposure_range=(exposure, exposure),
            gain_range=(gain, gain),
        )

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass

    def capture(self, settings: Settings) -> Frame:
        if self.count == len(self.files):
            raise DeviceError(f"camera: all {self.count} files of the folder have been given")
        file = self.files[self.count]
        pixels = read_raw(file)
        require(pixels.shape == self.info.size, f"{file}: expected {self.info.size}, got {pixels.shape}")
        most = int(pixels.max())
        require(most < 2**self.info.bits, f"{file}: {most} does not fit bits={self.info.bits}; state more")
        self.count += 1
        reported = Reported(
            exposure=self.info.exposure_range[0],
            gain=self.info.gain_range[0],
            colour_gains=None,
            black_level=self.black_level,
            bits=self.info.bits,
            bayer=self.info.bayer,
            timestamp=float(self.count),
        )
        return Frame(pixels, reported)
