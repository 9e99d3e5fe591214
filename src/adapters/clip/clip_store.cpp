#include <adapters/clip/clip_store.hpp>

#include <core/sha256.hpp>
#include <core/whole_file.hpp>
#include <vidloom/core/log.hpp>

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>
#include <mutex>
#include <string_view>
#include <system_error>
#include <thread>

namespace vidloom {
inline namespace v0 {
namespace {

namespace fs = std::filesystem;

fs::path folder() {
  if (const char* cache = std::getenv("XDG_CACHE_HOME"); cache && *cache == '/') return fs::path(cache) / "vidloom";
  if (const char* home = std::getenv("HOME"); home && *home == '/') return fs::path(home) / ".cache" / "vidloom";
  return {};
}

std::optional<std::string> recall(const std::string& name) {
  const fs::path base = folder();
  if (base.empty()) return {};
  std::ifstream file(base / name, std::ios::binary);
  if (!file) return {};
  return std::string{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

void remember(const std::string& name, std::string_view bytes) noexcept try {
  const fs::path base = folder();
  if (base.empty()) return;
  fs::create_directories(base);
  replace_file((base / name).string(), bytes);
} catch (const std::exception& error) {
  log(LogLevel::debug, "clip", std::string("nothing is remembered for the next process: ") + error.what());
}

std::string sha256_of_file(const std::string& path) {
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return {};
  Sha256 hash;
  std::vector<char> block(std::size_t{1} << 18);
  ssize_t got = 0;
  while ((got = ::read(file, block.data(), block.size())) > 0) hash.update({block.data(), static_cast<std::size_t>(got)});
  ::close(file);
  return got == 0 ? hash.hex() : std::string();
}

}  // namespace

std::optional<std::vector<float>> recall_floats(const std::string& key, std::size_t count) {
  const auto bytes = recall("text-" + key);
  // The numbers' own hash stands behind them: half a file, or a damaged one, is none.
  if (!bytes || bytes->size() != count * sizeof(float) + 64) return {};
  const std::string_view numbers(bytes->data(), count * sizeof(float));
  if (sha256_hex(numbers) != std::string_view(*bytes).substr(numbers.size())) return {};
  std::vector<float> found(count);
  std::memcpy(found.data(), numbers.data(), numbers.size());
  return found;
}

void remember_floats(const std::string& key, const std::vector<float>& numbers) noexcept {
  std::string bytes(reinterpret_cast<const char*>(numbers.data()), numbers.size() * sizeof(float));
  bytes += sha256_hex(bytes);
  remember("text-" + key, bytes);
}

std::string recall_word(const std::string& key) { return recall("word-" + key).value_or(""); }

void remember_word(const std::string& key, const std::string& word) noexcept { remember("word-" + key, word); }

std::string known_sha256(const std::string& path) {
  std::error_code ignored;
  const std::string real = fs::weakly_canonical(path, ignored).string();
  struct ::stat about {};
  if (real.empty() || ::stat(real.c_str(), &about) != 0) return {};
  const std::string name = "sha256-" + sha256_hex(real + "\n" + std::to_string(about.st_size) + "\n" + std::to_string(about.st_mtim.tv_sec) + "." +
                                                  std::to_string(about.st_mtim.tv_nsec));
  if (const auto hash = recall(name); hash && hash->size() == 64) return *hash;
  static std::mutex mutex;
  static auto* const begun = new std::set<std::string>;  // outlives the thread below
  const std::lock_guard lock(mutex);
  if (!begun->insert(name).second) return {};
  try {
    std::thread([real, name] {
      pthread_setname_np(pthread_self(), "vl:hash");
      const sched_param nothing{};
      pthread_setschedparam(pthread_self(), SCHED_IDLE, &nothing);
      if (const std::string hash = sha256_of_file(real); !hash.empty()) remember(name, hash);
    }).detach();
  } catch (const std::system_error&) {
    begun->erase(name);
  }
  return {};
}

}  // namespace v0
}  // namespace vidloom
