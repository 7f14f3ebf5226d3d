"""What snakemake needs to know: the config, fingerprints of code and files, preflight."""
