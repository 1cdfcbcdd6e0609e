"""Predict what a run needs on many GPUs: hours, data, checkpoints, restarts.

The step is counted (FLOPs of the network over a stated share of a GPU's peak) or measured on one
GPU. All else is arithmetic on it; nothing here was run on many GPUs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import torch

from napari_ct_assistant.model.mae import MaskedAutoencoder3D
from napari_ct_assistant.training.config.encoders import build_encoder
from napari_ct_assistant.training.config.errors import RecipeError
from napari_ct_assistant.training.config.recipe import PhantomData, Recipe
from napari_ct_assistant.training.parameters import count_recipe

# Dense BF16 peak in FLOP/s, from NVIDIA's data sheets (SXM modules).
PEAKS: Final = {
    "A100": 312e12,
    "H100": 989e12,
    "H200": 989e12,
    "B200": 2250e12,
    "L40S": 362e12,
}
# Llama 3 (arXiv 2407.21783, Section 3.3.4): 419 unexpected interruptions of 16,384 H100 in 54 days.
MTBF_HOURS: Final = 54 * 24 * 16384 / 419
GPUS_OF_A_MACHINE: Final = 8
# Bytes per second and GPU: half of NVLink's 900 GB/s is one direction; 400 Gbit/s InfiniBand.
NVLINK: Final = 450e9
NETWORK: Final = 50e9
# Volumes that one core reads and decompresses in a second (docs/large-datasets.md).
VOLUMES_OF_A_CORE: Final = 24.0


@dataclass(frozen=True)
class Assumptions:
    """What a prediction rests on.

    gpu, utilization: the share of its peak that a step reaches (Llama 3 reports 38 % to 43 %);
    volume_bytes: of a prepared volume (a chest in E3D-GPT's box); write_speed: bytes per second of
    a checkpoint; read_speed: bytes per second of all volumes together, None without limit;
    mtbf_hours: mean hours between failures of one GPU; restart_minutes: from a failure to the next
    step.
    """

    gpu: str = "H100"
    utilization: float = 0.4
    volume_bytes: float = 4.53e6
    write_speed: float = 1e9
    read_speed: float | None = None
    mtbf_hours: float = MTBF_HOURS
    restart_minutes: float = 10.0

    def __post_init__(self) -> None:
        if self.gpu not in PEAKS:
            raise RecipeError(
                f"GPU {self.gpu}: its peak is not known; known are {', '.join(PEAKS)}"
            )
        for name, value in asdict(self).items():
            if isinstance(value, float) and not (math.isfinite(value) and value > 0):
                raise RecipeError(f"{name.replace('_', ' ')}: {value:g}; give a positive number")
        if self.utilization > 1:
            raise RecipeError(f"utilization: {self.utilization:g}; give a share from 0 to 1")


@dataclass(frozen=True)
class StepCost:
    """One optimizer step of one GPU.

    seconds; volumes: how many it reads; flops: counted, None where the seconds were measured;
    source: where the seconds come from.
    """

    seconds: float
    volumes: int
    flops: float | None
    source: str


@dataclass(frozen=True)
class Prediction:
    """What a number of GPUs need for a run. hours: with checkpoints and restarts."""

    gpus: int
    batch: int
    steps: int
    step_seconds: float
    limit: str
    hours: float
    gpu_hours: float
    volumes_per_second: float
    bytes_per_second: float
    loader_cores: int
    checkpoint_bytes: int
    checkpoint_seconds: float
    checkpoint_minutes: float
    restarts: float


def count_flops(recipe: Recipe) -> float:
    """Return the FLOPs of forward and backward pass for one volume of stage `mae`.

    The network is built at its full size on the meta device, and torch counts its matrix products.

    Raises
    ------
    RecipeError
        If the recipe is of another stage, where they depend on the texts.
    """
    from torch.utils.flop_counter import FlopCounterMode

    if recipe.stage != "mae":
        raise RecipeError(
            f"stage {recipe.stage}: the step depends on the texts; give --step-seconds, which "
            "ct-assistant train STAGE RECIPE --check measures"
        )
    with torch.device("meta"):
        mae = MaskedAutoencoder3D(build_encoder(recipe), **recipe.mae.model_dump())
        image = torch.zeros(1, 1, *mae.encoder.config.image_size)
        noise = torch.zeros(1, mae.num_patches)
    with FlopCounterMode(display=False) as counter:
        mae(image, noise)["loss"].backward()
    return float(counter.get_total_flops())


def step_cost(
    recipe: Recipe, assumed: Assumptions, measured: float | None = None, where: str = "one GPU"
) -> StepCost:
    """Return what a step of the recipe costs on one GPU.

    measured: seconds of an optimizer step, `where` it was; by default the FLOPs are counted.
    """
    volumes = recipe.training.batch_size * recipe.training.accumulate
    if measured is not None:
        if not (math.isfinite(measured) and measured > 0):
            raise RecipeError(f"step seconds: {measured:g}; give a positive number")
        return StepCost(measured, volumes, None, f"measured on {where}")
    flops = count_flops(recipe) * volumes
    seconds = flops / (PEAKS[assumed.gpu] * assumed.utilization)
    source = (
        f"counted: {flops / 1e12:.1f} TFLOP at {assumed.utilization:.0%} of {assumed.gpu}'s "
        f"{PEAKS[assumed.gpu] / 1e12:.0f} TFLOP/s"
    )
    return StepCost(seconds, volumes, flops, source)


def predict(
    recipe: Recipe, step: StepCost, volumes: int, gpus: Sequence[int], assumed: Assumptions
) -> list[Prediction]:
    """Predict a run over `volumes` volumes, or pairs of question and answer, for numbers of GPUs.

    Data parallel: each GPU has the recipe's batch and all weights. A step takes as long as the
    slowest of the computation, the all-reduce of float32 gradients (a ring: each GPU sends and
    receives them about twice), and the reading; they run at the same time.

    Raises
    ------
    RecipeError
        If the network cannot be counted, or a number makes no sense.
    """
    if isinstance(recipe.data, PhantomData):
        raise RecipeError(f"{recipe.output}: trains on phantoms; choose a recipe with a data set")
    if volumes < 1 or not gpus or min(gpus) < 1:
        raise RecipeError("give at least one volume and one GPU")
    counts = {line.part: line.parameters for line in count_recipe(recipe)}
    trained = counts["trained"]
    checkpoint = 4 * counts.get("whole network", trained) + 8 * trained
    samples = recipe.training.length(volumes)
    return [_on(n, step, samples, 4 * trained, checkpoint, assumed) for n in gpus]


def _on(
    gpus: int, step: StepCost, samples: int, gradients: int, checkpoint: int, assumed: Assumptions
) -> Prediction:
    batch = step.volumes * gpus
    link = NVLINK if gpus <= GPUS_OF_A_MACHINE else NETWORK
    parts = {"compute": step.seconds, "network": 2 * (gpus - 1) / gpus * gradients / link}
    if assumed.read_speed is not None:
        parts["reading"] = batch * assumed.volume_bytes / assumed.read_speed
    limit = max(parts, key=lambda name: parts[name])
    seconds = parts[limit]
    steps = math.ceil(samples / batch)
    write = checkpoint / assumed.write_speed
    mtbf = assumed.mtbf_hours * 3600 / gpus
    interval = checkpoint_interval(write, mtbf)
    total = expected_seconds(steps * seconds, interval, write, assumed.restart_minutes * 60, mtbf)
    per_second = batch / seconds
    return Prediction(
        gpus=gpus,
        batch=batch,
        steps=steps,
        step_seconds=seconds,
        limit=limit,
        hours=total / 3600,
        gpu_hours=gpus * total / 3600,
        volumes_per_second=per_second,
        bytes_per_second=per_second * assumed.volume_bytes,
        loader_cores=math.ceil(per_second / VOLUMES_OF_A_CORE),
        checkpoint_bytes=checkpoint,
        checkpoint_seconds=write,
        checkpoint_minutes=interval / 60,
        restarts=total / mtbf,
    )


def checkpoint_interval(write: float, mtbf: float) -> float:
    """Return the seconds of work between checkpoints that lose the least time.

    Daly's higher-order estimate (Future Generation Computer Systems 22 (2006) 303); its first term
    is Young's (Communications of the ACM 17 (1974) 530).
    """
    if write >= 2 * mtbf:
        return mtbf
    ratio = write / (2 * mtbf)
    return math.sqrt(2 * write * mtbf) * (1 + math.sqrt(ratio) / 3 + ratio / 9) - write


def expected_seconds(
    work: float, interval: float, write: float, restart: float, mtbf: float
) -> float:
    """Return how long `work` seconds take with checkpoints and failures (Daly 2006)."""
    segment = math.exp(restart / mtbf) * math.expm1((interval + write) / mtbf)
    return mtbf * segment * work / interval


def markdown_table(found: Sequence[Prediction]) -> str:
    """Return the predictions as a table."""
    rows: list[tuple[str, Callable[[Prediction], str]]] = [
        ("GPUs", lambda p: f"{p.gpus:,}"),
        ("volumes per step", lambda p: f"{p.batch:,}"),
        ("steps", lambda p: f"{p.steps:,}"),
        ("seconds per step", lambda p: f"{p.step_seconds:.3g} ({p.limit})"),
        ("hours", lambda p: f"{p.hours:,.1f}"),
        ("GPU hours", lambda p: f"{p.gpu_hours:,.0f}"),
        ("volumes per second", lambda p: f"{p.volumes_per_second:,.0f}"),
        ("read, GB/s", lambda p: f"{p.bytes_per_second / 1e9:,.2f}"),
        ("cores that decompress", lambda p: f"{p.loader_cores:,}"),
        ("checkpoint, GB", lambda p: f"{p.checkpoint_bytes / 1e9:.2f}"),
        ("checkpoint, seconds", lambda p: f"{p.checkpoint_seconds:.1f}"),
        ("minutes between checkpoints", lambda p: f"{p.checkpoint_minutes:,.0f}"),
        ("expected restarts", lambda p: f"{p.restarts:.2g}"),
    ]
    lines = [[name, *(shown(p) for p in found)] for name, shown in rows]
    lines.insert(1, ["---"] * len(lines[0]))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def to_json(
    step: StepCost, found: Sequence[Prediction], assumed: Assumptions, volumes: int
) -> dict[str, Any]:
    """Return the prediction with what it rests on."""
    return {
        "prediction": True,
        "volumes": volumes,
        "step": asdict(step),
        "assumptions": asdict(assumed),
        "runs": [asdict(p) for p in found],
    }
