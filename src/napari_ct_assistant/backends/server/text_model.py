"""A text model on a server: it explains, shortens and sums up passages of reports."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from napari_ct_assistant.backends.model_info import ModelInfo
from napari_ct_assistant.backends.protocol import GeneratedText, OnText
from napari_ct_assistant.backends.server.connection import Connection, ServerOptions, connect
from napari_ct_assistant.backends.server.profiles import Profile
from napari_ct_assistant.backends.server.salt import cache_salt
from napari_ct_assistant.backends.server.sending import Sending
from napari_ct_assistant.backends.settings import GenerationSettings

SKILLS = ("explain", "shorten", "impression")
MAX_NEW_TOKENS = 800


@dataclass(frozen=True, eq=False)
class TextModel:
    """A model that gets a passage of a report with the request, and nothing of the scan.

    Attributes
    ----------
    connection : Connection
    """

    connection: Connection

    @property
    def info(self) -> ModelInfo:
        """Which model it is."""
        model, origin = self.connection.model, self.connection.profile.address.origin
        return ModelInfo(
            name=f"{model.id} at {origin}",
            skills=SKILLS,
            server=origin,
            served_model=model.id,
            revision=self.connection.profile.saved.revision or model.root,
            engine=self.connection.engine,
        )

    def generate(
        self,
        prompt: str,
        *,
        on_text: OnText | None = None,
        cancel: threading.Event | None = None,
        settings: GenerationSettings | None = None,
    ) -> GeneratedText:
        """Answer a request.

        Raises
        ------
        AgreementNeededError
            If nobody has agreed to send text of reports there.
        ServerError
            One line.
        """
        settings = settings or GenerationSettings()
        origin = self.connection.profile.address.origin
        self.connection.guard.check(Sending(origin, "report text"))
        answered = self.connection.client.chat(
            self.connection.model.id,
            [{"role": "user", "content": prompt}],
            {
                "cache_salt": cache_salt("report text"),
                "max_tokens": settings.max_new_tokens or self._longest,
                "temperature": max(settings.temperature, 0.0),
            },
            on_text=on_text,
            cancel=cancel,
        )
        return GeneratedText(
            text=answered.text,
            ids=list(answered.ids or ()),
            seconds_first_token=answered.seconds_first_token,
            stopped=answered.stopped,
            cut=not answered.stopped and answered.finish != "stop",
            reasoning=answered.reasoning.strip(),
        )

    @property
    def _longest(self) -> int:
        """Tokens of the longest answer; half of a small context window is left to the passage."""
        window = self.connection.model.max_model_len
        return min(MAX_NEW_TOKENS, window // 2) if window else MAX_NEW_TOKENS

    def close(self) -> None:
        """Close the connection."""
        self.connection.client.close()


def connect_text_model(profile: Profile, options: ServerOptions | None = None) -> TextModel:
    """Connect to a server that runs a text model."""
    return TextModel(connect(profile, options or ServerOptions()))
