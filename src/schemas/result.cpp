#include <schemas/texts.hpp>

namespace vidloom {
inline namespace v0 {

// Readers ignore unknown keys, so no object here is closed.
const std::string_view result_definitions = R"json(
    "seconds": {"type": "number"},
    "utc": {"type": "string", "pattern": "^\\d{4}-\\d{2}-\\d{2}T\\d{2}:\\d{2}:\\d{2}(\\.\\d+)?Z$"},
    "size": {"type": "array", "prefixItems": [{"type": "integer", "minimum": 0}, {"type": "integer", "minimum": 0}],
      "minItems": 2, "maxItems": 2, "description": "width, height in display pixels"},
    "rational": {"type": "array", "prefixItems": [{"type": "integer"}, {"type": "integer"}], "minItems": 2, "maxItems": 2},
    "kind": {"type": "string", "minLength": 1, "description": "object, logo, face, motion, text, scene, visual"},
    "schema_id": {"const": "vidloom/result/v1"},
    "unit": {"type": ["number", "null"], "minimum": 0, "maximum": 1},
    "error": {
      "type": "object", "required": ["code", "message", "retryable", "retry_after"],
      "properties": {
        "code": {"enum": ["config", "not_built", "source", "decode", "model", "transport", "overload", "auth", "deadline", "budget",
          "lag", "unhealthy", "cancelled", "forked", "output", "internal"]},
        "message": {"type": "string"}, "retryable": {"type": "boolean"},
        "retry_after": {"type": ["number", "null"], "description": "seconds; null: not known"}}},
    "detection": {
      "type": "object", "required": ["class_id", "class_name", "confidence", "raw_score", "xyxy", "xyxyn", "tracker_id"],
      "properties": {
        "class_id": {"type": ["integer", "null"]}, "class_name": {"type": ["string", "null"]},
        "confidence": {"$ref": "#/$defs/unit", "description": "null: the adapter has no notion of it"},
        "raw_score": {"type": ["number", "null"], "description": "the adapter's own quantity, see `vidloom adapters NAME`"},
        "xyxy": {"type": "array", "items": {"type": "number"}, "minItems": 4, "maxItems": 4,
          "description": "display pixels, origin top left, maximum exclusive"},
        "xyxyn": {"type": "array", "items": {"type": "number"}, "minItems": 4, "maxItems": 4, "description": "xyxy over frame_size"},
        "tracker_id": {"type": ["integer", "null"]},
        "text": {"type": "string"}, "polygon": {"type": "array"}}},
    "label": {
      "type": "object", "required": ["class_id", "class_name", "confidence", "raw_score", "margin"],
      "properties": {
        "class_id": {"type": ["integer", "null"]}, "class_name": {"type": ["string", "null"]},
        "confidence": {"$ref": "#/$defs/unit"}, "raw_score": {"type": ["number", "null"]},
        "margin": {"type": ["number", "null"], "description": "distance to the runner-up, negatives included"}}},
    "outcome": {
      "type": "object", "required": ["kind", "status", "trace"],
      "properties": {
        "kind": {"$ref": "#/$defs/kind"},
        "status": {"enum": ["ok", "degraded", "stale", "dropped", "failed"]},
        "trace": {"type": "object", "properties": {
          "where": {"type": "string"}, "endpoint": {"type": "string"}, "attempts": {"type": "integer", "minimum": 0},
          "queued": {"$ref": "#/$defs/seconds"}, "ran": {"$ref": "#/$defs/seconds"}}},
        "detections": {"type": "array", "items": {"$ref": "#/$defs/detection"}},
        "labels": {"type": "array", "items": {"$ref": "#/$defs/label"}},
        "attributes": {"type": "object"},
        "error": {"$ref": "#/$defs/error"}},
      "if": {"properties": {"status": {"enum": ["dropped", "failed"]}}},
      "then": {"required": ["error"], "properties": {"detections": false, "labels": false, "attributes": false}},
      "else": {"properties": {"error": false}}},
    "context": {"type": ["object", "null"], "description": "as given to the call"},
    "segment": {"type": ["object", "null"], "properties": {
      "uri": {"type": "string"}, "sequence": {"type": ["integer", "null"]}, "duration": {"type": ["number", "null"]}}},
    "counts": {"type": "object", "description": "analysis: status: number of answers",
      "additionalProperties": {"type": "object", "additionalProperties": {"type": "integer", "minimum": 0}}},
    "frame": {
      "type": "object",
      "required": ["schema", "type", "stream", "epoch", "sequence", "pts", "time_base", "media_time", "captured_at", "clock",
        "analyzed_at", "frame_size", "health", "segment", "analyses"],
      "properties": {
        "schema": {"$ref": "#/$defs/schema_id"}, "type": {"const": "frame"}, "stream": {"type": "string"},
        "epoch": {"type": "integer", "minimum": 0}, "sequence": {"type": "integer", "minimum": 0},
        "pts": {"type": "integer", "description": "as the container carries it, in units of time_base"},
        "time_base": {"$ref": "#/$defs/rational"},
        "media_time": {"$ref": "#/$defs/seconds", "description": "the container's timeline, unwrapped and repaired, not rebased to 0"},
        "captured_at": {"oneOf": [{"$ref": "#/$defs/utc"}, {"type": "null"}]},
        "clock": {"enum": ["none", "device", "rtcp", "sei", "playlist", "arrival"], "description": "how captured_at was obtained"},
        "clock_error": {"type": ["number", "null"], "description": "of captured_at, plus or minus, in seconds"},
        "analyzed_at": {"$ref": "#/$defs/utc"}, "frame_size": {"$ref": "#/$defs/size"},
        "health": {"enum": ["ok", "concealed", "after_gap"]},
        "segment": {"$ref": "#/$defs/segment"}, "context": {"$ref": "#/$defs/context"},
        "analyses": {"type": "object", "additionalProperties": {"$ref": "#/$defs/outcome"},
          "description": "an analysis that was not due on this frame is not listed"}}})json";

const std::string_view result_head = R"json({
  "$schema": "https://json-schema.org/draft/2020-12/schema",
  "$id": "urn:vidloom:schema:result:v1",
  "title": "One line of Vidloom's results (vidloom/result/v1)",
  "oneOf": [{"$ref": "#/$defs/start"}, {"$ref": "#/$defs/frame"}, {"$ref": "#/$defs/event"}, {"$ref": "#/$defs/end"}],
  "$defs": {
    "start": {
      "type": "object", "required": ["schema", "type", "stream", "source", "live", "frame_size", "time_base", "colour", "vidloom", "analyses"],
      "properties": {
        "schema": {"$ref": "#/$defs/schema_id"}, "type": {"const": "start"}, "stream": {"type": "string"},
        "source": {"type": "string", "description": "without passwords and tokens"}, "live": {"type": "boolean"},
        "frame_size": {"$ref": "#/$defs/size"}, "time_base": {"$ref": "#/$defs/rational"},
        "colour": {"type": "object", "required": ["matrix", "range", "assumed", "mode"], "properties": {
          "matrix": {"type": "string"}, "range": {"type": "string"},
          "assumed": {"type": "boolean", "description": "true: the stream does not say, so the usual rule was taken"},
          "mode": {"enum": ["exact", "fast"]}}},
        "vidloom": {"type": "string", "description": "version"},
        "analyses": {"type": "object", "additionalProperties": {
          "type": "object", "required": ["adapter"], "properties": {
            "adapter": {"type": "string"}, "kind": {"$ref": "#/$defs/kind"}, "every": {"type": ["number", "null"]},
            "min_confidence": {"type": ["number", "object", "null"]}, "vocabulary": {"type": ["array", "null"], "items": {"type": "string"}},
            "vocabulary_id": {"type": ["string", "null"]}, "model": {"type": ["object", "null"]},
            "calibration_id": {"type": ["string", "null"]}}}}}},
    "event": {
      "type": "object", "required": ["schema", "type", "stream", "at", "event"],
      "properties": {
        "schema": {"$ref": "#/$defs/schema_id"}, "type": {"const": "event"}, "stream": {"type": "string"},
        "at": {"$ref": "#/$defs/utc"}, "event": {"type": "string"}}},
    "end": {
      "type": "object", "required": ["schema", "type", "stream", "reason", "frames", "counts", "drops", "duration", "elapsed"],
      "properties": {
        "schema": {"$ref": "#/$defs/schema_id"}, "type": {"const": "end"}, "stream": {"type": "string"},
        "reason": {"type": "string"},
        "frames": {"type": "object", "required": ["decoded", "concealed"], "additionalProperties": {"type": "integer", "minimum": 0},
          "description": "packets: sent to the decoder; skipped: packets that were not, as nothing needed their pictures"},
        "counts": {"$ref": "#/$defs/counts"}, "drops": {"type": "object", "description": "cause: number of frames"},
        "duration": {"$ref": "#/$defs/seconds", "description": "of media seen"},
        "elapsed": {"$ref": "#/$defs/seconds", "description": "wall time"}}},)json";

}  // namespace v0
}  // namespace vidloom
