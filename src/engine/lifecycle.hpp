// Start, stop, and what follows an exit: the state machine of containers at work. One object for all containers.
//
// An exit is reported by the monitor on the hub's thread and handled on the pool: record saved, event, waiters
// answered; then the network is released, and the container is restarted or removed if that was asked for ("answer
// first, tear down after").
#pragma once

#include <functional>
#include <memory>

#include "engine/launch.hpp"
#include "engine/services.hpp"
#include "engine/types/streams.hpp"

namespace bryo::engine {

class Lifecycle final : public monitor::MonitorListener {
 public:
  explicit Lifecycle(Services& services);
  ~Lifecycle() override;

  void start(const ContainerPtr& container);
  void stop(const ContainerPtr& container, std::optional<int> timeout, std::string_view signal);
  void restart(const ContainerPtr& container, std::optional<int> timeout, std::string_view signal);
  void kill(const ContainerPtr& container, std::string_view signal);
  void pause(const ContainerPtr& container);
  void unpause(const ContainerPtr& container);
  void remove(const ContainerPtr& container, const RemoveRequest& request);
  std::unique_ptr<WaitTicket> wait(const ContainerPtr& container, WaitCondition condition,
                                   std::function<void(WaitResult)> done);

  // After a restart of bryod: adopts what runs, settles what ended meanwhile, removes what a crash left.
  void restore();
  // Stops every running container, all at once, within the shutdown time-out.
  void stop_all();
  // From now on exits are only recorded: no restart policy acts any more.
  void begin_shutdown() { shutting_down_ = true; }

  // Set once, before restore(): told when an exec ended, a container came up or went down (health checks).
  std::function<void(const std::string& container, const std::string& exec, int code)> exec_ended;
  std::function<void(const ContainerPtr&)> came_up;
  std::function<void(const ContainerPtr&)> went_down;
  std::function<void(const ContainerPtr&)> removed;

  Launcher& launcher() { return launcher_; }

 private:
  void on_exit(const std::string& container_id, const monitor::ExitInfo& info) override;
  void on_exec_exit(const std::string& container_id, const std::string& exec_id, int code) override;
  void on_lost(const std::string& container_id, const std::string& reason) override;
  void on_bypass_lost(const std::string& container_id) override;
  void on_warning(const std::string& container_id, const std::string& text) override;

  void check_over(Container& container);
  void run(const ContainerPtr& container);
  void start_failed(Container& container, const Error& error);
  void ended(const ContainerPtr& container, const monitor::ExitInfo& info);
  void publish_volumes(const Record& record, const std::string& action);
  void publish_endpoints(const std::vector<network::Endpoint>& endpoints, const std::string& action);
  std::function<void()> clearing(const ContainerPtr& container, std::uint64_t run);
  void answer_waiters(Container& container, WaitResult result, bool is_removed);
  bool wants_restart(const Container& container) const;
  void schedule_restart(const ContainerPtr& container);
  void restart_now(const ContainerPtr& container, std::uint64_t run);
  void signal(Container& container, int number);
  void wake_for_signal(const ContainerPtr& container);
  bool wait_down(Container& container, std::uint64_t run, std::optional<std::chrono::milliseconds> patience);
  void discard(const ContainerPtr& container, bool volumes);
  void remove_anonymous_volumes(const Record& record);
  void stop_other_scopes();
  void recall_start(Container& container, const std::string& directory);
  void kill_remains(const Record& record, const std::string& directory);
  void adopt(const ContainerPtr& container, std::vector<network::RunningContainer>& running);
  void remove_leftovers();
  void settle_bundles();

  Services& s_;
  std::atomic<bool> shutting_down_ = false;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  // what the store's thread may still want of us
  std::unique_ptr<monitor::MonitorHub> hub_;
  Launcher launcher_;
};

}  // namespace bryo::engine
