#include <cli/outputs.hpp>

#include <cli/console.hpp>
#include <vidloom/registry.hpp>
#include <vidloom/render/annotate.hpp>
#include <vidloom/render/contact_sheet.hpp>
#include <vidloom/sinks/jsonl.hpp>
#include <vidloom/sinks/lines.hpp>
#include <vidloom/sinks/null.hpp>
#include <vidloom/sinks/report.hpp>
#include <vidloom/sinks/video.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <system_error>

namespace vidloom::cli {
namespace {

namespace fs = std::filesystem;

struct Planned {
  std::string kind;    ///< "jsonl", "report", ..., "film" for the one that a report makes, or "" for what the registry makes
  std::string target;  ///< a file, "-", or the whole URI for the registry
  std::string typed;   ///< for messages
};

/// Whether it writes a file of its own, whose name two outputs must not share.
bool writes_file(const Planned& item) {
  constexpr std::array kinds{"jsonl", "lines", "annotate", "video", "film", "report", "sheet"};
  return std::ranges::find(kinds, item.kind) != kinds.end();
}

/// "person,face" of --blur and --pixelate, given once or more.
std::vector<std::string> classes_of(const Arguments& arguments, std::string_view flag) {
  std::vector<std::string> names;
  for (const std::string& list : arguments.values(flag)) {
    for (std::size_t begin = 0; begin <= list.size();) {
      const std::size_t end = std::min(list.find(',', begin), list.size());
      if (end == begin) throw Error(Code::config, fmt::format("{} {}: a class name is empty; use names such as person,face, or * for all", flag, list));
      names.push_back(list.substr(begin, end - begin));
      begin = end + 1;
    }
  }
  return names;
}

void check_video(const Planned& item, const std::vector<std::string>& sources) {
  if (sources.size() > 1) {
    throw Error(Code::config, fmt::format("{}: there are {} sources, and a video shows one; run them one by one", item.typed, sources.size()));
  }
}

/// A report plays the film that this run makes anyway, else the source where that can be played as it is, else one of its own.
ReportOptions page_options(const std::vector<Planned>& plan, const AnnotateOptions& style, bool overwrite, const std::vector<std::string>& sources) {
  ReportOptions page{.overwrite = overwrite, .blur = style.blur, .pixelate = style.pixelate};
  const auto of_kind = [&](std::string_view kind) { return std::ranges::find(plan, kind, &Planned::kind); };
  if (of_kind("report") == plan.end()) return page;
  if (const auto film = of_kind("annotate"); film != plan.end() && !film->target.ends_with(".ts")) {
    page.video = film->target;
  } else {
    page.plays_source = style.blur.empty() && style.pixelate.empty() && std::ranges::all_of(sources, plays_in_browsers);
  }
  return page;
}

Planned planned(const std::string& uri) {
  const std::size_t colon = uri.find(':');
  const std::string kind = uri.substr(0, colon), rest = colon == std::string::npos ? "" : uri.substr(colon + 1);
  if (kind == "jsonl") {
    if (rest.empty()) throw Error(Code::config, fmt::format("--sink {}: names no file; use jsonl:FILE or jsonl:-", uri));
    return {kind, rest, "--sink " + uri};
  }
  if (kind == "video" || kind == "annotate" || kind == "report" || kind == "sheet") {
    const std::string_view ending = kind == "report" ? "html" : kind == "sheet" ? "png" : "mp4";
    if (rest.empty()) throw Error(Code::config, fmt::format("--sink {}: names no file; use {}:out.{}", uri, kind, ending));
    return {kind, rest, "--sink " + uri};
  }
  if ((kind == "lines" || kind == "null") && rest.empty()) return {kind, kind == "lines" ? "-" : "", "--sink " + uri};
  return {"", uri, "--sink " + uri};
}

bool same_file(const std::string& a, const std::string& b) {
  std::error_code ignored;
  if (fs::equivalent(a, b, ignored)) return true;
  const fs::path left = fs::weakly_canonical(fs::absolute(a, ignored), ignored),
                 right = fs::weakly_canonical(fs::absolute(b, ignored), ignored);
  return !left.empty() && left == right;
}

std::string path_of(const std::string& source) { return source.starts_with("file:") ? source.substr(5) : source; }

/// /dev/null and terminals can be written to twice.
bool is_device(const std::string& path) {
  std::error_code ignored;
  return fs::is_character_file(path, ignored);
}

void refuse_conflicts(const std::vector<Planned>& plan, const std::vector<std::string>& sources) {
  for (std::size_t i = 0; i < plan.size(); ++i) {
    if (!writes_file(plan[i])) continue;
    const bool standard = plan[i].target == "-";
    for (std::size_t j = 0; j < i; ++j) {
      if (!writes_file(plan[j])) continue;
      const bool both = standard || plan[j].target == "-" ? plan[j].target == plan[i].target
                                                          : same_file(plan[j].target, plan[i].target) && !is_device(plan[i].target);
      if (both) {
        throw Error(Code::config, fmt::format("{} and {} write the same {}; choose another name for one of them", plan[j].typed,
                                              plan[i].typed, standard ? "standard output" : "file"));
      }
    }
    for (const std::string& source : sources) {
      if (!standard && same_file(path_of(source), plan[i].target)) {
        throw Error(Code::config, fmt::format("{} would write over its own source {}; choose another name", plan[i].typed, source));
      }
    }
  }
}

}  // namespace

Outputs open_outputs(const Arguments& arguments, const std::vector<std::string>& sources) {
  const bool overwrite = arguments.has("--overwrite"), append = arguments.has("--append");
  if (overwrite && append) throw Error(Code::config, "--overwrite and --append are both given; use one of them");

  std::vector<Planned> plan;
  if (const auto path = arguments.value("--jsonl")) plan.push_back({"jsonl", *path, "--jsonl " + *path});
  if (const auto path = arguments.value("--annotate")) plan.push_back({"annotate", *path, "--annotate " + *path});
  if (const auto path = arguments.value("--report")) plan.push_back({"report", *path, "--report " + *path});
  for (const std::string& uri : arguments.values("--sink")) plan.push_back(planned(uri));
  if (plan.empty()) plan.push_back({"lines", "-", "the readable lines"});
  const AnnotateOptions style{.blur = classes_of(arguments, "--blur"), .pixelate = classes_of(arguments, "--pixelate")};
  bool draws = false;
  for (const Planned& item : plan) {
    if (item.kind == "annotate" || item.kind == "video") check_video(item, sources);
    draws = draws || item.kind == "annotate" || item.kind == "report" || item.kind == "sheet";
  }
  if (!draws && !(style.blur.empty() && style.pixelate.empty())) {
    throw Error(Code::config, "--blur and --pixelate change the pictures of --annotate and --report; give one of them too");
  }
  const ReportOptions page = page_options(plan, style, overwrite, sources);
  if (page.video.empty() && !page.plays_source) {
    for (const Planned& item : std::vector<Planned>(plan)) {
      if (item.kind == "report") plan.push_back({"film", fs::path(item.target).replace_extension(".mp4").string(), "the film of " + item.typed});
    }
  }
  refuse_conflicts(plan, sources);

  Outputs outputs;
  outputs.sinks.resize(plan.size());
  for (std::size_t i = 0; i < plan.size(); ++i) {  // what may not be there at all goes first: it must leave no file behind
    if (plan[i].kind.empty()) outputs.sinks[i] = make_sink(plan[i].target);
  }
  for (std::size_t i = 0; i < plan.size(); ++i) {
    const Planned& item = plan[i];
    if (item.target == "-") outputs.on_stdout = true;
    if (item.kind == "jsonl") outputs.sinks[i] = jsonl(item.target, {.overwrite = overwrite, .append = append});
    if (item.kind == "video") outputs.sinks[i] = video(item.target, {.overwrite = overwrite});
    if (item.kind == "annotate") outputs.sinks[i] = annotate(video(item.target, {.overwrite = overwrite}), style);
    if (item.kind == "report") outputs.sinks[i] = report(item.target, page);
    if (item.kind == "sheet") outputs.sinks[i] = contact_sheet(item.target, {.overwrite = overwrite, .drawing = style});
    if (item.kind == "lines") outputs.sinks[i] = lines(print, sources.size() > 1);
    if (item.kind == "null") outputs.sinks[i] = null_sink();
    if (writes_file(item) && item.target != "-") outputs.files.push_back(item.target);
  }
  std::erase(outputs.sinks, nullptr);  // a report makes its film itself
  return outputs;
}

}  // namespace vidloom::cli
