#pragma once
/// The best moments of a stream of unknown length, apart from each other in time, in bounded memory.

#include <vidloom/core/time.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

namespace vidloom {
inline namespace v0 {

/// Time is cut into cells, and each cell keeps its best; where there would be more than twice as many as are wanted, two by two
/// become one. So the number kept stays the same, however long the stream grows. One thread at a time.
template <class T>
class TopMoments {
 public:
  struct Moment {
    Nanos time{};
    double score = 0;
    T value;
  };
  /// \param wanted  1 or more.
  explicit TopMoments(std::size_t wanted) : wanted_(std::max<std::size_t>(wanted, 1)) {}

  /// \return whether a moment of that score would be kept now: only then its pictures are worth making.
  bool wants(Nanos time, double score) {
    const std::size_t cell = cell_of(time);
    return cell >= cells_.size() || !cells_[cell] || cells_[cell]->score < score;
  }
  /// \pre wants(time, score)
  void keep(Nanos time, double score, T value) {
    const std::size_t cell = cell_of(time);
    if (cell >= cells_.size()) cells_.resize(cell + 1);
    cells_[cell].emplace(Moment{time, score, std::move(value)});
  }
  /// \return the best `count`, in the order of time.
  std::vector<const Moment*> best(std::size_t count) const {
    std::vector<const Moment*> all;
    for (const auto& cell : cells_)
      if (cell) all.push_back(&*cell);
    std::stable_sort(all.begin(), all.end(), [](const Moment* a, const Moment* b) { return a->score > b->score; });
    if (all.size() > count) all.resize(count);
    std::sort(all.begin(), all.end(), [](const Moment* a, const Moment* b) { return a->time < b->time; });
    return all;
  }
  std::size_t wanted() const noexcept { return wanted_; }

 private:
  std::size_t cell_of(Nanos time) {
    if (!first_) first_ = time;
    const Nanos since = std::max(time - *first_, Nanos{0});
    while (since / width_ >= static_cast<std::int64_t>(2 * wanted_)) halve();
    return static_cast<std::size_t>(since / width_);
  }
  void halve() {
    width_ *= 2;
    for (std::size_t i = 0; i < cells_.size(); ++i) {
      if (i % 2 == 0) {
        if (i > 0) cells_[i / 2] = std::move(cells_[i]);
      } else if (cells_[i] && (!cells_[i / 2] || cells_[i / 2]->score < cells_[i]->score)) {
        cells_[i / 2] = std::move(cells_[i]);
      }
    }
    cells_.resize((cells_.size() + 1) / 2);
  }

  const std::size_t wanted_;
  Nanos width_ = std::chrono::milliseconds(10);
  std::optional<Nanos> first_;
  std::vector<std::optional<Moment>> cells_;
};

}  // namespace v0
}  // namespace vidloom
