#include <schemas/texts.hpp>
#include <vidloom/core/error.hpp>
#include <vidloom/core/schema.hpp>

#include <string>
#include <vector>

namespace vidloom {
inline namespace v0 {
namespace {

std::string with_definitions(std::string_view head) { return std::string(head).append(result_definitions).append("\n  }\n}\n"); }

}  // namespace

std::string_view schema_text(std::string_view name) {
  static const std::string result = with_definitions(result_head), report = with_definitions(report_head);
  if (name == "result") return result;
  if (name == "report") return report;
  if (name == "analyses") return analyses_text;
  const std::vector<std::string> known{"result", "report", "analyses"};
  const std::string near = nearest(name, known);
  throw Error(Code::config, "no schema '" + std::string(name) + "'; " +
                                (near.empty() ? "there are result, report and analyses" : "did you mean " + near + "?"));
}

}  // namespace v0
}  // namespace vidloom
