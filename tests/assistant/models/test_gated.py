"""A gated model says where its terms are accepted and who keeps the token."""

from __future__ import annotations

import httpx
import pytest
from huggingface_hub.errors import GatedRepoError

from napari_ct_assistant.assistant.models import download
from napari_ct_assistant.model.errors import ModelLoadError


class Gated:
    """A hub whose models ask for an agreement first."""

    def model_info(self, repo: str, **_: object) -> None:
        request = httpx.Request("GET", f"https://hub.test/api/models/{repo}")
        raise GatedRepoError("gated", response=httpx.Response(401, request=request))


def test_a_gated_model_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "HfApi", Gated)
    with pytest.raises(ModelLoadError, match="accept their terms first, at http") as error:
        download.plan_download("google/medgemma-1.5-4b-it")
    line = str(error.value)
    assert "/google/medgemma-1.5-4b-it; then log in with `hf auth login`" in line
    assert "login keeps the token, this program never does" in line
    assert "\n" not in line
