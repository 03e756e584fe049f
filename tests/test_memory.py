"""The allocator: what is counted, reused and given back; limits; sizes that cannot be."""

import gc
import sys

import pytest

import tilegrad as tg


@pytest.fixture(autouse=True)
def no_garbage_of_other_tests():
    gc.collect()


# --- the allocator -----------------------------------------------------------------------------------------------------


def test_live_bytes_count_what_is_alive():
    before = tg.memory_stats()["live_bytes"]
    t = tg.empty(1 << 20)
    grown = tg.memory_stats()["live_bytes"] - before
    assert 4 << 20 <= grown <= (4 << 20) * 1.25
    view = t[:10]
    assert tg.memory_stats()["live_bytes"] - before == grown
    del t, view
    assert tg.memory_stats()["live_bytes"] == before


def test_memory_is_reused_and_given_back():
    tg.empty_cache()
    x = tg.empty(1 << 20)
    address = x.data_ptr()
    del x
    assert tg.memory_stats()["cached_bytes"] >= 4 << 20
    x = tg.empty(1 << 20)
    assert x.data_ptr() == address
    del x
    tg.empty_cache()
    assert tg.memory_stats()["cached_bytes"] == 0


def test_what_a_loop_uses_is_kept_and_what_an_earlier_phase_used_is_given_back():
    tg.empty_cache()
    tg.reset_peak_memory_stats()
    stale = [tg.empty((20 << 20) // 4) for _ in range(6)]
    tg.reset_peak_memory_stats()
    del stale  # 120 MB of blocks that nobody will ask for again
    kept = tg.empty((60 << 20) // 4)
    for step in range(6):
        kept = tg.empty((60 << 20) // 4)  # the previous one lives while this one is made
        if step == 1:
            before = tg.memory_stats()
    after = tg.memory_stats()
    assert after["reused"] - before["reused"] == after["allocations"] - before["allocations"] == 4
    assert after["cached_bytes"] + after["live_bytes"] <= after["peak_bytes"] * 1.25 + (64 << 20)
    del kept
    tg.empty_cache()


def test_memory_is_aligned():
    for n in (1, 3, 17, 1000, 1 << 18):
        assert tg.empty(n).data_ptr() % 64 == 0


def test_peak_bytes():
    tg.reset_peak_memory_stats()
    before = tg.memory_stats()["peak_bytes"]
    x = tg.empty(1 << 20)
    del x
    assert tg.memory_stats()["peak_bytes"] - before >= 4 << 20
    tg.reset_peak_memory_stats()
    assert tg.memory_stats()["peak_bytes"] == tg.memory_stats()["live_bytes"]


def test_many_sizes_do_not_grow_the_cache_without_bound(rng):
    tg.empty_cache()
    for n in rng.integers(1, 200_000, 500):
        tg.empty(int(n)).fill_(1.0)
    stats = tg.memory_stats()
    assert stats["cached_bytes"] <= 64 << 20


def test_memory_limit():
    limit = tg.memory_stats()["live_bytes"] + (8 << 20)
    tg.set_memory_limit(limit)
    try:
        kept = tg.empty(1 << 20)
        with pytest.raises(MemoryError, match=rf"cannot allocate {16 << 20} bytes.*limit is {limit} bytes"):
            tg.empty(4 << 20)
        assert kept.numel() == 1 << 20
        del kept
        tg.empty(1 << 20)
    finally:
        tg.set_memory_limit(0)
    assert tg.empty(4 << 20).numel() == 4 << 20


# --- sizes that cannot be ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [tg.zeros, tg.ones, tg.empty, tg.rand, tg.randn])
def test_huge_sizes_are_a_memory_error_that_names_the_bytes(make):
    with pytest.raises(MemoryError, match=f"cannot allocate {4 << 45} bytes"):
        make(1 << 45)


def test_sizes_that_overflow():
    for shape in ((1 << 40, 1 << 40), (1 << 62, 2), (sys.maxsize, sys.maxsize, 3)):
        with pytest.raises((MemoryError, RuntimeError), match="has more elements than memory can hold"):
            tg.zeros(*shape)
    with pytest.raises((MemoryError, RuntimeError), match="has more elements than memory can hold"):
        tg.ones(2, 1).expand(2, 1 << 62).contiguous()


def test_a_huge_result_of_an_op():
    x = tg.zeros(1 << 20, 1)
    with pytest.raises(MemoryError, match=f"cannot allocate {4 << 40} bytes"):
        x + x.t()
    with pytest.raises(MemoryError):
        tg.cat([tg.zeros(1).expand(1 << 45)] * 2)


def test_negative_sizes():
    for call in (lambda: tg.zeros(-1), lambda: tg.empty(2, -3), lambda: tg.rand((4, -5)), lambda: tg.full((-1,), 2.0)):
        with pytest.raises(RuntimeError, match=r"negative size -[135]"):
            call()


def test_too_many_dims():
    with pytest.raises(RuntimeError, match="at most 8 dim"):
        tg.zeros(*[1] * 9)


def test_an_array_after_a_memory_error_still_works():
    with pytest.raises(MemoryError):
        tg.empty(1 << 45)
    assert (tg.ones(3) + 1).sum().item() == 6.0


# --- a training run ----------------------------------------------------------------------------------------------------

STEPS = """
    import gc, os, resource
    import tilegrad as tg
    from tilegrad.models import GPTMini
    tg.manual_seed(0)
    model = GPTMini(65, context=32, width=32, heads=2, layers=2, dropout=0.1)
    optimizer = tg.optim.AdamW(model.parameters(), lr=1e-3)
    tokens, targets = tg.randint(0, 65, (4, 32)), tg.randint(0, 65, (128,))

    def step():
        loss = tg.nn.functional.cross_entropy(model(tokens).reshape(-1, 65), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    gc.disable()  # nothing waits for the collector of cycles
    for _ in range(50):
        step()
    before, faults = tg.memory_stats(), resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    tg.reset_peak_memory_stats()
    for _ in range(1000):
        step()
    after, faults = tg.memory_stats(), resource.getrusage(resource.RUSAGE_SELF).ru_minflt - faults
    assert after["live_bytes"] == before["live_bytes"], (before, after)
    assert after["cached_bytes"] == before["cached_bytes"], (before, after)
    assert after["peak_bytes"] <= before["peak_bytes"], (before, after)
    assert after["allocations"] - before["allocations"] == after["reused"] - before["reused"], (before, after)
    if "libasan" not in os.environ.get("LD_PRELOAD", ""):  # the address sanitizer keeps freed Python objects for a while
        assert faults < 200, faults  # of about 300,000 blocks; Python's own objects may take a page now and then
"""


def test_a_thousand_steps_of_a_gpt_take_no_new_memory(run_python):
    run_python(STEPS, TILEGRAD_NUM_THREADS="2")


def test_powers_of_two_waste_nothing():
    for n in (1 << 12, 1 << 18, 1 << 20, 3 << 20, 384 * 1536):
        before = tg.memory_stats()["live_bytes"]
        kept = tg.empty(n)
        assert tg.memory_stats()["live_bytes"] - before == 4 * n
        del kept


def test_resetting_the_peak_keeps_the_cache():
    tg.empty_cache()
    for _ in range(2):
        kept = [tg.ones(1 << 22) for _ in range(12)]
        del kept
        cached = tg.memory_stats()["cached_bytes"]
        tg.reset_peak_memory_stats()
        tg.empty(10)
        assert tg.memory_stats()["cached_bytes"] >= cached >= 12 << 24
    tg.empty_cache()


def test_a_failed_request_leaves_no_trace():
    tg.reset_peak_memory_stats()
    before = tg.memory_stats()["peak_bytes"]
    with pytest.raises(MemoryError):
        tg.empty(1 << 44)
    assert tg.memory_stats()["peak_bytes"] == before


@pytest.mark.parametrize("bytes_", [4 << 20, (4 << 20) + 4, 9_000_000, 1 << 20])
def test_a_block_a_little_larger_is_taken(bytes_):
    """Sequences of varying length must not ask the system for new memory each time."""
    tg.empty_cache()
    x = tg.empty(bytes_ // 4)
    address = x.data_ptr()
    del x
    x = tg.empty(int(bytes_ // 4 * 0.97))
    assert x.data_ptr() == address
    del x
    tg.empty_cache()
