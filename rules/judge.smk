rule train_judge:
    """Fit the classifiers of one feature set on one fold, and measure them on what they have not seen."""
    input:
        labels="results/{dataset}/{pair}/labels.parquet",
        features=ancient("results/{dataset}/{pair}/features.parquet"),
    output:
        grid="results/{dataset}/{pair}{part}/grid/{feature_set}/{fold}.parquet",
        scores="results/{dataset}/{pair}{part}/scores/{feature_set}/{fold}.parquet",
    log:
        "logs/train_judge/{dataset}/{pair}{part}/{feature_set}/{fold}.log",
    benchmark:
        "benchmarks/train_judge/{dataset}/{pair}{part}/{feature_set}/{fold}.tsv"
    conda:
        "../envs/cpu.yaml"
    threads: config["judge"]["threads"]
    resources:
        mem_mb=growing(config["judge"]["mem_mb"]),
        runtime=120,
    params:
        code=code("train_judge", classifier_members),
        mismatches=used_mismatches,
        blocks=blocks_of_set,
        classifiers=config["judge"]["classifiers"],
        seed=config["seed"],
    script:
        "../workflow_scripts/train_judge.py"


rule gather_grid:
    """Gather the grid and its scores over feature sets and folds."""
    input:
        grid=of_each_fit("results/{dataset}/{pair}{part}/grid/{feature_set}/{fold}.parquet"),
        scores=of_each_fit("results/{dataset}/{pair}{part}/scores/{feature_set}/{fold}.parquet"),
    output:
        grid="results/{dataset}/{pair}{part}/grid.parquet",
        scores="results/{dataset}/{pair}{part}/scores.parquet",
    log:
        "logs/gather_grid/{dataset}/{pair}{part}.log",
    benchmark:
        "benchmarks/gather_grid/{dataset}/{pair}{part}.tsv"
    conda:
        "../envs/cpu.yaml"
    threads: 1
    resources:
        mem_mb=growing(4000),
        runtime=30,
    params:
        code=code("gather_grid"),
    script:
        "../workflow_scripts/gather_grid.py"


rule select_judge:
    """Choose the judge on validation, calibrate it, choose a threshold by recall, and write its artifact."""
    input:
        grid=of_fits("grid.parquet"),
        scores=of_fits("scores.parquet"),
        labels="results/{dataset}/{pair}/labels.parquet",
        features=ancient("results/{dataset}/{pair}/features.parquet"),
    output:
        tensors="results/{dataset}/{pair}{part}/judge/judge.safetensors",
        record="results/{dataset}/{pair}{part}/judge/judge.json",
    log:
        "logs/select_judge/{dataset}/{pair}{part}.log",
    benchmark:
        "benchmarks/select_judge/{dataset}/{pair}{part}.tsv"
    wildcard_constraints:
        part=f"{FOLDS}|{SERVED}",
    conda:
        "../envs/cpu.yaml"
    threads: config["judge"]["threads"]
    resources:
        mem_mb=growing(config["judge"]["mem_mb"]),
        runtime=60,
    params:
        code=code("select_judge", task_member, classifier_members),
        mismatches=used_mismatches,
        settings=judge_settings,
        task=dataset_value("task"),
        models=models_of_pair,
        seed=config["seed"],
    script:
        "../workflow_scripts/select_judge.py"


rule write_model_card:
    """Tell what the judge is, what it was chosen by and how to use it."""
    input:
        labels="results/{dataset}/{pair}/labels.parquet",
        features=ancient("results/{dataset}/{pair}/features.parquet"),
        judge=[
            "results/{dataset}/{pair}{part}/judge/judge.safetensors",
            "results/{dataset}/{pair}{part}/judge/judge.json",
        ],
    output:
        "results/{dataset}/{pair}{part}/judge/README.md",
    log:
        "logs/write_model_card/{dataset}/{pair}{part}.log",
    benchmark:
        "benchmarks/write_model_card/{dataset}/{pair}{part}.tsv"
    wildcard_constraints:
        part=f"{FOLDS}|{SERVED}",
    conda:
        "../envs/cpu.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=10,
    params:
        code=code("write_model_card"),
        mismatches=used_mismatches,
        folds=dataset_value("folds"),
    script:
        "../workflow_scripts/write_model_card.py"


rule report_judges:
    """Compare all candidate judges and the rules that need no training."""
    input:
        labels="results/{dataset}/{pair}/labels.parquet",
        features=ancient("results/{dataset}/{pair}/features.parquet"),
        grid="results/{dataset}/{pair}{part}/grid.parquet",
        scores="results/{dataset}/{pair}{part}/scores.parquet",
        judge=[
            "results/{dataset}/{pair}{part}/judge/judge.safetensors",
            "results/{dataset}/{pair}{part}/judge/judge.json",
        ],
    output:
        markdown="results/{dataset}/{pair}{part}/judges.md",
        csv="results/{dataset}/{pair}{part}/judges.csv",
    log:
        "logs/report_judges/{dataset}/{pair}{part}.log",
    benchmark:
        "benchmarks/report_judges/{dataset}/{pair}{part}.tsv"
    conda:
        "../envs/cpu.yaml"
    threads: 1
    resources:
        mem_mb=growing(config["judge"]["mem_mb"]),
        runtime=60,
    params:
        code=code("report_judges", classifier_members),
        feature_sets=config["judge"]["feature_sets"],
        recall=config["judge"]["select"]["recall"],
        mismatches=used_mismatches,
        title="{dataset}, {pair}{part}",
        seed=config["seed"],
    script:
        "../workflow_scripts/report_judges.py"


rule plot_ablation:
    """Draw how judges differ by what they read and how they decide, and how reliable the chosen one is."""
    input:
        labels="results/{dataset}/{pair}/labels.parquet",
        features=ancient("results/{dataset}/{pair}/features.parquet"),
        grid="results/{dataset}/{pair}{part}/grid.parquet",
        scores="results/{dataset}/{pair}{part}/scores.parquet",
        judge=[
            "results/{dataset}/{pair}{part}/judge/judge.safetensors",
            "results/{dataset}/{pair}{part}/judge/judge.json",
        ],
    output:
        pdf="results/{dataset}/{pair}{part}/ablation.pdf",
        png=in_report("results/{dataset}/{pair}{part}/ablation.png", "ablation", "Ablation", "{pair}{part}"),
    log:
        "logs/plot_ablation/{dataset}/{pair}{part}.log",
    benchmark:
        "benchmarks/plot_ablation/{dataset}/{pair}{part}.tsv"
    conda:
        "../envs/cpu.yaml"
    threads: 1
    resources:
        mem_mb=growing(config["judge"]["mem_mb"]),
        runtime=30,
    params:
        code=code("plot_ablation", classifier_members),
        feature_sets=config["judge"]["feature_sets"],
        mismatches=used_mismatches,
        title="{dataset}, {pair}{part}",
        seed=config["seed"],
    script:
        "../workflow_scripts/plot_ablation.py"


rule measure_learning_curve:
    """Measure how good the judge is with fewer mined problems."""
    input:
        labels="results/{dataset}/{pair}/labels.parquet",
        features=ancient("results/{dataset}/{pair}/features.parquet"),
        grid="results/{dataset}/{pair}{part}/grid.parquet",
        judge=[
            "results/{dataset}/{pair}{part}/judge/judge.safetensors",
            "results/{dataset}/{pair}{part}/judge/judge.json",
        ],
    output:
        "results/{dataset}/{pair}{part}/learning_curve.csv",
    log:
        "logs/measure_learning_curve/{dataset}/{pair}{part}.log",
    benchmark:
        "benchmarks/measure_learning_curve/{dataset}/{pair}{part}.tsv"
    conda:
        "../envs/cpu.yaml"
    threads: 1
    resources:
        mem_mb=growing(config["judge"]["mem_mb"]),
        runtime=60,
    params:
        code=code("measure_learning_curve", classifier_members),
        mismatches=used_mismatches,
        feature_sets=config["judge"]["feature_sets"],
        linear_set=config["judge"]["select"]["feature_sets"][0],
        seed=config["seed"],
    script:
        "../workflow_scripts/measure_learning_curve.py"


rule plot_learning_curve:
    """Draw how good the judge is with fewer mined problems."""
    input:
        csv="results/{dataset}/{pair}{part}/learning_curve.csv",
    output:
        pdf="results/{dataset}/{pair}{part}/learning_curve.pdf",
        png=in_report(
            "results/{dataset}/{pair}{part}/learning_curve.png", "learning_curve", "Learning curve", "{pair}{part}"
        ),
    log:
        "logs/plot_learning_curve/{dataset}/{pair}{part}.log",
    benchmark:
        "benchmarks/plot_learning_curve/{dataset}/{pair}{part}.tsv"
    conda:
        "../envs/cpu.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=10,
    params:
        code=code("plot_learning_curve"),
        title="{dataset}, {pair}{part}",
    script:
        "../workflow_scripts/plot_learning_curve.py"


rule measure_transfer:
    """Measure each dataset's judge on each dataset's mismatches, for one pair."""
    input:
        judges=of_each_dataset("results/{dataset}/{pair}/judge/judge.json"),
        tensors=of_each_dataset("results/{dataset}/{pair}/judge/judge.safetensors"),
        labels=of_each_dataset("results/{dataset}/{pair}/labels.parquet"),
        features=of_each_dataset("results/{dataset}/{pair}/features.parquet"),
    output:
        "results/{pair}_transfer.csv",
    log:
        "logs/measure_transfer/{pair}.log",
    benchmark:
        "benchmarks/measure_transfer/{pair}.tsv"
    conda:
        "../envs/cpu.yaml"
    threads: 1
    resources:
        mem_mb=growing(config["judge"]["mem_mb"]),
        runtime=60,
    params:
        code=code("measure_transfer", classifier_members),
        mismatches=used_mismatches,
        datasets=lambda wildcards: datasets_of(config, wildcards.pair),
        seed=config["seed"],
    script:
        "../workflow_scripts/measure_transfer.py"


rule plot_transfer:
    """Draw each dataset's judge on each dataset's mismatches, for one pair."""
    input:
        csv="results/{pair}_transfer.csv",
    output:
        pdf="results/{pair}_transfer.pdf",
        png=in_report("results/{pair}_transfer.png", "transfer", "Transfer", "{pair}", "all datasets"),
    log:
        "logs/plot_transfer/{pair}.log",
    benchmark:
        "benchmarks/plot_transfer/{pair}.tsv"
    conda:
        "../envs/cpu.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=10,
    params:
        code=code("plot_transfer"),
    script:
        "../workflow_scripts/plot_transfer.py"
