"""The Hugging Face Hub, through its own client: what is staged goes up, labels of others come down.

A token is the client's own affair: of HF_TOKEN or `hf auth login`; it is in no argument, file or log of ours.
"""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from huggingface_hub import HfApi, constants, get_token, snapshot_download
from huggingface_hub.errors import (  # type: ignore[attr-defined] # HTTPError: of httpx2, without a connection
    GatedRepoError,
    HfHubHTTPError,
    HTTPError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from autojudge.engine.settings import expand_path
from autojudge.errors import InputError
from autojudge.publishing.layout import FILES, PROVENANCE, refuse_pickles

logger = logging.getLogger(__name__)

KINDS = ("model", "dataset")
OURS = {  # what an upload takes out of a repository where it is no longer staged
    "model": ["custom_generate/*", "judge.*"],
    "dataset": ["labels/*", "features/*", "responses/*", "problems/*"],
}
NO_TOKEN = "no token of the Hub; set HF_TOKEN (write access), or run `hf auth login`"  # noqa: S105 a message


def check_token() -> str:
    """Return that there is a token to publish with. Raises InputError where there is none."""
    if not get_token():
        raise InputError(NO_TOKEN)
    return "a token is there"


def list_files(folder: Path) -> list[tuple[str, int]]:
    """Return path and bytes of each file of a folder, in order."""
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    return [(file.relative_to(folder).as_posix(), file.stat().st_size) for file in files]


def upload(folder: Path, repo: str, kind: str, private: bool, message: str) -> dict[str, str]:
    """Make a repository, if it is not there, and commit a folder to it.

    Parameters
    ----------
    kind : str
        `model` or `dataset`.
    private : bool
        Of a repository that is not there yet; another one stays as it is.

    Returns
    -------
    dict
        `repo` with its owner, `commit` and `url`.

    Raises
    ------
    InputError
        There is no token, the Hub refuses, or it cannot be reached; what is staged stays.
    """
    check_token()
    with _told(
        f"{repo} ({kind})", f"what is staged stays in {folder}; once that is mended, `snakemake publish` goes on"
    ):
        api = HfApi(library_name="autojudge")
        made = api.create_repo(repo, repo_type=kind, private=private, exist_ok=True)
        commit = api.upload_folder(
            repo_id=made.repo_id, repo_type=kind, folder_path=folder, commit_message=message, delete_patterns=OURS[kind]
        )
    return {"repo": made.repo_id, "commit": commit.oid, "url": str(made)}


@contextmanager
def _told(what: str, remedy: str) -> Iterator[None]:
    """Turn what the Hub or its client refuses into one message."""
    try:
        yield
    except GatedRepoError as fault:
        raise InputError(f"{what}: request access on the Hub with the account of your token") from fault
    except RepositoryNotFoundError as fault:
        raise InputError(
            f"{what}: not on the Hub, or not visible to the account of your token; check the name, HF_TOKEN or "
            "`hf auth login`"
        ) from fault
    except RevisionNotFoundError as fault:
        raise InputError(f"{what}: has no such `revision`; name a branch, tag or commit of it") from fault
    except HfHubHTTPError as fault:
        told = (fault.server_message or str(fault)).strip().splitlines()[0]
        raise InputError(f"{what}: the Hub refused ({fault.response.status_code}: {told}); {remedy}") from fault
    except (OSError, HTTPError, ValueError) as fault:  # no connection, offline, names that the Hub does not take
        told = str(fault).strip() or type(fault).__name__
        unreached = isinstance(fault, ConnectionError | HTTPError)
        place = f"{constants.ENDPOINT} cannot be reached (HF_ENDPOINT names another Hub): " if unreached else ""
        raise InputError(f"{what}: {place}{told.splitlines()[0]}; {remedy}") from fault


def find_labels(source: Mapping[str, Any]) -> tuple[Path, dict[str, str]]:
    """Return the folder of a data set of labels, and where it comes from: `hub` and `revision`, a commit, or `folder`.

    Of the Hub's only what loading reads is downloaded, at one commit, after a look at the names of its files; without a
    connection, what the cache has.

    Parameters
    ----------
    source : mapping
        `hub`, a name there or a local folder, and `revision`.

    Raises
    ------
    InputError
        It cannot be had, or holds pickles.
    """
    name, revision = source["hub"], source.get("revision")
    if (folder := expand_path(name)).is_dir():
        refuse_pickles([file for file, _ in list_files(folder)], name)
        return folder, {"folder": folder.name}
    with _told(f"labels {name}", "check the connection, or name a local folder of the layout (docs/publishing.md)"):
        refuse_pickles(list_remote(name, revision), name)
        folder = Path(str(snapshot_download(name, repo_type="dataset", revision=revision, allow_patterns=FILES)))
    return folder, {"hub": name, "revision": folder.name}


def list_remote(name: str, revision: str | None) -> list[str]:
    """Return the names of the files of a data set on the Hub; none where it cannot be reached."""
    try:
        return [str(file) for file in HfApi().list_repo_files(name, repo_type="dataset", revision=revision)]
    except HfHubHTTPError:
        raise
    except (OSError, HTTPError) as fault:
        logger.warning("the Hub cannot be reached (%s): labels %s are taken from the cache", fault, name)
        return []


def check_labels(source: Mapping[str, Any]) -> str:
    """Return what is found of a source of labels without downloading it. Raises InputError like `find_labels`."""
    name = source["hub"]
    if (folder := expand_path(name)).is_dir():
        names = [file for file, _ in list_files(folder)]
    else:
        with _told(f"labels {name}", "check the connection"):
            names = list_remote(name, source.get("revision"))
    refuse_pickles(names, name)
    if names and PROVENANCE not in names:
        raise InputError(f"labels {name}: holds no {PROVENANCE}, so `snakemake publish` did not make it")
    return f"{name}, {len(names)} files"
