#include "core/error.h"

#include <cstdio>

namespace tg {

std::string to_text(double x) {
  char buffer[32];
  std::snprintf(buffer, sizeof buffer, "%.6g", x);
  return buffer;
}

std::string detail::fill_in(const char* pattern, const std::string* values, int count) {
  std::string text;
  int next = 0;
  for (const char* c = pattern; *c; ++c) {
    if (c[0] == '{' && c[1] == '}' && next < count) {
      text += values[next++];
      ++c;
    } else {
      text += *c;
    }
  }
  return text;
}

}  // namespace tg
