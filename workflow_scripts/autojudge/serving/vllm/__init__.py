"""vLLM's plugin: where the judge keeps a draft token, the target's logits for it are made to accept it.

`hooks` hooks into vLLM, `plan` reads what is asked for and refuses what cannot be had, `verdict` asks the judge,
`v1` and `v2` do so in vLLM's two model runners, `counts` tells how often tokens were kept.
"""
