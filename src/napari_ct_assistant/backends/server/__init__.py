"""Models that a server runs: vLLM or another that speaks OpenAI's API. Importing it is light."""
