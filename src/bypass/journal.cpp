#include "bypass/journal.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <utility>

#include "base/error.hpp"

namespace bryo::bypass {

struct Journal::Page {
  kernel::HeldRecord held;
  ExchangeAnswer answer;
  std::uint64_t exchanged;  // SO_COOKIE of the socket that the caller is to have; 0: none yet
};

namespace {

constexpr std::size_t kSize = 4096;

void* map(int flags, int memory) {
  void* page = ::mmap(nullptr, kSize, PROT_READ | PROT_WRITE, flags, memory, 0);
  if (page == MAP_FAILED) fail_errno("map the bypass helper's journal");
  return page;
}

}  // namespace

Journal::Journal() : page_(static_cast<Page*>(map(MAP_PRIVATE | MAP_ANONYMOUS, -1))) {}

Journal::Journal(const UniqueFd& memory) : page_(static_cast<Page*>(map(MAP_SHARED, memory.get()))) {}

Journal::~Journal() {
  if (page_ != nullptr) ::munmap(page_, kSize);
}

Journal::Journal(Journal&& other) noexcept : page_(std::exchange(other.page_, nullptr)) {}

Journal& Journal::operator=(Journal&& other) noexcept {
  std::swap(page_, other.page_);
  return *this;
}

UniqueFd Journal::make_memory() {
  UniqueFd memory(::memfd_create("bypass-journal", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  // Nobody can take the page away from whoever reads it.
  if (!memory || ::ftruncate(memory.get(), kSize) != 0 ||
      ::fcntl(memory.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0)
    fail_errno("make the bypass helper's journal");
  return memory;
}

kernel::HeldRecord& Journal::next() {
  // In this order: the exchange that is noted is never taken for one of another call's.
  std::atomic_ref(page_->exchanged).store(0, std::memory_order_release);
  return page_->held;
}

void Journal::exchanging(int socket, const ExchangeAnswer& answer) {
  page_->answer = answer;
  std::atomic_ref(page_->exchanged).store(kernel::cookie_of_socket(socket), std::memory_order_release);
}

void Journal::settle(const kernel::SeccompListener& listener) const {
  const kernel::HeldCall call = kernel::read_held(page_->held);
  if (!listener.alive(call)) return;
  if (page_->exchanged != 0 && !page_->answer.let_through) {
    const UniqueFd caller = kernel::open_thread(call.thread);
    bool gone = false;
    const auto number = static_cast<int>(call.arguments[0]);
    const UniqueFd socket = caller ? kernel::copy_descriptor_of(caller.get(), number, gone) : UniqueFd();
    if (socket && kernel::cookie_of_socket(socket.get()) == page_->exchanged) {
      page_->answer.error == 0 ? listener.answer(call, 0) : listener.refuse(call, page_->answer.error);
      return;
    }
  }
  listener.let_through(call);
}

}  // namespace bryo::bypass
