#include "oci/runtime_spec_json.hpp"

#include "oci/runtime_spec_fields.hpp"

namespace bryo::oci {

RuntimeSpec parse_runtime_spec(std::string_view text) {
  auto spec = json::decode<RuntimeSpec>(json::parse(text));
  // "The runtime must support the spec version": 1.x of any minor is read; what we do not know is ignored, as JSON
  // says.
  if (!spec.oci_version.starts_with("1."))
    fail(ErrorKind::invalid_argument, "config.json: ociVersion \"{}\" is not supported (1.x is)", spec.oci_version);
  return spec;
}

Process parse_process(std::string_view text) { return json::decode<Process>(json::parse(text)); }

LinuxResources parse_resources(std::string_view text) { return json::decode<LinuxResources>(json::parse(text)); }

std::string format_runtime_spec(const RuntimeSpec& spec) { return json::pretty(json::encode(spec)); }

}  // namespace bryo::oci
