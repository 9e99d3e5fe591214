#include <cli/command_line.hpp>

#include <cli/commands.hpp>
#include <cli/console.hpp>
#include <vidloom/core/log.hpp>
#include <vidloom/core/version.hpp>

#include <cxxabi.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <exception>
#include <new>
#include <span>

namespace vidloom::cli {
namespace {

constexpr std::array commands{&analyze_command,  &convert_command, &evaluate_command, &calibrate_command,
                              &probe_command,   &adapters_command, &doctor_command,  &schema_command};

struct Reserved {
  std::string_view name, what;
};
constexpr std::array reserved{
    Reserved{"serve", "the server for live streams"},
    Reserved{"worker", "the worker for other machines"},
    Reserved{"watch", "the watcher of segment folders"},
    Reserved{"verify-model", "checking a model file"},
    Reserved{"replay", "playing a recording as if it were live"},
    Reserved{"bench", "the benchmark command"},
};

std::string overview() {
  std::string text = "vidloom COMMAND [flags]\nFinds things in video and says when: one clock, typed results, no silent failures.\n\n";
  for (const Command* command : commands) text += fmt::format("  {:<10} {}\n", command->name, command->summary);
  return text + R"(
  vidloom doctor
  vidloom analyze street.mp4 --detect people
  vidloom COMMAND --help
)";
}

[[noreturn]] void refuse_unknown(const std::string& word) {
  std::vector<std::string> known;
  for (const Command* command : commands) known.emplace_back(command->name);
  for (const Reserved& command : reserved) known.emplace_back(command.name);
  const std::string near = nearest(word, known);
  throw Error(Code::config, fmt::format("unknown {} '{}'; {}", word.starts_with('-') ? "flag" : "command", word,
                                        near.empty() ? "see `vidloom --help`" : "did you mean " + near + "?"));
}

void load_plugins(const Arguments& arguments, const Hooks& hooks) {
  const std::vector<std::string> modules = arguments.values("--plugin");
  if (!modules.empty() && hooks.load_plugin == nullptr) {
    throw Error(Code::not_built, fmt::format("--plugin {}: Python modules are loaded by pip's vidloom command, and this is the C++ one; "
                                             "use .venv/bin/vidloom or python -m vidloom",
                                             modules.front()));
  }
  for (const std::string& module : modules) hooks.load_plugin(module);
  if (const char* named = std::getenv("VIDLOOM_PLUGINS"); named != nullptr && *named != '\0' && hooks.load_plugin == nullptr) {
    log(LogLevel::warning, "cli", fmt::format("VIDLOOM_PLUGINS={} is passed over: only pip's vidloom command loads Python modules", named));
  }
}

int dispatch(const std::vector<std::string>& words, const Hooks& hooks) {
  if (words.empty()) {
    Console::error().write(overview());
    return 2;
  }
  const std::string& word = words.front();
  if (word == "--version") {
    print(fmt::format("vidloom {}\n", version()));
    return 0;
  }
  if (word == "--help" || word == "-h" || (word == "help" && words.size() == 1)) {
    print(overview());
    return 0;
  }
  const bool wants_help = word == "help";
  const std::string& name = wants_help ? words[1] : word;
  const auto command = std::find_if(commands.begin(), commands.end(), [&](const Command* c) { return c->name == name; });
  if (command == commands.end()) {
    const auto later = std::find_if(reserved.begin(), reserved.end(), [&](const Reserved& r) { return r.name == name; });
    if (later == reserved.end()) refuse_unknown(name);
    throw Error(Code::not_built, fmt::format("vidloom {}: {} is not in this version of Vidloom", name, later->what));
  }
  const Arguments arguments = (*command)->parse(std::span(words).subspan(1));
  if (wants_help || arguments.has("--help")) {
    print((*command)->help());
    return 0;
  }
  register_components();
  route_ffmpeg_log();
  load_plugins(arguments, hooks);
  return (*command)->run(arguments, hooks);
}

}  // namespace

int run(const std::vector<std::string>& arguments, const Hooks& hooks) {
  const PipeGuard guard;
  Console& console = Console::error();
  int code = 70;
  try {
    code = dispatch(arguments, hooks);
  } catch (const Error& error) {
    console.status("");
    // Only a reader that went away cancels anything out here: `vidloom adapters | head -1` did all it was asked for.
    if (error.code == Code::cancelled) {
      code = 0;
    } else {
      console.drain_log();
      console.say(error.what());
      code = exit_code(error);
    }
  } catch (const abi::__forced_unwind&) {
    throw;
  } catch (const std::bad_alloc&) {
    console.say("out of memory");
  } catch (const std::exception& error) {
    if (hooks.poll != nullptr || hooks.load_plugin != nullptr) throw;  // Python's own exception on its way out
    console.say(fmt::format("internal error: {}", error.what()));
  }
  console.drain_log();
  return code;
}

}  // namespace vidloom::cli
