// Sharing memory with NumPy (buffer protocol) and others (DLPack).
#pragma once
#include "bindings/python.h"

namespace tg::py {

Array from_buffer(P object);             // shares the memory of a NumPy array or any buffer
P to_dlpack(Tensor* t, bool versioned);  // a capsule
Array from_dlpack(P capsule);            // takes a "dltensor" or "dltensor_versioned" capsule

}  // namespace tg::py
