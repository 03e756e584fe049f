"""Random numbers: the Philox stream itself, seeds and generators, and the distributions."""

import numpy as np
import pytest

import tilegrad as tg
from tilegrad.reference import random as reference

N = 200_000


def test_the_reference_gives_the_published_values():
    """Test vectors of Random123 (kat_vectors: philox4x32 10) that a 64-bit counter can express."""
    assert [hex(w) for w in reference.philox(0, [0])[0]] == ["0x6627e8d5", "0xe169c58d", "0xbc57ac4c", "0x9b00dbd8"]


def test_the_same_seed_gives_the_same_numbers():
    for draw in (
        lambda: tg.rand(1000),
        lambda: tg.randn(1000),
        lambda: tg.randint(0, 10**6, (1000,)),
        lambda: tg.randperm(1000),
    ):
        tg.manual_seed(7)
        first = draw()
        second = draw()
        tg.manual_seed(7)
        assert draw().tolist() == first.tolist()
        assert second.tolist() != first.tolist()
        tg.manual_seed(8)
        assert draw().tolist() != first.tolist()


def test_generators_are_independent_of_the_global_one():
    g = tg.Generator().manual_seed(3)
    first = tg.rand(5, generator=g)
    tg.manual_seed(1)
    a = tg.rand(5)
    tg.manual_seed(1)
    tg.rand(100, generator=g)
    assert tg.rand(5).tolist() == a.tolist()
    assert tg.rand(5, generator=tg.Generator().manual_seed(3)).tolist() == first.tolist()
    assert tg.Generator().manual_seed(3).initial_seed() == 3


def test_rng_state_can_be_saved_and_restored():
    tg.rand(3)
    state = tg.get_rng_state()
    a = [tg.rand(5).tolist(), tg.randn(3).tolist(), tg.randperm(9).tolist()]
    tg.set_rng_state(state)
    assert [tg.rand(5).tolist(), tg.randn(3).tolist(), tg.randperm(9).tolist()] == a
    g = tg.Generator().manual_seed(5)
    tg.rand(7, generator=g)
    other = tg.Generator()
    other.set_state(g.get_state())
    assert tg.rand(4, generator=g).tolist() == tg.rand(4, generator=other).tolist()


def test_manual_seed_takes_any_64_bits_and_returns_the_generator():
    for seed in (0, 1, 2**32, 2**63, 2**64 - 1, -1):
        tg.manual_seed(seed)
        tg.rand(3)
    assert tg.initial_seed() % 2**64 == 2**64 - 1
    assert isinstance(tg.manual_seed(0), tg.Generator)
    with pytest.raises((TypeError, ValueError, RuntimeError)):
        tg.manual_seed("seed")


def test_a_number_does_not_depend_on_how_many_are_drawn_at_once():
    """Element i of a draw is a function of the seed and i alone, so a longer draw starts with the shorter one."""
    for draw in (tg.rand, tg.randn):
        tg.manual_seed(5)
        long = draw(1000)
        tg.manual_seed(5)
        assert draw(37).tolist() == long[:37].tolist()


def test_neighbouring_seeds_and_draws_are_unrelated():
    draws = []
    for seed in range(4):
        tg.manual_seed(seed)
        draws += [tg.rand(N // 4).numpy(), tg.rand(N // 4).numpy()]
    correlation = np.corrcoef(draws) - np.eye(len(draws))
    assert np.abs(correlation).max() < 5 / np.sqrt(N / 4)


def within(value, expected, deviation, sigmas=5):
    assert abs(value - expected) < sigmas * deviation, f"{value}, expected {expected} +- {deviation}"


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16", "float16"])
def test_rand_is_uniform_on_the_half_open_interval(dtype):
    x = tg.rand(N, dtype=getattr(tg, dtype)).to(tg.float64).numpy()
    assert x.min() >= 0 and x.max() < 1
    within(x.mean(), 0.5, np.sqrt(1 / 12 / N) + (0.002 if "16" in dtype else 0))
    counts = np.histogram(x, 16, (0, 1))[0]
    if "16" not in dtype:
        chi2 = ((counts - N / 16) ** 2 / (N / 16)).sum()
        assert chi2 < 50  # 15 degrees of freedom: one in 10**5


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_randn_is_normal(dtype):
    x = tg.randn(N, dtype=getattr(tg, dtype)).to(tg.float64).numpy()
    assert np.isfinite(x).all()
    within(x.mean(), 0, 1 / np.sqrt(N))
    within(x.var(), 1, np.sqrt(2 / N))
    within((x**3).mean(), 0, np.sqrt(15 / N))
    within((x**4).mean(), 3, np.sqrt(96 / N))
    within((np.abs(x) < 1).mean(), 0.6826895, np.sqrt(0.25 / N))
    within((np.abs(x) > 3).mean(), 0.0026998, np.sqrt(0.0027 / N))
    within(np.corrcoef(x[::2], x[1::2])[0, 1], 0, 1 / np.sqrt(N / 2))


def test_randint_is_uniform():
    x = tg.randint(-3, 5, (N,)).numpy()
    assert x.dtype == np.int64 and set(np.unique(x)) == set(range(-3, 5))
    counts = np.bincount(x + 3)
    assert ((counts - N / 8) ** 2 / (N / 8)).sum() < 40
    wide = tg.randint(-(2**62), 2**62, (1000,)).numpy()
    assert (wide < 0).any() and (wide > 0).any() and len(np.unique(wide)) == 1000
    assert tg.randint(7, (3,)).max().item() < 7


def test_randperm_is_a_permutation_and_uniform():
    for n in (0, 1, 2, 100):
        assert sorted(tg.randperm(n).tolist()) == list(range(n))
    counts = np.zeros((4, 4))
    for _ in range(4000):
        counts[np.arange(4), tg.randperm(4).numpy()] += 1
    assert ((counts - 1000) ** 2 / 1000).sum() < 50


def test_bernoulli_has_its_probability():
    p = tg.full((N,), 0.3)
    within(tg.bernoulli(p).mean().item(), 0.3, np.sqrt(0.21 / N))
    within(tg.empty(N).bernoulli_(0.7).mean().item(), 0.7, np.sqrt(0.21 / N))


def test_multinomial_follows_its_weights():
    w = tg.tensor([1.0, 0.0, 3.0, 6.0])
    x = tg.multinomial(w, 50_000, replacement=True).numpy()
    for i, p in enumerate((0.1, 0.0, 0.3, 0.6)):
        within((x == i).mean(), p, np.sqrt(0.25 / 50_000) if p else 1e-9)
    first = [tg.multinomial(w, 1).item() for _ in range(2000)]
    within(np.mean(np.array(first) == 3), 0.6, np.sqrt(0.24 / 2000))


def test_in_place_fills():
    x = tg.empty(N)
    assert x.uniform_(2, 4) is x and x.min().item() >= 2 and x.max().item() <= 4
    within(x.mean().item(), 3, np.sqrt(4 / 12 / N))
    x.normal_(5, 0.5)
    within(x.mean().item(), 5, 0.5 / np.sqrt(N))
    within(x.std().item(), 0.5, 0.5 / np.sqrt(2 * N))
    strided = tg.zeros(100, 4)[:, ::2]
    strided.uniform_()
    assert (strided != 0).all().item()


def test_normal_with_tensors_and_numbers():
    assert tuple(tg.normal(0.0, 1.0, size=(3, 4)).shape) == (3, 4)
    x = tg.normal(tg.tensor([0.0, 100.0]), tg.tensor([1.0, 0.1]))
    assert abs(x[1].item() - 100) < 1
    with pytest.raises(RuntimeError, match=r"normal.*std.*-1"):
        tg.normal(0.0, -1.0, size=(2,))


def test_like_functions():
    x = tg.zeros(3, 4, dtype=tg.float64)
    assert tg.rand_like(x).dtype == tg.float64 and tuple(tg.randn_like(x).shape) == (3, 4)
    assert tg.rand_like(x, dtype=tg.float32).dtype == tg.float32


def test_dropout_keeps_the_expectation_and_its_mask_in_backward():
    x = tg.ones(N, requires_grad=True)
    y = tg.nn.functional.dropout(x, 0.25)
    kept = (y != 0).to(tg.float32)
    within(kept.mean().item(), 0.75, np.sqrt(0.1875 / N))
    assert tg.allclose(y, kept / 0.75)
    y.sum().backward()
    assert tg.allclose(x.grad, kept / 0.75)
    assert tg.nn.functional.dropout(x, 0.25, training=False) is x or bool(
        (tg.nn.functional.dropout(x, 0.25, training=False) == 1).all()
    )
    assert tg.nn.functional.dropout(x, 1.0).abs().sum().item() == 0.0


def test_forked_children_draw_what_their_seed_says(run_python):
    run_python("""
        import os, tilegrad as tg
        tg.manual_seed(1)
        expected = tg.rand(3).tolist()
        pid = os.fork()
        if pid == 0:
            tg.manual_seed(1)
            os._exit(0 if tg.rand(3).tolist() == expected else 1)
        assert os.waitpid(pid, 0)[1] == 0
    """)
