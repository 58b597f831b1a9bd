#include "oci/runtime_spec_json.hpp"

#include "base/strings.hpp"
#include "oci/runtime_spec_fields.hpp"

namespace bryo::oci {

namespace {

RuntimeSpec decode_spec(std::string_view text) {
  RuntimeSpec spec;
  // A version that is not there is none of ours.
  spec.oci_version.clear();
  json::decode_into(json::parse(text), spec, "");
  // "The runtime must support the spec version": 1.x of any minor is read; what we do not know is ignored, as JSON
  // says.
  if (!spec.oci_version.starts_with("1."))
    fail(ErrorKind::invalid_argument, "ociVersion: \"{}\" is not supported (1.x is)", printable(spec.oci_version));
  return spec;
}

}  // namespace

RuntimeSpec parse_runtime_spec(std::string_view text) {
  try {
    return decode_spec(text);
  } catch (const Error& error) {
    throw error.within("config.json");
  }
}

Process parse_process(std::string_view text) { return json::decode<Process>(json::parse(text)); }

LinuxResources parse_resources(std::string_view text) { return json::decode<LinuxResources>(json::parse(text)); }

std::string format_runtime_spec(const RuntimeSpec& spec) { return json::pretty(json::encode(spec)); }

}  // namespace bryo::oci
