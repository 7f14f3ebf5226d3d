"""How the workflow measures in vLLM: `methods` says what is measured, `process` measures it in vLLM's own Python."""
