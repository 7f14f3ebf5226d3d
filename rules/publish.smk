# To the Hub (docs/publishing.md): asked for by name, never part of `rule all`.


rule stage_publication:
    """Put the exported judge, and the labels by split, into the folders of two repositories, each with its card."""
    input:
        problems="results/{dataset}/{pair}/problems.parquet",
        labels="results/{dataset}/{pair}/labels.parquet",
        features="results/{dataset}/{pair}/features.parquet",
        responses="results/{dataset}/{pair}/responses.parquet",
        origin=origin_of_labels,
        export=published_export,
    output:
        model=directory("results/{dataset}/{pair}/publish/model"),
        dataset=directory("results/{dataset}/{pair}/publish/dataset"),
    log:
        "logs/stage_publication/{dataset}/{pair}.log",
    benchmark:
        "benchmarks/stage_publication/{dataset}/{pair}.tsv"
    conda:
        "../envs/cpu.yaml"
    threads: 1
    resources:
        mem_mb=growing(8000),
        runtime=60,
    params:
        code=code("stage_publication"),
        known=published_labels,
        settings=publish_settings,
    script:
        "../workflow_scripts/stage_publication.py"


rule upload_publication:
    """Upload both folders to the Hub, and keep where they are."""
    input:
        model="results/{dataset}/{pair}/publish/model",
        dataset="results/{dataset}/{pair}/publish/dataset",
    output:
        "results/{dataset}/{pair}/publish/published.json",
    log:
        "logs/upload_publication/{dataset}/{pair}.log",
    benchmark:
        "benchmarks/upload_publication/{dataset}/{pair}.tsv"
    retries: 0
    localrule: True
    conda:
        "../envs/cpu.yaml"
    threads: 1
    resources:
        mem_mb=growing(4000),
        runtime=120,
    params:
        code=code("upload_publication"),
        repos=repositories,
    script:
        "../workflow_scripts/upload_publication.py"


rule publish_preview:
    """List what `publish` would upload, and show the cards; nothing leaves this machine."""
    input:
        model=of_each_published("model"),
        dataset=of_each_published("dataset"),
    log:
        "logs/publish_preview.log",
    retries: 0
    localrule: True
    conda:
        "../envs/cpu.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=10,
    params:
        repos=all_repositories,
    script:
        "../workflow_scripts/publish_preview.py"


rule publish:
    """Publish the judge and the labels of every run on the Hub."""
    input:
        of_each_published("published.json"),
    localrule: True
