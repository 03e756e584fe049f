"""The repository as a whole: it is laid out as docs/conventions.md says, and it speaks of the project alone."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

TOP_LEVEL = """
.ci .clang-format .gitignore .pre-commit-config.yaml CHANGELOG.md CMakeLists.txt CMakePresets.json CONTRIBUTING.md LICENSE
NOTICE README.md bench csrc docs pyproject.toml python tests tools
""".split()

# What a text may link to.
HOSTS = """
apache.org arxiv.org dmlc.github.io doi.org github.com huggingface.co keepachangelog.com mozilla.org ncsu.edu numpy.org
python.org pytorch.org readthedocs.io scikit-learn.org semver.org uci.edu w3.org wikipedia.org
amazonaws.com googleapis.com nist.gov rois.ac.jp toronto.edu
""".split()


def tracked() -> list[Path]:
    """The files of the repository; without git (an unpacked archive) whatever lies in its folders."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode == 0 and listed.stdout:
        names = [ROOT / name for name in listed.stdout.split("\0") if name]
        return [path for path in names if path.is_file()]
    return [path for name in TOP_LEVEL for path in [ROOT / name, *(ROOT / name).rglob("*")] if path.is_file()]


FILES = tracked()
TEXTS = {path.relative_to(ROOT).as_posix(): path.read_text() for path in FILES if b"\0" not in path.read_bytes()}


def found(pattern: str, *, within: str = "", flags: int = 0) -> list[str]:
    """Returns "file:line: match" for every match in the texts whose path starts with ``within``."""
    return [
        f"{name}:{text.count(chr(10), 0, match.start()) + 1}: {match.group(0)}"
        for name, text in TEXTS.items()
        if name.startswith(within)
        for match in re.finditer(pattern, text, flags)
    ]


def test_top_level():
    unknown = {path.relative_to(ROOT).parts[0] for path in FILES} - set(TOP_LEVEL)
    assert not unknown, "a new file at the top needs a reason and a line here"


def test_no_paths_of_one_machine():
    assert not found(r"(?<![\w.$}/])/(home|root|tmp|work|Users|mnt|opt)/\w+")


def test_links_lead_to_public_pages():
    links = found(r"https?://[\w.-]+")
    assert [link for link in links if not any(re.search(rf"[/.]{re.escape(host)}$", link) for host in HOSTS)] == []


def test_no_pointer_to_what_is_not_here():
    """Comments and docs refer to files of the repository, not to notes that were never part of it."""
    assert not found(r"\b[Rr]ul" r"ings?\b|\b(peers|ecosystem|course|engine|sim|gpu|api)\.md\b")


def test_no_leftovers():
    assert not found(r"^(<{7}|={7}|>{7})( |$)", flags=re.MULTILINE)
    assert not found(r"\b(TO" r"DO|FIX" r"ME|X" r"XX)\b")
    assert [name for name, text in TEXTS.items() if text and not text.endswith("\n")] == []


@pytest.mark.parametrize(
    "name", sorted({path.parent.relative_to(ROOT).as_posix() for path in FILES if path.suffix in (".cpp", ".h")})
)
def test_names_in_csrc_say_what_is_in_the_file(name):
    vague = [path.name for path in (ROOT / name).iterdir() if re.search(r"util|common|misc|helper", path.stem)]
    assert not vague


def test_files_are_small():
    """A checkout stays small: what is large is generated or downloaded, never committed."""
    assert {path.name: path.stat().st_size for path in FILES if path.stat().st_size > 300_000} == {}
