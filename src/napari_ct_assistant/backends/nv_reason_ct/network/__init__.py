"""The network of NV-Reason-CT: Primus, the merger, and the text model of Qwen3.5."""
