"""A stand-in for the Hub's API: what its client calls to make repositories, commit to them, list and download them."""

import base64
import hashlib
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

TOKEN = "hf_" + "standinstandinstandin"  # nothing that is written or logged may hold it
OWNER = "someone"


class Repository:
    """Files of one repository; each commit is a whole state of them."""

    def __init__(self, private: bool) -> None:
        self.private, self.commits = private, {}
        self.commit({})

    @property
    def head(self) -> str:
        return list(self.commits)[-1]

    @property
    def files(self) -> dict[str, bytes]:
        return self.commits[self.head]

    def commit(self, files: dict[str, bytes]) -> str:
        name = hashlib.sha1(f"{len(self.commits)}{sorted(files)}".encode()).hexdigest()
        self.commits[name] = files
        return name

    def at(self, revision: str) -> tuple[str, dict[str, bytes]]:
        name = self.head if revision == "main" else revision
        return name, self.commits[name]


class HubStandIn:
    """The server; `repositories` by kind and name, `requests` as they came, `refuse` a status and message by path."""

    def __init__(self) -> None:
        self.repositories: dict[tuple[str, str], Repository] = {}
        self.requests: list[tuple[str, str]] = []
        self.refuse: dict[str, tuple[int, str]] = {}
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (Handler,), {"hub": self}))
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    def close(self) -> None:
        self.server.shutdown()


class Handler(BaseHTTPRequestHandler):
    hub: HubStandIn
    protocol_version = "HTTP/1.1"

    def answer(self) -> None:
        body = self.read_body()
        path = self.path.split("?")[0]
        self.hub.requests.append((self.command, path))
        for part, (status, message) in self.hub.refuse.items():
            if part in path:
                return self.reply(status, {"error": message}, {"X-Error-Message": message})
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            return self.reply(401, {"error": "no token"}, {"X-Error-Message": "no token"})
        if path == "/api/repos/create":
            return self.create(json.loads(body))
        if path == "/api/validate-yaml":
            return self.reply(200, {"errors": [], "warnings": []})
        api = re.fullmatch(r"/api/(model|dataset)s/([^/]+/[^/]+)(?:/(preupload|commit|revision|tree)/([^/]+))?", path)
        file = re.fullmatch(r"(/datasets)?/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path)
        kind, name = (api[1], api[2]) if api else ("dataset" if file and file[1] else "model", file[2] if file else "")
        repository = self.hub.repositories.get((kind, name))
        if repository is None:
            return self.reply(404, {"error": "missing"}, {"X-Error-Code": "RepoNotFound"})
        if file:
            return self.download(repository, file[3], file[4])
        return getattr(self, api[3] or "revision")(repository, name, api[4] or "main", body)

    do_GET = do_HEAD = do_POST = answer  # noqa: N815 the names that http.server asks for

    def create(self, asked: dict) -> None:
        kind, name = asked.get("type", "model"), f"{asked.get('organization') or OWNER}/{asked['name']}"
        url = f"{self.hub.endpoint}/{'datasets/' if kind == 'dataset' else ''}{name}"
        if (kind, name) in self.hub.repositories:
            return self.reply(409, {"error": "exists", "url": url})
        private = asked.get("private", asked.get("visibility") == "private")
        self.hub.repositories[kind, name] = Repository(private)
        return self.reply(200, {"url": url})

    def preupload(self, repository, name, revision, body) -> None:
        files = [{"path": f["path"], "uploadMode": "regular", "shouldIgnore": False} for f in json.loads(body)["files"]]
        self.reply(200, {"files": files})

    def commit(self, repository, name, revision, body) -> None:
        files = dict(repository.files)
        for line in map(json.loads, body.splitlines()):
            if line["key"] == "file":
                files[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
            elif line["key"] == "deletedFile":
                del files[line["value"]["path"]]
        made = repository.commit(files)
        url = f"{self.hub.endpoint}/{name}/commit/{made}"
        self.reply(200, {"success": True, "commitOid": made, "commitUrl": url})

    def revision(self, repository, name, revision, body) -> None:
        if revision != "main" and revision not in repository.commits:
            return self.reply(404, {"error": "missing"}, {"X-Error-Code": "RevisionNotFound"})
        sha, files = repository.at(revision)
        return self.reply(200, {"id": name, "sha": sha, "siblings": [{"rfilename": file} for file in files]})

    def tree(self, repository, name, revision, body) -> None:
        if revision != "main" and revision not in repository.commits:
            return self.reply(404, {"error": "missing"}, {"X-Error-Code": "RevisionNotFound"})
        listed = [
            {"type": "file", "path": path, "size": len(content), "oid": hashlib.sha1(content).hexdigest()}
            for path, content in repository.at(revision)[1].items()
        ]
        return self.reply(200, listed)

    def download(self, repository, revision, path) -> None:
        sha, files = repository.at(revision)
        if path not in files:
            return self.reply(404, {"error": "missing"}, {"X-Error-Code": "EntryNotFound"})
        headers = {"ETag": f'"{hashlib.sha1(files[path]).hexdigest()}"', "X-Repo-Commit": sha}
        return self.reply(200, files[path], headers)

    def read_body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") == "chunked":
            parts = []
            while size := int(self.rfile.readline(), 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def reply(self, status: int, content, headers=None) -> None:
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(data))} | (headers or {})).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def log_message(self, *arguments) -> None:
        pass
