#include "kernel/mounts.hpp"

#include <utility>

#include "base/error.hpp"
#include "base/strings.hpp"
#include "kernel/raw.hpp"

namespace bryo::kernel {

void change_mount(int mount, std::uint64_t set, std::uint64_t clear, std::uint64_t propagation, bool recursive,
                  const std::string& subject) {
  struct mount_attr attributes = {};
  attributes.attr_set = set;
  attributes.attr_clr = clear;
  attributes.propagation = propagation;
  if (const int result = raw::mount_setattr(mount, recursive ? AT_RECURSIVE : 0U, attributes); result < 0)
    throw Error::from_errno(-result, fmt::format("change the mount of {}", printable(subject)));
}

NewFilesystem::NewFilesystem(const std::string& type) : type_(type), context_(raw::fsopen(type.c_str())) {
  if (context_.get() < 0) throw Error::from_errno(-context_.release(), fmt::format("fsopen {}", type));
}

void NewFilesystem::failed(int error, const std::string& what) {
  std::string message = fmt::format("{} of {}", what, type_);
  char line[256];
  // One message a read: "e overlay: …", "w …".
  for (;;) {
    const ssize_t size = ::read(context_.get(), line, sizeof line);
    if (size <= 2) break;
    message += fmt::format(" ({})", printable(trim({line + 2, static_cast<std::size_t>(size) - 2})));
  }
  throw Error::from_errno(error, message);
}

void NewFilesystem::option(const std::string& text) {
  if (const auto pair = split_once(text, '=')) {
    option(std::string(pair->first), std::string(pair->second));
    return;
  }
  if (const int result = raw::fsconfig(context_.get(), FSCONFIG_SET_FLAG, text.c_str(), nullptr, 0); result < 0)
    failed(-result, fmt::format("option {}", printable(text)));
}

void NewFilesystem::option(const std::string& key, const std::string& value) {
  const int result = raw::fsconfig(context_.get(), FSCONFIG_SET_STRING, key.c_str(), value.c_str(), 0);
  if (result < 0) failed(-result, fmt::format("option {}={}", printable(key), printable(value)));
}

UniqueFd NewFilesystem::mount(std::uint64_t attributes) {
  if (const int result = raw::fsconfig(context_.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0); result < 0)
    failed(-result, "mount");
  UniqueFd mount(raw::fsmount(context_.get(), static_cast<unsigned>(attributes)));
  if (mount.get() < 0) failed(-mount.release(), "mount");
  return mount;
}

}  // namespace bryo::kernel
