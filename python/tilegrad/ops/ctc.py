"""Connectionist temporal classification."""

from __future__ import annotations

from .. import _core
from ..autograd.op import op

# (loss per sample, alpha); alpha serves the backward pass and has no gradient
ctc_loss_op = op(_core.ctc_loss).backward(
    log_probs=lambda dy, log_probs, targets, input_lengths, target_lengths, blank, zero_infinity, out, out1: ctc_loss_backward(
        dy, log_probs, targets, input_lengths, target_lengths, out.detach(), out1.detach(), blank, zero_infinity
    )
)
ctc_loss_backward = op(_core.ctc_loss_backward)
