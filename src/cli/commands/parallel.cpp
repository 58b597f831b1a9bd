#include "cli/commands/parallel.hpp"

#include <deque>
#include <optional>

#include "cli/commands/helpers.hpp"

namespace bryo::cli {
namespace {

constexpr std::size_t kAtOnce = 50;

struct Started {
  Pending pending;
  std::optional<Error> problem;
};

// Keeps up to kAtOnce requests under way; finish() gives their answers in order.
class Queue {
 public:
  Queue(Context& context, const std::vector<std::string>& names, const RequestFor& make)
      : context_(context), names_(names), make_(make) {}

  void finish_next() {
    while (next_ < names_.size() && under_way_.size() < kAtOnce) under_way_.push_back(begin(names_[next_++]));
    Started oldest = std::move(under_way_.front());
    under_way_.pop_front();
    if (oldest.problem) throw *oldest.problem;
    context_.client().finish(std::move(oldest.pending)).text();
  }

 private:
  Started begin(const std::string& name) {
    Started started;
    try {
      started.pending = context_.client().begin(make_(name));
    } catch (const Error& error) {
      started.problem = error;
    }
    return started;
  }

  Context& context_;
  const std::vector<std::string>& names_;
  const RequestFor& make_;
  std::deque<Started> under_way_;
  std::size_t next_ = 0;
};

}  // namespace

int request_for_each(Context& context, const std::vector<std::string>& names, ErrorKind harmless,
                     const RequestFor& make) {
  Queue queue(context, names, make);
  return for_each_name(context, names, [&](const std::string& name) {
    try {
      queue.finish_next();
    } catch (const Error& error) {
      if (error.kind() != harmless) throw;
      context.err.print("{}\n", error.message());
      context.err.flush();
      return;
    }
    context.out.print("{}\n", name);
    context.out.flush();
  });
}

int request_for_each(Context& context, const std::vector<std::string>& names, const RequestFor& make) {
  return request_for_each(context, names, ErrorKind::gone, make);
}

}  // namespace bryo::cli
