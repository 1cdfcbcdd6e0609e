"""What leaves this computer, to whom, and who agreed to it."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path

import pytest
import torch

from napari_ct_assistant import CTVolume, load_assistant
from napari_ct_assistant.backends.server import agreements
from napari_ct_assistant.backends.server.address import read_address
from napari_ct_assistant.backends.server.connection import ServerOptions
from napari_ct_assistant.backends.server.errors import (
    AgreementNeededError,
    ServerError,
    ServerRefusedError,
)
from napari_ct_assistant.backends.server.profiles import (
    SavedServer,
    find_profile,
    profiles,
    remove_profile,
    save_profile,
)
from napari_ct_assistant.backends.server.sending import Sending
from napari_ct_assistant.backends.server.volumes.payload import payload
from napari_ct_assistant.model.conversion.language_export import ExportedLanguageModel
from napari_ct_assistant.model.conversion.served import FILE
from tests.backends.server.vllm_rules import VllmRules

AGREED = frozenset({"embeddings"})


def site_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    file = tmp_path / "department.yaml"
    file.write_text(text, encoding="utf-8")
    monkeypatch.setenv("CT_ASSISTANT_SERVERS", str(file))


def test_nothing_is_sent_before_somebody_agreed(
    rules: VllmRules, exported: ExportedLanguageModel, small_volume: CTVolume
) -> None:
    assistant = load_assistant(rules.address, server=ServerOptions(str(exported.encoder)))
    with pytest.raises(AgreementNeededError, match="embeddings") as error:
        assistant.read(small_volume)
    assert rules.requests == []
    assert "\n" not in str(error.value)
    agreements.agree(error.value.sending)
    assert assistant.read(small_volume).ask("Is there a nodule?").text
    assert agreements.withdraw(rules.address) == [f"{rules.address} embeddings"]
    with pytest.raises(AgreementNeededError):
        assistant.read(small_volume)
    assistant.backend.close()


def test_an_agreement_is_for_one_address_and_one_kind() -> None:
    agreements.agree(Sending("https://gpu1:8000", "embeddings"))
    guard = agreements.Guard()
    guard.check(Sending("https://gpu1:8000", "embeddings"))
    for other in (
        Sending("https://gpu1:8000", "pixel data"),
        Sending("https://gpu1:8001", "embeddings"),
        Sending("https://gpu11:8000", "embeddings"),
    ):
        with pytest.raises(AgreementNeededError):
            guard.check(other)
    file = agreements.data_folder() / agreements.FILE
    assert file.stat().st_mode & 0o077 == 0


def test_no_header_field_is_in_a_request(
    rules: VllmRules, exported: ExportedLanguageModel, small_volume: CTVolume
) -> None:
    named = CTVolume(
        small_volume.hu, small_volume.affine, series="Quagmyre^Ottoline 19430913 chest"
    )
    options = ServerOptions(str(exported.encoder), AGREED)
    assistant = load_assistant(rules.address, server=options)
    reading = assistant.read(named)
    reading.ask("Is there a nodule?")
    reading.draft_report()
    reading.screen()
    assistant.backend.close()
    sent = json.dumps(rules.requests)
    for private in ("Quagmyre", "Ottoline", "19430913", named.fingerprint):
        assert private not in sent
    keys = {key for body in rules.requests for key in body} - {"path", "headers"}
    assert keys <= {
        "model",
        "prompt_embeds",
        "cache_salt",
        "stream",
        "stream_options",
        "return_token_ids",
        "return_tokens_as_token_ids",
        "max_tokens",
        "temperature",
        "top_p",
        "top_k",
        "repetition_penalty",
        "stop_token_ids",
        "logprobs",
        "logprob_token_ids",
    }


@pytest.mark.parametrize("variable", ["OPENAI_API_KEY", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID"])
def test_nothing_meant_for_openai_is_sent(
    variable: str,
    rules: VllmRules,
    exported: ExportedLanguageModel,
    small_volume: CTVolume,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(variable, "quagmyre-secret")
    options = ServerOptions(str(exported.encoder), AGREED)
    assistant = load_assistant(rules.address, server=options)
    assistant.read(small_volume).ask("Is there a nodule?")
    assistant.backend.close()
    assert "quagmyre-secret" not in json.dumps(rules.requests)


def test_this_computer_is_not_reached_through_a_proxy(
    rules: VllmRules, exported: ExportedLanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(variable, "http://127.0.0.1:9")
    for variable in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(variable, raising=False)
    assistant = load_assistant(rules.address, server=ServerOptions(str(exported.encoder)))
    assert assistant.info.engine == "vLLM 0.32.0"
    assistant.backend.close()


def test_a_redirect_is_not_followed(
    rules: VllmRules, exported: ExportedLanguageModel, small_volume: CTVolume
) -> None:
    options = ServerOptions(str(exported.encoder), AGREED)
    assistant = load_assistant(rules.address, server=options)
    reading = assistant.read(small_volume)
    rules.fault = "redirect"
    with pytest.raises(ServerError, match="refers to another address; nothing was sent there"):
        reading.ask("Is there a nodule?")
    assistant.backend.close()


@pytest.mark.parametrize(
    "address", ["http://gpu1.hospital:8000", "http://192.168.1.4", "http://127.0.0.1.evil.org"]
)
def test_an_address_that_is_neither_https_nor_loopback(address: str) -> None:
    with pytest.raises(AgreementNeededError, match="not encrypted"):
        load_assistant(address, server=ServerOptions(agreed=AGREED))


@pytest.mark.parametrize("address", ["http://localhost:1", "http://127.0.0.1:1", "http://[::1]:1"])
def test_loopback_needs_no_encryption(address: str) -> None:
    with pytest.raises(ServerError, match="no answer"):
        load_assistant(address)


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("https://", "no address"),
        ("https://user:secret@gpu1", "user name or password"),
        ("https://gpu1:port", "no address"),
        ("https://gpu1/?key=1", "no `\\?`"),
    ],
)
def test_addresses_that_are_refused(address: str, reason: str) -> None:
    with pytest.raises(ServerRefusedError, match=reason) as error:
        read_address(address)
    assert "secret" not in str(error.value)


def test_the_departments_file_decides(
    rules: VllmRules,
    exported: ExportedLanguageModel,
    small_volume: CTVolume,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    entry = f"servers:\n  gpu1:\n    address: {rules.address}\n    encoder: {exported.encoder}\n"
    site_file(tmp_path, monkeypatch, entry + "    consent: granted\n")
    assistant = load_assistant("gpu1")
    assert assistant.read(small_volume).ask("Is there a nodule?").text
    assistant.backend.close()
    site_file(tmp_path, monkeypatch, entry + "    consent: refused\n")
    agreements.agree(Sending(rules.address, "embeddings"))
    for model in ("gpu1", rules.address):
        with pytest.raises(ServerRefusedError, match=r"department\.yaml does not allow"):
            load_assistant(model, server=ServerOptions(str(exported.encoder), AGREED))
    site_file(tmp_path, monkeypatch, "consent: refused\n")
    with pytest.raises(ServerRefusedError, match="does not allow"):
        load_assistant(rules.address, server=ServerOptions(str(exported.encoder), AGREED))


def test_the_users_own_file_cannot_grant(
    rules: VllmRules, exported: ExportedLanguageModel, small_volume: CTVolume
) -> None:
    saved = SavedServer(address=rules.address, encoder=str(exported.encoder), consent="granted")
    save_profile("mine", saved)
    assistant = load_assistant("mine")
    with pytest.raises(AgreementNeededError):
        assistant.read(small_volume)
    assistant.backend.close()
    assert [profile.name for profile in profiles()] == ["mine"]
    assert remove_profile("mine")
    assert find_profile("mine") is None


def test_a_wrong_key_in_the_file_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site_file(tmp_path, monkeypatch, "servers:\n  gpu1:\n    adress: https://gpu1\n")
    with pytest.raises(ServerError, match=r"department\.yaml line 3: .*adress") as error:
        load_assistant("gpu1")
    assert "\n" not in str(error.value)


def test_another_language_model_than_the_encoders_is_refused(
    rules: VllmRules, exported: ExportedLanguageModel, tmp_path: Path
) -> None:
    options = ServerOptions(str(exported.encoder), AGREED)
    rules.name = "taught-sha" + "0" * 16
    with pytest.raises(ServerRefusedError, match="belongs to"):
        load_assistant(rules.address, server=options)
    rules.name = "taught"
    with pytest.raises(ServerRefusedError, match="states no hash"):
        load_assistant(rules.address, server=options)
    rules.name = exported.served.served_name
    with pytest.raises(ServerError, match="whose encoder is not on this computer"):
        load_assistant(rules.address)
    (tmp_path / FILE).write_text("{}", encoding="utf-8")
    with pytest.raises(ValueError, match="export-llm"):
        load_assistant(rules.address, server=ServerOptions(str(tmp_path)))


def test_an_imported_encoder_is_found_by_its_hash(
    rules: VllmRules, exported: ExportedLanguageModel, models_home: Path
) -> None:
    link = models_home / "taught-encoder"
    link.symlink_to(exported.encoder, target_is_directory=True)
    try:
        assistant = load_assistant(rules.address)
        assert assistant.info.name.startswith("taught at http")
        assistant.backend.close()
    finally:
        link.unlink()


def test_embeddings_of_a_wrong_shape_are_not_sent() -> None:
    for wrong in (torch.zeros(3, 5), torch.zeros(1, 3, 4), torch.zeros(0, 4)):
        with pytest.raises(ServerError, match="shape"):
            payload(wrong, 4)
    for value in (float("nan"), float("inf")):
        with pytest.raises(ServerError, match="not finite"):
            payload(torch.full((3, 4), value), 4)
    rows = torch.arange(12.0).reshape(3, 4)
    assert payload(rows, 4) == payload(torch.cat([rows, rows])[:3], 4)
    back = torch.load(io.BytesIO(base64.b64decode(payload(rows, 4))), weights_only=True)
    assert torch.equal(back, rows)
