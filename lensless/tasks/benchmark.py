"""`lensless benchmark suite=NAME out=FOLDER`: how well reconstructions do with cameras that they were not made for."""

from functools import partial
from pathlib import Path

from omegaconf import DictConfig
from torch import Tensor
from tqdm import tqdm

from lensless.errors import check_name, require
from lensless.evaluation.claims import answers
from lensless.evaluation.figures import as_picture
from lensless.evaluation.pictures import picture_file
from lensless.evaluation.records import append_records, known_records
from lensless.evaluation.report.files import write_report
from lensless.evaluation.results import read_results
from lensless.evaluation.runner import missing_records
from lensless.evaluation.scoring import perceptual
from lensless.images.write import write_json, write_png16
from lensless.memory import keep_freed_memory
from lensless.tasks.multirun import multirun
from lensless.tasks.session import pick_device
from lensless.tasks.shards import of_shard
from lensless.tasks.suite import Suite, run_training
from lensless.versions import version, versions

PATHS = ("out", "scenes", "folder", "cache")
POSITIONAL = "action"


def run(cfg: DictConfig) -> int:
    """Do what ``cfg.action`` says, for this shard; returns 1 where models are still to be trained, else 0."""
    actions = {"train": [train], "score": [score], "report": [report], "all": [train, score, report]}
    check_name("action", str(cfg.action), list(actions))
    for name in ("images", "batch"):
        require(cfg[name] >= 1, f"{name}: expected a whole number >= 1, got {cfg[name]}")
    keep_freed_memory()
    return max(action(cfg) for action in actions[cfg.action])


def train(cfg: DictConfig) -> int:
    """Train this shard's models that are not finished."""
    suite = Suite.read(cfg)
    trainings = suite.trainings()
    for name in of_shard(list(trainings), cfg.shard):
        print(f"{name}: lensless train {' '.join(trainings[name])}", flush=True)
        run_training(trainings[name])
    return 0


def score(cfg: DictConfig) -> int:
    """Compute this shard's records that are missing; 1 where some models are not trained yet."""
    suite, device = Suite.read(cfg), pick_device(cfg.device)
    contenders, waiting = suite.contenders()
    contenders = [contender.to(device) for contender in contenders]
    known = known_records(suite.out / "records")
    for place in known.damaged:
        print(f"{place}: damaged, is computed again")
    lpips = perceptual(list(cfg.lpips))
    file = suite.out / "records" / f"{cfg.shard.replace('/', '-of-')}.jsonl"
    made, systems = 0, []
    for number, system in enumerate(suite.test_systems()):
        systems.append(system)
        count = suite.samples(system)
        batches = [range(start, min(start + cfg.batch, count)) for start in range(0, count, cfg.batch)]
        shift = number * len(batches)  # so that shards share every system alike
        mine = [batches[place - shift] for place in of_shard(range(shift + len(batches)), cfg.shard) if place >= shift]
        with tqdm(mine, desc=system.name, unit="batch", disable=None) as bar:
            for images in bar:
                found = missing_records(
                    system,
                    contenders,
                    images=images,
                    known=known.keys,
                    lpips=lpips,
                    device=device,
                    version=version("lensless-torch"),
                    save=partial(keep_picture, suite.out, cfg.pictures),
                )
                for lines in found:
                    append_records(file, [line | {"suite": cfg.suite.name, "versions": versions()} for line in lines])
                    made += len(lines)
    print(f"{made} records made, {len(known.keys)} were there, {known.repeated} repeated: {suite.out / 'records'}")
    if waiting:
        print(f"not trained yet, so not scored: {', '.join(waiting)}; run `lensless benchmark train` for them")
    write_json(suite.out / f"{cfg.suite.name}.json", suite.describe(contenders, systems))
    return 1 if waiting else 0


def keep_picture(out: Path, count: int, contender: str, system: str, image: int, picture: Tensor) -> None:
    """Write the picture of one of the first ``count`` images of a system."""
    if image < count:
        write_png16(picture_file(out, system=system, image=image, contender=contender), as_picture(picture.cpu()))


def report(cfg: DictConfig) -> int:
    """Write the report of what is recorded."""
    results = read_results(Path(cfg.out).expanduser(), cfg.suite.name)
    files = write_report(results, answers(results))
    print(f"{len(results.records)} records, {results.missing} missing: {', '.join(map(str, files))}")
    return 0


if __name__ == "__main__":  # see configs/benchmark.yaml
    multirun("benchmark")
