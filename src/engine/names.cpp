#include "engine/names.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <random>

#include <fmt/format.h>

namespace bryo::engine {
namespace {

constexpr std::array kAdjectives = {
    "ancient",  "bold",    "bright",  "calm",   "careful", "cheerful", "clever",  "cool",     "curious",
    "damp",     "deep",    "eager",   "early",  "fair",    "fertile",  "fine",    "fresh",    "gentle",
    "glad",     "golden",  "green",   "happy",  "hardy",   "hidden",   "humble",  "jolly",    "keen",
    "kind",     "lively",  "lucid",   "lush",   "merry",   "mild",     "misty",   "modest",   "nimble",
    "noble",    "patient", "plain",   "proud",  "quick",   "quiet",    "ready",   "rootless", "rustic",
    "serene",   "shady",   "shining", "silent", "silver",  "simple",   "slow",    "smooth",   "soft",
    "spring",   "steady",  "still",   "sunny",  "swift",   "tender",   "thrifty", "tidy",     "tiny",
    "tranquil", "upright", "verdant", "vivid",  "warm",    "wild",     "wise",    "witty",    "young"};

constexpr std::array kMosses = {
    "andreaea",   "anomodon",       "anthoceros",    "archidium",   "atrichum",     "aulacomnium",  "barbula",
    "bartramia",  "blindia",        "brachythecium", "bryum",       "buxbaumia",    "calliergon",   "campylopus",
    "ceratodon",  "climacium",      "conocephalum",  "cratoneuron", "ctenidium",    "dicranum",     "diphyscium",
    "distichium", "ditrichum",      "drepanocladus", "encalypta",   "entodon",      "ephemerum",    "eurhynchium",
    "fissidens",  "fontinalis",     "frullania",     "funaria",     "grimmia",      "hedwigia",     "homalia",
    "hookeria",   "hylocomium",     "hypnum",        "isothecium",  "leucobryum",   "leucodon",     "lunularia",
    "marchantia", "metzgeria",      "mnium",         "neckera",     "orthotrichum", "palustriella", "pellia",
    "philonotis", "physcomitrella", "plagiomnium",   "pleurozium",  "pogonatum",    "pohlia",       "polytrichum",
    "porella",    "racomitrium",    "radula",        "rhytidium",   "riccia",       "scapania",     "schistidium",
    "sphagnum",   "splachnum",      "takakia",       "tetraphis",   "thuidium",     "tortella",     "tortula",
    "ulota",      "weissia"};

}  // namespace

std::string random_name(bool numbered) {
  std::minstd_rand generator{std::random_device{}()};
  const auto pick = [&](std::size_t size) {
    return std::uniform_int_distribution<std::size_t>(0, size - 1)(generator);
  };
  std::string name = fmt::format("{}_{}", kAdjectives[pick(kAdjectives.size())], kMosses[pick(kMosses.size())]);
  if (numbered) name += std::to_string(pick(100000));
  return name;
}

bool is_valid_name(std::string_view name) {
  const auto is_alnum = [](char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0; };
  if (name.size() < 2 || name.size() > 255 || !is_alnum(name.front())) return false;
  return std::all_of(name.begin(), name.end(), [&](char c) { return is_alnum(c) || c == '_' || c == '.' || c == '-'; });
}

}  // namespace bryo::engine
