"""A stand-in for W&B's GraphQL API: login, projects, and the views that workspaces and reports are."""

import base64
import json
import re
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

API_KEY = "0123456789abcdef" * 3  # nothing that is written or logged may hold it
ENTITY = "someone"


class WandbStandIn:
    """The server; `views` by id, `requests` as (operation, variables), `fault`: None, a status, or `hang`."""

    def __init__(self) -> None:
        self.views: dict[str, dict] = {}
        self.projects: list[str] = []
        self.requests: list[tuple[str, dict]] = []
        self.fault: int | str | None = None
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (Handler,), {"wandb": self}))
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    def close(self) -> None:
        self.server.shutdown()

    def of_type(self, kind: str) -> list[dict]:
        return [view for view in self.views.values() if view["type"] == kind]

    def answer(self, query: str, variables: dict) -> dict:
        if "upsertView" in query:
            return {"upsertView": {"view": self.upsert(variables), "inserted": not variables.get("id")}}
        if "allViews" in query:
            found = [v for v in self.views.values() if v["name"] == variables["viewName"]]
            return {"project": {"allViews": {"edges": [{"node": view} for view in found]}}}
        if "SpecificReport" in query:
            return {"view": self.views.get(variables["reportId"])}
        if "upsertModel" in query or "CreateProject" in query:
            self.projects.append((variables.get("input") or variables)["name"])
            return {"upsertModel": {"model": {"name": self.projects[-1]}, "inserted": True}}
        if "models(" in query or "projects(" in query:
            edges = [{"node": self.project(name), "cursor": ""} for name in self.projects]
            listed = {"edges": edges, "pageInfo": {"endCursor": None, "hasNextPage": False}}
            return {"models": listed, "projects": listed}
        viewer = {
            "id": "u1",
            "entity": ENTITY,
            "username": ENTITY,
            "flags": "{}",
            "teams": {"edges": []},
            "admin": False,
        }
        return {"viewer": viewer, "serverInfo": None}

    def project(self, name: str) -> dict:
        return {
            "id": "p1",
            "name": name,
            "entityName": ENTITY,
            "createdAt": "2026-01-01",
            "isBenchmark": False,
            "user": None,
        }

    def upsert(self, asked: dict) -> dict:
        number = asked.get("id") or base64.b64encode(f"View:{len(self.views)}".encode()).decode().rstrip("=")
        kept = {key: asked[key] for key in ("name", "displayName", "description", "type", "spec")}
        project = {"id": "p1", "name": asked["projectName"], "entityName": asked["entityName"]}
        self.views[number] = kept | {"id": number, "project": project, "updatedAt": "2026-01-01T00:00:00"}
        return self.views[number]


class Handler(BaseHTTPRequestHandler):
    wandb: WandbStandIn
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:  # noqa: N802 the name that http.server asks for
        asked = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)))
        query, variables = asked["query"], asked.get("variables") or {}
        operation = re.search(r"(?:query|mutation)\s+(\w+)", query)
        self.wandb.requests.append((operation[1] if operation else "", variables))
        if self.wandb.fault == "hang":
            time.sleep(60)
        elif self.wandb.fault:
            self.reply(self.wandb.fault, {"error": "the service is ill"})
        elif self.headers.get("Authorization") != "Basic " + base64.b64encode(f"api:{API_KEY}".encode()).decode():
            self.reply(401, {"error": "no key"})
        else:
            self.reply(200, {"data": self.wandb.answer(query, variables)})

    def reply(self, status: int, content: dict) -> None:
        data = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *arguments) -> None:
        pass
