#include <sinks/html.hpp>

#include <core/sha256.hpp>
#include <core/utf8.hpp>

#include <filesystem>

namespace vidloom {
inline namespace v0 {

std::string html_escaped(std::string_view text) {
  std::string result;
  result.reserve(text.size() + 16);
  for (const char c : valid_utf8(text)) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '&') result += "&amp;";
    else if (c == '<') result += "&lt;";
    else if (c == '>') result += "&gt;";
    else if (c == '"') result += "&quot;";
    else if (c == '\'') result += "&#39;";
    else if ((byte < 0x20 && c != '\n' && c != '\t') || byte == 0x7F) result += "\uFFFD";
    else result += c;
  }
  return result;
}

std::string json_in_html(const Value& value) {
  std::string result;
  for (const char c : value.dump()) {
    if (c == '<') result += "\\u003c";
    else if (c == '>') result += "\\u003e";
    else if (c == '&') result += "\\u0026";
    else result += c;
  }
  return result;
}

std::string relative_url(const std::string& path, const std::string& page) {
  namespace fs = std::filesystem;
  const fs::path folder = fs::absolute(page).parent_path().lexically_normal();
  const fs::path target = fs::absolute(path).lexically_normal();
  fs::path relative = target.lexically_relative(folder);
  if (relative.empty()) relative = target;
  const std::string text = relative.generic_string();
  std::string url = text.starts_with("../") || text.starts_with("/") ? "" : "./";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '/' || c == '.' || c == '-' || c == '_' || c == '~';
    if (plain) {
      url += c;
    } else {
      constexpr std::string_view digits = "0123456789ABCDEF";
      url += '%';
      url += digits[byte >> 4];
      url += digits[byte & 15U];
    }
  }
  return url;
}

std::string base64(std::string_view bytes) {
  constexpr std::string_view letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  text.reserve((bytes.size() + 2) / 3 * 4);
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    unsigned group = 0;
    for (std::size_t k = 0; k < 3; ++k) group = group << 8 | (i + k < bytes.size() ? static_cast<unsigned char>(bytes[i + k]) : 0U);
    for (std::size_t k = 0; k < 4; ++k) text += i + k <= bytes.size() ? letters[group >> (18 - 6 * k) & 63U] : '=';
  }
  return text;
}

std::string csp_hash(std::string_view text) {
  const std::string hex = sha256_hex(text);
  std::string raw;
  for (std::size_t i = 0; i + 1 < hex.size(); i += 2) raw += static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16));
  return "'sha256-" + base64(raw) + "'";
}

}  // namespace v0
}  // namespace vidloom
