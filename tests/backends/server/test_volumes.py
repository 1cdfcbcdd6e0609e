"""A volume model whose language model is on a server keeps the promises of a backend."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from napari_ct_assistant import CTVolume, load_assistant
from napari_ct_assistant.assistant import Assistant, GenerationSettings, Reading
from napari_ct_assistant.assistant.report.document import ReportDocument
from napari_ct_assistant.assistant.report.template import find_template
from napari_ct_assistant.backends.server.connection import ServerOptions
from napari_ct_assistant.backends.server.errors import ServerError
from napari_ct_assistant.model.conversion.language_export import ExportedLanguageModel
from tests.backends.conformance import BackendConformance
from tests.backends.server.vllm_rules import VllmRules, serving
from tests.tiny_model import TURNS

AGREED = frozenset({"embeddings"})
QUESTION = "Does this image show signs of lung nodule?"


def connect(rules: VllmRules, exported: ExportedLanguageModel) -> Assistant:
    options = ServerOptions(str(exported.encoder), AGREED)
    return load_assistant(rules.address, device="cpu", server=options)


class TestServedVolumes(BackendConformance):
    @pytest.fixture(scope="class")
    @classmethod
    def folder(cls, taught_folder: Path) -> Path:
        return taught_folder

    @pytest.fixture(scope="class")
    @classmethod
    def assistant(cls, exported: ExportedLanguageModel) -> Iterator[Assistant]:  # type: ignore[override]
        with serving(VllmRules(exported.served.served_name, exported.folder)) as rules:
            assistant = connect(rules, exported)
            yield assistant
            assistant.backend.close()

    def test_support_is_the_gain_over_blind(self, reading: Reading) -> None:
        assert reading.evidence(QUESTION, "No.").support is None
        blind = reading.without_image().support([(QUESTION, "No.")])[0]
        assert blind == pytest.approx(0, abs=1e-4)

    def test_the_estimate_covers_the_weights(self, folder: Path, assistant: Assistant) -> None:
        """The encoder's half alone is on this computer."""
        whole = sum(p.numel() for p in load_assistant(folder, device="cpu").model.parameters())
        assert sum(p.numel() for p in assistant.model.parameters()) < whole


@pytest.fixture
def local(taught_folder: Path, small_volume: CTVolume) -> Reading:
    return load_assistant(taught_folder, device="cpu", dtype="float32").read(small_volume)


@pytest.fixture
def reading(
    rules: VllmRules, exported: ExportedLanguageModel, small_volume: CTVolume
) -> Iterator[Reading]:
    assistant = connect(rules, exported)
    yield assistant.read(small_volume)
    assistant.backend.close()


def connect_again(reading: Reading, volume: CTVolume) -> Reading:
    """Return another reading over the same connection."""
    return Reading(reading.backend, volume)


@pytest.mark.parametrize("question", [*TURNS, "Where is the nodule?"])
def test_the_server_gives_the_local_greedy_tokens(
    question: str, local: Reading, reading: Reading
) -> None:
    ours = local.context.generate(local.context.prompt(question))
    theirs = reading.context.generate(reading.context.prompt(question))
    assert theirs.ids == ours.ids
    assert theirs.text == ours.text
    assert (theirs.cut, theirs.stopped) == (ours.cut, ours.stopped)


def test_report_screen_support_and_choices_are_the_local_ones(
    local: Reading, reading: Reading
) -> None:
    draft, ours = reading.draft_report(), local.draft_report()
    assert draft.text == ours.text
    assert [s.text for s in draft.sentences] == [s.text for s in ours.sentences]
    rows, wanted = reading.screen(), local.screen()
    assert [row.name for row in rows] == [row.name for row in wanted]
    for ask in ("probability", "baseline"):
        np.testing.assert_allclose(
            [getattr(r, ask) for r in rows], [getattr(r, ask) for r in wanted], atol=1e-4
        )
    asked = [(QUESTION, "No."), (QUESTION, "Yes, in the right upper lobe.")]
    np.testing.assert_allclose(reading.support(asked), local.support(asked), atol=1e-3)
    given = {"choices": ("heart", "lung"), "evidence": False}
    first, second = reading.ask("Which?", **given), local.ask("Which?", **given)  # type: ignore[arg-type]
    assert [name for name, _ in first.choices] == ["heart", "lung"]
    np.testing.assert_allclose(
        [p for _, p in first.choices], [p for _, p in second.choices], atol=1e-4
    )


def test_an_older_server_without_logprobs_of_named_tokens(
    local: Reading, reading: Reading, rules: VllmRules, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = reading.backend.client  # type: ignore[attr-defined]
    real = client.first_token
    monkeypatch.setattr(
        client,
        "first_token",
        lambda name, body: real(name, {k: v for k, v in body.items() if k != "logprob_token_ids"}),
    )
    rows, wanted = reading.screen(), local.screen()
    np.testing.assert_allclose(
        [r.probability for r in rows], [r.probability for r in wanted], atol=1e-4
    )


def test_the_second_question_finds_the_image_in_the_servers_cache(
    reading: Reading, rules: VllmRules, exported: ExportedLanguageModel, small_volume: CTVolume
) -> None:
    context = reading.context
    image = len(context._prefix)  # type: ignore[attr-defined]
    reading.ask(QUESTION)
    assert context.cached_tokens == 0  # type: ignore[attr-defined]
    reading.ask("And where?")
    assert context.cached_tokens >= image // 4 * 4 > 0  # type: ignore[attr-defined]
    again = connect(rules, exported).read(small_volume)
    again.ask("Another day, the same scan?")
    assert again.context.cached_tokens >= image // 4 * 4  # type: ignore[attr-defined]


def test_another_scan_and_another_user_have_another_salt(
    reading: Reading,
    rules: VllmRules,
    exported: ExportedLanguageModel,
    small_volume: CTVolume,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reading.ask(QUESTION)
    darker = CTVolume(np.maximum(small_volume.hu - 1, -1024).astype(np.int16), small_volume.affine)
    connect(rules, exported).read(darker).ask(QUESTION)
    monkeypatch.setenv("CT_ASSISTANT_DATA", str(tmp_path / "another user"))
    connect(rules, exported).read(small_volume).ask(QUESTION)
    salts = [body["cache_salt"] for body in rules.requests]
    assert len(set(salts)) == 3
    assert all(len(salt) >= 43 for salt in salts)


def test_stop_frees_the_servers_slot(reading: Reading, rules: VllmRules) -> None:
    rules.pause = 0.1
    cancel = threading.Event()
    answer = reading.ask(
        next(iter(TURNS)),
        on_text=lambda _: cancel.set(),
        cancel=cancel,
        settings=GenerationSettings(max_new_tokens=200),
    )
    assert answer.stopped
    assert answer.text
    waited = threading.Event()
    for _ in range(200):
        if not rules.running:
            break
        waited.wait(0.02)
    assert rules.running == 0
    assert rules.aborted
    assert rules.aborted[0] < 10


def test_readers_at_once_get_the_answers_of_one_alone(
    reading: Reading, rules: VllmRules, exported: ExportedLanguageModel, small_volume: CTVolume
) -> None:
    """One connection's end is not the end of another reader's answer."""
    alone = {question: reading.ask(question).text for question in TURNS}
    readings = [connect_again(reading, small_volume) for _ in range(4)]
    asked = [(one, question) for _ in range(2) for one in readings for question in TURNS]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda pair: pair[0].ask(pair[1]).text, asked))
    assert answers == [alone[question] for _, question in asked]


def test_stop_before_the_first_token(reading: Reading, rules: VllmRules) -> None:
    rules.pause = 30.0
    cancel = threading.Event()
    threading.Timer(0.3, cancel.set).start()
    answer = reading.ask(QUESTION, cancel=cancel)
    assert answer.stopped
    assert answer.text == ""


def test_embeddings_that_are_not_finite_are_not_sent(reading: Reading, rules: VllmRules) -> None:
    context = reading.context
    context._prefix[3, 2] = float("nan")  # type: ignore[attr-defined]
    with pytest.raises(ServerError, match="not finite"):
        reading.ask(QUESTION)
    assert rules.requests == []


def test_provenance_names_server_model_and_revision(
    reading: Reading, rules: VllmRules, exported: ExportedLanguageModel
) -> None:
    told = reading.ask(QUESTION).to_json()["model"]
    assert told["server"] == rules.address
    assert told["served_model"] == exported.served.served_name
    assert told["revision"] == exported.served.sha256
    assert told["engine"] == "vLLM 0.32.0"
    assert len(told["weights_sha256"]) == 64
    report = ReportDocument.from_draft(reading.draft_report(), find_template(""), reading.volume)
    rows = dict(report.provenance())
    assert rows["Server"] == rules.address
    assert rows["Model on the server"] == exported.served.served_name
    assert rows["Revision on the server"] == exported.served.sha256


def test_the_reader_is_told_that_there_is_no_evidence(reading: Reading) -> None:
    assert any("server" in line and "no links" in line for line in reading.warnings)
    assert reading.backend.capabilities.evidence == ""
    assert reading.backend.capabilities.remote
