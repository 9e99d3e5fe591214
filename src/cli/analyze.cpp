#include <cli/analyses.hpp>
#include <cli/commands.hpp>
#include <cli/console.hpp>
#include <cli/interruption.hpp>
#include <cli/limited_source.hpp>
#include <cli/outputs.hpp>
#include <cli/tally.hpp>
#include <vidloom/core/log.hpp>
#include <vidloom/registry.hpp>

#include <cxxabi.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <charconv>
#include <condition_variable>
#include <exception>
#include <filesystem>
#include <mutex>
#include <set>
#include <thread>

namespace vidloom::cli {
namespace {

constexpr Flag flags[] = {
    {"--detect", "A[,B]", "adapters with their defaults; with --config: names of its analyses", 0, true},
    {"--config", "FILE", "an analyses.json (VIDLOOM_CONFIG)"},
    {"--every", "X", "media time between looks: 0.5, 500ms, 2s; default: each frame"},
    {"--tolerance", "X", "a picture so much later is as good"},
    {"--set", "NAME.OPTION=VALUE", "any option of an analysis; VALUE is JSON, else text", 0, true},
    {"--model", "VALUE", "short for --set where one analysis has that option"},
    {"--labels", "A,B", "short for --set where one analysis has that option"},
    {"--references", "PATH", "short for --set where one analysis has that option"},
    {"--min-confidence", "X", "0 to 1; short for --set with one analysis"},
    {"--start", "T", "begin at this media time"},
    {"--end", "T", "stop before this media time"},
    {"--duration", "T", "stop after so much media time"},
    {"--max-frames", "N", "stop after so many decoded frames"},
    {"--mode", "MODE", "auto or complete: no frame is dropped; live: needs the engine"},
    {"--device", "DEVICE", "auto, cpu, cuda or cuda:N (VIDLOOM_DEVICE)"},
    {"--where", "PLACE", "local, lan:HOST:PORT[,...] or cloud"},
    {"--jsonl", "FILE", "write JSON lines; - is standard output"},
    {"--annotate", "FILE", "write the video with what was found drawn on it: .mp4, .mov or .ts"},
    {"--blur", "CLASS[,CLASS]", "make these classes unrecognisable in that video; * for all", 0, true},
    {"--pixelate", "CLASS[,CLASS]", "the same with coarse blocks", 0, true},
    {"--report", "FILE", "write a page of what was found: video, timelines, top moments, failures (.html)"},
    {"--sink", "URI", "another output: jsonl:FILE, video:FILE, sheet:FILE.png, lines, null, or a registered one", 0, true},
    {"--overwrite", "", "replace existing outputs, which are refused otherwise", 'y'},
    {"--append", "", "go on at the end of an existing --jsonl file"},
    {"--name", "NAME", "of the stream; one per source", 0, true},
    {"--context", "K=V", "a text echoed into each record", 0, true},
    {"--plugin", "MODULE", "Python module with adapters or sources (pip's command only)", 0, true},
    {"--progress", "", "show progress on standard error; default: on a terminal"},
    {"--no-progress", "", "show none"},
    {"--quiet", "", "neither progress nor summary", 'q'},
    {"--log-level", "LEVEL", "debug, info, warning, error or off (VIDLOOM_LOG_LEVEL)"},
};

constexpr std::string_view notes = R"(Without --jsonl and --sink each result is one readable line on standard output.
Several sources are several streams, analysed side by side.

  vidloom analyze street.mp4 --detect people
  vidloom analyze street.mp4 --detect people,motion,visual --every 0.5 --jsonl out.jsonl
  vidloom analyze street.mp4 --detect people --annotate out.mp4 --report out.html --sink sheet:out.png
  vidloom analyze gate.mp4 yard.mp4 --config analyses.json --set people.min_confidence=0.8 --jsonl - | jq .media_time

exit: 0 all answered, 1 some answers failed, 2 usage, 3 no picture, 4 set-up, 5 output, 130 and 143 interrupted
)";

struct Stream {
  std::string uri;
  std::shared_ptr<Source> source;
  AnalyzeOptions options;
};

/// The first fatal cause decides the exit code. Thread-safe.
class Verdict {
 public:
  void fatal(int code) noexcept {
    int none = 0;
    code_.compare_exchange_strong(none, code);
  }
  int code() const noexcept { return code_; }

 private:
  std::atomic<int> code_{0};
};

/// The pip command's poll: what it throws is kept, the work is stopped as by a signal, and run() throws it at the end.
class Poll {
 public:
  Poll(void (*hook)(), std::stop_source stop) : hook_(hook), stop_(std::move(stop)) {}
  void operator()() {
    if (hook_ == nullptr || interrupted()) return;
    try {
      hook_();
    } catch (const abi::__forced_unwind&) {
      throw;
    } catch (...) {
      keep(std::current_exception());
    }
  }
  /// Also for what no C++ error is and a plugin let through. Any thread.
  void keep(std::exception_ptr thrown) {
    {
      const std::lock_guard lock(mutex_);
      if (!thrown_) thrown_ = std::move(thrown);
    }
    stop_.request_stop();
  }
  bool interrupted() const {
    const std::lock_guard lock(mutex_);
    return thrown_ != nullptr;
  }
  void rethrow() const {
    const std::lock_guard lock(mutex_);
    if (thrown_) std::rethrow_exception(thrown_);
  }

 private:
  void (*const hook_)();
  std::stop_source stop_;
  mutable std::mutex mutex_;  // guards thrown_
  std::exception_ptr thrown_{};
};

std::optional<Nanos> duration_flag(const Arguments& arguments, std::string_view flag) {
  const auto text = arguments.value(flag);
  return text ? std::optional(parse_duration(*text, flag)) : std::nullopt;
}

std::uint64_t count_flag(const Arguments& arguments, std::string_view flag) {
  const auto text = arguments.value(flag);
  if (!text) return 0;
  std::uint64_t count = 0;
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), count);
  if (error != std::errc{} || end != text->data() + text->size() || count == 0) {
    throw Error(Code::config, fmt::format("{} {}: use a whole number, 1 or more", flag, *text));
  }
  return count;
}

std::shared_ptr<const Value> context_of(const Arguments& arguments) {
  const std::vector<std::string> texts = arguments.values("--context");
  if (texts.empty()) return nullptr;
  Value context = Value::object();
  for (const std::string& text : texts) {
    const std::size_t equals = text.find('=');
    if (equals == std::string::npos || equals == 0) throw Error(Code::config, fmt::format("--context {}: use KEY=VALUE", text));
    context.set(std::string_view(text).substr(0, equals), std::string_view(text).substr(equals + 1));
  }
  return std::make_shared<const Value>(std::move(context));
}

void check_mode(const Arguments& arguments) {
  const std::string mode = arguments.value("--mode").value_or("auto");
  if (mode == "auto" || mode == "complete") return;
  if (mode == "live") {
    throw Error(Code::not_built,
                "--mode live: the engine for live streams is not in this version of Vidloom; use --mode complete for files");
  }
  throw Error(Code::config, fmt::format("--mode {}: use auto, live or complete", mode));
}

/// "street" of clips/street.mp4, "test" of test:frames=9
std::string name_after(const std::string& source) {
  const std::size_t colon = source.find(':');
  if (colon != std::string::npos && colon > 1 && source.find('/') > colon && !source.starts_with("file:")) return source.substr(0, colon);
  const std::string stem = (std::filesystem::path(source) / "").parent_path().stem().string();
  return stem.empty() ? "stream" : stem;
}

/// Names from --name, else after the sources, each its own. One source alone is left to the Analyzer, which names it alike.
std::vector<std::string> names_of(const Arguments& arguments) {
  const std::vector<std::string>& sources = arguments.positional();
  std::vector<std::string> names = arguments.values("--name");
  if (!names.empty()) {
    if (names.size() != sources.size()) {
      throw Error(Code::config, fmt::format("--name is given {} times for {} sources; give one per source, in their order", names.size(),
                                            sources.size()));
    }
    for (std::size_t i = 0; i < names.size(); ++i) {
      if (names[i].empty()) throw Error(Code::config, "--name is empty; give the stream a name");
      if (std::find(names.begin(), names.begin() + static_cast<std::ptrdiff_t>(i), names[i]) !=
          names.begin() + static_cast<std::ptrdiff_t>(i)) {
        throw Error(Code::config, fmt::format("--name {} is given twice; give each stream its own name", names[i]));
      }
    }
    return names;
  }
  names.resize(sources.size());
  if (sources.size() == 1) return names;
  std::set<std::string> taken;
  for (std::size_t i = 0; i < sources.size(); ++i) {
    names[i] = name_after(sources[i]);
    for (int number = 2; !taken.insert(names[i]).second; ++number) names[i] = fmt::format("{}-{}", name_after(sources[i]), number);
  }
  return names;
}

std::vector<Stream> streams_of(const Arguments& arguments) {
  AnalyzeOptions options;
  options.collect = false;
  options.start = duration_flag(arguments, "--start");
  options.end = duration_flag(arguments, "--end");
  const std::optional<Nanos> duration = duration_flag(arguments, "--duration");
  if (duration && *duration == Nanos{0}) throw Error(Code::config, "--duration is 0; use more, such as 10s");
  if (duration && options.start) options.end = std::min(options.end.value_or(Nanos::max()), *options.start + *duration);
  if (options.start && options.end && *options.end <= *options.start) {
    throw Error(Code::config, fmt::format("--end {} is not after --start {}", *arguments.value("--end"), *arguments.value("--start")));
  }
  options.max_frames = count_flag(arguments, "--max-frames");
  options.context = context_of(arguments);
  std::vector<std::string> names = names_of(arguments);
  std::vector<Stream> streams;
  for (std::size_t i = 0; i < names.size(); ++i) {
    const std::string& uri = arguments.positional()[i];
    std::shared_ptr<Source> source = open_source(uri);
    if (duration && !options.start) source = std::make_shared<LimitedSource>(std::move(source), *duration);
    options.stream = names[i];
    streams.push_back({.uri = uri, .source = std::move(source), .options = options});
  }
  return streams;
}

std::optional<Nanos> length_of(const SourceInfo& info, const AnalyzeOptions& options, std::optional<Nanos> duration) {
  std::optional<Nanos> length = info.duration;
  if (options.end) length = std::min(length.value_or(Nanos::max()), *options.end);
  if (length && options.start) length = std::max(Nanos{0}, *length - *options.start);
  if (duration) length = std::min(length.value_or(Nanos::max()), *duration);
  return length;
}

class Analysis {
 public:
  Analysis(const Arguments& arguments, const Hooks& hooks)
      : interruption_(stop_, hooks.poll == nullptr),
        poll_(hooks.poll, stop_),
        quiet_(arguments.has("--quiet")),
        duration_(duration_flag(arguments, "--duration")),
        tally_(arguments.positional().size()) {
    check_mode(arguments);
    analyzer_.emplace(analyses_of(arguments), AnalyzerOptions{.device = device_of(arguments)});
    streams_ = streams_of(arguments);
    outputs_ = open_outputs(arguments, arguments.positional());
    if (arguments.has("--progress") && arguments.has("--no-progress")) {
      throw Error(Code::config, "--progress and --no-progress are both given; use one of them");
    }
    terminal_ = ::isatty(STDERR_FILENO) != 0;
    const bool clean = terminal_ && !(outputs_.on_stdout && ::isatty(STDOUT_FILENO) != 0);
    progress_ = arguments.has("--progress") || (clean && !quiet_ && !arguments.has("--no-progress"));
    for (Stream& stream : streams_) {
      stream.options.stop = stop_.get_token();
      stream.options.sinks = outputs_.sinks;
    }
  }

  int run() {
    if (streams_.size() == 1) {
      work(0, true);
    } else {
      run_side_by_side();
    }
    Console& console = Console::error();
    console.status("");
    console.drain_log();
    outputs_.sinks.clear();
    for (Stream& stream : streams_) stream.options.sinks.clear();  // files without a line go away with their sinks
    std::erase_if(outputs_.files, [](const std::string& file) { return !std::filesystem::exists(file); });
    console.write(quiet_ || !tally_.any() ? tally_.failures() : tally_.summary(outputs_.files));
    const bool interrupted = interruption_.signal() != 0 || poll_.interrupted();
    if (interrupted && verdict_.code() == 0) console.say("interrupted; every output is complete up to here");
    poll_.rethrow();
    if (interrupted && verdict_.code() == 0) return 128 + interruption_.signal();
    if (verdict_.code() != 0) return verdict_.code();
    return tally_.failed() ? 1 : 0;
  }

 private:
  /// A thread per source, as many at once as there are cores; this thread only polls.
  void run_side_by_side() {
    std::atomic<std::size_t> next{0};
    std::mutex mutex;
    std::condition_variable changed;
    std::size_t left = std::min<std::size_t>(streams_.size(), std::max(2U, std::thread::hardware_concurrency()));
    std::vector<std::jthread> threads;
    for (std::size_t i = left; i > 0; --i) {
      threads.emplace_back([&] {
        for (std::size_t index = next++; index < streams_.size() && !stop_.stop_requested(); index = next++) work(index, false);
        const std::lock_guard lock(mutex);
        --left;
        changed.notify_one();
      });
    }
    std::unique_lock lock(mutex);
    while (!changed.wait_for(lock, std::chrono::milliseconds(50), [&] { return left == 0; })) {
      lock.unlock();
      poll_();
      tick();
      lock.lock();
    }
  }

  /// All of one stream. \param main  on the command's own thread, where polling is allowed.
  void work(std::size_t index, bool main) {
    Stream& stream = streams_[index];
    if (main) {
      stream.options.poll = [this] {
        poll_();
        tick();
      };
    }
    std::optional<Run> run;
    const auto finished = [&] {
      const SourceStats stats = run ? run->stats() : SourceStats{};
      if (run) tally_.finished(index, run->report(), stats);
      return stats;
    };
    try {
      run.emplace(analyzer_->start(stream.source, stream.options));
      tally_.opened(index, length_of(run->info(), stream.options, duration_));
      while (const auto result = run->next()) tally_.add(index, *result);
      const SourceStats stats = finished();
      if (const auto& cut = run->report().cut_short; cut && cut->code != Code::cancelled) throw Error(*cut);  // the source broke off
      if (stats.decoded + stats.skipped == 0 && !stop_.stop_requested()) {
        throw Error(Code::decode, fmt::format("{} gave no picture", redact(stream.uri)));
      }
    } catch (const Error& error) {
      finished();
      fail(error);
    } catch (const abi::__forced_unwind&) {
      throw;
    } catch (const std::exception& error) {
      finished();
      fail(Error(Code::internal, error.what()));
    } catch (...) {
      finished();
      poll_.keep(std::current_exception());
    }
  }

  void fail(const Error& error) {
    if (error.code == Code::cancelled) {
      if (stop_.stop_requested()) return;
      stop_.request_stop();  // the reader of our standard output has seen enough, as `head` does
      if (outputs_.sinks.size() == 1) return;
      Console::error().say(fmt::format("{}; the other outputs end here", error.what()));
      return verdict_.fatal(exit_code(Error(Code::output, "")));
    }
    verdict_.fatal(exit_code(error));
    Console::error().say(error.what());
    if (error.code != Code::source && error.code != Code::decode) stop_.request_stop();  // the other streams would fail alike
  }

  void tick() {
    Console& console = Console::error();
    console.drain_log();
    const SteadyTime now = std::chrono::steady_clock::now();
    if (!progress_ || now < next_line_) return;
    next_line_ = now + std::chrono::milliseconds(terminal_ ? 200 : 5000);
    if (terminal_)
      console.status(tally_.progress_line());
    else
      console.write(tally_.progress_line() + '\n');
  }

  std::stop_source stop_;
  Interruption interruption_;
  Poll poll_;
  const bool quiet_;
  const std::optional<Nanos> duration_;
  bool terminal_ = false, progress_ = false;
  SteadyTime next_line_{};
  Verdict verdict_;
  Tally tally_;
  Outputs outputs_;
  std::optional<Analyzer> analyzer_;  // after the outputs: it ends its runs first
  std::vector<Stream> streams_;
};

int run_analysis(const Arguments& arguments, const Hooks& hooks) {
  if (const auto level = arguments.value("--log-level"))
    set_log_level(parse_log_level(*level));
  else if (arguments.has("--quiet"))
    set_log_level(std::max(log_level(), LogLevel::error));
  return Analysis(arguments, hooks).run();
}

}  // namespace

const Command analyze_command{
    "analyze", "SOURCE... [flags]", "Finds things in videos, segments, pictures and folders of pictures", notes, flags, 1,
    10000,     run_analysis};

}  // namespace vidloom::cli
