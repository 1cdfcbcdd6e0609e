"""What processes say to one another, as far as one process can see."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from napari_ct_assistant.training import distributed
from napari_ct_assistant.training.distributed import LostProcessError, naming_lost_processes

# What gloo says in torch 2.13 when a process was killed.
CLOSED = (
    "[enforce fail at ../third_party/gloo/gloo/transport/tcp/pair.cc:547] "
    "Connection closed by peer [127.0.0.1]:40513"
)


def several(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    state = SimpleNamespace(process_index=0, num_processes=count)
    monkeypatch.setattr(distributed, "process_state", lambda: state)


def test_a_closed_connection_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    several(monkeypatch, 2)
    with pytest.raises(LostProcessError) as error, naming_lost_processes():
        raise RuntimeError(CLOSED)
    text = str(error.value)
    assert "\n" not in text
    assert text.startswith("process 0 of 2: another process has ended or hangs; the same command")


@pytest.mark.parametrize(("count", "message"), [(2, "shapes differ"), (1, CLOSED)])
def test_other_errors_stay_as_they_are(
    monkeypatch: pytest.MonkeyPatch, count: int, message: str
) -> None:
    several(monkeypatch, count)
    with pytest.raises(RuntimeError) as error, naming_lost_processes():
        raise RuntimeError(message)
    assert type(error.value) is RuntimeError
    assert str(error.value) == message
