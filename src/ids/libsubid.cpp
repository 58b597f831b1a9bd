#include "ids/libsubid.hpp"

#include <dlfcn.h>

#include <cstdlib>
#include <memory>
#include <mutex>

#include "base/error.hpp"
#include "base/strings.hpp"

namespace bryo::ids {

namespace {

// struct subid_range and the two calls of <shadow/subid.h>, the same in ABI 3, 4 and 5 but for their names.
struct Range {
  unsigned long start;
  unsigned long count;
};
using GetRanges = int (*)(const char*, Range**);

struct CloseLibrary {
  void operator()(void* library) const { ::dlclose(library); }
};
using Library = std::unique_ptr<void, CloseLibrary>;

Library open_library() {
  for (const char* name : {"libsubid.so.5", "libsubid.so.4", "libsubid.so.3"})
    if (void* library = ::dlopen(name, RTLD_NOW | RTLD_LOCAL)) return Library(library);
  return nullptr;
}

GetRanges find_call(void* library, IdKind kind) {
  const bool users = kind == IdKind::user;
  for (const char* name :
       {users ? "subid_get_uid_ranges" : "subid_get_gid_ranges", users ? "get_subuid_ranges" : "get_subgid_ranges"})
    if (void* symbol = ::dlsym(library, name)) return reinterpret_cast<GetRanges>(symbol);
  return nullptr;
}

SubRange checked(const Range& range, const User& user) {
  if (range.start == 0 || range.count == 0 || range.start >= kAllIds || range.count > kAllIds - range.start)
    fail(ErrorKind::invalid_argument, "libsubid: range {}:{} of user \"{}\" is not usable", range.start, range.count,
         user.name);
  return {HostId{static_cast<std::uint32_t>(range.start)}, static_cast<std::uint32_t>(range.count)};
}

}  // namespace

std::optional<std::string> subid_service(std::string_view nsswitch) {
  for (const std::string_view line : split(nsswitch, '\n')) {
    const std::string_view text = trim(line.substr(0, line.find('#')));
    if (!text.starts_with("subid:")) continue;
    const std::string_view service = trim(text.substr(6));
    if (service.empty() || service == "files") return std::nullopt;
    return std::string(service);
  }
  return std::nullopt;
}

std::vector<SubRange> libsubid_ranges(IdKind kind, const User& user, const std::string& service) {
  // The library keeps state of its own in globals: one caller at a time.
  static std::mutex one_at_a_time;
  const std::lock_guard lock(one_at_a_time);
  const Library library = open_library();
  const GetRanges call = library ? find_call(library.get(), kind) : nullptr;
  if (call == nullptr)
    fail(ErrorKind::unsupported,
         "look up subordinate ids of user \"{}\": /etc/nsswitch.conf names service \"{}\" for subid, and libsubid is "
         "not "
         "installed",
         user.name, service);
  Range* list = nullptr;
  const int count = call(user.name.c_str(), &list);
  const std::unique_ptr<Range, decltype(&std::free)> owner(list, &std::free);
  if (count < 0)
    fail(ErrorKind::unavailable, "look up subordinate ids of user \"{}\": service \"{}\" does not answer", user.name,
         service);
  std::vector<SubRange> ranges;
  for (int i = 0; i < count; ++i) ranges.push_back(checked(list[i], user));
  return ranges;
}

}  // namespace bryo::ids
