#include "kernels/sim/report.h"

#include <dlfcn.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <unordered_map>

#include "kernels/sim/check.h"
#include "kernels/sim/settings.h"

namespace tg::simulator {
namespace {

std::mutex lock;
std::vector<Report> list;
std::map<std::string, size_t> places;  // kind and key -> the report
std::string last_failure;

std::string base_name(const char* path) {
  const char* const slash = std::strrchr(path, '/');
  return slash ? slash + 1 : path;
}

// The innermost frame at an address that is not the simulator's or a wrapper's. addr2line prints a function and a place for each
// inlined frame, innermost first.
std::string ask_addr2line(const char* library, uintptr_t offset) {
  char command[1200];
  std::snprintf(command, sizeof(command), "addr2line -Cfi -e '%s' 0x%lx 2>/dev/null", library,
                static_cast<unsigned long>(offset));
  std::string found;
  if (FILE* const pipe = popen(command, "r")) {
    char function[600], place[600];
    while (std::fgets(function, sizeof(function), pipe) && std::fgets(place, sizeof(place), pipe)) {
      place[std::strcspn(place, "\n ")] = 0;
      const std::string text = base_name(place);
      if (!found.empty() || place[0] == '?') continue;
      if (std::strstr(place, "kernels/sim/") || text.rfind("gpu.cuh", 0) == 0) continue;
      found = text;
    }
    pclose(pipe);
  }
  return found;
}

}  // namespace

Settings& settings() {
  static Settings s = [] {
    Settings given;
    if (const char* const text = std::getenv("TILEGRAD_SIM_SEED")) given.seed = std::strtoull(text, nullptr, 10);
    return given;
  }();
  return s;
}

bool is_new_report(const char* kind, const std::string& key) {
  const std::lock_guard guard(lock);
  const auto [place, is_new] = places.try_emplace(std::string(kind) + '\n' + key, list.size());
  if (!is_new) ++list[place->second].count;
  else list.push_back({kind, "", 1});
  return is_new;
}
void add_report(const char* kind, const std::string& text) {
  const std::lock_guard guard(lock);
  for (auto r = list.rbegin(); r != list.rend(); ++r) {
    if (r->kind != kind || !r->text.empty()) continue;
    r->text = text;
    return;
  }
}

const std::vector<Report>& reports() { return list; }
void clear_reports() {
  const std::lock_guard guard(lock);
  list.clear();
  places.clear();
}

const std::string& failure() { return last_failure; }
void set_failure(const std::string& text) {
  const std::lock_guard guard(lock);
  last_failure = text;
}

std::string to_text(Site site) { return base_name(site.file) + ":" + std::to_string(site.line); }

std::string to_text(const void* code) {
  static std::unordered_map<const void*, std::string> known;
  const auto place = known.find(code);
  if (place != known.end()) return place->second;
  std::string text;
  Dl_info info;
  if (code && dladdr(code, &info) && info.dli_fname) {
    const uintptr_t offset = reinterpret_cast<uintptr_t>(code) - 1 - reinterpret_cast<uintptr_t>(info.dli_fbase);
    text = ask_addr2line(info.dli_fname, offset);
    if (text.empty()) {
      char raw[64];
      std::snprintf(raw, sizeof(raw), "+0x%lx (addr2line of binutils would tell the line)", static_cast<unsigned long>(offset));
      text = base_name(info.dli_fname) + raw;
    }
  }
  return known[code] = text.empty() ? "an unknown place" : text;
}

std::string to_text(Place place) { return place.code ? to_text(place.code) : to_text(place.site); }

std::string describe_thread(Place place) {
  const Thread& t = this_thread();
  const auto triple = [](uint3 v) {
    return "(" + std::to_string(v.x) + ", " + std::to_string(v.y) + ", " + std::to_string(v.z) + ")";
  };
  return "thread " + std::to_string(t.number) + " of block " + triple(t.block_index) + " of " +
         kernel_name(t.block->kernel->name) + " at " + to_text(place);
}

std::string kernel_name(const char* raw) {
  const char* const marks[] = {"kernel = ", "Kernel = "};
  std::string text = raw;
  for (const char* const mark : marks) {
    const size_t start = text.find(mark);
    if (start != std::string::npos) text = text.substr(start + std::strlen(mark));
  }
  // "...; Arguments = {...}]" follows in GCC's text, "]" in clang's
  int depth = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    depth += text[i] == '<' || text[i] == '(';
    depth -= text[i] == '>' || text[i] == ')';
    if (depth == 0 && (text[i] == ';' || text[i] == ']')) return kernel_name(text.substr(0, i).c_str());
  }
  const size_t space = text.rfind("::", text.find('<'));  // without namespaces
  return space == std::string::npos ? text : text.substr(space + 2);
}

}  // namespace tg::simulator
