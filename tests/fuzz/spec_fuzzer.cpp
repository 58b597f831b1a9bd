// For libFuzzer (clang, -DBRYO_FUZZ=ON): build/…/bin/spec_fuzzer tests/fuzz/corpus
#include <cstddef>
#include <cstdint>

#include "spec_target.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  bryo::fuzz::plan_config({reinterpret_cast<const char*>(data), size});
  return 0;
}
