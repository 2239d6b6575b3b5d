"""Raw frames of a simulated sensor, and folders of records made of them."""

import json

import cv2
import numpy as np
import pytest
import torch

from lensless.calibration.frame import RawFrame
from lensless.physics.random import sample_generator
from lensless.physics.sensor import Sensor


def make_sensor(shape, **changes):
    """12 bits over 256, 2 electrons a count, so that full scale is 7678 electrons; clean unless told otherwise."""
    values = {"bits": 12, "gain": 2.0, "read_noise": 4.0, "full_well": 1e5, "black_level": 256, "cfa": "RGGB"} | changes
    return Sensor(shape, pitch=(1e-6, 1e-6), response=(1.0,) * (3 if values["cfa"] else 1), **values)


def take(sensor, light, exposure, *, gain=1.0, seed=0, name="frame"):
    """A RawFrame of light (3, H, W) or (H, W) in full scales a second; every seed has its own noise."""
    light = torch.as_tensor(light, dtype=torch.float32)
    light = light.expand(len(sensor.response), *sensor.shape)[None]
    counts = sensor.expose(light, sample_generator(seed, 0), exposure=exposure, iso=100 * gain)[0, 0]
    return RawFrame(
        counts,
        name=name,
        exposure=exposure,
        gain=gain,
        bits=sensor.bits,
        black_level=sensor.black_level,
        bayer=sensor.cfa,
    )


def write(folder, frames, kind, *, first=0, **others):
    """Records of ``frames`` in ``folder``, as `lensless-capture` writes them."""
    folder.mkdir(exist_ok=True)
    (folder / "manifest.json").write_text(json.dumps({"schema": 1, "camera": {"model": "simulated"}}))
    for number, frame in enumerate(frames, first):
        cv2.imwrite(str(folder / f"{number:06d}.png"), frame.counts.numpy().astype(np.uint16))
        settings = {key: getattr(frame, key) for key in ("exposure", "gain", "bits", "black_level", "bayer")}
        record = {"kind": kind, "mask": None, "scene": None, **settings, **others}
        (folder / f"{number:06d}.json").write_text(json.dumps(record))


@pytest.fixture
def lab():
    """The functions above."""

    class Lab:
        sensor, take, write = staticmethod(make_sensor), staticmethod(take), staticmethod(write)

    return Lab
