"""`custom_generate` of transformers in the Hub's layout: generate.py, and what it needs, beside a judge.

`autojudge.serving.export` makes of it a folder that needs no `autojudge`.
"""
