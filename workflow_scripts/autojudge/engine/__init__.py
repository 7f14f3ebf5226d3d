"""What generates: models, the slot cache and its attention, texts in the cache, endings, sampling, memory.

Mining and decoding both stand on it. `settings` knows models as the config names them and loads nothing.
"""
