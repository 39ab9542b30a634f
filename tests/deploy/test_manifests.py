"""Compose, Kubernetes and systemd: that the files are what their readers take, and keep what they
promise."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from tests.deploy.proxies import DEPLOY
from tests.serve.processes import COMMAND
from tidewire.http.settings import Settings
from tidewire.version import __version__

COMPOSE: Final = DEPLOY / "docker/compose.yaml"
KUBERNETES: Final = DEPLOY / "kubernetes/tidewire.yaml"
SYSTEMD: Final = DEPLOY / "systemd/tidewire.service"

MOST_EXPOSED: Final = 2.0
"""Of systemd's own scale from 0 to 10."""

IMAGE_USER: Final = 10001

SETTINGS: Final = {field.alias for field in Settings.model_fields.values()}

Unit = dict[str, dict[str, list[str]]]


@pytest.fixture(scope="module")
def compose() -> Any:
    return yaml.safe_load(COMPOSE.read_text())


@pytest.fixture(scope="module")
def kubernetes() -> dict[str, Any]:
    """The objects by their kind."""
    return {each["kind"]: each for each in yaml.safe_load_all(KUBERNETES.read_text())}


@pytest.fixture(scope="module")
def unit() -> Unit:
    """The sections, their keys, and the values of each key in their order."""
    found: Unit = {}
    section: dict[str, list[str]] = {}
    for line in SYSTEMD.read_text().splitlines():
        if line.startswith("["):
            section = found.setdefault(line.strip("[]"), {})
        elif line and line[0] not in "#;":
            key, sign, value = line.partition("=")
            assert sign, line
            section.setdefault(key, []).append(value)
    return found


def seconds(text: str) -> float:
    match = re.fullmatch(r"(\d+)s?", text)
    assert match, text
    return float(match[1])


# What they have in common


def test_no_file_names_a_registry() -> None:
    images = [name for text in _texts() for name in re.findall(r"^\s*image: (\S+)$", text, re.M)]
    assert len(images) >= 3
    for image in images:
        assert re.fullmatch(r"[a-z]+:[\w.-]+", image), image
    for text in _texts():
        assert not re.search("registry|index-url", text)


def test_every_setting_is_one(compose: Any, kubernetes: dict[str, Any], unit: Unit) -> None:
    container = kubernetes["Deployment"]["spec"]["template"]["spec"]["containers"][0]
    named = {
        *compose["services"]["tidewire"]["environment"],
        *(each["name"] for each in container["env"]),
        *re.findall(r"--from-literal=(\w+)=", KUBERNETES.read_text()),
        *(name for text in unit["Service"]["Environment"] for name in re.findall(r"(\w+)=", text)),
        *re.findall(r"\b(TIDEWIRE_[A-Z_]+)", "".join(_texts())),
    }
    assert named <= SETTINGS


def _texts() -> Iterator[str]:
    return (file.read_text() for file in DEPLOY.rglob("*") if file.is_file())


def test_images_of_ours_have_this_version() -> None:
    named = [tag for text in _texts() for tag in re.findall(r"\btidewire:(\d+\.[\w.]+)", text)]
    assert set(named) == {__version__}


# Compose


def test_compose_waits_longer_than_the_drain(compose: Any) -> None:
    service = compose["services"]["tidewire"]
    drain = float(service["environment"]["TIDEWIRE_DRAIN_SECONDS"])
    assert drain + 5 <= seconds(service["stop_grace_period"])


def test_compose_starts_nobody_before_what_it_needs(compose: Any) -> None:
    services = compose["services"]
    assert services["tidewire"]["depends_on"]["redis"]["condition"] == "service_healthy"
    assert services["redis"]["healthcheck"]["test"] == ["CMD", "redis-cli", "ping"]
    # Of the node it is in the image.
    assert services["nginx"]["depends_on"]["tidewire"]["condition"] == "service_healthy"


def test_compose_believes_only_nginx(compose: Any) -> None:
    address = compose["services"]["nginx"]["networks"]["default"]["ipv4_address"]
    trusted = compose["services"]["tidewire"]["environment"]["TIDEWIRE_TRUSTED_PROXIES"]
    assert trusted == address


def test_compose_keeps_nodes_apart_from_what_they_do_not_need(compose: Any) -> None:
    service = compose["services"]["tidewire"]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "ports" not in service, "only nginx is reached from outside"
    assert "ports" not in compose["services"]["redis"]
    # Without one of its own the secret would be the same everywhere.
    assert ":?" in service["environment"]["SSE_JWT_SECRET"]
    assert service["deploy"]["replicas"] >= 2


def test_compose_gives_redis_a_log_to_keep(compose: Any) -> None:
    command = compose["services"]["redis"]["command"]
    assert command[command.index("--maxmemory-policy") + 1] == "noeviction"
    assert command[command.index("--appendonly") + 1] == "yes"


def test_compose_names_volumes_and_files_that_are_there(compose: Any) -> None:
    for service in compose["services"].values():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            where = (COMPOSE.parent / source) if source.startswith(".") else None
            assert where.exists() if where else source in compose["volumes"], volume
        if "image" in service:
            assert re.fullmatch(r"[a-z]+:\d[\d.]*-alpine", service["image"])
    build = compose["services"]["tidewire"]["build"]
    assert (COMPOSE.parent / build["context"] / build["dockerfile"]).is_file()


# Kubernetes


@pytest.fixture
def pod(kubernetes: dict[str, Any]) -> Any:
    return kubernetes["Deployment"]["spec"]["template"]["spec"]


def test_kubernetes_knows_these_kinds(kubernetes: dict[str, Any]) -> None:
    assert {kind: each["apiVersion"] for kind, each in kubernetes.items()} == {
        "Deployment": "apps/v1",
        "PodDisruptionBudget": "policy/v1",
        "Service": "v1",
    }


def test_kubernetes_runs_it_as_nobody(pod: Any) -> None:
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] == IMAGE_USER
    assert pod["securityContext"]["fsGroup"] == IMAGE_USER
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    [container] = pod["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def test_kubernetes_can_write_where_the_spool_is(pod: Any) -> None:
    [container] = pod["containers"]
    spool = {each["name"]: each.get("value") for each in container["env"]}["TIDEWIRE_SPOOL_DIR"]
    [mount] = container["volumeMounts"]
    assert Path(str(spool)).is_relative_to(mount["mountPath"])
    assert mount["name"] in {volume["name"] for volume in pod["volumes"]}


def test_kubernetes_asks_for_readiness_and_for_life_apart(pod: Any) -> None:
    [container] = pod["containers"]
    ready, alive = container["readinessProbe"], container["livenessProbe"]
    assert ready["httpGet"] == {"path": "/readyz", "port": "http"}
    # A Redis that is away must not have every node started again.
    assert alive["httpGet"] == {"path": "/livez", "port": "http"}
    # Whoever is not ready is noticed while it is still there: see preStop.
    assert ready["periodSeconds"] * ready["failureThreshold"] <= 5
    assert {each["name"] for each in container["ports"]} == {"http"}


def test_kubernetes_waits_longer_than_the_drain(pod: Any) -> None:
    [container] = pod["containers"]
    environment = {each["name"]: each.get("value") for each in container["env"]}
    drain = float(str(environment["TIDEWIRE_DRAIN_SECONDS"]))
    asleep = re.search(r"sleep\((\d+)\)", str(container["lifecycle"]["preStop"]))
    assert asleep
    assert float(asleep[1]) + drain + 5 <= pod["terminationGracePeriodSeconds"]


def test_kubernetes_takes_no_node_away_before_another_is_there(
    kubernetes: dict[str, Any],
) -> None:
    spec = kubernetes["Deployment"]["spec"]
    assert spec["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
    assert spec["replicas"] >= 2
    budget = kubernetes["PodDisruptionBudget"]["spec"]
    assert budget["maxUnavailable"] < spec["replicas"]


def test_kubernetes_means_the_same_pods_everywhere(kubernetes: dict[str, Any]) -> None:
    spec = kubernetes["Deployment"]["spec"]
    labels = spec["template"]["metadata"]["labels"]
    assert spec["selector"]["matchLabels"] == labels
    assert kubernetes["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"] == labels
    assert kubernetes["Service"]["spec"]["selector"] == labels
    assert kubernetes["Service"]["spec"]["ports"][0]["targetPort"] == "http"


# systemd

KEYS: Final = {
    "Unit": {"Description", "After", "Wants"},
    "Service": {
        "CapabilityBoundingSet",
        "DynamicUser",
        "Environment",
        "EnvironmentFile",
        "ExecStart",
        "KillSignal",
        "LimitNOFILE",
        "LockPersonality",
        "MemoryDenyWriteExecute",
        "NoNewPrivileges",
        "PrivateDevices",
        "PrivateTmp",
        "PrivateUsers",
        "ProtectClock",
        "ProtectControlGroups",
        "ProtectHome",
        "ProtectHostname",
        "ProtectKernelLogs",
        "ProtectKernelModules",
        "ProtectKernelTunables",
        "ProtectProc",
        "ProtectSystem",
        "Restart",
        "RestartSec",
        "RestrictAddressFamilies",
        "RestrictNamespaces",
        "RestrictRealtime",
        "StateDirectory",
        "StateDirectoryMode",
        "SystemCallArchitectures",
        "SystemCallErrorNumber",
        "SystemCallFilter",
        "TimeoutStopSec",
        "UMask",
    },
    "Install": {"WantedBy"},
}
"""What systemd passes over in silence, where it does not know a word."""


def test_systemd_knows_every_key(unit: Unit) -> None:
    assert unit.keys() == KEYS.keys()
    for section, keys in unit.items():
        assert keys.keys() <= KEYS[section]


def test_systemd_waits_longer_than_the_drain(unit: Unit) -> None:
    drain = re.search(r"TIDEWIRE_DRAIN_SECONDS=(\d+)", " ".join(unit["Service"]["Environment"]))
    assert drain
    assert float(drain[1]) + 5 <= seconds(unit["Service"]["TimeoutStopSec"][0])
    assert unit["Service"]["KillSignal"] == ["SIGTERM"]


def test_systemd_keeps_the_spool_where_it_may_write(unit: Unit) -> None:
    spool = re.search(r"TIDEWIRE_SPOOL_DIR=(\S+)", " ".join(unit["Service"]["Environment"]))
    assert spool
    assert spool[1].startswith(f"%S/{unit['Service']['StateDirectory'][0]}/")
    assert unit["Service"]["DynamicUser"] == ["yes"]
    assert unit["Service"]["ProtectSystem"] == ["strict"]


def test_systemd_gives_it_files_for_its_streams(unit: Unit) -> None:
    assert int(unit["Service"]["LimitNOFILE"][0]) >= 16_384


def test_systemd_takes_the_file(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        # The keys are looked at above.
        return
    file = tmp_path / "tidewire.service"
    text = SYSTEMD.read_text()
    assert "/opt/tidewire/bin/tidewire" in text
    file.write_text(text.replace("/opt/tidewire/bin/tidewire serve", f"{COMMAND} serve"))
    told = subprocess.run(
        ["systemd-analyze", "verify", str(file)], check=False, capture_output=True, text=True
    )
    assert (told.returncode, told.stderr) == (0, "")
    command = ["systemd-analyze", "security", "--offline=true", str(file)]
    told = subprocess.run(command, check=False, capture_output=True, text=True)
    level = re.search(r"exposure level for tidewire\.service: ([\d.]+)", told.stdout)
    assert level, told.stderr
    assert float(level[1]) <= MOST_EXPOSED
