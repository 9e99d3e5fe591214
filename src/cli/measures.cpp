#include <cli/measures.hpp>

#include <algorithm>
#include <cmath>

namespace vidloom::cli {
namespace {

/// Over the union; over a crowd, over the detection's own area.
double overlap(const Xywh& found, const TruthBox& truth) noexcept {
  const double width = std::min(found[0] + found[2], truth.box[0] + truth.box[2]) - std::max(found[0], truth.box[0]);
  const double height = std::min(found[1] + found[3], truth.box[1] + truth.box[3]) - std::max(found[1], truth.box[1]);
  if (width <= 0 || height <= 0) return 0;
  const double common = width * height, own = found[2] * found[3];
  return common / (truth.crowd ? own : own + truth.box[2] * truth.box[3] - common);
}

/// Highest score first, unknown ones last, else in the order given.
bool before(double a, double b) noexcept { return std::isnan(b) ? !std::isnan(a) : a > b; }

}  // namespace

Rates rates(std::size_t right, std::size_t found, std::size_t truths) noexcept {
  const auto share = [](std::size_t part, std::size_t whole) {
    return whole == 0 ? 0.0 : static_cast<double>(part) / static_cast<double>(whole);
  };
  return {.precision = share(right, found), .recall = share(right, truths), .f1 = share(2 * right, found + truths)};
}

void Tally::add(double score, bool right) {
  rows_.push_back({score, right});
  right_ += right ? 1U : 0U;
  scores_known_ = scores_known_ && !std::isnan(score);
}

void Tally::add_boxes(std::vector<Candidate> found, std::vector<TruthBox> truths, double iou) {
  std::ranges::stable_sort(found, before, &Candidate::score);
  if (found.size() > most_detections) {
    left_out_ += found.size() - most_detections;
    found.resize(most_detections);
  }
  std::ranges::stable_sort(truths, {}, &TruthBox::ignored);  // what counts is matched first
  truths_ += static_cast<std::size_t>(std::ranges::count(truths, false, &TruthBox::ignored));
  std::vector<bool> taken(truths.size());
  for (const Candidate& candidate : found) {
    double best = std::min(iou, 1 - 1e-10);
    std::size_t match = truths.size();
    for (std::size_t i = 0; i < truths.size(); ++i) {
      if (taken[i] && !truths[i].crowd) continue;
      if (match < truths.size() && !truths[match].ignored && truths[i].ignored) break;
      const double area = overlap(candidate.box, truths[i]);
      if (area < best) continue;
      best = area;
      match = i;
    }
    if (match == truths.size()) {
      add(candidate.score, false);
      continue;
    }
    taken[match] = true;
    if (truths[match].ignored)
      ++ignored_;
    else
      add(candidate.score, true);
  }
}

void Tally::add_label(std::optional<Candidate> found, Presence truth) {
  if (truth == Presence::yes) ++truths_;
  if (!found) return;
  if (truth == Presence::ignored)
    ++ignored_;
  else
    add(found->score, truth == Presence::yes);
}

std::vector<Tally::Row> Tally::ranked() const {
  std::vector<Row> rows = rows_;
  std::ranges::stable_sort(rows, before, &Row::score);
  return rows;
}

std::vector<CurvePoint> Tally::curve() const {
  std::vector<CurvePoint> points;
  if (!scores_known_) return points;
  std::size_t right = 0, found = 0;
  for (const Row& row : ranked()) {
    right += row.right ? 1U : 0U;
    ++found;
    if (points.empty() || points.back().confidence != row.score) points.push_back({.confidence = row.score});
    points.back().right = right;
    points.back().found = found;
    points.back().rates = rates(right, found, truths_);
  }
  return points;
}

std::optional<double> Tally::average_precision() const {
  if (truths_ == 0 || !scores_known_) return std::nullopt;
  std::vector<double> precision, recall;
  std::size_t right = 0;
  for (const Row& row : ranked()) {
    right += row.right ? 1U : 0U;
    recall.push_back(static_cast<double>(right) / static_cast<double>(truths_));
    precision.push_back(static_cast<double>(right) / static_cast<double>(recall.size()));
  }
  for (std::size_t i = precision.size(); i-- > 1;) precision[i - 1] = std::max(precision[i - 1], precision[i]);
  double sum = 0;
  for (int i = 0; i <= 100; ++i) {
    const auto reached = std::ranges::lower_bound(recall, i == 100 ? 1.0 : i * 0.01);
    if (reached != recall.end()) sum += precision[static_cast<std::size_t>(reached - recall.begin())];
  }
  return sum / 101;
}

}  // namespace vidloom::cli
