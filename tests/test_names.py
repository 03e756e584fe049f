"""The names that course code uses exist."""

import importlib.util
import pathlib

import pytest

import tilegrad as tg

TOOL = pathlib.Path(__file__).parents[1] / "tools" / "name_coverage.py"
pytestmark = pytest.mark.skipif(not TOOL.exists(), reason="runs in a source checkout")

# what is left out, and why
WITHOUT = {
    "torch.int16": "no course computes in it; kernels have int8, int32, int64 and uint8",
    "Tensor.storage": "memory is shared by views but is no object of its own; data_ptr() tells where a tensor starts",
}


@pytest.fixture(scope="module")
def coverage():
    spec = importlib.util.spec_from_file_location("name_coverage", TOOL)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_list_is_whole(coverage):
    assert {tier: len(names) for tier, names in coverage.read().items()} == {1: 331, 2: 140, 3: 73}
    assert not coverage.exists("torch", "no_such_name") and not coverage.exists("Tensor/Module", "backward")


@pytest.mark.parametrize("tier", [1, 2, 3])
def test_every_name_exists(coverage, tier):
    missing = set(coverage.missing(tier))
    assert missing <= set(WITHOUT), f"names of tier {tier} that are missing: {sorted(missing - set(WITHOUT))}"
    assert tier == 3 or not missing, "the courses' own names have no exceptions"
    known = {f"{group}.{name}" for group, name in coverage.read()[tier]}
    assert not {name for name in WITHOUT if name in known} - missing, "these exist now: take them from the list"


def test_real_names_at_the_top():
    assert tg.dropout is tg.nn.functional.dropout and tg.vmap is tg.func.vmap and tg.pi > 3.14 and tg.newaxis is None
    with pytest.raises(AttributeError, match="did you mean 'matmul'"):
        tg.matmull  # noqa: B018
