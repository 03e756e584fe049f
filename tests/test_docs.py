"""The Python in README.md and docs/ runs as it stands there."""

import doctest
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
WITH_CODE = [page for page in PAGES if BLOCK.search(page.read_text())]


@pytest.mark.parametrize("page", WITH_CODE, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_code_on_the_page_runs(page, tmp_path, monkeypatch):
    """Blocks of a page share one namespace, top to bottom; lines after >>> are compared with what they print."""
    monkeypatch.chdir(tmp_path)
    text, names = page.read_text(), {"__name__": "__main__"}
    for block in BLOCK.finditer(text):
        code, line = block.group(1), text.count("\n", 0, block.start()) + 1
        if ">>>" in code:
            example = doctest.DocTestParser().get_doctest(code, names, page.name, str(page), line)
            report = []
            runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
            runner.run(example, out=report.append, clear_globs=False)
            names.update(example.globs)
            assert not runner.summarize(verbose=False).failed, "".join(report)
        else:
            exec(compile("\n" * line + code, str(page), "exec"), names)
