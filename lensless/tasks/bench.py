"""`lensless bench system=NAME out=FOLDER`: a virtual bench with a simulated camera's optics, for `lensless-capture`."""

from collections.abc import Iterable
from pathlib import Path

from omegaconf import DictConfig
from tqdm import tqdm

from lensless.errors import require
from lensless.images.write import atomic_write, write_npy
from lensless.physics.lcd import LCDMask
from lensless.physics.sensor import get_sensor
from lensless.physics.system import System
from lensless.tasks.simulate import mask_light, resolved_system, system

PATHS = ("out",)
POSITIONAL = None

# an LCD's own size is not simulated: the module that most DigiCams are made of
LCD_PIXELS = (128, 160)


def run(cfg: DictConfig) -> int:
    """Write the PSFs and, last, rig.toml."""
    require(cfg.n_masks >= 1, f"n_masks: expected a whole number >= 1, got {cfg.n_masks}")
    require(cfg.mask_seed >= 0, f"mask_seed: expected a whole number >= 0, got {cfg.mask_seed}")
    require(cfg.white > 0, f"white: expected a rate > 0, got {cfg.white}")
    sized = len(cfg.monitor) == 2 and all(isinstance(n, int) and n > 0 for n in cfg.monitor)
    require(sized, f"monitor: expected (height, width) in pixels, got {list(cfg.monitor)}")
    require(cfg.fill > 0, f"fill: expected a share > 0, got {cfg.fill}")
    require(
        cfg.n_masks == 1 or resolved_system(cfg, 0) != resolved_system(cfg, 1),
        f"n_masks: the mask of {cfg.system.name} is not drawn from a seed; take 1, or a system with a random mask",
    )
    out, camera = Path(cfg.out).expanduser(), system(cfg, 0)
    for mask in tqdm(range(cfg.n_masks), unit="mask", disable=None, leave=False):
        write_npy(out / "psfs" / f"{mask:03d}.npy", mask_light(cfg, mask)[0])
    with atomic_write(out / "rig.toml") as temporary:
        temporary.write_text("\n".join(rig(cfg, camera)) + "\n", encoding="utf-8")
    print(out / "rig.toml")
    return 0


def rig(cfg: DictConfig, camera: System) -> Iterable[str]:
    """Lines of the rig's TOML file."""
    sensor = camera.sensor
    field = [pixel * count for pixel, count in zip(camera.pixel_on_scene, sensor.shape, strict=True)]
    strongest = max(sensor.response)
    yield f"# {cfg.system.name} at {sensor.shape[0]} x {sensor.shape[1]}, by `lensless bench`"
    yield from (
        "",
        "[camera]",
        'kind = "virtual"',
        f"bits = {sensor.bits}",
        f"black_level = {sensor.black_level}",
        f'bayer = "{get_sensor(cfg.system.sensor.name).cfa}"',
        f"read_noise = {sensor.read_noise / sensor.gain:.4g}      # counts",
        f"full_well = {sensor.saturation:.6g}      # electrons that fill the range at gain 1",
        "# at the numbers of these frames, counted each time that the rig is opened:",
        '# faults = {5 = "dropped", 6 = "stale", 7 = "saturated", 80 = "unplugged"}',
    )
    yield from (
        "",
        "[bench]",
        'psfs = "psfs"      # NNN.npy, one a mask',
        f"field = {_list(field)}      # metres (height, width) that the sensor sees of the monitor's plane",
        f"white = {_list(cfg.white * one / strongest for one in sensor.response)}      # full scales a second",
        f"ambient = {camera.ambient:g}      # even light around, the monitor's white being 1",
        "# from these frames on the mask has moved (down, right in pixels, anticlockwise in degrees), a lamp is on:",
        '# disturbances = {150 = "moved", 300 = "lamp"}',
        "# move = [3, -2, 1]",
        "# lamp = 0.5      # its light, the monitor's white being 1",
    )
    yield from (
        "",
        "[display]",
        'kind = "simulated"',
        f"size = {list(cfg.monitor)}",
        f"height = {cfg.fill * field[0]:.6g}      # metres",
        "brightness = 1.0",
    )
    if isinstance(camera.mask, LCDMask):
        seeds = list(range(cfg.mask_seed, cfg.mask_seed + cfg.n_masks))
        shape = list(camera.mask.values.shape)
        yield from ("", "[mask]", 'kind = "simulated"', f"size = {list(LCD_PIXELS)}", f"seeds = {seeds}")
        yield f"shape = {shape}"
    elif cfg.n_masks > 1:
        yield from ("", "[mask]", 'kind = "wheel"', f"count = {cfg.n_masks}")


def _list(values: Iterable[float]) -> str:
    return "[" + ", ".join(f"{value:.6g}" for value in values) + "]"
