#include <cli/commands.hpp>
#include <cli/console.hpp>
#include <vidloom/core/schema.hpp>

namespace vidloom::cli {
namespace {

constexpr std::string_view notes = R"(result: one line of --jsonl; report: of a segment; analyses: the config file.

  vidloom schema analyses > analyses.schema.json
)";

int schema(const Arguments& arguments, const Hooks&) {
  print(schema_text(arguments.positional().front()));
  return 0;
}

}  // namespace

const Command schema_command{"schema", "result|report|analyses", "Prints a JSON Schema (draft 2020-12)", notes, {}, 1, 1, schema};

}  // namespace vidloom::cli
