// The corpus, and what a small mutator makes of it: for machines without libFuzzer, and for every run of the tests.
// BRYO_FUZZ_SECONDS=600 goes on for longer, BRYO_FUZZ_SEED=7 begins elsewhere.
#include <gmock/gmock.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <random>

#include "base/json.hpp"
#include "spec_target.hpp"

namespace bryo::fuzz {
namespace {

using ::testing::AnyOf;
using ::testing::HasSubstr;

namespace fs = std::filesystem;

std::string read(const fs::path& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::vector<std::pair<std::string, std::string>> corpus() {
  std::vector<std::pair<std::string, std::string>> out;
  for (const auto& entry : fs::directory_iterator(BRYO_FUZZ_CORPUS))
    out.emplace_back(entry.path().filename().string(), read(entry.path()));
  std::ranges::sort(out);
  return out;
}

std::string full() { return read(fs::path(BRYO_FUZZ_CORPUS) / "full.json"); }

std::uint64_t setting(const char* name, std::uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text != nullptr ? std::strtoull(text, nullptr, 10) : otherwise;
}

// --- every place of a document ---

struct Place {
  std::string path;  // "mounts[3].options[0]"
  json::Value* value;
};

void collect(json::Value& value, const std::string& path, std::vector<Place>& out) {
  if (!path.empty()) out.push_back({path, &value});
  if (value.is_object())
    for (auto& item : value.get_object())
      collect(item.value(), (path.empty() ? "" : path + ".") + std::string(item.key()), out);
  if (value.is_array())
    for (std::size_t i = 0; i < value.get_array().size(); ++i)
      collect(value.get_array()[i], path + "[" + std::to_string(i) + "]", out);
}

std::vector<Place> places(json::Value& document) {
  std::vector<Place> out;
  collect(document, "", out);
  return out;
}

// "linux.seccomp.syscalls[0].action" → "linux.seccomp"; an error may name the part and not every index in it.
std::string section(const std::string& path) {
  const std::size_t first = path.find_first_of(".[");
  if (first == std::string::npos) return path;
  return path.substr(0, path.find_first_of(".[", first + 1));
}
std::string last_name(const std::string& path) {
  const std::string plain = path.substr(0, path.find_last_not_of("0123456789[]") + 1);
  const std::size_t dot = plain.rfind('.');
  return dot == std::string::npos ? plain : plain.substr(dot + 1);
}

// --- tests ---

TEST(SpecFuzz, CorpusIsPlannedOrRefused) {
  for (const auto& [name, text] : corpus()) {
    const std::string refusal = plan_config(text);
    const bool whole =
        name == "full.json" || name == "minimal.json" || name == "privileged.json" || name == "case.json";
    EXPECT_EQ(refusal.empty(), whole) << name << ": " << refusal;
  }
}

// A value of another type, wherever it is, is refused by its full name.
TEST(SpecFuzz, WrongTypesAreNamed) {
  const json::Value original = json::parse(full());
  json::Value document = original;
  const std::size_t count = places(document).size();
  ASSERT_GT(count, 250U) << "full.json has every field";
  for (std::size_t i = 0; i < count; ++i) {
    for (const json::Value& wrong : {json::Value("text"), json::Value(true), json::Value(7), json::Value(-1.5),
                                     json::Value(json::Array{7}), json::Value(json::Object{{"x", 7}})}) {
      document = original;
      const Place place = places(document)[i];
      const auto is_number = [](const json::Value& v) { return v.is_int64() || v.is_uint64() || v.is_double(); };
      if (place.value->kind() == wrong.kind() || (is_number(*place.value) && is_number(wrong) && !wrong.is_double()))
        continue;
      *place.value = wrong;
      const std::string refusal = plan_config(json::serialize(document));
      // An object or array of something may be right by itself; what is in it then is not.
      EXPECT_THAT(refusal, AnyOf(HasSubstr(place.path + ":"), HasSubstr(place.path + "["), HasSubstr(place.path + ".")))
          << json::serialize(wrong);
    }
  }
}

// Values of the right type that mean nothing: whatever is said about them names where they are.
TEST(SpecFuzz, BadValuesAreNamed) {
  const json::Value original = json::parse(full());
  json::Value document = original;
  const std::size_t count = places(document).size();
  const std::string nul("a\0b", 3);
  std::size_t refused = 0;
  for (std::size_t i = 0; i < count; ++i) {
    for (const json::Value& bad :
         {json::Value(""), json::Value("nonsense"), json::Value("../../x"), json::Value(nul),
          json::Value(std::string(100'000, 'x')), json::Value(-1), json::Value(std::int64_t{4294967296}),
          json::Value(std::uint64_t{18446744073709551615U}), json::Value(std::int64_t{INT64_MIN}),
          json::Value(json::Array{}), json::Value(json::Object{})}) {
      document = original;
      const Place place = places(document)[i];
      if (place.value->kind() != bad.kind() && !(place.value->is_int64() && bad.is_uint64())) continue;
      *place.value = bad;
      const std::string refusal = plan_config(json::serialize(document));
      if (refusal.empty()) continue;
      ++refused;
      EXPECT_THAT(refusal, AnyOf(HasSubstr(section(place.path)), HasSubstr(last_name(place.path))))
          << place.path << " = " << json::serialize(bad).substr(0, 60);
    }
  }
  EXPECT_GT(refused, 150U);
}

class Mutator {
 public:
  explicit Mutator(std::uint64_t seed) : random_(seed) {}

  // Something near what was given.
  std::string mutate(const std::string& text) {
    std::string out = text;
    try {
      if (pick(3) != 0) out = mutate_values(text);
    } catch (const std::exception&) {
      out = text;  // no document: its bytes alone
    }
    for (std::size_t i = pick(3); i > 0 && pick(2) == 0; --i) mutate_bytes(out);
    return out;
  }
  std::size_t pick(std::size_t below) { return below == 0 ? 0 : random_() % below; }

 private:
  json::Value value() {
    switch (pick(12)) {
      case 0:
        return nullptr;
      case 1:
        return "";
      case 2:
        return json::Value(std::string(pick(5000), 'x'));
      case 3:
        return std::int64_t(random_());
      case 4:
        return std::uint64_t(random_());
      case 5:
        return std::int64_t(pick(5)) - 2;
      case 6:
        return json::Array{};
      case 7:
        return json::Object{};
      case 8:
        return pick(2) == 0;
      case 9:
        return json::Value(std::string("/a\0b", 4));
      case 10:
        return "SCMP_ACT_NOTIFY";
      default:
        return json::Value("/../" + std::string(pick(40), '/'));
    }
  }

  std::string mutate_values(const std::string& text) {
    json::Value document = json::parse(text);
    for (std::size_t round = 1 + pick(3); round > 0; --round) {
      const std::vector<Place> all = places(document);
      if (all.empty()) break;
      json::Value& chosen = *all[pick(all.size())].value;
      const json::Value other = *all[pick(all.size())].value;
      if (pick(3) == 0)
        chosen = other;
      else if (chosen.is_array() && pick(2) == 0 && !chosen.get_array().empty())
        chosen.get_array().push_back(json::Value(chosen.get_array()[pick(chosen.get_array().size())]));
      else if (chosen.is_object() && pick(2) == 0 && !chosen.get_object().empty())
        chosen.get_object().erase(chosen.get_object().begin() +
                                  static_cast<std::ptrdiff_t>(pick(chosen.get_object().size())));
      else
        chosen = value();
    }
    return json::serialize(document);
  }

  void mutate_bytes(std::string& text) {
    if (text.empty()) return;
    const std::size_t at = pick(text.size());
    switch (pick(4)) {
      case 0:
        text[at] = static_cast<char>(random_());
        break;
      case 1:
        text.erase(at, pick(20));
        break;
      case 2:
        text.insert(at, text.substr(pick(text.size()), pick(30)));
        break;
      default:
        text.resize(at);
    }
  }

  std::mt19937_64 random_;
};

TEST(SpecFuzz, MutationsOfTheCorpus) {
  const std::uint64_t seed = setting("BRYO_FUZZ_SEED", 1);
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(setting("BRYO_FUZZ_SECONDS", 5));
  Mutator mutator(seed);
  const auto texts = corpus();
  std::size_t rounds = 0;
  std::size_t planned = 0;
  for (; std::chrono::steady_clock::now() < end; ++rounds)
    planned += plan_config(mutator.mutate(texts[mutator.pick(texts.size())].second)).empty() ? 1 : 0;
  std::printf("note: %zu inputs, %zu of them planned, seed %llu\n", rounds, planned,
              static_cast<unsigned long long>(seed));
  EXPECT_GT(rounds, 100U);
  EXPECT_GT(planned, 0U) << "mutants that are all refused at once test little";
}

}  // namespace
}  // namespace bryo::fuzz
