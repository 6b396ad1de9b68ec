"""The files of deploy/ say what the code reads, and leave no door open."""

from __future__ import annotations

import re
import tomllib
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import yaml

from inkling.cli import main
from inkling.engine.cluster.options import ENVIRONMENT
from inkling.engine.cluster.settings import ClusterSettings, ModelSpec, read_settings, settings_from

DEPLOY = Path(__file__).parents[2] / "deploy"


def test_the_serve_config_is_what_the_settings_give(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cluster", "config", "-f", str(DEPLOY / "cluster.toml")]) == 0
    made, kept = (yaml.safe_load(text) for text in (capsys.readouterr().out, (DEPLOY / "serve.yaml").read_text()))
    assert made == kept
    assert settings_from(kept["applications"][0]["args"]) == read_settings(DEPLOY / "cluster.toml")


def test_ray_takes_the_serve_config() -> None:
    """By Ray's own schema; where Ray is not installed, `make cluster-test` runs this, too."""
    schema = pytest.importorskip("ray.serve.schema", reason="ray is not installed: `make cluster-test` runs this")
    config = schema.ServeDeploySchema.model_validate(yaml.safe_load((DEPLOY / "serve.yaml").read_text()))
    assert [app.name for app in config.applications] == ["inkling"]


def test_secrets_beside_the_compose_file_reach_neither_image_nor_repository() -> None:
    """Both files name what they mean in plain words; the image's list is of what may come in."""
    root = DEPLOY.parent
    image = [line for line in (root / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    assert image[0] == "*"
    assert not [line for line in image if line.startswith("!") and "deploy" in line]
    copied = {line.removeprefix("!") for line in image if line.startswith("!")}
    assert all((root / name).exists() for name in copied)
    ignored = (root / ".gitignore").read_text().splitlines()
    assert {"/deploy/token", "/deploy/ray-token", "/deploy/models/"} <= set(ignored)


def test_only_tls_is_reachable_from_outside() -> None:
    compose: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    services = compose["services"]
    assert [name for name, service in services.items() if "ports" in service] == ["tls"]
    assert compose["networks"]["pool"]["internal"] is True
    for name, service in services.items():
        assert set(service["networks"]) <= set(compose["networks"])
        if name != "tls":
            assert service["networks"] == ["pool"]
            assert set(service["secrets"]) == set(compose["secrets"])
            assert service["environment"]["RAY_AUTH_TOKEN_PATH"] == "/run/secrets/ray-token"
    settings = read_settings(DEPLOY / "cluster.toml")
    assert Path(settings.token_file).name in compose["secrets"]
    grace = int(services["head"]["stop_grace_period"].removesuffix("s"))
    assert grace > settings.drain_seconds
    for volume in (volume for service in services.values() for volume in service.get("volumes", [])):
        source = volume.split(":")[0]
        assert source in compose["volumes"] or source == "./models" or (DEPLOY / source).is_file(), source


def test_the_image_reports_nothing_and_knows_its_own_files() -> None:
    text = (DEPLOY / "Dockerfile").read_text()
    for name, value in {**ENVIRONMENT, "RAY_AUTH_MODE": "token", "HF_HUB_OFFLINE": "1"}.items():
        assert f"{name}={value}" in text or f'{name}="{value}"' in text
    copied = re.search(r"^COPY (.*) \./$", text, re.MULTILINE)
    assert copied is not None
    for name in copied[1].split():
        assert (DEPLOY.parent / name).is_file()


def test_the_unit_runs_a_command_that_exists() -> None:
    text = (DEPLOY / "inkling-cluster.service").read_text()
    command = re.search(r"^ExecStart=\S+/inkling (.*)$", text, re.MULTILINE)
    assert command is not None
    assert command[1].split()[:2] == ["cluster", "up"]
    stop = re.search(r"^TimeoutStopSec=(\d+)$", text, re.MULTILINE)
    assert stop is not None
    assert int(stop[1]) > read_settings(DEPLOY / "cluster.toml").drain_seconds


def test_the_docs_know_every_setting() -> None:
    text = (DEPLOY.parent / "docs" / "cluster.md").read_text()
    for kind, prefix in ((ClusterSettings, ""), (ModelSpec, "models.")):
        for field in fields(kind):
            assert field.name == "models" or f"`{prefix}{field.name}`" in text


def test_the_capacity_page_is_what_was_measured(capsys: pytest.CaptureFixture[str]) -> None:
    docs = DEPLOY.parent / "docs"
    assert main(["bench", "capacity", str(docs / "capacity.json"), "--developers", "100"]) == 0
    rows = [line for line in capsys.readouterr().out.splitlines() if line]
    page = (docs / "capacity.md").read_text()
    assert len(rows) == 5
    for line in rows:
        assert line in page


def test_the_extra_and_its_pins_agree() -> None:
    project = tomllib.loads((DEPLOY.parent / "pyproject.toml").read_text())
    wanted = project["project"]["optional-dependencies"]["cluster"][0]
    pins = dict(
        re.findall(r"^([\w.-]+)==(\S+)$", (DEPLOY.parent / "constraints-cluster.txt").read_text(), re.MULTILINE)
    )
    assert re.search(r">=2\.60,<2\.61", wanted)
    assert pins["ray"].startswith("2.60.")
    base = (DEPLOY.parent / "constraints.txt").read_text().lower()
    assert not [name for name in pins if re.search(rf"^{re.escape(name.lower())}==", base, re.MULTILINE)]
