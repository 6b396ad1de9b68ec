"""The wheel holds what a user needs: every plugin, the starter models with their cards, the tour's samples."""

import subprocess
import sys
import zipfile
from collections.abc import Iterator
from configparser import ConfigParser
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[zipfile.ZipFile]:
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder], cwd=ROOT, check=True)
    (path,) = folder.glob("*.whl")
    with zipfile.ZipFile(path) as file:
        yield file


def test_holds_both_packages_as_the_checkout_has_them(wheel: zipfile.ZipFile) -> None:
    listed = subprocess.run(
        ["git", "ls-files", "server/inkling", "plugins/inkling_plugins"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout.split()  # fmt: skip
    expected = {name.removeprefix("server/").removeprefix("plugins/") for name in listed}
    assert len(expected) > 100
    assert expected - set(wheel.namelist()) == set()


@pytest.mark.parametrize("sample", ["inventory.py", "review.md", "incident.md"])
def test_holds_the_samples_of_the_tour(wheel: zipfile.ZipFile, sample: str) -> None:
    assert wheel.read(f"inkling/cli/samples/{sample}") == (ROOT / "examples" / sample).read_bytes()


def test_every_plugin_entry_point_names_a_file_in_it(wheel: zipfile.ZipFile) -> None:
    (name,) = [name for name in wheel.namelist() if name.endswith("entry_points.txt")]
    points = ConfigParser()
    points.read_string(wheel.read(name).decode())
    modules = [point.split(":")[0] for point in points["inkling.plugins"].values()]
    assert modules
    for module in modules:
        assert f"{module.replace('.', '/')}.py" in wheel.namelist()


@pytest.mark.parametrize("starter", sorted(p.name for p in (ROOT / "server/inkling/starter").iterdir() if p.is_dir()))
def test_every_starter_has_weights_and_a_card(wheel: zipfile.ZipFile, starter: str) -> None:
    names = [name for name in wheel.namelist() if name.startswith(f"inkling/starter/{starter}/")]
    assert any(name.endswith(".safetensors") for name in names)
    assert f"inkling/starter/{starter}/README.md" in names
    assert not [name for name in names if name.endswith((".bin", ".pt", ".pkl"))]
