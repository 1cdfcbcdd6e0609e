"""A server in trouble: one line each, what was written stays, the question can be sent again."""

from __future__ import annotations

import datetime as dt
import ssl
import threading
from collections.abc import Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path

import pytest

from napari_ct_assistant import CTVolume, load_assistant
from napari_ct_assistant.assistant import GenerationSettings, Reading
from napari_ct_assistant.backends.server import keys
from napari_ct_assistant.backends.server.connection import ServerOptions
from napari_ct_assistant.backends.server.errors import ServerError
from napari_ct_assistant.backends.server.profiles import SavedServer, save_profile
from napari_ct_assistant.model.conversion.language_export import ExportedLanguageModel
from tests.backends.server.vllm_rules import VllmRules
from tests.tiny_model import TURNS

QUESTION = next(iter(TURNS))


@pytest.fixture
def reading(
    rules: VllmRules, exported: ExportedLanguageModel, small_volume: CTVolume
) -> Iterator[Reading]:
    saved = SavedServer(address=rules.address, encoder=str(exported.encoder), timeout=1.0)
    save_profile("gpu1", saved)
    options = ServerOptions(agreed=frozenset({"embeddings"}))
    assistant = load_assistant("gpu1", device="cpu", server=options)
    yield assistant.read(small_volume)
    assistant.backend.close()


@pytest.mark.parametrize(
    ("fault", "line"),
    [
        ("429", r"busy \(status 429\); ask again"),
        ("503", r"unavailable \(status 503\); ask again"),
        ("die", "the connection broke; ask again"),
        ("silent", "silent for 1 s; ask again"),
        ("error", "failed within the answer; ask again"),
    ],
)
def test_trouble_is_one_line_and_the_question_can_be_sent_again(
    fault: str, line: str, reading: Reading, rules: VllmRules
) -> None:
    whole = reading.ask(QUESTION)
    rules.fault = fault
    written: list[str] = []
    with pytest.raises(ServerError, match=line) as error:
        reading.ask(QUESTION, on_text=written.append)
    assert "\n" not in str(error.value)
    assert rules.address in str(error.value)
    if fault in ("die", "silent", "error"):
        assert "".join(written)
        assert whole.text.startswith("".join(written).strip())
    rules.fault = ""
    assert reading.ask(QUESTION).text == whole.text


def test_a_server_that_was_shut_down(reading: Reading, rules: VllmRules) -> None:
    reading.backend.client.address = reading.backend.client.address.__class__(  # type: ignore[attr-defined]
        "http", "127.0.0.1", 9
    )
    reading.backend.client.close()  # type: ignore[attr-defined]
    with pytest.raises(ServerError, match="no answer; is the server running"):
        reading.ask(QUESTION)


def test_a_context_that_is_too_long(reading: Reading, rules: VllmRules) -> None:
    with pytest.raises(ServerError, match="context window") as error:
        reading.ask("nodule " * 600)
    assert "\n" not in str(error.value)
    assert rules.requests == []
    # A server whose window is smaller than it says.
    rules.max_model_len = 20
    with pytest.raises(ServerError, match="longer than its context window"):
        reading.ask(QUESTION)


def test_an_answer_at_the_end_of_the_window_is_cut(reading: Reading) -> None:
    room = reading.context.window - 60  # type: ignore[attr-defined]
    long = reading.ask(
        "nodule " * 40, settings=GenerationSettings(max_new_tokens=room), evidence=False
    )
    assert long.tokens <= room
    assert reading.ask(QUESTION, settings=GenerationSettings(max_new_tokens=2)).cut


def test_a_key_is_asked_for(
    rules: VllmRules,
    exported: ExportedLanguageModel,
    small_volume: CTVolume,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import keyring

    stored: dict[tuple[str, str], str] = {}
    monkeypatch.setattr(keyring, "set_password", lambda s, a, k: stored.update({(s, a): k}))
    monkeypatch.setattr(keyring, "get_password", lambda s, a: stored.get((s, a)))
    monkeypatch.setattr(keyring, "delete_password", lambda s, a: stored.pop((s, a)))
    rules.key = "quagmyre-key"
    options = ServerOptions(str(exported.encoder), frozenset({"embeddings"}))
    with pytest.raises(ServerError, match="wants another API key"):
        load_assistant(rules.address, server=options)
    keys.store_key(rules.address, "quagmyre-key")
    assistant = load_assistant(rules.address, server=options)
    answer = assistant.read(small_volume).ask(QUESTION)
    assistant.backend.close()
    assert "quagmyre-key" not in repr(vars(assistant.info)) + str(answer.to_json())
    keys.store_key(rules.address, "")
    assert stored == {}


def test_a_certificate_of_nobody_is_refused(tmp_path: Path) -> None:
    """TLS is verified: a server with a certificate that no authority signed gets nothing."""
    x509 = pytest.importorskip("cryptography.x509")
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), False)
        .sign(key, hashes.SHA256())
    )
    file = tmp_path / "server.pem"
    plain = serialization.NoEncryption()
    pkcs8 = serialization.PrivateFormat.PKCS8
    pem = serialization.Encoding.PEM
    file.write_bytes(key.private_bytes(pem, pkcs8, plain) + made.public_bytes(pem))
    from tests.backends.server.vllm_rules import _Handler

    rules = VllmRules("model")
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("H", (_Handler,), {"rules": rules}))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.handle_error = lambda *_: None  # type: ignore[method-assign]
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        with pytest.raises(ServerError, match="certificate is not valid") as error:
            load_assistant(f"https://localhost:{server.server_address[1]}")
        assert "\n" not in str(error.value)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
    assert rules.requests == []
