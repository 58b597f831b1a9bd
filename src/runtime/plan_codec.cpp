// Binary form of plans: "BRYP", format, kind, then the members in the order of plan_fields.hpp. Numbers are
// little-endian as in memory, lengths are 32 bits and are checked against what is left before anything is reserved.
#include <array>
#include <bit>
#include <cstring>
#include <type_traits>

#include "base/error.hpp"
#include "runtime/launch_plan.hpp"
#include "runtime/plan_fields.hpp"

namespace bryo::runtime {
namespace {

static_assert(std::endian::native == std::endian::little, "plans never leave the machine; big-endian is not supported");

constexpr std::array<char, 4> kMagic = {'B', 'R', 'Y', 'P'};
enum class PlanKind : std::uint8_t { launch = 1, exec = 2 };

template <typename T>
struct is_vector : std::false_type {};
template <typename T>
struct is_vector<std::vector<T>> : std::true_type {};
template <typename T>
struct is_optional : std::false_type {};
template <typename T>
struct is_optional<std::optional<T>> : std::true_type {};
template <typename T>
struct is_variant : std::false_type {};
template <typename... T>
struct is_variant<std::variant<T...>> : std::true_type {};

template <typename T>
constexpr bool is_number = std::is_arithmetic_v<T> || std::is_enum_v<T>;

class Writer {
 public:
  template <typename T>
  void put(const T& value) {
    if constexpr (is_number<T>) {
      raw(&value, sizeof value);
    } else if constexpr (std::is_same_v<T, std::string>) {
      length(value.size());
      raw(value.data(), value.size());
    } else if constexpr (is_vector<T>::value) {
      length(value.size());
      if constexpr (is_number<typename T::value_type>)
        raw(value.data(), value.size() * sizeof(typename T::value_type));
      else
        for (const auto& item : value) put(item);
    } else if constexpr (is_optional<T>::value) {
      put(value.has_value());
      if (value) put(*value);
    } else if constexpr (is_variant<T>::value) {
      put(static_cast<std::uint8_t>(value.index()));
      std::visit([&](const auto& item) { put(item); }, value);
    } else {
      std::apply([&](const auto&... members) { (put(members), ...); }, plan_fields(value));
    }
  }

  std::vector<std::byte> take() { return std::move(bytes_); }

 private:
  void raw(const void* data, std::size_t size) {
    if (size == 0) return;
    const std::size_t at = bytes_.size();
    bytes_.resize(at + size);
    std::memcpy(bytes_.data() + at, data, size);
  }
  void length(std::size_t size) {
    if (size > UINT32_MAX) fail(ErrorKind::invalid_argument, "launch plan: a list of {} entries is too long", size);
    put(static_cast<std::uint32_t>(size));
  }

  std::vector<std::byte> bytes_;
};

class Reader {
 public:
  explicit Reader(std::span<const std::byte> bytes) : rest_(bytes) {}

  template <typename T>
  void get(T& value) {
    if constexpr (std::is_same_v<T, bool>) {
      std::uint8_t byte = 0;
      get(byte);
      if (byte > 1) malformed("a truth value");
      value = byte == 1;
    } else if constexpr (is_number<T>) {
      raw(&value, sizeof value);
    } else if constexpr (std::is_same_v<T, std::string>) {
      value.resize(length(1));
      raw(value.data(), value.size());
      // Every text becomes a C string in the child.
      if (value.find('\0') != std::string::npos) malformed("a text with NUL");
    } else if constexpr (is_vector<T>::value) {
      get_list(value);
    } else if constexpr (is_optional<T>::value) {
      bool present = false;
      get(present);
      if (present)
        get(value.emplace());
      else
        value.reset();
    } else if constexpr (is_variant<T>::value) {
      std::uint8_t index = 0;
      get(index);
      get_alternative(value, index, std::make_index_sequence<std::variant_size_v<T>>());
    } else {
      std::apply([&](auto&... members) { (get(members), ...); }, plan_fields(value));
    }
  }

  void end() const {
    if (!rest_.empty()) malformed("bytes after its end");
  }
  [[noreturn]] static void malformed(std::string_view what) {
    fail(ErrorKind::invalid_argument, "launch plan: malformed: {}", what);
  }

 private:
  template <typename T>
  void get_list(std::vector<T>& list) {
    if constexpr (is_number<T>) {
      list.resize(length(sizeof(T)));
      raw(list.data(), list.size() * sizeof(T));
    } else {
      // Every entry takes one byte at least, so a lying length cannot make us reserve more than what we were given.
      const std::size_t size = length(1);
      list.clear();
      for (std::size_t i = 0; i < size; ++i) get(list.emplace_back());
    }
  }

  template <typename T, std::size_t... I>
  void get_alternative(T& value, std::uint8_t index, std::index_sequence<I...>) {
    if (!((index == I && (get(value.template emplace<I>()), true)) || ...)) malformed("an unknown step");
  }

  std::size_t length(std::size_t entry) {
    std::uint32_t size = 0;
    get(size);
    if (size > rest_.size() / entry) malformed("a length beyond its end");
    return size;
  }

  void raw(void* data, std::size_t size) {
    if (size > rest_.size()) malformed("it ends early");
    if (size == 0) return;
    std::memcpy(data, rest_.data(), size);
    rest_ = rest_.subspan(size);
  }

  std::span<const std::byte> rest_;
};

template <typename Plan>
std::vector<std::byte> write_plan(PlanKind kind, const Plan& plan) {
  Writer writer;
  for (const char c : kMagic) writer.put(c);
  writer.put(kPlanFormat);
  writer.put(kind);
  writer.put(plan);
  return writer.take();
}

template <typename Plan>
Plan read_plan(PlanKind expected, std::span<const std::byte> bytes) {
  Reader reader(bytes);
  std::array<char, 4> magic{};
  for (char& c : magic) reader.get(c);
  std::uint32_t format = 0;
  PlanKind kind{};
  reader.get(format);
  reader.get(kind);
  if (magic != kMagic) Reader::malformed("not a plan");
  if (format != kPlanFormat)
    fail(ErrorKind::invalid_argument, "launch plan: format {} was written by another version of Bryo (this reads {})",
         format, kPlanFormat);
  if (kind != expected) Reader::malformed("a plan of another kind");
  Plan plan;
  reader.get(plan);
  reader.end();
  return plan;
}

}  // namespace

// Indices and enumerations come from outside; the executor relies on them.
void check_plan(const LaunchPlan& plan);

std::vector<std::byte> serialize(const LaunchPlan& plan) { return write_plan(PlanKind::launch, plan); }
std::vector<std::byte> serialize(const ExecPlan& plan) { return write_plan(PlanKind::exec, plan); }

LaunchPlan deserialize_launch_plan(std::span<const std::byte> bytes) {
  auto plan = read_plan<LaunchPlan>(PlanKind::launch, bytes);
  check_plan(plan);
  return plan;
}

ExecPlan deserialize_exec_plan(std::span<const std::byte> bytes) {
  auto plan = read_plan<ExecPlan>(PlanKind::exec, bytes);
  if (plan.process.arguments.empty()) Reader::malformed("no program");
  return plan;
}

}  // namespace bryo::runtime
