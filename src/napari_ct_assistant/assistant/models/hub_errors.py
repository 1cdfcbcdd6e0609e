"""Why the hub did not answer a request, as one line."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from huggingface_hub.constants import ENDPOINT
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.utils import get_session

from napari_ct_assistant.support.translation import said


def network_errors() -> tuple[type[Exception], ...]:
    """Return the errors of a request; the client's HTTP library differs between versions."""
    library: Any = import_module(type(get_session()).__module__.partition(".")[0])
    return (HfHubHTTPError, LocalEntryNotFoundError, library.HTTPError, OSError)


def failure_reason(repo: str, revision: str | None, error: Exception) -> str:
    """Return what went wrong with a request for a model, and what to do."""
    if isinstance(error, GatedRepoError):
        return said(
            "{repo}: its owners ask you to accept their terms first, at {page}; then log in with "
            "`hf auth login`. The hub's own login keeps the token, this program never does",
            repo=repo,
            page=f"{ENDPOINT}/{repo}",
        )
    if isinstance(error, RevisionNotFoundError):
        return said(
            "{repo}: has no revision {revision}; give another one or leave it out",
            repo=repo,
            revision=repr(revision),
        )
    if isinstance(error, RepositoryNotFoundError | HFValidationError):
        return said("{repo}: no such model on the hub (or it is private: log in first)", repo=repo)
    return said(
        "{repo}: the hub cannot be reached ({reason}); try again to resume",
        repo=repo,
        reason=" ".join(str(error).split())[:160] or type(error).__name__,
    )
