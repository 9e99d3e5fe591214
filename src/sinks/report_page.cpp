#include <sinks/report_page.hpp>

#include <sinks/html.hpp>
#include <vidloom/core/version.hpp>
#include <vidloom/registry.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <map>
#include <string_view>

namespace vidloom {
inline namespace v0 {
namespace {

constexpr std::string_view style =
#include <report_page_css.inc>
    ;
constexpr std::string_view script =
#include <report_page_js.inc>
    ;

/// "0:04.500", "1:02:03.000"
std::string clock_text(Nanos time) {
  const std::int64_t ms = std::max<std::int64_t>(0, (time.count() + 500'000) / 1'000'000);
  const std::int64_t whole = ms / 1000;
  if (whole >= 3600) return fmt::format("{}:{:02}:{:02}.{:03}", whole / 3600, whole / 60 % 60, whole % 60, ms % 1000);
  return fmt::format("{}:{:02}.{:03}", whole / 60, whole % 60, ms % 1000);
}

std::string exact(Nanos time) { return fmt::format("{:.6f}", seconds(time)); }

std::string number_text(double value) { return fmt::format("{:.4g}", value); }

std::string plural(std::uint64_t count, std::string_view one) { return fmt::format("{} {}{}", count, one, count == 1 ? "" : "s"); }

double number_in(const Value& object, std::string_view key) { return object[key].is_number() ? object[key].as_real() : 0; }

std::uint64_t count_in(const Value& object, std::string_view key) {
  return object[key].is_integer() ? static_cast<std::uint64_t>(object[key].as_integer()) : 0;
}

class Section {
 public:
  Section(const ReportStream& stream, std::size_t number, std::size_t pictures, std::string& out)
      : stream_(stream), number_(number), pictures_(stream.pictures.best(pictures)), out_(out) {
    plan_timeline();
  }

  void write(bool alone);

 private:
  template <class... Args>
  void put(fmt::format_string<Args...> format, Args&&... args) {
    fmt::format_to(std::back_inserter(out_), format, std::forward<Args>(args)...);
  }
  void plan_timeline();
  std::size_t index_of(const ReportMomentPtr& moment);
  void troubles();
  void player();
  void timelines();
  void timeline(std::size_t row);
  void bin(const ReportRow& row, std::size_t number, const ReportBin& one);
  void moments();
  void outcomes();
  void settings();
  void notes();
  Value data();

  const ReportStream& stream_;
  const std::size_t number_;
  const std::vector<const TopMoments<ReportPicture>::Moment*> pictures_;
  std::string& out_;
  std::vector<std::vector<ReportBin>> bins_;  ///< by row, all of one length
  std::vector<std::size_t> order_;
  Nanos from_{}, to_{};
  std::vector<ReportMomentPtr> moments_;
  std::map<const ReportMoment*, std::size_t> known_;
};

std::size_t Section::index_of(const ReportMomentPtr& moment) {
  const auto [place, is_new] = known_.try_emplace(moment.get(), moments_.size());
  if (is_new) moments_.push_back(moment);
  return place->second;
}

/// Cuts away what lies before the first look, and joins bins until most of them hold one.
void Section::plan_timeline() {
  std::size_t first = SIZE_MAX, last = 0;
  for (const ReportRow& row : stream_.rows) {
    std::vector<ReportBin>& bins = bins_.emplace_back(row.bins);
    for (std::size_t i = 0; i < bins.size(); ++i) {
      if (bins[i].frames == 0) continue;
      first = std::min(first, i);
      last = std::max(last, i);
    }
  }
  Nanos width = stream_.bin_width();
  if (first == SIZE_MAX) first = 0;
  last = std::max(last, static_cast<std::size_t>(std::max(stream_.film_end() - Nanos{1}, Nanos{0}) / width));
  if (stream_.film_begins_at_first) first = 0;
  std::size_t count = last + 1;
  for (std::vector<ReportBin>& bins : bins_) bins.resize(count);
  const auto joined = [&] {
    for (std::vector<ReportBin>& bins : bins_) {
      std::vector<ReportBin> half((bins.size() + 1) / 2);
      for (std::size_t i = 0; i < bins.size(); ++i) half[i / 2].join(bins[i]);
      bins = std::move(half);
    }
    width *= 2;
    first /= 2;
    count = (count + 1) / 2;
  };
  while (count - first > ReportLimits::bins) joined();
  while (count - first > 16 && stream_.analysed < count - first) joined();
  for (std::vector<ReportBin>& bins : bins_) bins.erase(bins.begin(), bins.begin() + static_cast<std::ptrdiff_t>(first));
  from_ = width * static_cast<std::int64_t>(first);
  to_ = width * static_cast<std::int64_t>(count);
  for (std::size_t row = 0; row < stream_.rows.size(); ++row) order_.push_back(row);
  const auto rank = [&](std::size_t row) {
    const ReportRow& one = stream_.rows[row];
    std::size_t analysis = 0;
    while (analysis < stream_.outcomes.size() && stream_.outcomes[analysis].first != one.analysis) ++analysis;
    const bool trouble = one.kind == ReportRow::Kind::failed || one.kind == ReportRow::Kind::damaged;
    return std::tuple(!trouble, one.kind == ReportRow::Kind::number, analysis, -static_cast<std::int64_t>(one.frames), row);
  };
  std::sort(order_.begin(), order_.end(), [&](std::size_t a, std::size_t b) { return rank(a) < rank(b); });
}

void Section::troubles() {
  std::string items;
  const auto item = [&](const std::string& text) { items += "<li>" + text + "</li>\n"; };
  for (const auto& [name, counts] : stream_.outcomes) {
    std::uint64_t dropped = 0;
    if (const auto found = counts.statuses.find("dropped"); found != counts.statuses.end()) dropped = found->second;
    const std::uint64_t failed = counts.lost - dropped;
    for (const auto& [word, lost] : {std::pair("failed", failed), std::pair("dropped", dropped)}) {
      if (lost > 0) item(fmt::format("<span class=\"bad\">{}: {} {} of {}</span>", html_escaped(name), word, lost, counts.answers));
    }
    for (const auto& [reason, count] : counts.reasons) item(fmt::format("{} \u00d7 {}", count, html_escaped(reason)));
  }
  const std::uint64_t concealed = std::max(stream_.damaged, count_in(stream_.ending["frames"], "concealed"));
  if (concealed > 0) item(fmt::format("<span class=\"bad\">{} damaged</span>: the decoder concealed what was missing", plural(concealed, "picture") + (concealed == 1 ? " is" : " are")));
  if (const std::uint64_t errors = count_in(stream_.ending["frames"], "errors"); errors > 0) {
    item(fmt::format("<span class=\"bad\">{} could not be decoded</span>", plural(errors, "packet")));
  }
  const std::string reason = stream_.ending["reason"].is_string() ? stream_.ending["reason"].as_string() : "";
  if (!reason.empty() && reason != "end_of_file" && reason != "max_frames" && reason != "end") {
    item(fmt::format("<span class=\"bad\">ended early</span>: {}", html_escaped(reason)));
  }
  if (!items.empty()) put("<ul class=\"troubles\" aria-label=\"What went wrong\">\n{}</ul>\n", items);
}

void Section::player() {
  const Size size = stream_.frame_size;
  put("<div class=\"player\">\n");
  if (!stream_.video.empty() && stream_.frames_seen > 0) {
    double width = size.width;
    if (stream_.sample_aspect.num > 0 && stream_.sample_aspect.den > 0) width *= static_cast<double>(stream_.sample_aspect.num) / static_cast<double>(stream_.sample_aspect.den);
    put("<div class=\"screen\"><div class=\"stage\"><video controls muted playsinline preload=\"auto\" width=\"{}\" height=\"{}\" src=\"{}\" aria-label=\"Video of {}\"></video>"
        "<svg viewBox=\"0 0 {} {}\" preserveAspectRatio=\"none\" aria-hidden=\"true\"></svg></div>\n"
        "<div class=\"controls\" hidden><button type=\"button\" class=\"play\">Play</button><input type=\"range\" class=\"seek\" min=\"0\" step=\"any\" value=\"0\" "
        "aria-label=\"Position in the video\"><span class=\"clock\">0:00.0</span><button type=\"button\" class=\"sound\" aria-pressed=\"false\">Sound</button></div></div>\n",
        static_cast<int>(std::lround(width)), size.height, html_escaped(stream_.video), html_escaped(stream_.source.stream), size.width, size.height);
  }
  put("<div class=\"now\" role=\"status\" aria-live=\"polite\"><b>Choose a moment</b>Click a bar of a timeline or a picture: the video goes to that very "
      "picture and shows its boxes.</div>\n</div>\n");
}

void Section::bin(const ReportRow& row, std::size_t number, const ReportBin& one) {
  if (one.frames == 0 || !one.peak) {
    put("<i></i>");
    return;
  }
  const ReportMoment& moment = *one.peak;
  double share = 1;
  std::string what;
  switch (row.kind) {
    case ReportRow::Kind::boxes:
      share = std::floor(one.most) / std::max(1.0, std::floor(row.most));
      what = fmt::format("{} {}", std::floor(one.most), row.name);
      break;
    case ReportRow::Kind::labels: share = one.most; what = fmt::format("{} {:.2f}", row.name, one.most); break;
    case ReportRow::Kind::number:
      share = row.most > row.least ? (one.sum / static_cast<double>(one.frames) - row.least) / (row.most - row.least) : 1;
      what = fmt::format("{} {}", row.name, number_text(one.most));
      break;
    case ReportRow::Kind::failed: what = fmt::format("{} {}, {}", row.analysis, row.name, plural(one.frames, "time")); break;
    case ReportRow::Kind::damaged: what = fmt::format("{}, {}", row.name, plural(one.frames, "picture")); break;
  }
  const int height = std::clamp(static_cast<int>(std::lround(10 * share)), 1, 10);
  const std::string clock = clock_text(moment.media_time), label = html_escaped(what) + " at " + clock;
  put("<button type=\"button\" class=\"h{}\" data-time=\"{}\" data-moment=\"{}\" data-row=\"{}\" data-clock=\"{}\" aria-pressed=\"false\" aria-label=\"{}\" title=\"{}\"></button>",
      height, exact(moment.media_time), index_of(one.peak), number, clock, label, label);
}

void Section::timeline(std::size_t number) {
  const ReportRow& row = stream_.rows[number];
  std::string about, css = fmt::format("c{}", row.colour);
  switch (row.kind) {
    case ReportRow::Kind::boxes: about = fmt::format("{} in {}, at most {} at once", row.found, plural(row.frames, "frame"), std::floor(row.most)); break;
    case ReportRow::Kind::labels: about = fmt::format("in {}, at most {:.2f}", plural(row.frames, "frame"), row.most); break;
    case ReportRow::Kind::number: about = fmt::format("{} to {}", number_text(row.least), number_text(row.most)); break;
    case ReportRow::Kind::failed: css = "fail"; about = plural(row.frames, "frame"); break;
    case ReportRow::Kind::damaged: css = "hurt"; about = plural(row.frames, "picture"); break;
  }
  const bool flat = row.kind == ReportRow::Kind::failed || row.kind == ReportRow::Kind::damaged;
  const std::string title = row.kind == ReportRow::Kind::damaged ? row.name + " pictures" : row.analysis == row.name ? row.name : row.analysis + ": " + row.name;
  put("<div class=\"name\" id=\"n{}-{}\"><span class=\"{}\" aria-hidden=\"true\">\u25a0</span> {}<small>{}</small></div>\n", number_, number, css, html_escaped(title), about);
  put("<div class=\"bins {}{}\" role=\"group\" aria-labelledby=\"n{}-{}\">", css, flat ? " flat" : "", number_, number);
  for (const ReportBin& one : bins_[number]) bin(row, number, one);
  put("<span class=\"head\" hidden></span></div>\n");
}

void Section::timelines() {
  put("<h3 id=\"t{0}\">Timelines</h3>\n<a class=\"skip\" href=\"#m{0}\">Skip the timelines</a>\n", number_);
  if (order_.empty()) {
    put("<p class=\"soft\">Nothing was found, and nothing failed.</p>\n");
    return;
  }
  put("<div class=\"rows\">\n");
  for (const std::size_t row : order_) timeline(row);
  put("<div></div><div class=\"axis\" aria-hidden=\"true\">");
  for (int i = 0; i <= 4; ++i) {
    const std::string text = clock_text(stream_.begin() + from_ + (to_ - from_) * i / 4);
    put("<span>{}</span>", text.substr(0, to_ - from_ > std::chrono::seconds(20) ? text.size() - 4 : text.size() - 2));
  }
  put("</div>\n</div>\n");
  if (stream_.rows_left_out > 0) put("<p class=\"soft\">Only {} timelines are shown; what has none of its own is counted in \u201call others\u201d.</p>\n", +ReportLimits::rows);
}

void Section::moments() {
  put("<h3 id=\"m{}\">Top moments</h3>\n", number_);
  if (pictures_.empty()) {
    put("<p class=\"soft\">No picture was kept.</p>\n");
    return;
  }
  put("<ul class=\"moments\">\n");
  for (const auto* kept : pictures_) {
    const ReportMoment& moment = *kept->value.moment;
    const std::string clock = clock_text(moment.media_time), caption = html_escaped(moment.words);
    put("<li><button type=\"button\" data-time=\"{}\" data-moment=\"{}\" data-clock=\"{}\" aria-pressed=\"false\"><span class=\"thumb\">", exact(moment.media_time),
        index_of(kept->value.moment), clock);
    const std::string_view jpeg(reinterpret_cast<const char*>(kept->value.jpeg.data()), kept->value.jpeg.size());
    put("<img alt=\"\" width=\"{}\" height=\"{}\" src=\"data:image/jpeg;base64,{}\">", kept->value.size.width, kept->value.size.height, base64(jpeg));
    put("<svg viewBox=\"0 0 {} {}\" preserveAspectRatio=\"none\" aria-hidden=\"true\">", stream_.frame_size.width, stream_.frame_size.height);
    for (const ReportMoment::Mark& mark : moment.marks) {
      put("<rect class=\"c{}\" x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.1f}\"/>", stream_.rows[mark.row].colour, mark.box.x1, mark.box.y1,
          std::max(0.0F, mark.box.width()), std::max(0.0F, mark.box.height()));
    }
    put("</svg></span><span class=\"caption\"><b>{}</b> {}</span></button></li>\n", clock, caption);
  }
  put("</ul>\n");
}

void Section::outcomes() {
  put("<h3>Answers</h3>\n<div class=\"wide\"><table><thead><tr><th scope=\"col\">analysis</th><th scope=\"col\">asked</th><th scope=\"col\">ok</th><th scope=\"col\">degraded</th>"
      "<th scope=\"col\">stale</th><th scope=\"col\">dropped</th><th scope=\"col\">failed</th><th scope=\"col\">mean</th><th scope=\"col\">slowest</th></tr></thead>\n<tbody>\n");
  for (const auto& [name, counts] : stream_.outcomes) {
    put("<tr><th scope=\"row\">{}</th><td>{}</td>", html_escaped(name), counts.answers);
    for (const char* status : {"ok", "degraded", "stale", "dropped", "failed"}) {
      const auto found = counts.statuses.find(status);
      const std::uint64_t count = found == counts.statuses.end() ? 0 : found->second;
      const bool bad = count > 0 && (std::string_view(status) == "failed" || std::string_view(status) == "dropped");
      put("<td{}>{}</td>", bad ? " class=\"bad\"" : "", count);
    }
    const double mean = counts.answers > 0 ? seconds(counts.ran) / static_cast<double>(counts.answers) : 0;
    put("<td>{:.1f} ms</td><td>{:.1f} ms</td></tr>\n", 1e3 * mean, 1e3 * seconds(counts.slowest));
  }
  put("</tbody></table></div>\n");
  const Value& drops = stream_.ending["drops"];
  if (drops.size() == 0) put("<p class=\"soft\">No frame was dropped.</p>\n");
  if (drops.is_object()) {
    for (const auto& [cause, count] : drops.as_object()) put("<p class=\"bad\">dropped, {}: {}</p>\n", html_escaped(cause), html_escaped(count.dump()));
  }
}

void Section::notes() {
  if (stream_.notes.empty()) return;
  put("<h3>Events</h3>\n<ul>\n");
  for (const ReportStream::Note& note : stream_.notes) put("<li>{} of the film: {}</li>\n", clock_text(note.film_time), html_escaped(note.text));
  if (stream_.notes_left_out > 0) put("<li>and {} more</li>\n", stream_.notes_left_out);
  put("</ul>\n");
}

void Section::settings() {
  const SourceInfo& source = stream_.source;
  put("<details><summary>Settings and source</summary>\n<dl>");
  const auto row = [&](std::string_view key, const std::string& value) {
    if (!value.empty()) put("<dt>{}</dt><dd>{}</dd>\n", html_escaped(key), html_escaped(value));
  };
  row("source", redact(source.uri));
  row("stream", source.stream);
  row("picture", fmt::format("{} \u00d7 {}", stream_.frame_size.width, stream_.frame_size.height));
  row("codec", source.codec);
  row("live", source.live ? "yes" : "no");
  if (source.duration) row("length", clock_text(*source.duration));
  put("</dl>\n");
  if (source.analyses.is_object()) {
    for (const auto& [name, about] : source.analyses.as_object()) {
      put("<h3>{}</h3>\n<dl>", html_escaped(name));
      if (about.is_object()) {
        for (const auto& [key, value] : about.as_object()) {
          if (value.is_null()) continue;
          if (value.is_array() && value.size() > 50) row(key, plural(value.size(), "entr") + (value.size() == 1 ? "y" : "ies"));
          else row(key, redact(value.is_string() ? value.as_string() : value.dump()));
        }
      }
      put("</dl>\n");
    }
  }
  put("</details>\n");
}

Value Section::data() {
  const auto rounded = [](double value) { return std::isfinite(value) ? std::round(value * 10) / 10 : 0.0; };
  Value moments = Value::array();
  for (const ReportMomentPtr& moment : moments_) {
    Value marks = Value::array();
    for (const ReportMoment::Mark& mark : moment->marks) {
      marks.push_back(Value(Value::Array{rounded(mark.box.x1), rounded(mark.box.y1), rounded(mark.box.x2), rounded(mark.box.y2), mark.row}));
    }
    moments.push_back(Value::object()
                          .set("t", seconds(moment->film_time))
                          .set("n", seconds(moment->length))
                          .set("s", moment->sequence)
                          .set("w", moment->words)
                          .set("b", std::move(marks)));
  }
  return Value::object().set("begin", seconds(stream_.begin())).set("from", seconds(from_)).set("to", seconds(to_)).set("moments", std::move(moments));
}

void Section::write(bool alone) {
  const Value &ending = stream_.ending, &frames = ending["frames"];
  put("<section class=\"stream\" aria-labelledby=\"s{0}\">\n<h2 id=\"s{0}\"{1}>{2}</h2>\n", number_, alone ? " class=\"unseen\"" : "", html_escaped(stream_.source.stream));
  const double elapsed = number_in(ending, "elapsed"), duration = number_in(ending, "duration");
  const std::uint64_t decoded = count_in(frames, "decoded"), skipped = count_in(frames, "skipped");
  put("<p>{} analysed of {}; {:.1f} s of video in {:.1f} s", plural(stream_.analysed, "frame"), decoded + skipped, duration, elapsed);
  if (elapsed > 0) put(": {:.1f} frames a second, {:.1f} \u00d7 real time", static_cast<double>(decoded + skipped) / elapsed, duration / elapsed);
  put(".</p>\n");
  troubles();
  player();
  timelines();
  moments();
  outcomes();
  notes();
  settings();
  put("<script type=\"application/json\" class=\"data\">{}</script>\n</section>\n", json_in_html(data()));
}

std::string versions() {
  std::string text = "Vidloom " + std::string(version());
  for (const ComponentStatus& component : components()) {
    if (component.loaded && !component.detail.empty()) text += ", " + component.detail;
  }
  return text;
}

}  // namespace

std::string report_page(const std::string& given, const std::vector<std::shared_ptr<const ReportStream>>& streams) {
  std::string title = given;
  for (std::size_t i = 0; given.empty() && i < std::min<std::size_t>(streams.size(), 3); ++i) title += (i > 0 ? ", " : "") + streams[i]->source.stream;
  if (given.empty() && streams.size() > 3) title += fmt::format(" and {} more", streams.size() - 3);
  std::string out;
  const auto put = [&]<class... Args>(fmt::format_string<Args...> format, Args&&... args) { fmt::format_to(std::back_inserter(out), format, std::forward<Args>(args)...); };
  put("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src &#39;none&#39;; img-src data:; media-src &#39;self&#39; file:; style-src {}; script-src {}; "
      "base-uri &#39;none&#39;; form-action &#39;none&#39;\">\n",
      html_escaped(csp_hash(style)), html_escaped(csp_hash(script)));
  put("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<meta name=\"generator\" content=\"vidloom {}\">\n"
      "<link rel=\"icon\" href=\"data:,\">\n<title>{}</title>\n<style>{}</style>\n</head>\n<body>\n",
      version(), html_escaped(title), style);
  const std::string now = format_utc(wall_now());
  put("<header>\n<h1>{}</h1>\n<p class=\"soft\">Made {:.10} {:.5} UTC</p>\n", html_escaped(title), now, now.substr(11));
  if (streams.size() > 1) {
    put("<nav aria-label=\"Streams\"><ul>\n");
    for (std::size_t i = 0; i < streams.size(); ++i) {
      std::uint64_t lost = 0;
      for (const auto& [name, counts] : streams[i]->outcomes) lost += counts.lost;
      put("<li><a href=\"#s{}\">{}</a>{}</li>\n", i, html_escaped(streams[i]->source.stream), lost > 0 ? fmt::format(" <span class=\"bad\">{} failed</span>", lost) : std::string());
    }
    put("</ul></nav>\n");
  }
  put("</header>\n<main>\n<noscript><p class=\"bad\">Without JavaScript the timelines can be read, but not clicked.</p></noscript>\n");
  const std::size_t each = streams.empty() ? 0 : std::max<std::size_t>(ReportLimits::moments_of_a_page / streams.size(), 1);
  for (std::size_t i = 0; i < streams.size(); ++i) Section(*streams[i], i, std::min(each, streams[i]->pictures.wanted()), out).write(streams.size() == 1);
  put("</main>\n<footer><p>{}</p></footer>\n<script>{}</script>\n</body>\n</html>\n", html_escaped(versions()), script);
  return out;
}

}  // namespace v0
}  // namespace vidloom
