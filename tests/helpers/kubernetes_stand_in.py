"""A stand-in for a Kubernetes cluster: requests of Snakemake's executor plugin are answered, containers are processes.

It refuses job specifications for reasons that a real API server has, and answers as one does where that matters here.
It isolates nothing: a container is its command, run in an empty folder of its own, and sees this machine's files. So
volumes have to be mounted where they are.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

import yaml
from job_server import folder_of_python
from kill_harness import session_of

CONTAINER = "snakemake"
_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_QUANTITY = re.compile(r"(\d+(?:\.\d+)?)(m|k|M|G|T|Ki|Mi|Gi|Ti)?")
_UNITS = {"": 1.0, "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12} | {
    f"{letter}i": 1024.0**power for power, letter in enumerate("KMGT", 1)
}


def amount(quantity: str) -> float:
    """Return the number that a quantity of Kubernetes (`1900m`, `6000M`) stands for; ValueError where it is none."""
    found = _QUANTITY.fullmatch(quantity)
    if not found:
        raise ValueError(f"{quantity!r} is no quantity")
    return float(found[1]) * _UNITS[found[2] or ""]


def container_of(job: Mapping[str, Any]) -> dict[str, Any]:
    """Return the one container of a job's pod."""
    (container,) = job["spec"]["template"]["spec"]["containers"]
    return container


def refusals(job: Mapping[str, Any]) -> Iterator[str]:
    """Yield why an API server would not take a job; nothing where it would."""
    if not _LABEL.fullmatch(job["metadata"]["name"]):
        yield "metadata.name: no DNS label"
    pod, container = job["spec"]["template"]["spec"], container_of(job)
    if pod["restartPolicy"] not in ("Never", "OnFailure"):
        yield "restartPolicy: Unsupported value"
    if not container.get("image"):
        yield "containers[0].image: Required value"
    known = {volume["name"] for volume in pod["volumes"]}
    yield from (
        f"volumeMounts: Not found: {mount['name']}" for mount in container["volumeMounts"] if mount["name"] not in known
    )
    yield from (f"volumes: {name}: no DNS label" for name in known if not _LABEL.fullmatch(name))
    if sorted(mount["mountPath"] for mount in container["volumeMounts"]) != sorted(
        {mount["mountPath"] for mount in container["volumeMounts"]}
    ):
        yield "volumeMounts: mountPath must be unique"
    requests, limits = container["resources"].get("requests", {}), container["resources"].get("limits", {})
    for name, quantity in requests.items():
        extended = "/" in name
        if extended and name not in limits:
            yield f"resources.limits: {name}: Limit must be set for non overcommitable resources"
        elif extended and limits[name] != quantity:
            yield f"resources.requests: {name}: must be equal to limit"
        elif name in limits and amount(quantity) > amount(limits[name]):
            yield f"resources.requests: {name}: must be less than or equal to limit"


@dataclass
class Pod:
    """A job, and the process that its container is."""

    job: dict[str, Any]
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def name(self) -> str:
        return self.job["metadata"]["name"] + "-x1y2z"

    @property
    def exit_code(self) -> int | None:
        """Exit status as a container's, 137 for SIGKILL; None while it runs."""
        status = self.process.poll()
        return 128 - status if status is not None and status < 0 else status

    def kill(self) -> None:
        """End all processes at once.

        A real one is asked to end first; but the shell that is a container's first process passes nothing on, and what
        it started is killed half a minute later.
        """
        for process in session_of(self.process.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGKILL)
        self.process.wait()

    def job_status(self) -> dict[str, Any]:
        """Return the job with its status."""
        status = {None: {"active": 1}, 0: {"succeeded": 1}}.get(self.exit_code, {"failed": 1})
        return {**self.job, "status": status}

    def pod_status(self) -> dict[str, Any]:
        """Return the pod, with its container's state."""
        code = self.exit_code
        state = {"running": {}} if code is None else {"terminated": {"exitCode": code}}
        container = {"name": CONTAINER, "ready": False, "restartCount": 0, "image": "", "imageID": "", "state": state}
        return {"metadata": {"name": self.name}, "status": {"containerStatuses": [container]}}


class StandInCluster:
    """The cluster; a context manager, which ends everything that still runs.

    Attributes:
        jobs: every job that was submitted, in order, also those that were deleted.
        refused: why jobs were refused.
        pods: by job name, those that have not been deleted.
        requests: (verb, resource) of all that was asked, as roles of Kubernetes name them.
    """

    def __init__(self, folder: Path) -> None:
        """Nothing is started yet; `folder` is for what pods keep on their nodes."""
        self.folder = folder
        self.jobs: list[dict[str, Any]] = []
        self.refused: list[str] = []
        self.pods: dict[str, Pod] = {}
        self.secrets: dict[str, dict[str, str]] = {}  # data by name
        self.requests: set[tuple[str, str]] = set()
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))

    def __enter__(self) -> Self:
        self._commands().mkdir(parents=True)
        # The plugin has each pod install storage plugins by pip, for which images have their packages at hand.
        pip = self._commands() / "pip"
        pip.write_text(f'#!/bin/sh\necho "pip $@" >> {self.pip_log}\n')
        pip.chmod(0o755)
        address = f"http://127.0.0.1:{self._server.server_address[1]}"
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "here",
            "clusters": [{"name": "here", "cluster": {"server": address}}],
            "users": [{"name": "me", "user": {}}],
            "contexts": [{"name": "here", "context": {"cluster": "here", "user": "me"}}],
        }
        self.kubeconfig.write_text(yaml.safe_dump(config))
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        for pod in self.pods.values():
            pod.kill()

    @property
    def kubeconfig(self) -> Path:
        """File that names this cluster to clients."""
        return self.folder / "kubeconfig.yaml"

    @property
    def pip_log(self) -> Path:
        """What containers asked pip for."""
        return self.folder / "pip.log"

    def _commands(self) -> Path:
        return self.folder / "image" / "bin"

    def submit(self, job: dict[str, Any]) -> list[str]:
        """Start a job's container; return why it is refused instead, if it is."""
        reasons = list(refusals(job))
        if reasons:
            self.refused += reasons
            return reasons
        name, container = job["metadata"]["name"], container_of(job)
        workdir = self.folder / "nodes" / name
        workdir.mkdir(parents=True)
        path = f"{self._commands()}:{folder_of_python()}:{Path(sys.executable).parent}:{os.environ['PATH']}"
        cache = os.environ.get("XDG_CACHE_HOME", str(Path("~/.cache").expanduser()))  # or each pod would compile
        environment = {"PATH": path, "HOME": str(workdir), "XDG_CACHE_HOME": cache, **self._variables(container)}
        log = self.folder / f"{name}.log"
        with log.open("wb") as file:
            process = subprocess.Popen(
                [*container["command"], *container["args"]],
                cwd=workdir,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        with self._lock:
            self.jobs.append(job)
            self.pods[name] = Pod(job, process, log)
        return []

    def _variables(self, container: Mapping[str, Any]) -> dict[str, str]:
        """Return a container's environment, which comes from secrets."""
        sources = {one["name"]: one["valueFrom"]["secretKeyRef"] for one in container.get("env", ())}
        return {
            name: base64.b64decode(self.secrets[source["name"]][source["key"]]).decode()
            for name, source in sources.items()
        }

    def delete(self, name: str) -> bool:
        """Forget a job, and end its container; return whether it was there."""
        with self._lock:
            pod = self.pods.pop(name, None)
        if pod:
            pod.kill()
        return pod is not None


def _handler(cluster: StandInCluster) -> type[BaseHTTPRequestHandler]:
    """Return the class that answers requests about `cluster`."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            cluster.requests.add(("create", self._kind()))
            if self._kind() == "secrets":
                cluster.secrets[body["metadata"]["name"]] = body["data"]
                self._answer(201, body)
            elif reasons := cluster.submit(body):
                self._fail(422, "Invalid", "; ".join(reasons))
            else:
                self._answer(201, body)

        def do_GET(self) -> None:
            kind, name = self._kind(), self._name()
            part = "/".join(("", *self._parts()[3:]))
            cluster.requests.add(("get" if name else "list", kind + part))
            if kind + part == "pods/log":
                self._answer_log(name)
            elif kind == "pods":
                job = parse_qs(urlsplit(self.path).query)["labelSelector"][0].removeprefix("job-name=")
                found = [cluster.pods[job].pod_status()] if job in cluster.pods else []
                self._answer(200, {"kind": "PodList", "apiVersion": "v1", "items": found})
            elif kind == "jobs" and name in cluster.pods:
                self._answer(200, cluster.pods[name].job_status())
            else:
                self._fail(404, "NotFound", f"{kind} {name!r} not found")

        def do_DELETE(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            kind, name = self._kind(), self._name()
            cluster.requests.add(("delete", kind))
            if kind == "secrets":
                there = cluster.secrets.pop(name, None) is not None
            elif kind == "pods":
                there = any(pod.name == name for pod in cluster.pods.values())
            else:
                there = cluster.delete(name)
            if there:
                self._answer(200, {"kind": "Status", "apiVersion": "v1", "status": "Success"})
            else:
                self._fail(404, "NotFound", f"{kind} {name!r} not found")

        def _answer_log(self, name: str) -> None:
            """Answer with a container's output; one that was never started again has no `previous` output."""
            (pod,) = (pod for pod in cluster.pods.values() if pod.name == name)
            if parse_qs(urlsplit(self.path).query).get("previous") == ["True"]:
                self._fail(400, "BadRequest", f'previous terminated container "{CONTAINER}" in pod "{name}" not found')
            else:
                self._write(200, "text/plain", pod.log.read_bytes())

        def _parts(self) -> list[str]:
            return self.path.partition("?")[0].partition("/namespaces/")[2].split("/")

        def _kind(self) -> str:
            return self._parts()[1]

        def _name(self) -> str:
            return (*self._parts(), "", "")[2]

        def _fail(self, code: int, reason: str, message: str) -> None:
            status = {"kind": "Status", "apiVersion": "v1", "status": "Failure"}
            self._answer(code, {**status, "reason": reason, "message": message, "code": code})

        def _answer(self, code: int, document: object) -> None:
            self._write(code, "application/json", json.dumps(document).encode())

        def _write(self, code: int, kind: str, body: bytes) -> None:
            self.send_response(code)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Requests are not printed."""

    return Handler
