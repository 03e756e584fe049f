// Where a tensor lives.
#pragma once
#include <cstdint>
#include <string>

namespace tg {

enum class DeviceType : uint8_t { cpu, sim, cuda };

struct Device {
  DeviceType type = DeviceType::cpu;
  int8_t index = 0;
  bool operator==(const Device&) const = default;
};

inline std::string to_text(Device d) {
  switch (d.type) {
    case DeviceType::cpu: return "cpu";
    case DeviceType::sim: return "sim";
    default: return "cuda:" + std::to_string(d.index);
  }
}

}  // namespace tg
