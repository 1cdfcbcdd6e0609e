"""How NV-Reason-CT folders are recognised. Importing it brings no torch."""

from __future__ import annotations

from napari_ct_assistant.backends.family import Family
from napari_ct_assistant.backends.nv_reason_ct.memory import count_folder
from napari_ct_assistant.backends.nv_reason_ct.network.configuration import is_nv_reason_ct
from napari_ct_assistant.backends.nv_reason_ct.provenance import FILES, NOTICE, TRAINED_ON

NV_REASON_CT = Family(
    name="NV-Reason-CT",
    module="napari_ct_assistant.backends.nv_reason_ct.loading",
    matches=is_nv_reason_ct,
    about=lambda _: (TRAINED_ON, NOTICE),
    count=count_folder,
    files=FILES,
)
