import numpy as np
import pytest

from lensless_capture.cameras.base import CameraInfo, Reported, Settings
from lensless_capture.cameras.virtual import VirtualCamera
from lensless_capture.errors import DeviceError, InputError


def flat(level, size=(61, 83)):
    return lambda index: np.full(size, level)


def test_counts_follow_light_exposure_and_gain_above_the_black_level():
    camera = VirtualCamera(flat(2.0), black_level=256, read_noise=0.0, full_well=1e12)
    for exposure, gain in ((0.1, 1.0), (0.2, 1.0), (0.1, 3.0)):
        pixels, reported = camera.capture(Settings(exposure, gain))
        assert (pixels == round(256 + (4095 - 256) * 2.0 * exposure * gain)).all()
        assert (reported.exposure, reported.gain, reported.black_level, reported.bits) == (exposure, gain, 256, 12)


def test_noise_is_that_of_reading_and_of_photons():
    camera = VirtualCamera(flat(1.0, (201, 301)), read_noise=3.0, full_well=5000.0)
    counts = camera.capture(Settings(0.25, 2.0)).pixels.astype(float)
    # half of full scale: 3839 / 2 counts, and 5000 electrons a full scale at gain 1
    variance = 3.0**2 + 3839 / 2 * 3839 * 2 / 5000
    assert counts.var() == pytest.approx(variance, rel=0.02)
    assert counts.mean() == pytest.approx(256 + 3839 / 2, abs=0.5)


def test_a_frame_is_a_function_of_seed_and_number():
    first, second = (VirtualCamera(flat(1.0), seed=4) for _ in range(2))
    frames = [first.capture(Settings(0.1)).pixels for _ in range(2)]
    np.testing.assert_array_equal(frames, [second.capture(Settings(0.1)).pixels for _ in range(2)])
    assert (frames[0] != frames[1]).any()


def test_faults_happen_when_they_are_due():
    camera = VirtualCamera(flat(1.0), faults={1: "stale", 2: "dropped", 3: "saturated", 5: "unplugged"})
    shots = Settings(0.1)
    first = camera.capture(shots)
    assert camera.capture(shots) is first
    with pytest.raises(DeviceError, match="no frame came"):
        camera.capture(shots)
    assert (camera.capture(shots).pixels == 4095).all()
    assert camera.capture(shots).reported.timestamp > first.reported.timestamp
    for _ in range(2):
        with pytest.raises(DeviceError, match="unplugged"):
            camera.capture(shots)


def test_wrong_requests_name_what_would_do():
    with pytest.raises(InputError, match=r"faults: expected dropped, .*, got tired"):
        VirtualCamera(flat(1.0), faults={0: "tired"})
    with pytest.raises(InputError, match=r"exposure: virtual can do 1e-05 s to 10 s, got 11 s"):
        VirtualCamera(flat(1.0)).capture(Settings(11.0))
    with pytest.raises(InputError, match=r"bits: expected 8 to 16, got 18"):
        VirtualCamera(flat(1.0), bits=18)
    with pytest.raises(InputError, match=r"bayer: expected RGGB, .*, got 'RGB'"):
        VirtualCamera(flat(1.0), bayer="RGB")


def test_what_a_camera_and_a_frame_say_survives_json():
    camera = VirtualCamera(flat(1.0))
    reported = camera.capture(Settings(0.1, 2.0, (1.5, 1.25))).reported
    assert CameraInfo.from_json(camera.info.to_json()) == camera.info
    assert Reported.from_json(reported.to_json()) == reported
