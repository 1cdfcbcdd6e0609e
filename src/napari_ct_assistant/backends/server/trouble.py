"""What went wrong with a request, as the end of a line."""

from __future__ import annotations

import re
import ssl
from typing import Final

AGAIN: Final = "ask again"
_TOO_LONG = re.compile(
    r"maximum (?:context|model) length|longer than the maximum|max_model_len|context length", re.I
)
_NOT_SERVED = re.compile(r"does not exist|not found", re.I)


def explain(error: BaseException, timeout: float) -> str | None:
    """Return what an error of the network or of the package `openai` means; None for others.

    Nothing that the server wrote is repeated except a short reason for a refused request.
    """
    import openai

    chain = list(_chain(error))
    if any(isinstance(one, ssl.SSLCertVerificationError) for one in chain) or any(
        "CERTIFICATE_VERIFY_FAILED" in str(one) for one in chain
    ):
        return (
            "its certificate is not valid for this address; nothing was sent. Ask your department "
            "(SSL_CERT_FILE names a file with its own authority)"
        )
    if isinstance(error, openai.APIStatusError):
        return _status(error.status_code, _reason(error))
    names = {type(one).__name__ for one in chain}
    if "ConnectTimeout" in names or "ConnectError" in names:
        return f"no answer; is the server running? Then {AGAIN}"
    if isinstance(error, openai.APITimeoutError) or names & {"ReadTimeout", "WriteTimeout"}:
        return f"the server was silent for {timeout:g} s; {AGAIN}, or wait until it is less busy"
    if isinstance(error, openai.APIConnectionError):
        return f"the connection broke; {AGAIN}"
    if isinstance(error, openai.APIError):
        return f"the server failed within the answer; {AGAIN}{_quoted(str(error.message))}"
    if names & {"RemoteProtocolError", "ReadError", "WriteError", "ConnectionResetError"}:
        return f"the connection broke; {AGAIN}"
    if isinstance(error, ValueError | KeyError | IndexError | AttributeError | TypeError):
        return "its answer is not of OpenAI's API; is it the right address?"
    return None


def _status(code: int, reason: str) -> str:
    match code:
        case 301 | 302 | 303 | 307 | 308:
            return "it refers to another address; nothing was sent there. Use that address itself"
        case 401 | 403:
            return "it wants another API key; store it with `ct-assistant servers key`"
        case 404 if _NOT_SERVED.search(reason):
            return f"it does not serve this model{_quoted(reason)}"
        case 404:
            return "it does not speak OpenAI's API; is it the right address?"
        case 413:
            return "the request is larger than it accepts; ask your department to raise its limit"
        case 429:
            return f"it is busy (status 429); {AGAIN} in a moment"
        case 400 if _TOO_LONG.search(reason):
            return (
                "the scan, the question and the earlier turns are longer than its context window; "
                "clear the conversation, or ask a shorter question"
            )
        case _ if code >= 500:
            return f"it is unavailable (status {code}); {AGAIN} in a moment"
        case _:
            return f"it refuses the request (status {code}){_quoted(reason)}"


def _reason(error: object) -> str:
    body = getattr(error, "body", None)
    inner = body.get("error", body) if isinstance(body, dict) else {}
    return str(inner.get("message") or "") if isinstance(inner, dict) else ""


def _quoted(text: str) -> str:
    """Return a server's words, shortened, without what a request may have held."""
    short = " ".join(text.split())
    return f": {short[:160]}" if short and "base64" not in short else ""


def _chain(error: BaseException | None) -> list[BaseException]:
    found: list[BaseException] = []
    while error is not None and error not in found:
        found.append(error)
        error = error.__cause__ or error.__context__
    return found
