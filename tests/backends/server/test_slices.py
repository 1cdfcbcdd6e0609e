"""Slice models on a server: images first, nothing of torch, no header field."""

from __future__ import annotations

import base64
import io
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from napari_ct_assistant import CTVolume, load_assistant
from napari_ct_assistant.assistant import Assistant, GenerationSettings, Reading
from napari_ct_assistant.backends.protocol import EncodingStopped
from napari_ct_assistant.backends.server.connection import ServerOptions
from napari_ct_assistant.backends.server.errors import AgreementNeededError, ServerError
from napari_ct_assistant.backends.server.profiles import SavedServer, save_profile
from napari_ct_assistant.backends.slices import find_preset, slice_input
from napari_ct_assistant.report_text.findings import FINDINGS
from napari_ct_assistant.volume import write_nifti
from tests.backends.server.vllm_rules import VllmRules, serving

AGREED = ServerOptions(agreed=frozenset({"pixel data"}))
QUESTION = "Is there a pleural effusion?"


def answer(messages: list[dict[str, Any]]) -> str:
    """Answer by what was sent: the number of slices, their brightness, and the last question."""
    parts = messages[0]["content"]
    urls = (
        [p["image_url"]["url"] for p in parts if p["type"] == "image_url"]
        if not isinstance(parts, str)
        else []
    )
    images = [np.asarray(Image.open(io.BytesIO(base64.b64decode(u.split(",")[1])))) for u in urls]
    bright = sum(int(image.sum()) for image in images)
    last = messages[-1]["content"]
    asked = last if isinstance(last, str) else last[-1]["text"]
    verdict = "Yes" if bright else "No"
    return f"{verdict} {len(images)} slices {bright} bright, asked {len(asked)} characters."


@pytest.fixture
def rules() -> Iterator[VllmRules]:
    with serving(VllmRules("some/vision-model", chat=answer, max_model_len=32768)) as running:
        yield running


@pytest.fixture
def assistant(rules: VllmRules) -> Iterator[Assistant]:
    assistant = load_assistant(rules.address, server=AGREED)
    yield assistant
    assistant.backend.close()


@pytest.fixture
def reading(assistant: Assistant, small_volume: CTVolume) -> Reading:
    return assistant.read(small_volume)


def images_of(body: dict[str, Any]) -> list[str]:
    return [
        part["image_url"]["url"]
        for part in body["messages"][0]["content"]
        if part["type"] == "image_url"
    ]


def test_what_is_sent_is_the_preset_s_slices_in_its_message(
    reading: Reading, rules: VllmRules, small_volume: CTVolume
) -> None:
    reading.ask(QUESTION)
    body = rules.requests[-1]
    shown = slice_input(small_volume, find_preset("generic-vl"))
    sent = [
        np.asarray(Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))))
        for url in images_of(body)
    ]
    assert len(sent) == len(shown.indices)
    for image, wanted in zip(sent, shown.images(), strict=True):
        np.testing.assert_array_equal(image, wanted)
    assert QUESTION in body["messages"][0]["content"][-1]["text"]
    assert body["path"] == "/v1/chat/completions"
    assert set(body) - {"path", "headers"} == {
        "model",
        "messages",
        "stream",
        "stream_options",
        "return_token_ids",
        "cache_salt",
        "max_tokens",
        "temperature",
        "top_p",
        "repetition_penalty",
    }


def test_a_follow_up_begins_with_the_same_bytes(reading: Reading, rules: VllmRules) -> None:
    first = reading.ask(QUESTION)
    context = reading.context
    assert context.cached_tokens == 0  # type: ignore[attr-defined]
    again = reading.ask("And where?", history=[(QUESTION, first.text)])
    assert again.history_turns == 1
    one, two = rules.requests
    assert images_of(one) == images_of(two)
    assert two["messages"][0] == one["messages"][0]
    assert [turn["role"] for turn in two["messages"]] == ["user", "assistant", "user"]
    assert context.cached_tokens >= 64 * len(images_of(one))  # type: ignore[attr-defined]


def test_report_screen_choices_and_blind(
    assistant: Assistant, reading: Reading, small_volume: CTVolume
) -> None:
    draft = reading.draft_report()
    assert draft.sections["Report"].startswith("Yes")
    assert not draft.incomplete
    rows = reading.screen()
    assert tuple(row.name for row in rows) == FINDINGS
    assert all(row.probability > 0.8 for row in rows)
    assert reading.without_image().ask(QUESTION).text.startswith("No")
    assert assistant.read(small_volume).ask(QUESTION).text == reading.ask(QUESTION).text
    assert reading.backend.capabilities.evidence == ""
    assert any("no links to places" in line for line in reading.warnings)
    with pytest.raises(ServerError, match="how likely a given text is"):
        reading.support([(QUESTION, "No.")])


def test_stopping_and_the_limit(reading: Reading, rules: VllmRules, assistant: Assistant) -> None:
    rules.pause = 0.05
    cancel = threading.Event()
    stopped = reading.ask(QUESTION, on_text=lambda _: cancel.set(), cancel=cancel)
    assert stopped.stopped
    assert stopped.text
    rules.pause = 0.0
    assert reading.ask(QUESTION, settings=GenerationSettings(max_new_tokens=1)).cut
    with pytest.raises(EncodingStopped):
        assistant.read(reading.volume, cancel=cancel)


def test_nothing_is_sent_before_somebody_agreed(rules: VllmRules, small_volume: CTVolume) -> None:
    assistant = load_assistant(rules.address)
    with pytest.raises(AgreementNeededError, match="slices of the scan, as images"):
        assistant.read(small_volume)
    assert rules.requests == []
    assistant.backend.close()


def test_a_conversation_that_is_too_long(reading: Reading, rules: VllmRules) -> None:
    rules.max_model_len = 100
    with pytest.raises(ServerError, match="longer than its context window; clear"):
        reading.ask(QUESTION)


def test_provenance_names_server_model_and_revision(
    rules: VllmRules, small_volume: CTVolume
) -> None:
    save_profile("reader", SavedServer(address=rules.address, revision="2026-01-13"))
    assistant = load_assistant("reader", server=AGREED)
    told = assistant.read(small_volume).ask(QUESTION).to_json()["model"]
    assistant.backend.close()
    assert told["server"] == rules.address
    assert (told["served_model"], told["revision"]) == ("some/vision-model", "2026-01-13")
    assert told["weights_sha256"] == ""


BARE = """
import sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"torch", "transformers", "tokenizers", "safetensors"}:
            raise ImportError(f"{name} is not installed", name=name)
sys.meta_path.insert(0, Blocked())
from napari_ct_assistant.cli import main
main()
"""


def run_bare(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", BARE, *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_a_bare_workstation_reads_without_torch(
    rules: VllmRules, small_volume: CTVolume, tmp_path: Path
) -> None:
    scan = tmp_path / "scan.nii"
    write_nifti(small_volume, scan)
    common = (str(scan), "--model", rules.address, "--send-scan", "--json")
    asked = run_bare("ask", common[0], QUESTION, *common[1:])
    assert asked.returncode == 0, asked.stderr
    assert json.loads(asked.stdout)["answer"].startswith("Yes")
    screened = run_bare("screen", *common)
    assert screened.returncode == 0, screened.stderr
    assert len(json.loads(screened.stdout)["findings"]) == 18


def test_a_bare_workstation_is_told_what_a_volume_model_needs(rules: VllmRules) -> None:
    rules.name = "model-sha" + "0" * 16
    save_profile("volumes", SavedServer(address=rules.address, reads="volumes"))
    script = BARE.replace(
        "from napari_ct_assistant.cli import main\nmain()",
        "from napari_ct_assistant.assistant.models import loading\n"
        "from napari_ct_assistant.backends.server import loading as server\n"
        "from pathlib import Path\n"
        "server._encoder = lambda *_: Path('encoder')\n"
        "try:\n    loading.load_assistant('volumes')\n"
        "except Exception as error:\n    print(type(error).__name__, error)\n",
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=False
    )
    assert "ServerError" in done.stdout, done.stderr
    assert "needs torch" in done.stdout
    assert done.stdout.count("\n") == 1
