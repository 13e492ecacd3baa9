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


def test_every_layout_has_a_row(helps):
    """The program's layouts are those that its help of --format lists, a line each."""
    listed = re.split(r"^  --", helps["export"].split("\n  --format <format> ")[1], flags=re.MULTILINE)[0]
    layouts = re.findall(r"^        (\w+) +- ", listed, re.MULTILINE)
    assert len(layouts) > 10 and sorted(rows("docs/DATASETS.md", "Layouts of other trainers")[1:]) == sorted(f"`{name}`" for name in layouts)


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


@pytest.fixture(scope="module")
def helps(program):
    """The help of every verb and subverb as a terminal of 80 columns shows it."""
    found = {}

    def collect(*verb):
        result = subprocess.run([program, *verb, "--help"], env=dict(os.environ, COLUMNS="80"), capture_output=True, text=True, check=True)
        found[" ".join(verb)] = result.stdout
        for name in re.findall(r"^  ([a-z0-9-]+)(?: |$)", result.stdout.partition("SUBCOMMANDS:")[2], re.MULTILINE):
            collect(*verb, name)

    collect()
    assert len(found) > 30
    return found


def overview(text):
    """The paragraphs in front of the usage."""
    return text.split("\nUSAGE:")[0].split("\n")


def examples(text):
    """The commands of a help: indented lines, joined where they end with a backslash."""
    lines = [line for line in overview(text) if line.startswith("  ")]
    return re.sub(r"\\\n *", "", "\n".join(lines)).split("\n") if lines else []


def test_help_fits_80_columns(helps):
    for verb, text in helps.items():
        assert not [line for line in text.split("\n") if len(line) > 80], verb


def test_help_is_wrapped_once(helps):
    """A line of prose ends where the next word does not fit."""
    for verb, text in helps.items():
        lines = overview(text)
        for line, following in zip(lines, lines[1:]):
            if line and following and not line.startswith(("  ", "EXAMPLE")) and not following.startswith("  "):
                assert len(line) + 1 + len(following.split()[0]) >= 80, f"{verb}: {line}"


def test_every_verb_has_an_example(helps):
    for verb, text in helps.items():
        if verb and not verb.endswith("help"):
            assert any(command.strip().startswith("tessera ") for command in examples(text)), verb


def test_examples_of_the_help_can_be_pasted(helps, program, tmp_path):
    """Each is a command line that the program takes: what may be missing are the files that it names."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "tessera").symlink_to(program)
    environment = dict(os.environ, PATH=f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    for verb, text in helps.items():
        assert not re.search(r"\\$\n(?!    )", "\n".join(overview(text)), re.MULTILINE), verb
        for command in examples(text):
            result = subprocess.run(["bash", "-c", command], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60)
            assert result.returncode not in (2, 64, 126, 127), f"{command}\n{result.stderr}"
