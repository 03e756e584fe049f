#pragma once

namespace tg::py {
void bind_functions();  // registers every op for add_bound()
}
