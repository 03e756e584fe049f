// What went wrong in kernels, in words. A report that repeats is counted, not repeated.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "kernels/sim/runtime.h"

namespace tg::simulator {

struct Report {
  std::string kind;  // "race", "deadlock", ...
  std::string text;  // one line or more: what, where, which threads of which block of which kernel
  int64_t count;
};

// Reports once per `kind` and `key` (where it happened); `text` is asked for only the first time.
template <class Text> void report(const char* kind, const std::string& key, const Text& text);
bool is_new_report(const char* kind, const std::string& key);
void add_report(const char* kind, const std::string& text);

const std::vector<Report>& reports();
void clear_reports();
// Why the last launch was refused or abandoned; empty if it was not.
const std::string& failure();
void set_failure(const std::string& text);

std::string to_text(Site site);            // "softmax.cu:31"
std::string to_text(const void* code);     // the same, of a return address; asks addr2line
std::string kernel_name(const char* raw);  // "softmax_rows<float>" of what __PRETTY_FUNCTION__ says in launch()

template <class Text> void report(const char* kind, const std::string& key, const Text& text) {
  if (is_new_report(kind, key)) add_report(kind, text());
}

}  // namespace tg::simulator
