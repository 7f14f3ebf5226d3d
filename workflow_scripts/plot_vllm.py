"""Rule plot_vllm: a pair's figure of accuracy and speed in vLLM."""

from collections.abc import Mapping

from autojudge.reporting.style import save_figure
from autojudge.reporting.vllm_figure import draw_vllm
from autojudge.tables.engines import VLLM
from autojudge.tables.files import read_table


def plot_vllm(table: str, title: str, outputs: Mapping[str, str]) -> None:
    """Draw the figure of a table `vllm`."""
    save_figure(draw_vllm(read_table(VLLM, table), title), outputs["pdf"], outputs["png"])


if __name__ == "__main__":
    from autojudge.jobs.progress import job_log

    with job_log(snakemake.log[0]):
        plot_vllm(table=snakemake.input.csv, title=snakemake.params.title, outputs=dict(snakemake.output.items()))
