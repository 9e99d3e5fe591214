#include <schemas/texts.hpp>

namespace vidloom {
inline namespace v0 {

const std::string_view report_head = R"json({
  "$schema": "https://json-schema.org/draft/2020-12/schema",
  "$id": "urn:vidloom:schema:report:v1",
  "title": "The results of one segment or file (vidloom/report/v1)",
  "type": "object",
  "required": ["schema", "stream", "segment", "status", "frames", "counts", "elapsed", "context"],
  "properties": {
    "schema": {"const": "vidloom/report/v1"},
    "stream": {"type": "string"},
    "segment": {"$ref": "#/$defs/segment"},
    "status": {"enum": ["ok", "partial", "failed"]},
    "frames": {"type": "array", "items": {"$ref": "#/$defs/frame"}},
    "counts": {"$ref": "#/$defs/counts"},
    "elapsed": {"$ref": "#/$defs/seconds", "description": "wall time"},
    "context": {"$ref": "#/$defs/context"}
  },
  "$defs": {)json";

}  // namespace v0
}  // namespace vidloom
