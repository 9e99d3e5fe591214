#include <vidloom/core/error.hpp>

#include <algorithm>
#include <cstddef>

namespace vidloom {
inline namespace v0 {

namespace {

constexpr std::string_view hidden = "***";

bool is_letter(char c) noexcept { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool is_digit(char c) noexcept { return c >= '0' && c <= '9'; }
char lower(char c) noexcept { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }
bool in_scheme(char c) noexcept { return is_letter(c) || is_digit(c) || c == '+' || c == '-' || c == '.'; }

std::string folded(std::string_view text) {
  std::string result(text);
  for (char& c : result) c = c == '-' ? '_' : lower(c);
  return result;
}

/// Everything between "//" and the path, and how far the userinfo reaches into `rest`, its "@" included.
struct Authority {
  std::size_t userinfo = 0, end = 0;
};

Authority authority_of(std::string_view rest) {
  std::size_t end = std::min(rest.find_first_of("/?#"), rest.size());
  if (const auto at = rest.substr(0, end).rfind('@'); at != std::string_view::npos) return {at + 1, end};
  // A password typed with a bare '/', '?' or '#' ends the authority too early: what stands after the colon is then no port.
  const auto colon = rest.substr(0, end).rfind(':');
  const bool bracketed = !rest.empty() && rest.front() == '[';
  if (colon != std::string_view::npos && !bracketed && !std::ranges::all_of(rest.substr(colon + 1, end - colon - 1), is_digit)) {
    if (const auto at = rest.rfind('@'); at != std::string_view::npos)
      return {at + 1, std::min(rest.find_first_of("/?#", at), rest.size())};
  }
  return {0, end};
}

void append_query(std::string& out, std::string_view query) {
  for (std::size_t begin = 0; begin <= query.size();) {
    const std::size_t end = std::min(query.find_first_of("&;", begin), query.size());
    const std::string_view part = query.substr(begin, end - begin);
    const std::size_t equals = part.find('=');
    if (equals != std::string_view::npos) out.append(part.substr(0, equals + 1));
    if (!part.empty()) out.append(hidden);
    if (end < query.size()) out.push_back(query[end]);
    begin = end + 1;
  }
}

/// \param rest  of one URL, behind "scheme://"
void append_redacted(std::string& out, std::string_view scheme, std::string_view rest) {
  const Authority authority = authority_of(rest);
  if (authority.userinfo > 0) out.append(hidden).push_back('@');
  out.append(rest.substr(authority.userinfo, authority.end - authority.userinfo));
  rest.remove_prefix(authority.end);

  std::string_view path = rest.substr(0, std::min(rest.find_first_of("?#"), rest.size()));
  rest.remove_prefix(path.size());
  if (folded(scheme.substr(0, 4)) == "rtmp") {  // rtmp, rtmps, rtmpt, ...: the last part of the path is the stream key
    const std::size_t last = path.find_last_not_of('/');
    const std::size_t slash = last == std::string_view::npos ? last : path.rfind('/', last);
    if (slash != std::string_view::npos) {
      out.append(path.substr(0, slash + 1)).append(hidden);
      path.remove_prefix(last + 1);
    }
  }
  out.append(path);

  const std::size_t hash = std::min(rest.find('#'), rest.size());
  if (hash > 0) {
    out.push_back('?');
    append_query(out, rest.substr(1, hash - 1));
  }
  if (hash < rest.size()) out.append("#").append(hidden);
}

/// Edit distance that counts a swap of neighbours as one (optimal string alignment).
std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> before(b.size() + 1), above(b.size() + 1), row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) above[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t change = a[i - 1] == b[j - 1] ? 0 : 1;
      row[j] = std::min({above[j] + 1, row[j - 1] + 1, above[j - 1] + change});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) row[j] = std::min(row[j], before[j - 2] + 1);
    }
    before.swap(above);
    above.swap(row);
  }
  return above[b.size()];
}

}  // namespace

std::string_view to_string(Code code) noexcept {
  switch (code) {
    case Code::config: return "config";
    case Code::not_built: return "not_built";
    case Code::source: return "source";
    case Code::decode: return "decode";
    case Code::model: return "model";
    case Code::transport: return "transport";
    case Code::overload: return "overload";
    case Code::auth: return "auth";
    case Code::deadline: return "deadline";
    case Code::budget: return "budget";
    case Code::lag: return "lag";
    case Code::unhealthy: return "unhealthy";
    case Code::cancelled: return "cancelled";
    case Code::forked: return "forked";
    case Code::output: return "output";
    case Code::internal: break;
  }
  return "internal";
}

Error::Error(Code code_, const std::string& message, bool retryable_, Nanos retry_after_)
    : std::runtime_error(message), code(code_), retryable(retryable_), retry_after(retry_after_) {}
Error::Error(const Error&) noexcept = default;
Error& Error::operator=(const Error&) noexcept = default;
Error::~Error() = default;

int exit_code(const Error& error) noexcept {
  switch (error.code) {
    case Code::config: return 2;
    case Code::source:
    case Code::decode: return 3;
    case Code::not_built:
    case Code::model:
    case Code::transport:
    case Code::auth:
    case Code::forked: return 4;
    case Code::output: return 5;
    case Code::cancelled: return 130;
    case Code::overload:
    case Code::deadline:
    case Code::budget:
    case Code::lag:
    case Code::unhealthy: return 1;
    case Code::internal: break;
  }
  return 70;
}

std::string redact(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (;;) {
    const std::size_t colon = text.find("://");
    if (colon == std::string_view::npos) return out.append(text);
    std::size_t scheme = colon;
    while (scheme > 0 && in_scheme(text[scheme - 1])) --scheme;
    out.append(text.substr(0, colon + 3));
    const std::string_view name = text.substr(scheme, colon - scheme);
    text.remove_prefix(colon + 3);
    if (name.empty()) continue;
    const std::size_t end = std::min(text.find_first_of(" \t\r\n\"'<>`"), text.size());
    append_redacted(out, name, text.substr(0, end));
    text.remove_prefix(end);
  }
}

std::string nearest(std::string_view name, const std::vector<std::string>& known) {
  constexpr std::size_t shortest_prefix = 3;
  const std::string wanted = folded(name);
  const std::string* best = nullptr;
  std::size_t best_distance = 0;
  const std::string* begun = nullptr;
  for (const std::string& candidate : known) {
    const std::string other = folded(candidate);
    const auto [low, high] = std::minmax({wanted.size(), other.size()});
    // One typing error in a short word, one more per three further letters; never as many as the word has letters.
    const std::size_t limit = std::max<std::size_t>(1, high / 3);
    if (high - low <= limit) {
      const std::size_t distance = edit_distance(wanted, other);
      if ((distance == 0 || (distance <= limit && distance < low)) && (best == nullptr || distance < best_distance)) {
        best = &candidate;
        best_distance = distance;
      }
    }
    if (low >= shortest_prefix && wanted.compare(0, low, other, 0, low) == 0 && (begun == nullptr || candidate.size() < begun->size()))
      begun = &candidate;
  }
  if (best == nullptr) best = begun;
  return best == nullptr ? std::string() : *best;
}

}  // namespace v0
}  // namespace vidloom
