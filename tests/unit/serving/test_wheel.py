"""`pip wheel .` holds the library alone: what serves a judge, and no weights of the test bed."""

import configparser
import shutil
import subprocess
import sys
import zipfile

import pytest

from conftest import ROOT

PARTS = ("workflow_scripts", "resources", "config", "rules", "pyproject.toml", "README.md", "LICENSE")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel of a copy of the repository, weights and all."""
    source, folder = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in PARTS:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy2
        copy(ROOT / name, source / name)
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--quiet", "--wheel-dir", str(folder)]
    subprocess.run([sys.executable, "-m", "pip", "wheel", *options, str(source)], check=True)
    (made,) = folder.glob("autojudge-*.whl")
    with zipfile.ZipFile(made) as opened:
        return {name: opened.read(name) for name in opened.namelist()}


def test_it_holds_the_library_and_no_weights(wheel):
    assert {name.split("/")[0].split("-")[0] for name in wheel} == {"autojudge"}
    assert {name.rpartition(".")[2] for name in wheel if not name.startswith("autojudge-")} == {
        "py",
        "yaml",
        "jinja",
        "txt",
    }
    assert max(map(len, wheel.values())) < 2**18, "a weight file would be more"


def test_it_holds_what_serves_a_judge(wheel):
    folder = ROOT / "workflow_scripts/autojudge/serving"
    served = {
        f"autojudge/serving/{file.relative_to(folder)}" for file in folder.rglob("*") if file.suffix in (".py", ".txt")
    }
    assert served <= wheel.keys() and "autojudge/serving/custom_generate/requirements.txt" in served
    (entries,) = [text.decode() for name, text in wheel.items() if name.endswith("entry_points.txt")]
    points = configparser.ConfigParser()
    points.read_string(entries)
    assert dict(points["vllm.general_plugins"]) == {"autojudge": "autojudge.serving:register"}
