#include <schemas/texts.hpp>

namespace vidloom {
inline namespace v0 {

// The adapter's own options stay open here: plug-ins bring adapters this text cannot know. Loading the file checks them.
const std::string_view analyses_text = R"json({
  "$schema": "https://json-schema.org/draft/2020-12/schema",
  "$id": "urn:vidloom:schema:analyses:v1",
  "title": "Vidloom's analyses.json: which adapters look at which pictures, and where they run",
  "type": "object",
  "required": ["version", "analyses"],
  "additionalProperties": false,
  "properties": {
    "$schema": {"type": "string"},
    "version": {"const": 1},
    "analyses": {
      "type": "object", "minProperties": 1,
      "propertyNames": {"minLength": 1},
      "additionalProperties": {"$ref": "#/$defs/analysis"},
      "description": "name of the analysis: what it is"},
    "where": {"$ref": "#/$defs/where", "description": "for analyses that do not say it themselves"}
  },
  "$defs": {
    "duration": {"oneOf": [
      {"type": "number", "minimum": 0, "description": "seconds"},
      {"type": "string", "pattern": "^[0-9]*\\.?[0-9]+(ns|us|ms|s|min|m|h)?$", "examples": ["500ms", "2s"]}]},
    "confidence": {"type": "number", "minimum": 0, "maximum": 1},
    "shapes": {"type": "array", "description": "in shares of the upright picture: [left, top, right, bottom], or a polygon [[x, y], [x, y], [x, y], ...]",
      "items": {"oneOf": [
        {"type": "array", "items": {"type": "number", "minimum": 0, "maximum": 1}, "minItems": 4, "maxItems": 4},
        {"type": "array", "items": {"type": "array", "items": {"type": "number", "minimum": 0, "maximum": 1}, "minItems": 2, "maxItems": 2}, "minItems": 3}]}},
    "analysis": {
      "type": "object",
      "properties": {
        "adapter": {"type": "string", "minLength": 1, "description": "one of `vidloom adapters`; without it: the analysis' name"},
        "kind": {"type": "string", "examples": ["object", "logo", "face", "motion", "text", "scene", "visual"]},
        "every": {"$ref": "#/$defs/duration", "description": "media time between looks; 0 or absent: each frame"},
        "tolerance": {"$ref": "#/$defs/duration", "description": "so much later is as good"},
        "deadline": {"$ref": "#/$defs/duration", "description": "of one answer; 0 or absent: none"},
        "min_confidence": {
          "oneOf": [{"$ref": "#/$defs/confidence"}, {"type": "object", "additionalProperties": {"$ref": "#/$defs/confidence"}}],
          "description": "one number, or one per class name with * for all others"},
        "regions_of": {"type": "string", "description": "look only inside the boxes of this other analysis"},
        "regions": {
          "oneOf": [{"$ref": "#/$defs/shapes"}, {"type": "object", "properties": {"include": {"$ref": "#/$defs/shapes"}, "exclude": {"$ref": "#/$defs/shapes"}}, "additionalProperties": false}],
          "description": "boxes count whose centre lies in one of `include` and in none of `exclude`; a list alone is `include`"},
        "where": {"$ref": "#/$defs/where"}
      },
      "patternProperties": {"^(token|password|secret|api_key)$": false},
      "description": "besides these: the adapter's own options, see `vidloom adapters NAME`"},
    "where": {
      "type": "object", "required": ["type"],
      "properties": {
        "type": {"enum": ["local", "lan", "cloud", "failover"]},
        "hosts": {"type": "array", "items": {"type": "string"}, "minItems": 1, "description": "HOST:PORT"},
        "token_env": {"type": "string", "description": "name of the environment variable that holds the token"},
        "of": {"type": "array", "items": {"$ref": "#/$defs/where"}, "minItems": 1}
      },
      "not": {"required": ["token"]},
      "allOf": [
        {"if": {"properties": {"type": {"const": "lan"}}}, "then": {"required": ["hosts"]}},
        {"if": {"properties": {"type": {"const": "failover"}}}, "then": {"required": ["of"]}}]}
  }
}
)json";

}  // namespace v0
}  // namespace vidloom
