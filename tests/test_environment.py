"""One lock for every way of installing: it is exact, and conda, pip and the package's own needs agree on it."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
PLATFORMS = [
    {
        "sys_platform": system,
        "platform_machine": machine,
        "python_version": python,
        "python_full_version": f"{python}.9",
    }
    for system, machine in (("linux", "x86_64"), ("linux", "aarch64"), ("darwin", "arm64"))
    for python in ("3.11", "3.12", "3.13", "3.14")
]


def lock() -> list[Requirement]:
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    return [Requirement(line) for line in lines if line.strip() and not line.lstrip().startswith("#")]


def project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def applies(marker: Marker | None, platform: dict[str, str]) -> bool:
    return marker is None or marker.evaluate(platform)


def test_the_lock_pins_exactly() -> None:
    loose = [str(line) for line in lock() if not re.fullmatch(r"==[^*,]+", str(line.specifier))]
    assert loose == []


@pytest.mark.parametrize("platform", PLATFORMS, ids=lambda p: "-".join(list(p.values())[:3]))
def test_each_platform_gets_one_version_of_everything_needed(platform: dict[str, str]) -> None:
    pinned = [canonicalize_name(line.name) for line in lock() if applies(line.marker, platform)]
    assert len(pinned) == len(set(pinned))
    wanted = project()["dependencies"] + project()["optional-dependencies"]["test"]
    missing = {canonicalize_name(Requirement(need).name) for need in wanted} - set(pinned)
    assert missing == set()


def test_the_lock_satisfies_the_package() -> None:
    versions = {canonicalize_name(line.name): str(line.specifier).removeprefix("==") for line in lock()}
    needs = [Requirement(need) for need in project()["dependencies"]]
    assert [str(need) for need in needs if versions[canonicalize_name(need.name)] not in need.specifier] == []


def test_torch_and_torchvision_are_registry_builds_of_one_release() -> None:
    versions = {line.name: str(line.specifier).removeprefix("==") for line in lock()}
    torch, vision = versions["torch"].split("."), versions["torchvision"].split(".")
    assert "+" not in versions["torch"] + versions["torchvision"]
    # torchvision 0.(n+15).p is built for torch 2.n.p
    assert (int(vision[1]) - 15, vision[2]) == (int(torch[1]), torch[2])


def test_conda_installs_the_same_lock() -> None:
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    plain = [entry for entry in environment["dependencies"] if isinstance(entry, str)]
    (pip,) = [entry["pip"] for entry in environment["dependencies"] if isinstance(entry, dict)]
    assert pip == ["-r requirements.lock", "-e ."]
    assert plain == ["python=3.11", "pip"]
    assert project()["requires-python"] == ">=3.11"


def test_make_and_the_clean_clone_run_the_readmes_command() -> None:
    assert "install -r requirements.lock" in (ROOT / "Makefile").read_text()
    assert re.search(r"^make test\b", (ROOT / "README.md").read_text(), re.MULTILINE)
    assert re.search(r"^make test$", (ROOT / ".ci" / "run").read_text(), re.MULTILINE)


def test_citation_and_licence_agree_with_the_package() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["license"] == project()["license"] == "Apache-2.0"
    assert citation["version"] == project()["version"]
    assert "Apache License" in (ROOT / "LICENSE").read_text()[:200]
