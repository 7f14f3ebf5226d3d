"""Where the workflow's own files lie: beside its Snakefile, or in a checkout of the git commit that it is used from.

rules/common.smk runs this file before the library can be imported, so it imports nothing of the library.
"""

import copy
import getpass
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import yaml
from snakemake.common.configfile import load_configfile  # type: ignore[import-untyped]
from snakemake.exceptions import WorkflowError  # type: ignore[import-untyped]
from snakemake.sourcecache import HostingProviderFile, LocalSourceFile  # type: ignore[import-untyped]
from snakemake.utils import update_config  # type: ignore[import-untyped]

CHECKOUTS = Path(".snakemake/autojudge/source")  # of the working directory, one per commit


def find_repository(rules: Any, checkouts: Path = CHECKOUTS) -> Path:
    """Return the folder of the workflow's own files, as an absolute path.

    Of a hosted repository snakemake keeps a bare clone, and takes single files from it; the library, the config and
    the test bed are needed as folders, so the commit is checked out once.

    Parameters
    ----------
    rules : snakemake.sourcecache.SourceFile
        The folder `rules` as snakemake knows it: a path, or a path at a commit of a hosted git repository.
    checkouts : Path
        Folder of checkouts.

    Raises
    ------
    WorkflowError
        It is neither, or git cannot check it out; or the path has braces.
    """
    if isinstance(rules, LocalSourceFile):
        place = Path(os.path.abspath(rules.path)).parent
        if set("{}") & set(str(place)):
            raise WorkflowError(
                f"{place}: snakemake takes braces in a workflow's path for wildcards; rename the folder"
            )
        return place
    if isinstance(rules, HostingProviderFile):
        return check_out(rules.hosted_repo.repo_clone, rules.ref, checkouts) / PurePosixPath(rules.path).parent
    raise WorkflowError(f"{rules}: use the workflow by a path, github(...) or gitlab(...)")


def check_out(repository: Path, ref: str, checkouts: Path) -> Path:
    """Return a checkout of a commit, branch or tag, made if there is none; it shares the repository's objects."""
    commit = _git(repository, "rev-parse", "--verify", f"{ref}^{{commit}}")
    place = Path(os.path.abspath(checkouts)) / commit
    if not place.is_dir():
        place.parent.mkdir(parents=True, exist_ok=True)
        aside = Path(tempfile.mkdtemp(prefix=f"{commit}.", dir=place.parent))
        _git(repository, "clone", "--quiet", "--shared", "--no-checkout", os.path.abspath(repository), str(aside))
        _git(aside, "checkout", "--quiet", "--detach", commit)
        try:
            aside.rename(place)
        except OSError:
            if not place.is_dir():  # made by another process meanwhile
                raise
            shutil.rmtree(aside)
    return place


def start_anywhere() -> None:
    """Let jobs start whatever the environment's folder is called, and for a user without a name, as in containers.

    Snakemake gives the path of its Python to a shell as it is, and asks for the user's name; so do torch and W&B.
    """
    if os.path.exists(sys.executable):  # not quoted yet
        sys.executable = shlex.quote(sys.executable)
    try:
        getpass.getuser()
    except (KeyError, OSError):
        os.environ["LOGNAME"] = str(os.getuid())


def use_library(scripts: Path) -> None:
    """Let this process, and the scripts of its jobs, import the library of a folder before any that is installed."""
    if str(scripts) not in sys.path:
        sys.path.insert(0, str(scripts))
    inherited = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    if str(scripts) not in inherited:
        os.environ["PYTHONPATH"] = os.pathsep.join([str(scripts), *filter(None, inherited)])


def with_defaults(config: Mapping[str, Any], repository: Path, arguments: Iterable[str] = ()) -> dict[str, Any]:
    """Return a config merged over the workflow's defaults, which is left as it is; see `own_paths` for its paths.

    Parameters
    ----------
    arguments : iterable of str
        Those of `--config`, KEY=VALUE. Snakemake reads nested values as text alone; here they count as in a file.
    """
    merged = load_configfile(repository / "config/config.yaml")
    update_config(merged, copy.deepcopy(dict(config)))
    for key, _, text in (argument.partition("=") for argument in arguments):
        try:
            value = yaml.safe_load(text)
        except (yaml.YAMLError, ValueError):  # ValueError: a date that there is not
            continue
        if isinstance(value, dict | list):
            update_config(merged, {key: value})
    return {key: own_paths(value, repository) for key, value in expand_paths(merged).items()}


def expand_paths(value: Any) -> Any:
    """Return a value of the config with `~` expanded in each text that begins with it.

    Left as they are: names of entries, and members of registries (`~/rules/mine.py`), which are names too.
    """
    if isinstance(value, Mapping):
        return {key: expand_paths(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [expand_paths(entry) for entry in value]
    return os.path.expanduser(value) if isinstance(value, str) and not value.endswith(".py") else value


def own_paths(value: Any, repository: Path) -> Any:
    """Return a value of the config with the paths that exist in the repository alone, not in the working directory.

    The defaults name files of the repository, such as `resources/testbed/draft`, by paths that another workflow's
    working directory does not have.
    """
    if isinstance(value, Mapping):
        return {key: own_paths(entry, repository) for key, entry in value.items()}
    if isinstance(value, list):
        return [own_paths(entry, repository) for entry in value]
    if isinstance(value, str) and "/" in value and not Path(value).exists() and (repository / value).exists():
        return os.path.relpath(repository / value)
    return value


def _git(folder: Path, *arguments: str) -> str:
    try:
        command = ["git", "-C", str(folder), *arguments]
        return subprocess.run(command, capture_output=True, encoding="utf-8", check=True).stdout.strip()
    except subprocess.CalledProcessError as fault:
        raise WorkflowError(f"git {arguments[0]} failed for {folder}: {fault.stderr.strip()}") from None
