#pragma once
/// Texts from outside, made harmless for a page: class names, paths and errors may hold anything.

#include <vidloom/core/value.hpp>

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

namespace vidloom {
inline namespace v0 {

/// For text and for attributes in double quotes. Bytes that are no UTF-8 and control characters become U+FFFD.
std::string html_escaped(std::string_view text);
/// For a script element of type application/json: no tag can begin in it.
std::string json_in_html(const Value& value);
/// A file beside a page as its URL: "./a%20b.mp4". \param page  the page's own path.
std::string relative_url(const std::string& path, const std::string& page);
std::string base64(std::string_view bytes);
/// 'sha256-...' of a Content-Security-Policy.
std::string csp_hash(std::string_view text);

}  // namespace v0
}  // namespace vidloom
