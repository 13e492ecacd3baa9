"""README and docs/: every command runs as it stands there, every link leads somewhere, every table is whole."""

import json
import os
import pathlib
import re
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGES = sorted(ROOT.glob("*.md")) + sorted((ROOT / "docs").glob("*.md"))
COMMANDS = {page: re.findall(r"```sh\n(.*?)```", page.read_text(), re.DOTALL) for page in PAGES}


def text(page):
    return (ROOT / page).read_text()


def rows(page, heading):
    """The first cells of the tables below a heading."""
    section = text(page).split(f"## {heading}\n")[1].split("\n## ")[0]
    return re.findall(r"^\| ((?!---)(?:\\\||[^|])+) \|", section, re.MULTILINE)


@pytest.fixture(scope="module")
def run(program, tmp_path_factory):
    """Runs the commands of a page in a folder that looks like the repository after `make demo`."""
    folder = tmp_path_factory.mktemp("repository")
    for name in ("fixtures", "Sources"):
        (folder / name).symlink_to(ROOT / name)
    for name in ("demo", "docs", "bin"):
        (folder / name).mkdir()
    (folder / "bin" / "tessera").symlink_to(program)
    path = f"{folder / 'bin'}:{pathlib.Path(sys.executable).parent}:{os.environ['PATH']}"

    def run(page):
        for block in COMMANDS[page]:
            if not block.startswith("make "):
                result = subprocess.run(
                    ["bash", "-euo", "pipefail", "-c", block], cwd=folder, env=dict(os.environ, PATH=path),
                    capture_output=True, text=True, timeout=600,
                )
                assert result.returncode == 0, f"{block}\n{result.stderr[-2000:]}"
        return folder

    return run


@pytest.fixture(scope="module")
def made(run):
    """The folder, with what the README's commands make, which the other pages go on with."""
    return run(ROOT / "README.md")


@pytest.mark.parametrize("page", [page for page in PAGES if COMMANDS[page]], ids=lambda page: page.name)
def test_commands(run, made, page):
    folder = made if page.name == "README.md" else run(page)
    if page.name == "contact-sheet.md":
        new, kept = (np.array(Image.open(place / "docs/contact-sheet.png").convert("RGB")) for place in (folder, ROOT))
        assert np.array_equal(new, kept)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links(page):
    for target in re.findall(r"\]\(([^)]+)\)", page.read_text()):
        if not target.startswith("https://"):
            assert (page.parent / target.split("#")[0]).exists(), target


def test_the_readme_is_short_and_its_pictures_small():
    assert len(text("README.md").split()) <= 900
    assert all(picture.stat().st_size <= 300 * 1024 for picture in (ROOT / "docs").glob("*.png"))


def test_every_layout_has_a_row():
    schema = json.loads(text("schemas/dataset.schema.json"))
    layouts = schema["properties"]["format"]["enum"]
    assert sorted(rows("docs/DATASETS.md", "Layouts of other trainers")[1:]) == sorted(f"`{name}`" for name in layouts)


def test_every_family_has_a_row(tessera):
    families = [entry["family"] for entry in json.loads(tessera("tokenizers", "--json").stdout)[1:]]
    listed = re.findall(r"`([^`]+)`", " ".join(rows("docs/TOKENIZERS.md", "Published tokenizers")))
    assert sorted(listed) == sorted(families)


def test_every_verb_has_a_row(tessera):
    help_text = tessera("--help").stdout.split("SUBCOMMANDS:")[1]
    verbs = set(re.findall(r"^  ([a-z]+) ", help_text, re.MULTILINE))
    listed = {cell.strip("`").split()[0] for cell in rows("docs/VERBS.md", "Commands")[1:]}
    assert listed == verbs


def test_the_map_of_modules_is_the_packages():
    """The imports of docs/ARCHITECTURE.md are the dependencies of Package.swift."""
    package = dict(re.findall(r'name: "(Tessera\w*)",\s*dependencies: \[(.*?)\]', text("Package.swift"), re.DOTALL))
    targets = {name for name in package if not name.endswith("Tests")}
    table = re.findall(r"^\| `(Tessera\w*)` \| .* \| (.*) \|$", text("docs/ARCHITECTURE.md"), re.MULTILINE)
    assert {name for name, _ in table} == targets
    for name, imports in table:
        found = {module.removeprefix("Tessera") for module in re.findall(r'"(Tessera\w+)"', package[name])}
        wanted = {module.removeprefix("Tessera") for module in targets} - {name.removeprefix("Tessera")} if imports == "all" else set(
            imports.replace("–", "").replace(",", "").split())
        assert wanted == found, name
