// For libFuzzer (the preset "fuzz"; README.md says how it is run).
#include <cstddef>
#include <cstdint>

#include "spec_target.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  bryo::fuzz::plan_config({reinterpret_cast<const char*>(data), size});
  return 0;
}
