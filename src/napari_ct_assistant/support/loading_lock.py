"""One thread at a time builds or loads a network."""

from __future__ import annotations

import threading
from typing import Final

LOADING_LOCK: Final = threading.RLock()
"""Held while a transformers model is built or loaded.

`from_pretrained` replaces `PreTrainedModel.tie_weights` of the whole process meanwhile
(`transformers.initialization.no_tie_weights`). Of two threads that load at the same time, the
second would put the replacement back, and no model of the process would tie its weights any more.
"""
