"""The older name of `tilegrad.ao.quantization`."""

from .ao.quantization import QConfig, default_dynamic_qconfig, per_channel_dynamic_qconfig, quantize_dynamic

__all__ = ["QConfig", "default_dynamic_qconfig", "per_channel_dynamic_qconfig", "quantize_dynamic"]
