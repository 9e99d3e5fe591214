#pragma once
/// How good answers are against a truth: greedy matching and average precision, as pycocotools' COCOeval computes them for one IoU,
/// area=all and maxDets=100.

#include <array>
#include <cstddef>
#include <limits>
#include <optional>
#include <vector>

namespace vidloom::cli {

constexpr std::size_t most_detections = 100;  ///< per picture and class; the rest, lowest confidence first, is left out

/// x, y, width, height in pixels.
using Xywh = std::array<double, 4>;

struct TruthBox {
  Xywh box{};
  bool crowd = false;    ///< a region of many: any number of detections in it are ignored, over it their own area counts
  bool ignored = false;  ///< neither a hit nor a miss; crowds always are
};

struct Candidate {
  double score = std::numeric_limits<double>::quiet_NaN();  ///< NaN: not known; such come last
  Xywh box{};
};

struct Rates {
  double precision = 0, recall = 0, f1 = 0;  ///< 0 where there is nothing to divide by
};
Rates rates(std::size_t right, std::size_t found, std::size_t truths) noexcept;

struct CurvePoint {
  double confidence = 0;  ///< what this and all above it gives
  std::size_t right = 0, found = 0;
  Rates rates{};
};

/// One class over all pictures.
class Tally {
 public:
  /// The pictures in the order of their ids: where scores are equal, it decides.
  void add_boxes(std::vector<Candidate> found, std::vector<TruthBox> truths, double iou);
  /// A label of the whole picture: the class is in it, is not, or is not to be counted.
  enum class Presence { no, yes, ignored };
  void add_label(std::optional<Candidate> found, Presence truth);

  std::size_t truths() const noexcept { return truths_; }
  std::size_t found() const noexcept { return rows_.size(); }  ///< those that count
  std::size_t right() const noexcept { return right_; }
  std::size_t ignored() const noexcept { return ignored_; }    ///< found, but over what is not to be counted
  std::size_t left_out() const noexcept { return left_out_; }  ///< beyond most_detections

  /// From the highest confidence down, one point per confidence. Empty when a confidence is not known.
  std::vector<CurvePoint> curve() const;
  /// Precision made falling, read at the recalls 0, 0.01, ... 1 and averaged. Nothing without truths or confidences.
  std::optional<double> average_precision() const;

 private:
  struct Row {
    double score;
    bool right;
  };
  void add(double score, bool right);
  std::vector<Row> ranked() const;

  std::vector<Row> rows_;
  std::size_t truths_ = 0, right_ = 0, ignored_ = 0, left_out_ = 0;
  bool scores_known_ = true;
};

}  // namespace vidloom::cli
