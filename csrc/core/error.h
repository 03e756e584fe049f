// Errors: one exception type that names the Python exception it becomes, and a small formatter for its text
// (std::format does not exist in gcc 12).
#pragma once
#include <cstdint>
#include <exception>
#include <string>
#include <type_traits>

#include "core/dtype.h"

namespace tg {

// The Python exception an Error turns into.
enum class ErrorKind { value, type, index, runtime, memory, not_implemented, buffer, zero_division };

class Error : public std::exception {
 public:
  Error(ErrorKind kind, std::string message) : kind_(kind), message_(std::move(message)) {}
  const char* what() const noexcept override { return message_.c_str(); }
  ErrorKind kind() const { return kind_; }

 private:
  ErrorKind kind_;
  std::string message_;
};

inline std::string to_text(const std::string& s) { return s; }
inline std::string to_text(const char* s) { return s; }
inline std::string to_text(DType d) { return name_of(d); }
inline std::string to_text(bool b) { return b ? "True" : "False"; }
std::string to_text(double x);
template <class T>
requires std::is_integral_v<T> std::string to_text(T x) {
  return std::to_string(x);
}

namespace detail { std::string fill_in(const char* pattern, const std::string* values, int count); }

// format("{} of {}", 1, "two") = "1 of two"
template <class... Args> std::string format(const char* pattern, const Args&... args) {
  const std::string values[sizeof...(Args) + 1] = {to_text(args)...};
  return detail::fill_in(pattern, values, sizeof...(Args));
}

template <class... Args> [[noreturn]] void fail(ErrorKind kind, const char* pattern, const Args&... args) {
  throw Error(kind, format(pattern, args...));
}

// check(x.ndim == 2, ErrorKind::runtime, "mm: expected a 2-d tensor, got {} dims", x.ndim): arguments are formatted only on failure.
template <class... Args> void check(bool condition, ErrorKind kind, const char* pattern, const Args&... args) {
  if (!condition) [[unlikely]]
    fail(kind, pattern, args...);
}

}  // namespace tg
