#include "cli/terminal/progress.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "base/error.hpp"
#include "cli/format/escape.hpp"
#include "cli/format/units.hpp"
#include "cli/http/json_stream.hpp"

namespace bryo::cli {
namespace {

constexpr std::size_t kMaxLayers = 1000;
constexpr unsigned kWideTerminal = 110;

std::string text_of(const json::Object& object, const char* name) {
  const json::Value* value = object.if_contains(name);
  if (value == nullptr || !value->is_string()) return {};
  return terminal_safe({value->get_string().data(), value->get_string().size()});
}

double number_of(const json::Object& object, const char* name) {
  const json::Value* value = object.if_contains(name);
  return value != nullptr && value->is_number() ? value->to_number<double>() : 0;
}

[[noreturn]] void fail_with(const json::Object& message) {
  std::string text = text_of(message, "error");
  int code = 0;
  if (const json::Value* detail = message.if_contains("errorDetail"); detail != nullptr && detail->is_object()) {
    if (const std::string better = text_of(detail->get_object(), "message"); !better.empty()) text = better;
    code = static_cast<int>(std::clamp(number_of(detail->get_object(), "code"), 0.0, 1000.0));
  }
  throw Error(code == 401 ? ErrorKind::unauthorized : ErrorKind::internal, text);
}

}  // namespace

// "[=====>      ]  1.234MB/5.678MB"
std::string ProgressDisplay::bar(const json::Object& detail) const {
  const double current = number_of(detail, "current");
  const double total = number_of(detail, "total");
  if (current <= 0 && total <= 0) return {};
  const std::string units = text_of(detail, "units");
  const auto shown = [&](double value) {
    return units.empty() ? human_size(value) : fmt::format("{:.0f} {}", value, units);
  };
  if (total <= 0) return fmt::format("{:>8}", shown(current));
  std::string out;
  if (columns_ > kWideTerminal) {
    const auto done = static_cast<std::size_t>(std::clamp(current / total * 100, 0.0, 100.0)) / 2;
    out = fmt::format("[{}>{}] ", std::string(done, '='), std::string(50 - done, ' '));
  }
  // A layer that turns out larger than announced shows only what there is.
  return current > total ? out + fmt::format("{:>8}", shown(current))
                         : out + fmt::format("{:>8}/{}", shown(current), shown(total));
}

void ProgressDisplay::show_layer(const std::string& id, const std::string& text) {
  if (lines_.size() >= kMaxLayers && !lines_.contains(id)) return;
  const auto [line, added] = lines_.try_emplace(id, lines_.size());
  if (added) out_.write("\n");
  const std::size_t up = lines_.size() - line->second;
  // Up to the layer's line, clear it, write, and back down.
  out_.print("\x1b[{0}A\r\x1b[2K{1}\r\x1b[{0}B", up, text);
}

void ProgressDisplay::show(const json::Value& message) {
  const json::Object* object = message.if_object();
  if (object == nullptr) return;
  if (object->contains("error") || object->contains("errorDetail")) fail_with(*object);
  const std::string id = text_of(*object, "id");
  const std::string status = text_of(*object, "status");
  const json::Value* detail = object->if_contains("progressDetail");
  const std::string progress = detail != nullptr && detail->is_object() ? bar(detail->get_object()) : "";
  if (const json::Value* stream = object->if_contains("stream"); stream != nullptr && stream->is_string()) {
    out_.write(terminal_safe({stream->get_string().data(), stream->get_string().size()}, true));
    return;
  }
  if (status.empty() && id.empty()) return;
  const std::string head = id.empty() ? status : id + ": " + status;
  if (!terminal_) {
    // A bar that moves is nothing for a file.
    if (progress.empty()) out_.write(head + "\n");
    return;
  }
  if (id.empty() || detail == nullptr) {
    // A line of its own ends the block of layers above it.
    lines_.clear();
    out_.write(head + "\n");
    return;
  }
  show_layer(id, progress.empty() ? head : head + " " + progress);
}

void show_progress(Answer& answer, Output& out, const std::function<void(const json::Value&)>& aux, bool quiet) {
  ProgressDisplay display(out, out.is_terminal(), out.columns());
  JsonStream stream;
  std::array<char, 16 << 10> block;
  while (const std::size_t got = answer.read(block)) {
    stream.feed({block.data(), got});
    while (const auto message = stream.next()) {
      const json::Object* object = message->if_object();
      if (object != nullptr && object->contains("aux")) {
        if (aux) aux(object->at("aux"));
      } else if (!quiet || (object != nullptr && object->contains("error"))) {
        display.show(*message);
      }
    }
    out.flush();
  }
}

}  // namespace bryo::cli
