"""Measure a model on a server beside the same model here, with a real vLLM.

    python -m benchmarks.server --vllm PYTHON
    python -m benchmarks.server --address https://gpu1:8000 --model FOLDER --encoder FOLDER

PYTHON is the interpreter of an environment that has vLLM (`scripts/vllm_environment.py` makes one
for CPUs; its transformers are older than ours, so it needs one of its own). A model with random
weights is made, exported and served: 1152 image tokens, 16 layers, float32. With `--address`, a
server that runs already is measured with the model's own folders instead.

What is printed: whether the server's greedy tokens are those of the model here; how much sooner a
follow-up begins than the first question; whether Stop frees the server's slot; and what eight
readers at once take beside eight in turn. The status is 1 if one of these does not hold.
"""

from __future__ import annotations

import argparse
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from napari_ct_assistant import CTVolume, load_assistant
from napari_ct_assistant.assistant import Assistant, GenerationSettings, Reading
from napari_ct_assistant.backends.server.connection import ServerOptions
from napari_ct_assistant.model.conversion.served import ServedLanguageModel

AGREED = frozenset({"embeddings", "pixel data", "report text"})
READERS = 8
TOKENS = 16
LEAST_RATIO = 8.0
QUESTIONS = (
    "Is there a pleural effusion?",
    "Where is the nodule?",
    "Describe the heart.",
    "Is there emphysema?",
)
# The chat template that the text way is compared with.
TEMPLATE = "{% for message in messages %}{{ message['content'] }}{% endfor %}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--vllm", metavar="PYTHON", help="interpreter that has vLLM")
    parser.add_argument("--address", help="a server that runs already")
    parser.add_argument("--model", help="model folder, for the comparison (with --address)")
    parser.add_argument("--encoder", help="its encoder (with --address)")
    parser.add_argument("--scans", type=int, default=3, help="scans read cold (default 3)")
    options = parser.parse_args()
    os.environ.setdefault("CT_ASSISTANT_DATA", tempfile.mkdtemp())
    if options.address:
        return measure(options.address, options.model, options.encoder, options.scans)
    if not options.vllm:
        parser.error("give --vllm PYTHON, or --address")
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        model, export = make_model(home)
        served = ServedLanguageModel.load(export / "encoder")
        with vllm(options.vllm, export, home, served.served_name) as address:
            return measure(address, str(model), str(export / "encoder"), options.scans)


def measure(address: str, model: str | None, encoder: str, scans: int) -> int:
    """Print the table; return the exit status."""
    served = load_assistant(
        address, device="cpu", dtype="float32", server=ServerOptions(encoder, AGREED)
    )
    print(f"\n{served.info.engine or 'server'} at {served.info.server}: {served.info.served_model}")
    print(f"{os.cpu_count()} cores here, load {os.getloadavg()[0]:.1f}\n")
    checks = []
    volumes = [scan(number) for number in range(scans)]
    if model:
        checks.append(same_tokens(load_assistant(model, device="cpu", dtype="float32"), served))
        checks.append(same_text(model, served))
    checks.append(warm_and_cold(served, volumes))
    checks.append(stop_frees_the_slot(served, address))
    checks.append(at_once(served))
    served.close()
    return 0 if all(checks) else 1


def line(what: str, value: str, holds: bool | None = None) -> None:
    mark = "" if holds is None else ("   holds" if holds else "   DOES NOT HOLD")
    print(f"{what:<58}{value:>20}{mark}", flush=True)


def same_tokens(local: Assistant, served: Assistant) -> bool:
    """Compare greedy tokens here and there."""
    volume, settings = scan(100), GenerationSettings(max_new_tokens=24)
    ours, theirs = local.read(volume).context, served.read(volume).context
    equal = 0
    for question in QUESTIONS:
        first = ours.generate(ours.prompt(question), settings=settings)
        second = theirs.generate(theirs.prompt(question), settings=settings)
        equal += first.ids == second.ids
    line(
        "answers with the same greedy tokens (embeddings)",
        f"{equal} of {len(QUESTIONS)}",
        equal == len(QUESTIONS),
    )
    gaps = np.subtract(ours.yes_probabilities(QUESTIONS), theirs.yes_probabilities(QUESTIONS))
    line(
        "largest difference of a yes-probability",
        f"{np.abs(gaps).max():.1e}",
        bool(np.abs(gaps).max() < 1e-3),
    )
    local.close()
    return equal == len(QUESTIONS) and bool(np.abs(gaps).max() < 1e-3)


def same_text(model: str, served: Assistant) -> bool:
    """Compare a text model's answer in a chat with transformers' own."""
    import torch

    from napari_ct_assistant.backends.server.connection import connect
    from napari_ct_assistant.backends.server.profiles import find_profile
    from napari_ct_assistant.backends.server.text_model import TextModel

    profile = find_profile(served.info.server)
    assert profile is not None
    connection = connect(profile, ServerOptions(agreed=AGREED))
    prompt = "Shorten this part of the report: The heart is enlarged."
    settings = GenerationSettings(max_new_tokens=24)
    theirs = TextModel(connection).generate(prompt, settings=settings).ids
    connection.client.close()
    local = load_assistant(model, device="cpu", dtype="float32")
    ids = local.processor.tokenizer(prompt, add_special_tokens=False)["input_ids"]
    out = local.model.language_model.generate(
        torch.tensor([ids]), max_new_tokens=24, do_sample=False,
        pad_token_id=local.processor.tokenizer.pad_token_id,
    )[0, len(ids) :].tolist()  # fmt: skip
    local.close()
    line(
        "a text model's answer has the same greedy tokens (chat)", str(theirs == out), theirs == out
    )
    return theirs == out


def warm_and_cold(served: Assistant, volumes: list[CTVolume]) -> bool:
    """Compare the first question about a scan with a follow-up."""
    cold, warm, covered = [], [], True
    settings = GenerationSettings(max_new_tokens=1)
    for volume in volumes:
        reading = served.read(volume)
        image = len(reading.backend.processor.prefix_ids())
        cold.append(first_token(reading, QUESTIONS[0], settings))
        warm.append(first_token(reading, QUESTIONS[1], settings))
        cached = getattr(reading.context, "cached_tokens", None) or 0
        # Whole blocks only: 16 tokens on GPUs, 128 on CPUs.
        covered = covered and cached >= image // 128 * 128 > 0
    ratio = statistics.median(cold) / statistics.median(warm)
    line("tokens of the image and what precedes it", str(image))
    line("of these in the server's cache at the second question", str(cached), covered)
    line("first question: seconds to the first token", f"{statistics.median(cold):.2f}")
    line("follow-up: seconds to the first token", f"{statistics.median(warm):.2f}")
    line("a follow-up begins sooner by", f"{ratio:.1f}x", ratio >= LEAST_RATIO)
    return covered and ratio >= LEAST_RATIO


def first_token(reading: Reading, question: str, settings: GenerationSettings) -> float:
    start = time.perf_counter()
    reading.context.generate(reading.context.prompt(question), settings=settings)
    return time.perf_counter() - start


def stop_frees_the_slot(served: Assistant, address: str) -> bool:
    """Stop an answer at its first word, and ask the server how many it still works on."""
    reading, cancel = served.read(scan(200)), threading.Event()
    settings = GenerationSettings(max_new_tokens=600)
    answer = reading.context.generate(
        reading.context.prompt(QUESTIONS[2]), on_text=lambda _: cancel.set(), cancel=cancel,
        settings=settings,
    )  # fmt: skip
    start = time.perf_counter()
    while running(address) and time.perf_counter() - start < 20:
        time.sleep(0.05)
    seconds = time.perf_counter() - start
    holds = answer.stopped and not running(address)
    line("Stop after the first word: the server is idle after (s)", f"{seconds:.2f}", holds)
    return holds


def running(address: str) -> float:
    """Return how many requests the server works on, by its own figures."""
    with urllib.request.urlopen(f"{address}/metrics", timeout=20) as response:
        text = response.read().decode()
    return sum(
        float(row.rsplit(" ", 1)[1])
        for row in text.splitlines()
        if row.startswith("vllm:num_requests_running")
    )


def at_once(served: Assistant) -> bool:
    """Let eight readers ask one after another, then all at once."""
    settings = GenerationSettings(max_new_tokens=TOKENS)
    readings = [served.read(scan(300 + number)) for number in range(READERS)]

    def ask(reading: Reading) -> list[int]:
        return reading.context.generate(reading.context.prompt(QUESTIONS[2]), settings=settings).ids

    for reading in readings:  # the image is in the cache for both
        first_token(reading, QUESTIONS[0], GenerationSettings(max_new_tokens=1))
    start = time.perf_counter()
    alone = [ask(reading) for reading in readings]
    in_turn = time.perf_counter() - start
    start = time.perf_counter()
    with ThreadPoolExecutor(READERS) as pool:
        together = list(pool.map(ask, readings))
    side_by_side = time.perf_counter() - start
    equal = alone == together
    line(f"{READERS} readers in turn (s)", f"{in_turn:.1f}")
    line(f"{READERS} readers at once (s)", f"{side_by_side:.1f}", side_by_side < in_turn)
    line("each gets the answer of one alone", str(equal), equal)
    return equal and side_by_side < in_turn


def scan(seed: int) -> CTVolume:
    """Return a volume of noise and blocks; every seed is another scan."""
    random = np.random.default_rng(seed)
    hu = random.normal(-300, 200, (40, 64, 64))
    hu[8:20, 10:40, 12:50] += random.normal(400, 50)
    affine = np.diag([-2.0, -2.0, -5.0, 1.0])[:, [2, 1, 0, 3]]
    return CTVolume(np.clip(hu, -1024, 2000).astype(np.int16), affine, series="noise")


def make_model(home: Path) -> tuple[Path, Path]:
    """Write a model with random weights, and its export."""
    import torch
    from transformers import LlamaConfig

    from napari_ct_assistant.model.configuration import VolumeLanguageConfig
    from napari_ct_assistant.model.conversion.language_export import export_language_model
    from napari_ct_assistant.model.modeling import VolumeLanguageModel
    from napari_ct_assistant.model.processor import VolumeLanguageProcessor
    from napari_ct_assistant.model.vision_configuration import VisionConfig3D
    from napari_ct_assistant.training.stages.tokenizer import IMAGE, train_tokenizer

    torch.manual_seed(0)
    tokenizer = train_tokenizer([*QUESTIONS, "Yes.", "No.", "The heart is enlarged."], 320)
    text = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=768,
        intermediate_size=2048,
        num_hidden_layers=16,
        num_attention_heads=12,
        num_key_value_heads=12,
        max_position_embeddings=2048,
        initializer_range=0.05,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    vision = VisionConfig3D(
        image_size=(64, 192, 192), patch_size=(8, 16, 16), hidden_size=48,
        num_hidden_layers=2, num_attention_heads=2,
    )  # fmt: skip
    config = VolumeLanguageConfig(
        vision_config=vision, text_config=text, perceiver_kernel=1, trained_on="nothing",
        image_token_id=int(tokenizer.convert_tokens_to_ids(IMAGE)),
    )  # fmt: skip
    model = VolumeLanguageModel(config).eval()
    processor = VolumeLanguageProcessor(
        tokenizer, image_size=vision.image_size, patch_size=vision.patch_size,
        num_image_tokens=model.num_image_tokens, image_token=IMAGE, prompt="{image}{question}\n",
        answer_prefix="", max_new_tokens=600,
    )  # fmt: skip
    folder = home / "random-model"
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    made = export_language_model(folder, home / "language-model", "random")
    return folder, made.folder


@contextmanager
def vllm(
    python: str,
    folder: Path,
    home: Path,
    name: str,
    template_text: str = TEMPLATE,
    more: Sequence[str] = ("--enable-prompt-embeds", "--max-model-len", "2048"),
) -> Iterator[str]:
    """Serve a model on this computer until the block ends; `more` are further options."""
    template = home / "template.jinja"
    template.write_text(template_text, encoding="utf-8")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        python, "-m", "vllm.entrypoints.openai.api_server", "--model", str(folder),
        "--served-model-name", name, "--host", "127.0.0.1", "--port", str(port),
        "--enable-prefix-caching", "--enable-prompt-tokens-details", "--dtype", "float32",
        "--max-num-seqs", "8", "--enforce-eager", "--chat-template", str(template), *more,
    ]  # fmt: skip
    environment = os.environ | {
        "VLLM_CPU_KVCACHE_SPACE": "2",
        "HF_HUB_OFFLINE": "1",
        "VLLM_NO_USAGE_STATS": "1",
        "DO_NOT_TRACK": "1",
        "VLLM_CPU_OMP_THREADS_BIND": "nobind",
        # Threads that wait for one another are slow where other programs want the processors.
        "OMP_NUM_THREADS": "1",
    }
    log = home / "vllm.log"
    with log.open("wb") as stream:
        process = subprocess.Popen(command, stdout=stream, stderr=stream, env=environment)
        try:
            address = f"http://127.0.0.1:{port}"
            wait(address, process, log)
            yield address
        finally:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def wait(address: str, process: subprocess.Popen[bytes], log: Path, seconds: float = 600) -> None:
    """Wait until the server answers."""
    start = time.monotonic()
    while time.monotonic() - start < seconds:
        if process.poll() is not None:
            sys.exit(f"vLLM ended:\n{log.read_text(errors='replace')[-3000:]}")
        try:
            with urllib.request.urlopen(f"{address}/health", timeout=2):
                return
        except OSError:
            time.sleep(1)
    sys.exit(f"vLLM did not start in {seconds:.0f} s:\n{log.read_text(errors='replace')[-3000:]}")


if __name__ == "__main__":
    sys.exit(main())
