// --change of commit and import: one Dockerfile instruction laid over an image's config.
#include <algorithm>
#include <array>
#include <functional>

#include "base/error.hpp"
#include "base/strings.hpp"
#include "engine/image_uses.hpp"

namespace bryo::engine {
namespace {

using Words = std::vector<std::string>;

// Blank-separated words; quotes join, backslash escapes.
Words shell_words(std::string_view text) {
  Words out;
  std::string word;
  bool in_word = false;
  char quote = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '\\' && i + 1 < text.size()) {
      word += text[++i];
      in_word = true;
    } else if (quote != 0) {
      if (c == quote)
        quote = 0;
      else
        word += c;
    } else if (c == '"' || c == '\'') {
      quote = c;
      in_word = true;
    } else if (c == ' ' || c == '\t') {
      if (in_word) out.push_back(std::move(word));
      word.clear();
      in_word = false;
    } else {
      word += c;
      in_word = true;
    }
  }
  if (quote != 0) fail(ErrorKind::invalid_argument, "invalid --change: unterminated quote in: {}", printable(text));
  if (in_word) out.push_back(std::move(word));
  return out;
}

// ["a","b"], or words for a shell.
Words command_of(std::string_view text) {
  if (text.starts_with('[')) return json::decode<Words>(json::parse(text));
  return {"/bin/sh", "-c", std::string(text)};
}

std::vector<std::pair<std::string, std::string>> pairs_of(std::string_view text, std::string_view instruction) {
  std::vector<std::pair<std::string, std::string>> out;
  const Words words = shell_words(text);
  if (words.size() >= 2 && words.front().find('=') == std::string::npos) {  // old form: KEY the rest
    out.emplace_back(words.front(), trim(text.substr(words.front().size())));
    return out;
  }
  for (const std::string& word : words) {
    const auto parts = split_once(word, '=');
    if (!parts) fail(ErrorKind::invalid_argument, "{} must have the form key=value: {}", instruction, printable(text));
    out.emplace_back(parts->first, parts->second);
  }
  return out;
}

void set_env(oci::RunConfig& config, std::string_view text) {
  if (!config.env) config.env.emplace();
  for (const auto& [key, value] : pairs_of(text, "ENV")) {
    std::erase_if(*config.env, [&, prefix = key + "="](const std::string& other) { return other.starts_with(prefix); });
    config.env->push_back(key + "=" + value);
  }
}

void set_labels(oci::RunConfig& config, std::string_view text) {
  if (!config.labels) config.labels.emplace();
  for (const auto& [key, value] : pairs_of(text, "LABEL")) (*config.labels)[key] = value;
}

void add_ports(oci::RunConfig& config, std::string_view text) {
  for (const std::string& port : shell_words(text))
    config.exposed_ports[port.find('/') == std::string::npos ? port + "/tcp" : port];
}

void add_volumes(oci::RunConfig& config, std::string_view text) {
  if (!config.volumes) config.volumes.emplace();
  const Words paths = text.starts_with('[') ? json::decode<Words>(json::parse(text)) : shell_words(text);
  for (const std::string& path : paths) (*config.volumes)[path];
}

void set_directory(oci::RunConfig& config, std::string_view text) {
  config.working_dir = text.starts_with('/') ? std::string(text) : config.working_dir + "/" + std::string(text);
}

struct Instruction {
  std::string_view name;
  std::function<void(oci::RunConfig&, std::string_view)> apply;
};

}  // namespace

void apply_change(oci::RunConfig& config, std::string_view instruction) {
  static const std::array<Instruction, 11> known = {{
      {"CMD", [](auto& c, auto text) { c.cmd = command_of(text); }},
      {"ENTRYPOINT", [](auto& c, auto text) { c.entrypoint = command_of(text); }},
      {"ENV", set_env},
      {"LABEL", set_labels},
      {"EXPOSE", add_ports},
      {"VOLUME", add_volumes},
      {"WORKDIR", set_directory},
      {"USER", [](auto& c, auto text) { c.user = text; }},
      {"STOPSIGNAL", [](auto& c, auto text) { c.stop_signal = text; }},
      {"ONBUILD",
       [](auto& c, auto text) {
         if (!c.on_build) c.on_build.emplace();
         c.on_build->emplace_back(text);
       }},
      {"HEALTHCHECK",
       [](auto& c, auto text) {
         if (text != "NONE") fail(ErrorKind::invalid_argument, "invalid --change: HEALTHCHECK takes NONE only");
         c.healthcheck.emplace().test = {"NONE"};
       }},
  }};
  const std::string_view text = trim(instruction);
  const auto blank = text.find_first_of(" \t");
  const std::string_view name = text.substr(0, blank);
  const std::string_view rest = blank == std::string_view::npos ? std::string_view() : trim(text.substr(blank));
  const auto found =
      std::find_if(known.begin(), known.end(), [&](const Instruction& one) { return iequals(one.name, name); });
  if (found == known.end() || rest.empty())
    fail(ErrorKind::invalid_argument, "invalid --change: \"{}\" is not an instruction that may be given here",
         printable(text));
  found->apply(config, rest);
}

}  // namespace bryo::engine
