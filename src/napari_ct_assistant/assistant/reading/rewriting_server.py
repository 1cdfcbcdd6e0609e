"""Rewriting by a text model on a server, where a department or the user has named one."""

from __future__ import annotations

import threading
import time

from napari_ct_assistant.assistant.reading.results import Answer
from napari_ct_assistant.backends.protocol import OnText
from napari_ct_assistant.backends.server.connection import ServerOptions
from napari_ct_assistant.backends.server.profiles import Profile
from napari_ct_assistant.backends.server.text_model import connect_text_model


def rewrite_on_server(
    profile: Profile,
    prompt: str,
    *,
    on_text: OnText | None = None,
    cancel: threading.Event | None = None,
    options: ServerOptions | None = None,
) -> Answer:
    """Answer a request that quotes all that is needed (`rewriting.prompt`).

    Raises
    ------
    ServerError
        One line; `AgreementNeededError` if nobody has agreed to send text of reports there.
    """
    start = time.perf_counter()
    model = connect_text_model(profile, options)
    try:
        generated = model.generate(prompt, on_text=on_text, cancel=cancel)
    finally:
        model.close()
    return Answer(
        question=prompt,
        text=generated.text.strip(),
        model=model.info,
        seconds_first_token=generated.seconds_first_token,
        seconds_total=time.perf_counter() - start,
        tokens=len(generated.ids),
        stopped=generated.stopped,
        cut=generated.cut,
        reasoning=generated.reasoning,
    )
