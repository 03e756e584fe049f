"""tilegrad.nn.utils: gradient clipping, normalised weights, parameters as a vector, calling with other parameters."""

from . import rnn
from .clip_grad import clip_grad_norm_, clip_grad_value_, get_total_norm
from .convert_parameters import parameters_to_vector, vector_to_parameters
from .reparametrize import remove_spectral_norm, remove_weight_norm, spectral_norm, weight_norm
from .stateless import functional_call

__all__ = [
    "clip_grad_norm_",
    "clip_grad_value_",
    "functional_call",
    "get_total_norm",
    "parameters_to_vector",
    "remove_spectral_norm",
    "remove_weight_norm",
    "rnn",
    "spectral_norm",
    "vector_to_parameters",
    "weight_norm",
]
