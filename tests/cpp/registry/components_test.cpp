#include <vidloom/core/error.hpp>
#include <vidloom/registry.hpp>

#include <core/component.hpp>

#include <doctest/doctest.h>

#include <dlfcn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <latch>
#include <string>
#include <thread>
#include <vector>

using namespace vidloom;
namespace fs = std::filesystem;

namespace {

std::string complaint(const std::function<void()>& act) {
  try {
    act();
  } catch (const Error& error) {
    return std::string(to_string(error.code)) + ": " + error.what();
  }
  return "fine";
}
bool holds(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

std::atomic<int> entered{0};
std::atomic<bool> refuse{false};
std::latch* inside = nullptr;
std::latch* may_return = nullptr;

int counting_entry(Registry* registry, const char*) {
  ++entered;
  if (refuse) throw Error(Code::model, "not today");
  registry->describe("counted");
  registry->add_source("counted_source", [](const Value&) -> std::unique_ptr<Source> { return nullptr; });
  return 0;
}
int other_version_entry(Registry*, const char*) { return 1; }
int slow_entry(Registry*, const char*) {
  inside->count_down();
  may_return->wait();
  return 0;
}

}  // namespace

TEST_CASE("many threads that need a component load it once") {
  entered = 0;
  refuse = true;
  link_component("counted", counting_entry);
  CHECK(complaint([] { require_component("counted", "the test"); }) == "model: not today");
  refuse = false;
  std::vector<std::thread> threads;
  std::latch start(8);
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&] {
      start.arrive_and_wait();
      require_component("counted", "the test");
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(entered == 2);  // the refused one, and one
}

TEST_CASE("a component of another build is refused") {
  link_component("other", other_version_entry);
  const std::string text = complaint([] { require_component("other", "adapter 'x'"); });
  CHECK(holds(text, "not_built: adapter 'x' needs the component 'other', but other is of another build than libvidloom 0.1.0"));
}

TEST_CASE("a component that this version does not have says so") {
  CHECK(holds(complaint([] { expect_component("net", "execution 'lan'"); }),
              "not_built: execution 'lan' needs the component 'net', which is not part of Vidloom"));
}

TEST_CASE("a child forked while another thread loads can load by itself") {
  std::latch in(1), out(1);
  inside = &in;
  may_return = &out;
  link_component("slow", slow_entry);
  link_component("after_fork", counting_entry);
  std::thread loader([] { require_component("slow", "the test"); });
  in.wait();
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    alarm(20);  // a hang ends with a signal, not with code 0
    link_component("slow", counting_entry);
    try {
      require_component("slow", "the child");
      require_component("after_fork", "the child");
      _exit(adapters().empty() ? 2 : 0);
    } catch (...) {
      _exit(1);
    }
  }
  out.count_down();
  loader.join();
  int status = -1;
  REQUIRE(waitpid(child, &status, 0) == child);
  CHECK(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 0);
}

#if !defined(VIDLOOM_STATIC)

// A libvidloom that stands alone in a folder, and a process that uses it: this program again, asked for one of the cases
// below by name.
namespace {

class Elsewhere {
 public:
  Elsewhere() {
    std::string name = (fs::temp_directory_path() / "vidloom-registry-XXXXXX").string();
    REQUIRE(mkdtemp(name.data()) != nullptr);
    folder_ = name;
    Dl_info self;
    REQUIRE(dladdr(reinterpret_cast<const void*>(&require_component), &self) != 0);
    const fs::path library = fs::canonical(self.dli_fname);
    home_ = library.parent_path();
    for (const auto& entry : fs::directory_iterator(home_)) {
      const std::string file = entry.path().filename().string();
      if (file.starts_with("libvidloom.so")) fs::copy_file(fs::canonical(entry.path()), folder_ / file);
    }
  }
  ~Elsewhere() { fs::remove_all(folder_); }
  const fs::path& folder() const { return folder_; }
  const fs::path& home() const { return home_; }

  /// \return what the case wrote.
  std::string run(const std::string& test_case, const std::string& environment = "") const {
    const std::string self = fs::read_symlink("/proc/self/exe").string();
    const fs::path out = folder_ / "answer";
    const std::string command = "LD_LIBRARY_PATH='" + folder_.string() + "' VIDLOOM_TEST_ANSWER='" + out.string() + "' " + environment +
                                " '" + self + "' --no-skip --test-case='" + test_case + "' > '" + (folder_ / "log").string() + "' 2>&1";
    REQUIRE(std::system(command.c_str()) == 0);
    std::ifstream file(out);
    return {std::istreambuf_iterator<char>(file), {}};
  }

 private:
  fs::path folder_, home_;
};

}  // namespace

TEST_CASE("[child] need the ffmpeg component" * doctest::skip()) {
  const char* answer = std::getenv("VIDLOOM_TEST_ANSWER");
  if (!answer) return;
  std::string expected = complaint([] { expect_component("ffmpeg", "source 'x'"); });
  std::ofstream(answer) << expected << '\n' << complaint([] { require_component("ffmpeg", "source 'x'"); }) << '\n';
}

TEST_CASE("a missing component is answered by name, place and install line") {
  const Elsewhere elsewhere;
  const std::string text = elsewhere.run("*need the ffmpeg component*", "VIDLOOM_COMPONENT_PATH=/nowhere:/neither");
  const std::string want = "not_built: source 'x' needs the component 'ffmpeg': libvidloom_ffmpeg.so is not in " +
                           elsewhere.folder().string() + ", /nowhere, /neither. Install it: apt-get install ";
  CHECK(text.find(want) == 0);                                   // without loading
  CHECK(text.find(want, text.find('\n')) != std::string::npos);  // and when loading
  CHECK(holds(text, "pip install"));
}

TEST_CASE("VIDLOOM_COMPONENT_PATH is searched after libvidloom's own folder") {
  const Elsewhere elsewhere;
  CHECK(elsewhere.run("*need the ffmpeg component*", "VIDLOOM_COMPONENT_PATH=/nowhere::'" + elsewhere.home().string() + "'") ==
        "fine\nfine\n");
}

TEST_CASE("a component that cannot be loaded is answered with the loader's text") {
  const Elsewhere elsewhere;
  std::ofstream(elsewhere.folder() / "libvidloom_ffmpeg.so") << "no library";
  const std::string text = elsewhere.run("*need the ffmpeg component*");
  CHECK(holds(text, "not_built: source 'x' needs the component 'ffmpeg', which cannot be loaded: "));
  CHECK(holds(text, "file too short"));
}

TEST_CASE("a library that is no component is refused") {
  const Elsewhere elsewhere;
  fs::copy_file(elsewhere.folder() / "libvidloom.so", elsewhere.folder() / "libvidloom_ffmpeg.so");
  CHECK(holds(elsewhere.run("*need the ffmpeg component*"), "is no component of Vidloom (vidloom_component_v0 is missing)"));
}

TEST_CASE("[child] need the torch component" * doctest::skip()) {
  const char* answer = std::getenv("VIDLOOM_TEST_ANSWER");
  if (!answer) return;
  std::ofstream(answer) << complaint([] { require_component("torch", "a tensor on cuda:0"); }) << '\n';
}

TEST_CASE("a component for another version of torch is refused before it is loaded") {
  const Elsewhere elsewhere;
  const fs::path torch = elsewhere.folder() / "site-packages" / "torch";
  fs::create_directories(torch / "lib");
  std::ofstream(torch / "version.py") << "from typing import Optional\n\n__version__ = '2.11.0+cu130'\n";
  std::ofstream(torch / "lib" / "libtorch_cpu.so") << "a library";
  std::ofstream(elsewhere.folder() / "libvidloom_torch.so") << "no library: loading it would say so";
  std::ofstream(elsewhere.folder() / "libvidloom_torch.needs")
      << "torch 2.13.0+cpu\nlibrary libtorch_cpu.so\nfolder /nowhere/torch/lib\nfolder $ORIGIN/site-packages/torch/lib\n";
  const std::string text = elsewhere.run("*need the torch component*");
  CHECK(text.find("not_built: a tensor on cuda:0 needs the component 'torch', which was built for torch 2.13, but there is torch "
                  "2.11.0+cu130 (" + (torch / "lib").string() + "). Install the other: pip install 'torch==2.13.*', or build Vidloom again") == 0);

  std::ofstream(torch / "version.py") << "__version__ = \"2.13.1\"\n";  // another patch: the loader is asked
  CHECK(holds(elsewhere.run("*need the torch component*"), "which cannot be loaded: "));

  fs::remove_all(torch);
  CHECK(holds(elsewhere.run("*need the torch component*"),
              "which was built for torch 2.13, but libtorch_cpu.so is not in /nowhere/torch/lib, " + elsewhere.folder().string() +
                  "/site-packages/torch/lib. Install it: pip install 'torch==2.13.*'."));
}

TEST_CASE("a missing torch component names the line that installs it") {
  const Elsewhere elsewhere;
  const std::string text = elsewhere.run("*need the torch component*");
  CHECK(text.find("not_built: a tensor on cuda:0 needs the component 'torch': libvidloom_torch.so is not in " +
                  elsewhere.folder().string() + ". Install it: pip install torch==") == 0);
}

TEST_CASE("doctor sees the components that are built") {
  const auto seen = components(true);
  const auto find = [&seen](std::string_view name) { return *std::ranges::find(seen, name, &ComponentStatus::name); };
  CHECK(find("ffmpeg").loaded);
  CHECK(find("opencv").loaded);
  CHECK(find("opencv").detail.find("OpenCV") == 0);
  CHECK(fs::exists(find("ffmpeg").path));
  CHECK_FALSE(find("net").built);
  CHECK_FALSE(find("net").found);
  CHECK(find("torch").built);  // whether it is there depends on the Python of the build
  CHECK(find("torch").loaded == find("torch").found);
  if (find("torch").loaded) CHECK(find("torch").detail.find("torch 2.") == 0);
}

#endif
