"""Which ops are methods of Tensor, and under which names."""

from __future__ import annotations

import sys
from typing import Any

from . import dtypes

# Ops that are methods under their own name, by the file of the op.
_METHODS = {
    "elementwise": """
        sub mul mul_ divide div_ neg neg_ floor_divide floor_divide_ remainder remainder_ pow pow_ maximum minimum clamp clamp_
        abs abs_ sign sign_ square square_ sqrt sqrt_ rsqrt rsqrt_ reciprocal reciprocal_ exp exp_ expm1 log log_ log1p log2
        sin cos tanh tanh_ sigmoid sigmoid_ relu relu_ softplus erf floor floor_ ceil ceil_ round round_ trunc trunc_ atan2
        eq ne lt le gt ge logical_and logical_or logical_xor logical_not bitwise_and bitwise_or bitwise_xor bitwise_not
        isnan isinf isfinite masked_fill_ fill_""",
    "reduce": "sum mean prod amax amin max min argmax argmin any all var std logsumexp norm",
    "shape": """
        reshape permute transpose expand broadcast_to squeeze unsqueeze t flatten unflatten movedim split chunk unbind repeat
        tile tril triu as_strided diagonal diag""",
    "index": """
        select narrow index_select index_add gather masked_select flip roll index_copy_""",
    "matmul": "matmul mm bmm mv dot outer addmm",
    "softmax": "softmax log_softmax",
    "functions": """
        tan tan_ asin asin_ acos acos_ atan atan_ sinh sinh_ cosh cosh_ asinh asinh_ acosh acosh_ atanh atanh_ exp2 exp2_ log10
        log10_ erfc erfc_ erfinv erfinv_ lgamma lgamma_ digamma digamma_ frac frac_ sgn positive deg2rad rad2deg sinc logit
        nan_to_num signbit isposinf isneginf isreal fmod fmod_ hypot copysign logaddexp logaddexp2 xlogy xlogy_ fmax fmin
        float_power bitwise_left_shift bitwise_right_shift lerp lerp_ addcmul addcmul_ addcdiv addcdiv_ expm1_ sin_ cos_""",
    "products": "addbmm addmv addr baddbmm cross inner kron vdot",
    "statistics": """
        aminmax bincount corrcoef count_nonzero cov dist histc histogram nanmean nansum renorm trace""",
    "indexing": """
        argwhere index_copy index_fill index_put index_put_ isin masked_scatter masked_scatter_ put put_ take take_along_dim
        diagonal_scatter select_scatter slice_scatter""",
    "joining": "dsplit hsplit repeat_interleave tensor_split vsplit",
    "matrices": "adjoint diag_embed diagflat fliplr flipud ravel rot90",
    "complex_numbers": "conj is_complex",
    "linalg": "cholesky det logdet matrix_power qr slogdet svd",
    "scatter": "scatter scatter_ scatter_add scatter_add_ scatter_reduce scatter_reduce_",
    "scan": "cumsum cumprod cummax cummin logcumsumexp diff",
    "sort": """
        sort argsort msort topk kthvalue median nanmedian mode quantile nanquantile unique unique_consecutive bucketize""",
}
# Further names PyTorch has for the same methods.
_ALIASES = {
    "div": "divide",
    "true_divide": "divide",
    "multiply": "mul",
    "subtract": "sub",
    "negative": "neg",
    "absolute": "abs",
    "swapaxes": "transpose",
    "moveaxis": "movedim",
    "greater": "gt",
    "greater_equal": "ge",
    "less": "lt",
    "less_equal": "le",
    "not_equal": "ne",
    "arctan2": "atan2",
    "arccos": "acos",
    "arccosh": "acosh",
    "arcsin": "asin",
    "arcsinh": "asinh",
    "arctan": "atan",
    "arctanh": "atanh",
    "fix": "trunc",
    "swapdims": "transpose",
    "__lshift__": "bitwise_left_shift",
    "__rshift__": "bitwise_right_shift",
}
_CONVERTERS = {
    "float": dtypes.float32,
    "double": dtypes.float64,
    "half": dtypes.float16,
    "bfloat16": dtypes.bfloat16,
    "long": dtypes.int64,
    "int": dtypes.int32,
    "char": dtypes.int8,
    "byte": dtypes.uint8,
    "bool": dtypes.bool,
}


def install(cls: type) -> None:
    """Gives the Tensor class the ops as methods."""
    for family, names in _METHODS.items():
        module = sys.modules[f"tilegrad.ops.{family}"]
        for name in names.split():
            if name not in cls.__dict__:
                setattr(cls, name, getattr(module, name))
    for name, other in _ALIASES.items():
        setattr(cls, name, cls.__dict__[other])
    for name, dtype in _CONVERTERS.items():
        setattr(cls, name, _converter(name, dtype))


def _converter(name: str, dtype: dtypes.dtype) -> Any:
    def convert(self: Any) -> Any:
        return self.to(dtype)

    convert.__name__ = name
    convert.__doc__ = f"In {dtype.name}."
    return convert
