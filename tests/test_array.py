"""Arrays and memory: sharing with NumPy and DLPack, lifetimes, the allocator, and sizes that cannot be."""

import gc
import weakref

import numpy as np
import pytest

import tilegrad as tg
from tilegrad.testing import assert_close
from tilegrad.testing.compare import dtype_name

NUMPY_DTYPES = ["float32", "float64", "float16", "int64", "int32", "int8", "uint8", "bool"]


def values(dtype, n=6):
    return (np.arange(n) % 2 if dtype == "bool" else np.arange(n)).astype(dtype)


# --- NumPy -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", NUMPY_DTYPES)
def test_from_numpy_and_numpy_share_memory_both_ways(dtype):
    a = values(dtype).reshape(2, 3)
    t = tg.from_numpy(a)
    assert dtype_name(t.dtype) == dtype and tuple(t.shape) == (2, 3)
    a[0, 0] = 1
    assert t[0, 0].item() == 1
    t[1, 2] = 0
    assert a[1, 2] == 0
    b = t.numpy()
    assert b.dtype == a.dtype and np.shares_memory(a, b)


def test_tensor_and_as_tensor_copy_or_share_as_pytorch_does():
    a = np.arange(3.0)
    copied, shared = tg.tensor(a), tg.as_tensor(a)
    a[0] = 9
    assert copied[0].item() == 0.0 and shared[0].item() == 9.0
    assert tg.as_tensor(shared) is shared
    assert tg.as_tensor(a, dtype=tg.float32).dtype == tg.float32


@pytest.mark.parametrize(
    "view",
    [lambda a: a.T, lambda a: a[:, ::2], lambda a: a[1:, 1:], lambda a: a[:, :1], lambda a: np.broadcast_to(a[:1], (3, 6))],
)
def test_strided_arrays_are_shared_with_their_strides(view):
    a = np.arange(24.0).reshape(4, 6)
    v = view(a)
    t = tg.from_numpy(v) if v.flags.writeable else tg.as_tensor(v)
    assert_close(t, tg.tensor(v.copy()))
    if v.flags.writeable:
        t.fill_(-1)
        assert (v == -1).all() and t.stride() == tuple(s // 8 for s in v.strides)


@pytest.mark.parametrize("shape", [(), (0,), (2, 0, 3), (1, 1)])
def test_empty_and_0d_arrays(shape):
    a = np.ones(shape)
    assert tuple(tg.from_numpy(a).shape) == shape and tg.ones(shape, dtype=tg.float64).numpy().shape == shape


def test_read_only_array():
    """Reading is allowed; writing through the tensor never reaches the array silently."""
    a = np.arange(3.0)
    a.flags.writeable = False
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        t = tg.from_numpy(a)
    assert t.tolist() == [0.0, 1.0, 2.0] and (t + 1).tolist() == [1.0, 2.0, 3.0]
    with pytest.raises(
        ValueError, match=r"add_?: the tensor shares read-only memory and cannot be changed in place; use clone"
    ):
        t.add_(1)
    with pytest.raises(ValueError, match="read-only"):
        t[0] = 5.0
    with pytest.raises(ValueError, match="read-only"):
        t[1:].zero_()
    assert a.tolist() == [0.0, 1.0, 2.0]
    assert not t.numpy().flags.writeable
    t.clone().add_(1)


def test_negative_strides_are_refused_with_advice():
    with pytest.raises(ValueError, match=r"an array with a negative stride cannot be shared; pass array.copy\(\)"):
        tg.from_numpy(np.arange(3.0)[::-1])
    assert tg.tensor(np.arange(3.0)[::-1]).tolist() == [2.0, 1.0, 0.0]


@pytest.mark.parametrize("dtype", [">f4", "complex64", "U3", "datetime64[s]", "O", [("x", "f4")], "uint16", "uint64"])
def test_element_types_that_cannot_be_shared(dtype):
    with pytest.raises(
        TypeError, match=r"from_numpy: arrays of dtype .* cannot be shared; supported are .* in native byte order"
    ):
        tg.from_numpy(np.zeros(2, dtype=dtype))


def test_from_numpy_takes_arrays_only():
    with pytest.raises(TypeError, match=r"from_numpy.*list|expected np.ndarray \(got list\)"):
        tg.from_numpy([1.0])


def test_unaligned_array():
    raw = np.zeros(17, np.uint8)
    a = raw[1:17].view(np.float64)
    try:
        t = tg.from_numpy(a)
    except (ValueError, TypeError):
        return
    a[0] = 3.0
    assert (t + 1).tolist() == [4.0, 1.0]


def test_asarray_shares_and_array_copies():
    t = tg.arange(4.0)
    shared, copied = np.asarray(t), np.array(t)
    t[0] = 7
    assert shared[0] == 7 and copied[0] == 0
    assert np.shares_memory(np.array(t, copy=False), shared)
    assert not np.shares_memory(np.array(t, copy=True), shared)
    assert np.asarray(t, dtype=np.float64).dtype == np.float64
    with pytest.raises(ValueError, match=r"(?i)copy"):
        np.array(t, dtype=np.float64, copy=False)


def test_numpy_of_a_tensor_that_requires_grad():
    x = tg.ones(2, requires_grad=True)
    text = r"requires grad.*detach\(\)"
    with pytest.raises((RuntimeError, BufferError), match=text):
        x.numpy()
    with pytest.raises((RuntimeError, BufferError), match=text):
        np.asarray(x)
    with tg.no_grad():
        assert x.detach().numpy().tolist() == [1.0, 1.0]


def test_numpy_of_bfloat16():
    with pytest.raises(TypeError, match=r"(?i)bfloat16"):
        tg.ones(2, dtype=tg.bfloat16).numpy()


def test_ml_dtypes_bfloat16_where_it_is_understood():
    ml_dtypes = pytest.importorskip("ml_dtypes")
    a = np.array([1.0, 2.5], dtype=ml_dtypes.bfloat16)
    try:
        t = tg.tensor(a)
    except TypeError:
        return
    assert t.dtype == tg.bfloat16 and t.tolist() == [1.0, 2.5]


def test_functions_of_numpy_take_tensors():
    t = tg.arange(6.0).reshape(2, 3)
    assert np.sum(t.numpy()) == 15 and float(np.sum(np.asarray(t))) == 15
    assert_close(tg.tensor(np.asarray(t) + t.numpy()), t * 2)


def test_numpy_scalars_and_arrays_beside_tensors():
    t = tg.ones(2)
    assert (t * np.float32(2)).tolist() == [2.0, 2.0]
    assert (t * np.float64(2)).dtype == tg.float32
    assert isinstance(np.float32(2) * t, tg.Tensor)


def test_buffer_protocol():
    t = tg.arange(6, dtype=tg.int32).reshape(2, 3)
    m = memoryview(t)
    assert (m.format, m.shape, m.itemsize, m.readonly) == ("i", (2, 3), 4, False)
    assert m.tolist() == [[0, 1, 2], [3, 4, 5]]
    assert memoryview(t.t()).strides == (4, 12)


# --- DLPack ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", NUMPY_DTYPES)
def test_dlpack_to_numpy_and_back_shares(dtype):
    t = tg.tensor(values(dtype)).reshape(2, 3)
    a = np.from_dlpack(t)
    assert a.dtype == np.dtype(dtype) and a.shape == (2, 3)
    t[0, 0] = 1
    assert a[0, 0] == 1
    b = values(dtype)
    s = tg.from_dlpack(b)
    b[1] = 0
    assert s[1].item() == 0 and dtype_name(s.dtype) == dtype


def test_dlpack_of_views_keeps_strides():
    t = tg.arange(12.0).reshape(3, 4).t()[1:]
    a = np.from_dlpack(t)
    assert a.tolist() == t.tolist() and a.strides == (4, 16)
    assert tg.from_dlpack(np.arange(12.0).reshape(3, 4).T).stride() == (1, 4)


def test_dlpack_between_tensors_and_its_device():
    t = tg.ones(3)
    s = tg.from_dlpack(t)
    s[0] = 5
    assert t[0].item() == 5.0
    assert t.__dlpack_device__() == (1, 0)


def test_dlpack_of_bfloat16_keeps_its_type():
    s = tg.from_dlpack(tg.ones(3, dtype=tg.bfloat16))
    assert s.dtype == tg.bfloat16 and s.tolist() == [1.0, 1.0, 1.0]


def test_dlpack_of_a_tensor_that_requires_grad():
    with pytest.raises(BufferError, match=r"a tensor that requires grad cannot share its memory; use tensor.detach\(\) first"):
        np.from_dlpack(tg.ones(2, requires_grad=True))


def test_dlpack_of_a_read_only_array():
    a = np.arange(3.0)
    a.flags.writeable = False
    try:
        t = tg.from_dlpack(a)
    except BufferError:
        return
    with pytest.raises(ValueError, match="read-only"):
        t.add_(1)


def test_a_dlpack_capsule_is_used_once():
    capsule = tg.ones(3).__dlpack__()
    tg.from_dlpack(_Once(capsule))
    with pytest.raises(TypeError, match="unused DLPack capsule"):
        tg.from_dlpack(_Once(capsule))


class _Once:
    """An object whose __dlpack__ hands out a given capsule."""

    def __init__(self, capsule):
        self.capsule = capsule

    def __dlpack__(self, **_):
        return self.capsule

    def __dlpack_device__(self):
        return (1, 0)


def test_an_unused_dlpack_capsule_is_released():
    gc.collect()
    before = tg.memory_stats()["live_bytes"]
    t = tg.ones(1000)
    capsule = t.__dlpack__()
    del t
    assert tg.memory_stats()["live_bytes"] > before
    del capsule
    assert tg.memory_stats()["live_bytes"] == before


# --- lifetimes ---------------------------------------------------------------------------------------------------------


def test_memory_lives_as_long_as_any_view_of_it():
    gc.collect()
    before = tg.memory_stats()["live_bytes"]
    t = tg.ones(1000)
    view, a, d, m = t[10:20], t.numpy(), np.from_dlpack(t), memoryview(t)
    del t
    gc.collect()
    tg.empty_cache()
    junk = [tg.full((1000,), 7.0) for _ in range(10)]
    assert view.tolist() == [1.0] * 10 and a.sum() == d.sum() == 1000 and m[0] == 1.0
    del view, a, d, m, junk
    gc.collect()
    assert tg.memory_stats()["live_bytes"] == before


def test_borrowed_memory_lives_as_long_as_the_tensor():
    class Array(np.ndarray):
        pass

    a = np.ones(1000).view(Array)
    alive = weakref.ref(a)
    t = tg.from_numpy(a)[5:]
    del a
    gc.collect()
    assert alive() is not None and t.sum().item() == 995
    del t
    gc.collect()
    assert alive() is None


def test_borrowed_memory_is_released_at_the_end_of_the_interpreter(run_python):
    run_python("""
        import numpy as np, tilegrad as tg
        keep = tg.from_numpy(np.ones(1000)), np.from_dlpack(tg.ones(1000)), memoryview(tg.ones(10))
        module_cycle = [keep]; module_cycle.append(module_cycle)
    """)


def test_borrowed_memory_may_be_released_in_another_thread():
    import threading

    box = [tg.from_numpy(np.ones(1000))]
    thread = threading.Thread(target=box.clear)
    thread.start()
    thread.join()
