// Random numbers: the lines that make them Python functions.
#include "ops/random.h"
#include "bindings/convert.h"
#include "bindings/functions.h"

namespace tg::py {

void bind_random() {
  bind<&ops::uniform_>("uniform_", "x, low, high, seed, offset", "Philox uniform numbers in [low, high).");
  bind<&ops::normal_>("normal_", "x, mean, std, seed, offset", "Philox normal numbers.");
  bind<&ops::randint_>("randint_", "x, low, high, seed, offset", "Philox integers in [low, high).");
}

}  // namespace tg::py
