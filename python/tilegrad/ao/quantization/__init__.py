"""Smaller and faster networks for inference: weights in int8.

Source: https://pytorch.org/docs/stable/quantization.html#dynamic-quantization
"""

from .dynamic import QConfig, default_dynamic_qconfig, per_channel_dynamic_qconfig, quantize_dynamic

__all__ = ["QConfig", "default_dynamic_qconfig", "per_channel_dynamic_qconfig", "quantize_dynamic"]
