"""What goes to the Hub and comes back, against a stand-in for its API: exactly what is staged, and never the token."""

import json
import logging
from pathlib import Path

import huggingface_hub
import pytest
from huggingface_hub import constants

from autojudge.errors import InputError
from autojudge.publishing import hub
from hub_standin import OWNER, TOKEN, HubStandIn
from upload_publication import upload_publication

REPOS = {"model": f"{OWNER}/judge", "dataset": f"{OWNER}/judge-labels"}


@pytest.fixture
def standin(tmp_path, monkeypatch):
    """A Hub of this machine, with a login."""
    server = HubStandIn()
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    point_at(server.endpoint, tmp_path, monkeypatch)
    yield server
    server.close()


def point_at(endpoint, folder, monkeypatch):
    """Let the client, which is imported, ask another endpoint, with a cache of its own."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(constants, "ENDPOINT", endpoint)
    template = constants.HUGGINGFACE_CO_URL_TEMPLATE.partition("/{repo_id}")
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", endpoint + "".join(template[1:]))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(folder / "cache"))
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(folder / "token"))


@pytest.fixture
def folders(tmp_path):
    """Two staged folders."""
    files = {"model/README.md": "---\nlicense: other\n---\n", "model/judge.json": "{}"}
    files |= {"model/custom_generate/generate.py": "pass", "dataset/README.md": "---\nlicense: other\n---\n"}
    files |= {"dataset/provenance.json": "{}", "dataset/labels/train.parquet": "rows"}
    files |= {"dataset/problems/train.parquet": "a question"}
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return {kind: tmp_path / kind for kind in hub.KINDS}


def contents(folder: Path) -> dict[str, bytes]:
    return {file: (folder / file).read_bytes() for file, _ in hub.list_files(folder)}


def test_both_folders_arrive_whole_and_private_and_the_receipt_names_their_commits(standin, folders, tmp_path):
    upload_publication(folders, REPOS, True, str(tmp_path / "published.json"))
    receipt = json.loads((tmp_path / "published.json").read_text())
    for kind, name in REPOS.items():
        repository = standin.repositories[kind, name]
        assert repository.files == contents(folders[kind]) and repository.private
        assert receipt[kind]["repo"] == name and receipt[kind]["commit"] == repository.head
        assert receipt[kind]["url"].startswith(standin.endpoint)


def test_what_is_no_longer_staged_goes_and_what_others_added_stays(standin, folders):
    hub.upload(folders["dataset"], REPOS["dataset"], "dataset", True, "first")
    repository = standin.repositories["dataset", REPOS["dataset"]]
    repository.commit(repository.files | {"notes.md": b"of a person"})
    (folders["dataset"] / "problems/train.parquet").unlink()
    hub.upload(folders["dataset"], REPOS["dataset"], "dataset", True, "second")
    assert repository.files == contents(folders["dataset"]) | {"notes.md": b"of a person"}


def test_a_name_without_an_owner_is_the_logins(standin, folders):
    assert hub.upload(folders["model"], "judge", "model", False, "first")["repo"] == REPOS["model"]
    assert not standin.repositories["model", REPOS["model"]].private


def test_the_token_is_in_no_log_and_no_file(standin, folders, tmp_path, caplog, capsys):
    caplog.set_level(logging.DEBUG)
    upload_publication(folders, REPOS, True, str(tmp_path / "published.json"))
    hub.find_labels({"hub": REPOS["dataset"], "revision": None})
    standin.refuse["/commit/"] = (403, "no write access")
    with pytest.raises(InputError) as fault:
        hub.upload(folders["model"], REPOS["model"], "model", True, "again")
    (folders["model"] / "judge.json").write_text("{1}")
    printed = capsys.readouterr()
    files = b"".join(file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())
    assert caplog.text and TOKEN not in caplog.text + printed.out + printed.err + str(fault.value)
    assert TOKEN.encode() not in files


@pytest.mark.parametrize(("path", "status"), [("/api/repos/create", 403), ("/preupload/", 403), ("/commit/", 413)])
def test_a_refused_upload_tells_the_hubs_words_and_loses_nothing(path, status, standin, folders, tmp_path):
    before = contents(tmp_path)
    standin.refuse[path] = (status, "You have no right to this namespace")
    message = (
        f"{OWNER}/judge-labels .dataset.: the Hub refused .{status}: You have no right to this namespace.*stays in"
    )
    with pytest.raises(InputError, match=message):
        upload_publication(folders, REPOS, True, str(tmp_path / "published.json"))
    assert contents(tmp_path) == before


def test_without_a_token_or_a_connection_nothing_is_tried(standin, folders, tmp_path, monkeypatch):
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(InputError, match="no token of the Hub; set HF_TOKEN .write access., or run `hf auth login`"):
        hub.upload(folders["model"], REPOS["model"], "model", True, "first")
    assert standin.requests == []
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    point_at("http://127.0.0.1:9", tmp_path, monkeypatch)
    with pytest.raises(InputError, match=r"http://127\.0\.0\.1:9 cannot .*HF_ENDPOINT.*refused.*what is staged stays"):
        hub.upload(folders["model"], REPOS["model"], "model", True, "first")


def test_labels_come_down_at_one_commit_and_without_what_is_not_read(standin, folders):
    first = hub.upload(folders["dataset"], REPOS["dataset"], "dataset", True, "first")["commit"]
    (folders["dataset"] / "labels/train.parquet").write_text("other rows")
    newest = hub.upload(folders["dataset"], REPOS["dataset"], "dataset", True, "second")["commit"]
    for revision, commit, rows in ((None, newest, "other rows"), (first, first, "rows")):
        folder, origin = hub.find_labels({"hub": REPOS["dataset"], "revision": revision})
        assert origin == {"hub": REPOS["dataset"], "revision": commit}
        assert (folder / "labels/train.parquet").read_text() == rows and not (folder / "problems").exists()
    with pytest.raises(InputError, match="has no such `revision`"):
        hub.find_labels({"hub": REPOS["dataset"], "revision": "v9"})
    with pytest.raises(InputError, match="not on the Hub, or not visible to the account of your token"):
        hub.find_labels({"hub": f"{OWNER}/nothing", "revision": None})


def test_without_a_connection_the_cache_does(standin, folders, tmp_path, monkeypatch, caplog):
    made = hub.upload(folders["dataset"], REPOS["dataset"], "dataset", True, "first")
    hub.find_labels({"hub": REPOS["dataset"], "revision": None})
    point_at("http://127.0.0.1:9", tmp_path, monkeypatch)
    monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda seconds: None)
    _, origin = hub.find_labels({"hub": REPOS["dataset"], "revision": None})
    assert origin["revision"] == made["commit"] and "taken from the cache" in caplog.text
    with pytest.raises(InputError, match="check the connection, or name a local folder"):
        hub.find_labels({"hub": f"{OWNER}/other", "revision": None})


def test_pickles_on_the_hub_are_refused_before_anything_is_downloaded(standin, folders):
    (folders["dataset"] / "labels.pt").write_bytes(b"code")
    hub.upload(folders["dataset"], REPOS["dataset"], "dataset", True, "first")
    for look in (hub.find_labels, hub.check_labels):
        with pytest.raises(InputError, match=r"refused, as it holds labels.pt: pickles run code"):
            look({"hub": REPOS["dataset"], "revision": None})
    assert not [path for _, path in standin.requests if "/resolve/" in path]


def test_preflight_tells_what_is_there(standin, folders):
    hub.upload(folders["dataset"], REPOS["dataset"], "dataset", True, "first")
    assert hub.check_labels({"hub": REPOS["dataset"], "revision": None}) == f"{OWNER}/judge-labels, 4 files"
    (folders["dataset"] / "provenance.json").unlink()
    with pytest.raises(InputError, match=r"holds no provenance.json"):
        hub.check_labels({"hub": str(folders["dataset"]), "revision": None})
    assert huggingface_hub.get_token() == TOKEN
