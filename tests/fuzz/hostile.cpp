/// Damaged media and texts through the whole library, in processes that are watched: whatever comes in, out comes a typed Error or
/// frames. No crash, no hang, no leak, no memory without bound.
///
///     hostile                        20,000 damaged files and texts; `make fuzz`
///     hostile --count 0 --seconds 40      as many as fit, from the first on; the share of `make test`
///     hostile --only 1234 [--save FILE]   that one, in this process, where a debugger can see it
///     hostile --samples FOLDER            writes the texts that libFuzzer begins with
///
/// Input N is made from N alone, so that a report can be played again. Built for AddressSanitizer (`cmake --preset asan`), whose
/// words about an input stay in the folder of the findings.

#include <fuzz/dice.hpp>
#include <fuzz/mutation.hpp>
#include <fuzz/seeds.hpp>
#include <fuzz/texts.hpp>
#include <fuzz/trial.hpp>
#include <vidloom/core/error.hpp>
#include <vidloom/registry.hpp>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <deque>
#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__)
// An allocation without bound shall be refused as on a small machine, not served by one with much memory.
extern "C" const char* __asan_default_options() {
  return "detect_leaks=1:quarantine_size_mb=32:allocator_may_return_null=1:max_allocation_size_mb=1024:detect_stack_use_after_return=1";
}
#endif

namespace vidloom::fuzz {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

struct Options {
  std::uint64_t seed = 20'261'127;
  std::uint64_t count = 20'000;
  double seconds = 0;
  std::uint64_t first = 0;
  std::optional<std::uint64_t> only{};
  std::string save{};
  std::string samples{};
  unsigned jobs = std::max(1U, std::thread::hardware_concurrency());
  std::string folder = "build/fuzz";
};

/// CPU seconds an input may take under a sanitizer, seconds it may wait, and memory. Fifty undamaged seeds take about 2 CPU seconds.
constexpr double most_cpu_seconds = 20, most_wall_seconds = 300;
constexpr std::size_t most_resident_mib = 2048;
constexpr std::uint64_t inputs_a_process = 200;
/// A sanitizer that always fails shall not be asked for ever.
constexpr std::uint64_t most_failed_checks = 20;

struct Input {
  std::string name;
  std::string bytes;
  std::string what;              ///< the damage
  std::optional<Reader> reader;  ///< of a text; nothing: a file
  bool whole = false;            ///< an undamaged file
  bool picture = false;          ///< made from one
  unsigned frames = 0;           ///< of the undamaged file
};

/// Everything inputs are made of; the same for every process.
class Inputs {
 public:
  Inputs(const Options& options, std::vector<Seed> seeds) : seed_(options.seed), seeds_(std::move(seeds)) {
    for (const Reader reader : readers)
      for (const std::string_view sample : samples_of(reader)) samples_.emplace_back(reader, sample);
  }

  std::size_t seeds() const noexcept { return seeds_.size(); }

  /// Input `number`: first every seed and every text as it is, then damaged ones in turn, a text as every tenth.
  Input make(std::uint64_t number) const {
    if (number < seeds_.size()) {
      const Seed& seed = seeds_[number];
      return {seed.name, seed.bytes, "nothing", {}, true, seed.picture, seed.frames};
    }
    Dice dice(seed_, number);
    Input input;
    if (number < seeds_.size() + samples_.size()) {
      const auto& [reader, sample] = samples_[number - seeds_.size()];
      return {name_of(reader), std::string(sample), "nothing", reader};
    }
    if (number % 10 == 9) {
      input.reader = readers[number / 10 % readers.size()];
      const auto samples = samples_of(*input.reader), others = samples_of(dice.one_of(readers));
      input.name = name_of(*input.reader);
      input.bytes = mutated(dice.one_of(samples), Family::plain, {}, dice.one_of(others), dice, input.what);
      return input;
    }
    const Seed& seed = seeds_[number % seeds_.size()];
    input.name = seed.name;
    input.picture = seed.picture;
    input.bytes = mutated(seed.bytes, seed.family, seed.structure, dice.one_of(seeds_).bytes, dice, input.what);
    return input;
  }

  /// Other dice than those of the damage: how the file is used.
  Dice use(std::uint64_t number) const { return {seed_ + 1, number}; }

 private:
  static std::string name_of(Reader reader) { return "text" + std::to_string(static_cast<int>(reader)); }

  const std::uint64_t seed_;
  const std::vector<Seed> seeds_;
  std::vector<std::pair<Reader, std::string_view>> samples_;
};

struct Counts {
  std::uint64_t files = 0, texts = 0, opened = 0, refused = 0, frames = 0, flagged = 0, accepted = 0, whole = 0;
  std::int64_t slowest = 0;  ///< nanoseconds of CPU
  std::uint64_t slowest_number = 0;
};

/// Shared with the process that works, so that what it did is known after it died.
struct Board {
  std::atomic<std::uint64_t> number{0};     ///< the input under work
  std::atomic<std::int64_t> began_wall{0};  ///< nanoseconds of the steady clock
  std::atomic<std::int64_t> began_cpu{0};   ///< nanoseconds of that process' CPU clock
  std::atomic<bool> finished{false};
  Counts counts{};
};

std::int64_t now(clockid_t clock) {
  timespec time{};
  ::clock_gettime(clock, &time);
  return std::int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

void write_file(const fs::path& path, std::string_view bytes) {
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  if (!file.flush()) throw std::runtime_error("cannot write " + path.string());
}

unsigned long long as_long(std::uint64_t number) noexcept { return number; }  // printf has no other type for it everywhere

/// Does input `number`; `talk` says on stdout what came of it. Throws what a promise forbids.
void work(const Inputs& inputs, std::uint64_t number, const fs::path& file, Counts& counts, bool talk) {
  const Input input = inputs.make(number);
  if (talk) std::printf("%llu: %s, %zu bytes, damage: %s\n", as_long(number), input.name.c_str(), input.bytes.size(), input.what.c_str());
  if (input.reader) {
    const bool accepted = read_text(*input.reader, input.bytes);
    ++counts.texts;
    counts.accepted += accepted;
    if (talk) std::printf("%s\n", accepted ? "accepted" : "refused");
    return;
  }
  write_file(file, input.bytes);
  Dice dice = inputs.use(number);
  const Outcome outcome = input.whole ? read_plainly(file.string()) : try_file(file.string(), input.picture, dice);
  if (input.whole && (outcome.frames != input.frames || outcome.flagged))
    throw Broken("the undamaged " + input.name + " gave " + std::to_string(outcome.frames) + " frames instead of " +
                 std::to_string(input.frames) + (outcome.flagged ? ", and not all were ok" : ""));
  counts.whole += input.whole;
  counts.files += !input.whole;
  if (!input.whole) {
    counts.opened += outcome.opened;
    counts.refused += !outcome.opened;
    counts.frames += outcome.frames;
    counts.flagged += outcome.opened && outcome.flagged;
  }
  if (talk)
    std::printf("%s, %llu frames%s%s%s\n", outcome.opened ? "opened" : "refused", as_long(outcome.frames),
                outcome.flagged ? ", flagged" : "", outcome.error.empty() ? "" : ", then ", outcome.error.c_str());
}

/// Inputs that one process does one after the other.
struct Chunk {
  std::uint64_t from = 0, to = 0;
};

enum class End : std::uint8_t { well, broken, crashed, too_long, too_large, leaked };

std::string_view word(End end) {
  constexpr std::array<std::string_view, 6> words{"well", "broke a promise", "crashed", "took too long", "took too much memory", "leaked"};
  return words[static_cast<std::size_t>(end)];
}

constexpr int broken_exit = 90;

/// A process at work on a chunk.
class Worker {
 public:
  Worker(const Inputs& inputs, const Options& options, unsigned place)
      : inputs_(inputs), folder_(options.folder), name_(std::to_string(::getpid()) + "_" + std::to_string(place)) {
    void* memory = ::mmap(nullptr, sizeof(Board), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) throw std::runtime_error("no shared memory");
    board_ = new (memory) Board;
  }
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;
  ~Worker() {
    if (pid_ > 0) {
      ::kill(pid_, SIGKILL);
      ::waitpid(pid_, nullptr, 0);
    }
    ::munmap(board_, sizeof(Board));
    std::error_code ignored;
    fs::remove(log(), ignored);
    fs::remove(file(), ignored);
  }

  bool busy() const noexcept { return pid_ > 0; }
  const Chunk& chunk() const noexcept { return chunk_; }
  std::uint64_t number() const noexcept { return board_->number; }
  const Counts& counts() const noexcept { return board_->counts; }
  std::size_t peak_mib() const noexcept { return peak_mib_; }
  fs::path log() const { return folder_ / ("log_" + name_); }

  void start(Chunk chunk) {
    chunk_ = chunk;
    end_ = End::well;
    board_->number = chunk.from;
    board_->finished = false;
    board_->counts = {};
    board_->began_wall = now(CLOCK_MONOTONIC);
    board_->began_cpu = 0;
    std::fflush(nullptr);
    pid_ = ::fork();
    if (pid_ < 0) throw std::runtime_error("cannot fork");
    if (pid_ == 0) run();
  }

  /// \return whether the process ended; how is in `end`.
  bool ended(End& end) {
    int status = 0;
    if (::waitpid(pid_, &status, WNOHANG) != pid_) {
      if (end_ == End::well) watch();
      return false;
    }
    pid_ = 0;
    if (end_ == End::well && !(WIFEXITED(status) && WEXITSTATUS(status) == 0)) {
      end_ = WIFEXITED(status) && WEXITSTATUS(status) == broken_exit ? End::broken : board_->finished ? End::leaked : End::crashed;
    }
    end = end_;
    return true;
  }

 private:
  fs::path file() const { return folder_ / ("input_" + name_); }

  [[noreturn]] void run() {
    const int to = ::open(log().c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (to >= 0) ::dup2(to, STDERR_FILENO);
    for (std::uint64_t number = chunk_.from; number < chunk_.to; ++number) {
      board_->number = number;
      board_->began_wall = now(CLOCK_MONOTONIC);
      board_->began_cpu = now(CLOCK_PROCESS_CPUTIME_ID);
      try {
        work(inputs_, number, file(), board_->counts, false);
        const std::int64_t took = now(CLOCK_PROCESS_CPUTIME_ID) - board_->began_cpu;
        if (took > board_->counts.slowest) {
          board_->counts.slowest = took;
          board_->counts.slowest_number = number;
        }
      } catch (const std::exception& error) {
        std::fprintf(stderr, "%s\n", error.what());
        std::_Exit(broken_exit);
      }
    }
    board_->finished = true;
    std::exit(0);  // through LeakSanitizer
  }

  void watch() {
    clockid_t clock{};
    const double wall = static_cast<double>(now(CLOCK_MONOTONIC) - board_->began_wall) / 1e9;
    double cpu = 0;
    if (::clock_getcpuclockid(pid_, &clock) == 0) cpu = static_cast<double>(now(clock) - board_->began_cpu) / 1e9;
    std::size_t pages = 0;
    if (std::FILE* file = std::fopen(("/proc/" + std::to_string(pid_) + "/statm").c_str(), "r")) {
      if (std::fscanf(file, "%*u %zu", &pages) != 1) pages = 0;
      std::fclose(file);
    }
    const std::size_t resident_mib = pages * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE)) >> 20;
    // The look for leaks at the end is no input's.
    if (!board_->finished && (cpu > most_cpu_seconds || wall > most_wall_seconds)) end_ = End::too_long;
    peak_mib_ = std::max(peak_mib_, resident_mib);
    if (resident_mib > most_resident_mib) end_ = End::too_large;
    if (end_ != End::well) ::kill(pid_, SIGKILL);
  }

  const Inputs& inputs_;
  const fs::path folder_;
  const std::string name_;
  Board* board_ = nullptr;
  Chunk chunk_;
  pid_t pid_ = 0;
  End end_ = End::well;
  std::size_t peak_mib_ = 0;
};

/// The line of a sanitizer that says what it found, else the last line: that of a broken promise. Libraries talk before it.
std::string found_in(const fs::path& log) {
  std::ifstream file(log);
  std::string last;
  for (std::string line; std::getline(file, line);) {
    if (line.find("SUMMARY:") != std::string::npos || line.find("runtime error:") != std::string::npos) return line;
    if (!line.empty()) last = line;
  }
  return last;
}

/// Whether LeakSanitizer itself broke off: it reads a thread that is ending at that moment, and falls over it ("Tracer caught
/// signal 11"), about once in several hundred processes.
bool leak_check_failed(const fs::path& log) {
  std::ifstream file(log);
  for (std::string line; std::getline(file, line);)
    if (line.find("LeakSanitizer has encountered a fatal error") != std::string::npos) return true;
  return false;
}

/// Gives out chunks, collects ends.
class Run {
 public:
  Run(const Inputs& inputs, const Options& options) : inputs_(inputs), options_(options), next_(options.first), began_(Clock::now()) {}

  int all() {
    sigset_t child;
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    ::sigprocmask(SIG_BLOCK, &child, nullptr);
    for (unsigned place = 0; place < options_.jobs; ++place) workers_.push_back(std::make_unique<Worker>(inputs_, options_, place));
    for (;;) {
      bool busy = false;
      for (auto& worker : workers_) {
        End end{};
        if (worker->busy() && worker->ended(end)) take(*worker, end);
        Chunk chunk{};
        if (!worker->busy() && give(chunk)) worker->start(chunk);
        busy |= worker->busy();
      }
      if (!busy) break;
      const timespec tick{0, 100'000'000};
      ::sigtimedwait(&child, nullptr, &tick);
    }
    return report();
  }

 private:
  double elapsed() const { return std::chrono::duration<double>(Clock::now() - began_).count(); }

  bool give(Chunk& chunk) {
    if (!again_.empty()) {
      chunk = again_.front();
      again_.pop_front();
      return true;
    }
    const std::uint64_t done = next_ - options_.first;
    if (done >= options_.count && elapsed() >= options_.seconds) return false;
    const std::uint64_t most = options_.count > done ? std::min(inputs_a_process, options_.count - done) : inputs_a_process;
    chunk = {next_, next_ + most};
    // A share by the clock alone ends within a chunk's time.
    if (options_.count == 0) chunk.to = next_ + 50;
    next_ = chunk.to;
    return true;
  }

  void take(Worker& worker, End end) {
    const Chunk chunk = worker.chunk();
    const std::uint64_t at = worker.number();
    if (end == End::leaked && failed_checks_ < most_failed_checks && leak_check_failed(worker.log())) {
      ++failed_checks_;
      again_.push_back(chunk);
      return;
    }
    if (end == End::leaked) {
      // Whose leak it was shows when halves are played again, down to one input.
      if (chunk.to - chunk.from > 1) {
        const std::uint64_t middle = chunk.from + (chunk.to - chunk.from) / 2;
        again_.push_back({chunk.from, middle});
        again_.push_back({middle, chunk.to});
        ++leaky_chunks_;
        keep(worker);
        return;
      }
      ++leaks_;
    }
    add(worker.counts());
    if (end == End::well) return;
    find(worker, end, at);
    if (end != End::leaked && at + 1 < chunk.to) again_.push_back({at + 1, chunk.to});
  }

  /// What was said of a process that ended badly after its last input: no single input may do it again.
  void keep(const Worker& worker) const {
    const Chunk chunk = worker.chunk();
    const fs::path kept =
        fs::path(options_.folder) / ("inputs_" + std::to_string(chunk.from) + "_to_" + std::to_string(chunk.to) + ".log");
    std::error_code ignored;
    fs::copy_file(worker.log(), kept, fs::copy_options::overwrite_existing, ignored);
    std::printf("after inputs %llu to %llu: %s\n    kept as %s\n", as_long(chunk.from), as_long(chunk.to - 1),
                found_in(worker.log()).c_str(), kept.c_str());
    std::fflush(stdout);
  }

  void find(const Worker& worker, End end, std::uint64_t number) {
    const Input input = inputs_.make(number);
    const fs::path kept = fs::path(options_.folder) / (std::to_string(number) + "_" + input.name);
    write_file(kept, input.bytes);
    std::error_code ignored;
    fs::copy_file(worker.log(), kept.string() + ".log", fs::copy_options::overwrite_existing, ignored);
    std::printf("input %llu %s: %s\n    damage: %s\n    kept as %s\n", as_long(number), std::string(word(end)).c_str(),
                found_in(worker.log()).c_str(), input.what.c_str(), kept.c_str());
    std::fflush(stdout);
    ++found_;
    crashes_ += end == End::crashed;
    timeouts_ += end == End::too_long;
  }

  void add(const Counts& part) {
    total_.files += part.files;
    total_.texts += part.texts;
    total_.opened += part.opened;
    total_.refused += part.refused;
    total_.frames += part.frames;
    total_.flagged += part.flagged;
    total_.accepted += part.accepted;
    total_.whole += part.whole;
    if (part.slowest > total_.slowest) {
      total_.slowest = part.slowest;
      total_.slowest_number = part.slowest_number;
    }
  }

  int report() const {
    constexpr auto number = as_long;
    std::printf("%llu mutations: %llu opened, %llu refused, %llu frames, %llu flagged, %llu crashes, %llu timeouts\n", number(total_.files),
                number(total_.opened), number(total_.refused), number(total_.frames), number(total_.flagged), number(crashes_),
                number(timeouts_));
    std::printf(
        "%llu texts: %llu accepted, %llu refused; %llu undamaged files read whole; %llu findings in all; seed %llu, from %llu, %.0f s\n",
        number(total_.texts), number(total_.accepted), number(total_.texts - total_.accepted), number(total_.whole), number(found_),
        number(options_.seed), number(options_.first), elapsed());
    std::size_t peak_mib = 0;
    for (const auto& worker : workers_) peak_mib = std::max(peak_mib, worker->peak_mib());
    std::printf("slowest: input %llu, %.2f s of CPU; largest process seen: %zu MiB\n", number(total_.slowest_number),
                static_cast<double>(total_.slowest) / 1e9, peak_mib);
    if (failed_checks_ > 0) std::printf("%llu looks for leaks broke off and were made again\n", number(failed_checks_));
    if (found_ > 0) return 1;
    if (leaky_chunks_ > 0 && leaks_ == 0) std::printf("%llu processes leaked, but no input alone\n", number(leaky_chunks_));
    // A run in which nothing was opened, or nothing refused, tests nothing.
    const bool sane = total_.files > 0 && total_.opened * 4 >= total_.files && total_.refused * 50 >= total_.files &&
                      total_.frames >= total_.opened && total_.flagged * 10 >= total_.opened && total_.accepted > 0 &&
                      total_.accepted < total_.texts && (options_.first > 0 || total_.whole == inputs_.seeds());
    if (!sane) std::printf("these shares are not those of a run that tests something: was anything opened, refused, damaged?\n");
    return sane && leaky_chunks_ == 0 ? 0 : 1;
  }

  const Inputs& inputs_;
  const Options& options_;
  std::uint64_t next_;
  const Clock::time_point began_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::deque<Chunk> again_;
  Counts total_{};
  std::uint64_t found_ = 0, crashes_ = 0, timeouts_ = 0, leaks_ = 0, leaky_chunks_ = 0, failed_checks_ = 0;
};

Options options_of(int count, char** words) {
  Options options;
  for (int index = 1; index < count; ++index) {
    const std::string_view name = words[index];
    if (index + 1 >= count) throw std::runtime_error(std::string(name) + " needs a value");
    const std::string_view value = words[++index];
    const auto number = [&](auto& to) {
      const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), to);
      if (error != std::errc{} || end != value.data() + value.size())
        throw std::runtime_error(std::string(name) + " is no number: " + std::string(value));
    };
    if (name == "--seed")
      number(options.seed);
    else if (name == "--count")
      number(options.count);
    else if (name == "--seconds")
      number(options.seconds);
    else if (name == "--first")
      number(options.first);
    else if (name == "--jobs")
      number(options.jobs);
    else if (name == "--only")
      number(options.only.emplace());
    else if (name == "--save")
      options.save = value;
    else if (name == "--samples")
      options.samples = value;
    else if (name == "--folder")
      options.folder = value;
    else
      throw std::runtime_error(std::string(name) +
                               " is not known: --seed --count --seconds --first --jobs --only --save --samples --folder");
  }
  return options;
}

/// Undamaged texts, and the beginnings of media for the readers of those.
void write_samples(const fs::path& folder, const std::vector<Seed>& seeds) {
  const auto number_of = [](Reader reader) { return static_cast<char>(std::ranges::find(readers, reader) - readers.begin()); };
  for (const Seed& seed : seeds) {
    const std::string head = seed.bytes.substr(0, 4000);
    if (seed.family == Family::transport)
      write_file(folder / seed.name, number_of(Reader::transport) + std::string("\1\0\0\0\0\0\0", 7) + head);
    const char codec = seed.name == "h264.h264" ? 0 : seed.name == "hevc.hevc" ? 1 : seed.name == "mpeg2.mpg" ? 2 : 9;
    if (codec < 9)
      write_file(folder / seed.name, number_of(Reader::coded_pictures) + std::string(1, codec) + std::string("\0\x0E\0", 3) + head);
  }
  for (std::size_t reader = 0; reader < readers.size(); ++reader) {
    int number = 0;
    for (const std::string_view sample : samples_of(readers[reader]))
      write_file(folder / (std::to_string(reader) + "_" + std::to_string(number++)), static_cast<char>(reader) + std::string(sample));
  }
}

int main_of(int count, char** words) {
  const Options options = options_of(count, words);
  fs::create_directories(options.folder);
  const std::vector<Seed> seeds = make_seeds((fs::path(options.folder) / "seeds").string());
  if (!options.samples.empty()) {
    write_samples(options.samples, seeds);
    return 0;
  }
  const Inputs inputs(options, seeds);
  if (options.only) {
    if (!options.save.empty()) write_file(options.save, inputs.make(*options.only).bytes);
    Counts counts;
    work(inputs, *options.only, fs::path(options.folder) / "only", counts, true);
    return 0;
  }
  // Mapped once, before the processes part; no thread is started by it.
  components(true);
  return Run(inputs, options).all();
}

}  // namespace
}  // namespace vidloom::fuzz

int main(int count, char** words) {
  try {
    return vidloom::fuzz::main_of(count, words);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
