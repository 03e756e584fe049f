"""The op specs under every instruction set that this processor has, each in a process of its own.

The normal run takes one sample per spec and dtype; TILEGRAD_TEST_FULL=1 takes all.
"""

import os

import pytest

import tilegrad as tg

ISAS = ["baseline", "avx2", "avx512", "avx512_bf16", "neon"]

CHECK = """
    import sys, os
    import tilegrad as tg
    from tilegrad.testing.specs import all_specs
    assert tg._core.isa_name() == {isa!r}, tg._core.isa_name()
    full = os.environ.get("TILEGRAD_TEST_FULL") == "1"
    failures = checked = 0
    for spec in all_specs():
        for dtype in spec.dtypes:
            samples = spec.samples_for(dtype)
            chosen = samples if full else sorted(samples, key=elements)[-1:]
            for sample in chosen:
                checked += 1
                try:
                    spec.compare(sample, dtype)
                except Exception as error:
                    failures += 1
                    print(f"{{type(error).__name__}}: {{error}}")
    print(checked, "checked,", failures, "failed")
    sys.exit(failures > 0)
"""
ELEMENTS = """
    def elements(sample):
        return sum(getattr(a, "size", 0) for a in sample.args)
"""


def supported(isa):
    return any(i["name"] == isa and i["compiled"] and i["supported"] for i in tg._core.isa_list())


@pytest.mark.parametrize("isa", ISAS)
def test_specs_under(isa, run_python):
    if not supported(isa):
        pytest.skip(f"{isa} is not compiled in or not supported by this processor")
    run_python(ELEMENTS + CHECK.format(isa=isa), timeout=900, TILEGRAD_ISA=isa)


def test_the_chosen_table_is_the_best_one():
    best = [i["name"] for i in tg._core.isa_list() if i["compiled"] and i["supported"]][-1]
    assert tg._core.isa_name() == os.environ.get("TILEGRAD_ISA", best)


def test_an_unknown_instruction_set_is_an_error(run_python):
    result = run_python("import tilegrad", check=False, TILEGRAD_ISA="avx1024")
    assert result.returncode != 0
    assert "TILEGRAD_ISA=avx1024" in result.stderr and "baseline" in result.stderr


def test_an_unsupported_instruction_set_is_an_error(run_python):
    missing = [i["name"] for i in tg._core.isa_list() if i["compiled"] and not i["supported"]]
    if not missing:
        pytest.skip("this processor supports every instruction set that is compiled in")
    result = run_python("import tilegrad", check=False, TILEGRAD_ISA=missing[0])
    assert result.returncode != 0 and f"TILEGRAD_ISA={missing[0]}" in result.stderr
