#include "api/router.hpp"

#include <span>

#include "base/strings.hpp"

namespace bryo::api {
namespace {

using Segments = std::vector<std::string_view>;
using Parameters = std::vector<std::pair<std::string, std::string>>;

// Repeated slashes count as one, as old clients send "/containers//web/json".
Segments segments_of(std::string_view path) {
  Segments out;
  for (const std::string_view piece : split(path, '/'))
    if (!piece.empty()) out.push_back(piece);
  return out;
}

bool is_parameter(std::string_view segment) { return segment.starts_with('{') && segment.ends_with('}'); }
bool is_greedy(std::string_view segment) { return is_parameter(segment) && segment.ends_with("...}"); }

std::string_view name_of(std::string_view segment) {
  return segment.substr(1, segment.size() - (is_greedy(segment) ? 5 : 2));
}

std::string join_segments(std::span<const std::string_view> pieces) {
  std::string out;
  for (const std::string_view piece : pieces) {
    if (!out.empty()) out += '/';
    out += piece;
  }
  return out;
}

// One {name...} at most: it takes what the rest of the pattern leaves.
bool matches(const std::vector<std::string>& pattern, std::span<const std::string_view> path, Parameters& found) {
  found.clear();
  if (path.size() < pattern.size()) return false;
  std::size_t at = 0;
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    const std::string& want = pattern[i];
    if (is_greedy(want)) {
      const std::size_t taken = path.size() - pattern.size() + 1;
      found.emplace_back(name_of(want), join_segments(path.subspan(at, taken)));
      at += taken;
    } else if (is_parameter(want)) {
      found.emplace_back(name_of(want), path[at++]);
    } else if (want != path[at++]) {
      return false;
    }
  }
  return at == path.size();
}

void check_version(ApiVersion version, std::string_view text) {
  if (version < kOldestApi)
    fail(ErrorKind::invalid_argument,
         "client version {} is too old. Minimum supported API version is {}, please upgrade your client to a newer "
         "version",
         text, kOldestApi.str());
  if (version > kNewestApi)
    fail(ErrorKind::invalid_argument, "client version {} is too new. Maximum supported API version is {}", text,
         kNewestApi.str());
}

// "/v1.47/info" → 1.47 and "/info".
void take_version(Request& request) {
  std::string_view path = request.path;
  if (!path.starts_with("/v")) return;
  const std::size_t end = std::min(path.find('/', 1), path.size());
  const std::string_view text = path.substr(2, end - 2);
  const auto version = ApiVersion::parse(text);
  if (!version) return;
  check_version(*version, text);
  request.version = *version;
  request.path.erase(0, end);
}

void split_target(Request& request) {
  const auto pair = split_once(request.target, '?');
  const auto path = percent_decode(pair ? pair->first : std::string_view(request.target), false);
  if (!path || !path->starts_with('/'))
    fail(ErrorKind::invalid_argument, "invalid request path \"{}\"", printable(request.target));
  request.path = *path;
  if (pair) request.query = Query::parse(pair->second);
}

}  // namespace

void Router::add(Method method, std::string_view pattern, Handler handler, BodyMode body, RunOn run_on) {
  Entry entry{{method, std::string(pattern), std::move(handler), body, run_on}, {}};
  for (const std::string_view piece : segments_of(pattern)) entry.segments.emplace_back(piece);
  by_first_segment_[entry.segments.at(0)].push_back(std::move(entry));
}

const Route& Router::match(Request& request) const {
  split_target(request);
  take_version(request);
  const Segments path = segments_of(request.path);
  for (const std::string_view piece : path)
    if (piece == "." || piece == "..")
      fail(ErrorKind::invalid_argument, "invalid request path \"{}\"", printable(request.target));
  if (!path.empty())
    if (const auto found = by_first_segment_.find(std::string(path[0])); found != by_first_segment_.end())
      for (const Entry& entry : found->second)
        if (entry.route.method == request.method && matches(entry.segments, path, request.parameters))
          return entry.route;
  request.parameters.clear();
  throw Error(ErrorKind::not_found, "page not found");
}

}  // namespace bryo::api
