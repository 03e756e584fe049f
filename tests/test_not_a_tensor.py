"""Every public function says so when it is given something else than a tensor: no AttributeError from its inside."""

import inspect
import warnings

import pytest

import tilegrad as tg

LIST, INDICES = [1.0, 2.0], tg.tensor([0])
# What a required argument gets that is not under test; a name that is not here gets a tensor.
OTHERS = {
    "dim": 0, "dims": (0,), "kernel_size": 2, "output_size": 2, "size": (2,), "num_classes": 3, "p": 0.5, "n": 1, "k": 1,
    "axis": 0, "shape": (2,), "sections": 2, "chunks": 2, "groups": 1, "num_groups": 1, "normalized_shape": (2,), "pad": (1, 1),
    "upscale_factor": 2, "index": INDICES, "indices": INDICES, "equation": "i->i", "repeats": 2, "dim0": 0, "dim1": 1,
    "value": 1.0, "training": True, "target": tg.zeros(2, dtype=tg.int64),
}  # fmt: skip
NOT_CALLED = {"set_memory_limit", "set_num_threads"}  # would change the process


def _calls():
    """(module.function, argument) for every required argument."""
    for prefix, module in (("tg", tg), ("F", tg.nn.functional), ("linalg", tg.linalg)):
        for name, function in sorted(vars(module).items()):
            if name.startswith("_") or name in NOT_CALLED or not callable(function) or inspect.isclass(function):
                continue
            try:
                parameters = inspect.signature(function).parameters.values()
            except ValueError:
                continue
            required = [p.name for p in parameters if p.default is p.empty and p.kind is p.POSITIONAL_OR_KEYWORD]
            for under_test in required:
                yield pytest.param(function, required, under_test, id=f"{prefix}.{name}-{under_test}")


@pytest.mark.parametrize("function, required, under_test", list(_calls()))
def test_no_attribute_error(function, required, under_test):
    for wrong in (None, LIST, object()):
        arguments = [wrong if name == under_test else OTHERS.get(name, tg.ones(2, 2, 4, 4)) for name in required]
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                function(*arguments)
        except (TypeError, ValueError, RuntimeError, IndexError) as error:  # None and a list may also be right
            assert "object has no attribute" not in str(error)


def test_the_names_are_found():
    assert len(list(_calls())) > 400


SOME = {
    "softmax": lambda x: tg.softmax(x, 0),
    "mse_loss": lambda x: tg.nn.functional.mse_loss(x, tg.ones(2)),
    "cross_entropy": lambda x: tg.nn.functional.cross_entropy(x, tg.tensor([1])),
    "dropout": lambda x: tg.nn.functional.dropout(x),
    "zeros_like": tg.zeros_like,
    "median": tg.median,
    "outer": lambda x: tg.outer(tg.ones(2), x),
    "allclose": lambda x: tg.allclose(tg.ones(2), x),
    "unique": tg.unique,
}


@pytest.mark.parametrize("name", SOME)
def test_the_text(name):
    with pytest.raises(TypeError, match=rf"{name}\(\): argument '\w+' must be Tensor, not list"):
        SOME[name](LIST)


@pytest.mark.parametrize("join", [tg.stack, tg.vstack, tg.hstack, tg.dstack, tg.column_stack])
def test_an_element_that_is_no_tensor(join):
    with pytest.raises(TypeError, match=r"\w+\(\): argument 'tensors\[1\]' must be Tensor, not float"):
        join([tg.ones(2), 1.0])
    joined = join(x for x in [tg.ones(2), tg.zeros(2)])  # any iterable
    assert joined.numel() == 4


def test_a_state_that_is_none():
    with pytest.raises(TypeError, match="set_state: expected a state of get_state, a uint8 tensor, got list"):
        tg.set_rng_state([1])
    with pytest.raises(RuntimeError, match=r"set_state: expected a uint8 tensor of 16 bytes, got .*float32 of shape \(16,\)"):
        tg.set_rng_state(tg.zeros(16))


# --- modules
SIZES = {
    "in_features": 2, "out_features": 2, "in_channels": 2, "out_channels": 2, "kernel_size": 2, "num_features": 2,
    "normalized_shape": 2, "num_groups": 1, "num_channels": 2, "input_size": 2, "hidden_size": 2, "num_embeddings": 4,
    "embedding_dim": 2, "output_size": 2, "padding": 1, "upscale_factor": 2, "downscale_factor": 2, "embed_dim": 2,
    "num_heads": 1, "size": 2, "in1_features": 2, "in2_features": 2, "dim": 1, "threshold": 0.1, "value": 0.1, "norm_type": 2,
    "groups": 1, "unflattened_size": (1, 2),
}  # fmt: skip


def _modules():
    for name, made in sorted(vars(tg.nn).items()):
        if inspect.isclass(made) and issubclass(made, tg.nn.Module):
            required = [
                p.name
                for p in inspect.signature(made).parameters.values()
                if p.default is p.empty and p.kind is p.POSITIONAL_OR_KEYWORD
            ]
            if all(p in SIZES for p in required):
                yield pytest.param(made, [SIZES[p] for p in required], id=name)


@pytest.mark.parametrize("made, sizes", list(_modules()))
def test_a_module_given_no_tensor(made, sizes):
    module = made(*sizes)
    wanted = [p for p in inspect.signature(module.forward).parameters.values() if p.default is p.empty]
    wanted = [p.name for p in wanted if p.kind is p.POSITIONAL_OR_KEYWORD]
    for i in range(len(wanted)):
        try:
            module(*[LIST if i == j else tg.ones(2, 2, 2) for j in range(len(wanted))])
        except (TypeError, ValueError, RuntimeError, IndexError) as error:  # Identity and containers take anything
            assert "object has no attribute" not in str(error)
