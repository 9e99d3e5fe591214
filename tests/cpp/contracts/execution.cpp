#include "findings.hpp"

#include <doctest/doctest.h>
#include <vidloom/contracts/execution.hpp>
#include <vidloom/vidloom.hpp>

using namespace vidloom;
using contracts::Findings;
using test::tells;

namespace {

/// Runs the local strategy's execution and passes each job through `submit`.
class Wrapped final : public ExecutionStrategy {
 public:
  using Submit = std::function<void(Execution& inner, Job job)>;
  explicit Wrapped(Submit submit) : submit_(std::move(submit)) {}
  std::unique_ptr<Execution> host(const AdapterSpec& spec, std::function<void()> credits_changed) override {
    return std::make_unique<Hosted>(inner_->host(spec, std::move(credits_changed)), submit_);
  }

 private:
  struct Hosted final : Execution {
    Hosted(std::unique_ptr<Execution> execution, Submit how) : inner(std::move(execution)), submit_job(std::move(how)) {}
    AdapterInfo info() const override { return inner->info(); }
    std::size_t credits() const noexcept override { return inner->credits(); }
    void submit(Job job) override { submit_job(*inner, std::move(job)); }
    void forget(StreamId stream) noexcept override { inner->forget(stream); }
    std::unique_ptr<Execution> inner;
    Submit submit_job;
  };
  std::shared_ptr<ExecutionStrategy> inner_ = local();
  Submit submit_;
};

Findings check_broken(Wrapped::Submit submit, Nanos timeout = std::chrono::seconds(4)) {
  return contracts::check_execution([submit] { return std::make_shared<Wrapped>(submit); }, {.timeout = timeout});
}

/// \return the job with its answer passed through `change`.
Job with_answer(Job job, std::function<void(Answer&)> change) {
  auto done = std::make_shared<Completion>(std::move(job.done));
  return {std::move(job.frame), std::move(job.regions), job.deadline, Completion([done, change = std::move(change)](Answer answer) {
            change(answer);
            std::move (*done)(std::move(answer));
          })};
}

}  // namespace

TEST_CASE("local execution keeps the contract") {
  CHECK(contracts::check_execution([] { return local(); }) == Findings{});
  CHECK(contracts::check_execution([] { return local({.workers = 3}); }) == Findings{});
  CHECK(contracts::check_execution([] { return local({.deterministic = true}); }) == Findings{});
}

TEST_CASE("an answer inside submit() is told") {
  const auto findings = check_broken([](Execution&, Job job) { std::move(job.done)({Detections{}, {.where = "nowhere"}}); });
  CHECK(tells(findings, "was answered inside submit()"));
}

TEST_CASE("answers of other pictures are told") {
  const auto findings = check_broken([](Execution& inner, Job job) {
    inner.submit(with_answer(std::move(job), [](Answer& answer) {
      if (answer.detections) answer.detections.value().attributes.at(0).value = 7777.0;
    }));
  });
  CHECK(tells(findings, "got the answer of another"));
}

TEST_CASE("jobs that are never answered are told") {
  const auto lost = std::make_shared<std::vector<Completion>>();
  const auto findings = check_broken(
      [lost](Execution& inner, Job job) {
        if (job.frame.info().time.pts == 5)
          lost->push_back(std::move(job.done));
        else
          inner.submit(std::move(job));
      },
      std::chrono::seconds(1));
  CHECK(tells(findings, "jobs were never answered"));
  lost->clear();
}

TEST_CASE("a submit() that waits is told") {
  const auto findings = check_broken([](Execution& inner, Job job) {
    if (job.frame.info().time.pts == 5) std::this_thread::sleep_for(std::chrono::milliseconds(250));
    inner.submit(std::move(job));
  });
  CHECK(tells(findings, "it must never block"));
}

TEST_CASE("a stream whose order is lost is told") {
  const auto held = std::make_shared<std::optional<Job>>();
  const auto findings = check_broken([held](Execution& inner, Job job) {
    if (job.frame.info().stream == StreamId{0} && job.frame.info().time.pts == 5) {
      held->emplace(std::move(job));
      return;
    }
    const bool next = job.frame.info().stream == StreamId{0};
    inner.submit(std::move(job));
    if (next && *held) inner.submit(std::exchange(*held, std::nullopt).value());
  });
  CHECK(tells(findings, "a stream's pictures come in order"));
}

TEST_CASE("a deadline that is not kept, and jobs taken beyond the credits, are told") {
  CHECK(tells(check_broken([](Execution& inner, Job job) {
                job.deadline = SteadyTime::max();
                inner.submit(std::move(job));
              }),
              "a job whose deadline had passed was answered a result"));
  CHECK(tells(check_broken([](Execution& inner, Job job) {
                inner.submit(with_answer(std::move(job), [](Answer& answer) {
                  if (!answer.detections && answer.detections.error().code == Code::overload) answer.detections = Detections{};
                }));
              }),
              "a job beyond the credits was answered a result"));
}

TEST_CASE("an adapter's throw that comes back as success is told") {
  const auto findings = check_broken([](Execution& inner, Job job) {
    inner.submit(with_answer(std::move(job), [](Answer& answer) {
      if (!answer.detections && answer.detections.error().code == Code::model) answer.detections = Detections{};
    }));
  });
  CHECK(tells(findings, "a throw of the adapter was answered a result"));
}
