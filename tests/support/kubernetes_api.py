"""As much of a Kubernetes API as kubectl needs to look at a node, cordon and drain it, and uncordon it."""

from __future__ import annotations

import json
from typing import Any

from taking_server import Reply, Taken, TakingServer

_VERBS = ["get", "list", "patch", "create", "watch"]


def _resource(name: str, kind: str, *, namespaced: bool) -> dict[str, Any]:
    return {"name": name, "singularName": "", "namespaced": namespaced, "kind": kind, "verbs": _VERBS}


_EVICTION = {**_resource("pods/eviction", "Eviction", namespaced=True), "group": "policy", "version": "v1"}
_CORE = [
    _resource("nodes", "Node", namespaced=False),
    _resource("pods", "Pod", namespaced=True),
    _EVICTION,
]
_BUDGET = "Cannot evict pod as it would violate the pod's disruption budget."


class Cluster:
    """One node with pods.

    Attributes:
        node: its object. pods: by name. protected: pods whose disruption budget allows no eviction.
    """

    def __init__(self, node: str = "web-0") -> None:
        self.node: dict[str, Any] | None = {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": node, "uid": "n", "resourceVersion": "1", "annotations": {}, "labels": {}},
            "spec": {},
            "status": {"conditions": [{"type": "Ready", "status": "True"}]},
        }
        self.pods: dict[str, dict[str, Any]] = {}
        self.protected: set[str] = set()
        self.evicted: list[str] = []
        self.server = TakingServer(self.answer)

    def add(self, pod: str, *, owner: str | None = "ReplicaSet") -> None:
        """Let a pod run on the node."""
        owners = [] if owner is None else [{"kind": owner, "name": "o", "uid": "o", "apiVersion": "apps/v1"}]
        for one in owners:
            one["controller"] = True  # type: ignore[assignment]
        metadata = {"name": pod, "namespace": "default", "uid": pod, "ownerReferences": owners, "labels": {"app": pod}}
        spec = {"nodeName": "web-0", "containers": [{"name": "c", "image": "i"}]}
        self.pods[pod] = {
            "apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec, "status": {"phase": "Running"}
        }  # fmt: skip

    @property
    def cordoned(self) -> bool:
        """Whether pods may come."""
        return bool((self.node or {})["spec"].get("unschedulable"))

    @property
    def annotations(self) -> dict[str, str]:
        """Those of the node."""
        found: dict[str, str] = (self.node or {})["metadata"].get("annotations") or {}
        return found

    def kubeconfig(self) -> str:
        """How to reach it."""
        return json.dumps(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "current-context": "here",
                "clusters": [{"name": "c", "cluster": {"server": self.server.url}}],
                "contexts": [{"name": "here", "context": {"cluster": "c", "user": "u"}}],
                "users": [{"name": "u", "user": {}}],
            }
        )

    def answer(self, taken: Taken) -> Reply:
        """As the API server does."""
        path = taken.path.partition("?")[0].rstrip("/")
        fixed = {
            "/version": {"major": "1", "minor": "32", "gitVersion": "v1.32.0"},
            "/api": {"kind": "APIVersions", "versions": ["v1"]},
            "/api/v1": {"kind": "APIResourceList", "groupVersion": "v1", "resources": _CORE},
            "/apis": {"kind": "APIGroupList", "apiVersion": "v1", "groups": [_group("policy"), _group("apps")]},
            "/apis/policy/v1": {"kind": "APIResourceList", "groupVersion": "policy/v1", "resources": []},
            "/apis/apps/v1": {
                "kind": "APIResourceList",
                "groupVersion": "apps/v1",
                "resources": [_resource("daemonsets", "DaemonSet", namespaced=True)],
            },
        }
        if path in fixed:
            return Reply(200, fixed[path])
        if path.startswith("/api/v1/nodes/"):
            return self._answer_node(taken, path.rpartition("/")[2])
        if path == "/api/v1/pods":
            items = list(self.pods.values())
            return Reply(200, {"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": items})
        if path.startswith("/apis/apps/v1/namespaces/default/daemonsets/"):
            return Reply(200, {"kind": "DaemonSet", "apiVersion": "apps/v1", "metadata": {"name": "o"}})
        words = path.split("/")
        if path.startswith("/api/v1/namespaces/default/pods/"):
            return self._answer_pod(taken, words[6], evicts=words[-1] == "eviction")
        return _status(404, "NotFound", f"the server could not find {path}")

    def _answer_node(self, taken: Taken, name: str) -> Reply:
        if self.node is None or self.node["metadata"]["name"] != name:
            return _status(404, "NotFound", f'nodes "{name}" not found')
        if taken.method == "PATCH":
            _merge(self.node, taken.json)
        return Reply(200, self.node)

    def _answer_pod(self, taken: Taken, name: str, *, evicts: bool) -> Reply:
        if name not in self.pods:
            return _status(404, "NotFound", f'pods "{name}" not found')
        if not evicts:
            return Reply(200, self.pods[name])
        if name in self.protected:
            return _status(429, "TooManyRequests", _BUDGET)
        self.evicted.append(name)
        del self.pods[name]
        return Reply(201, {"kind": "Status", "apiVersion": "v1", "status": "Success"})


def _group(name: str) -> dict[str, Any]:
    version = {"groupVersion": f"{name}/v1", "version": "v1"}
    return {"name": name, "versions": [version], "preferredVersion": version}


def _status(code: int, reason: str, message: str) -> Reply:
    body = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason}
    return Reply(code, {**body, "message": message})


def _merge(target: dict[str, Any], patch: dict[str, Any]) -> None:
    """RFC 7386, which for these objects is what a strategic merge does, too."""
    for key, value in patch.items():
        if value is None:
            target.pop(key, None)
        elif isinstance(value, dict):
            inner = target.setdefault(key, {})
            _merge(inner, value)
        else:
            target[key] = value
