#pragma once
/// Filter weights of one axis of a resize, and a small cache of them.

#include <vidloom/core/export.hpp>
#include <vidloom/imaging/image_spec.hpp>

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

namespace vidloom {
inline namespace v0 {

/// One axis of one plane: which samples make which outputs. Everything is counted in the plane's own samples, except where
/// luma is said.
struct AxisSpec {
  int from = 0;             ///< luma sample where the picture begins: the cropped part is all there is
  int length = 1;           ///< luma samples of the picture
  int resized = 1;          ///< outputs for the whole of it
  int begin = 0, end = 1;   ///< outputs that are wanted
  int log2_ratio = 0;       ///< luma samples to a sample of this plane
  float site = 0.5F;        ///< where sample 0 lies, in luma samples from the edge of the plane; 0.5 at ratio 1
  Filter filter = Filter::bicubic;
  ColourMode mode = ColourMode::exact;
  bool pairs_aligned = false;  ///< each window begins a multiple of 2 samples after `first_sample`
  friend bool operator==(const AxisSpec&, const AxisSpec&) = default;
};

/// Weights are fixed point, `one` is 1; those of an output add up to `one` exactly.
struct Taps {
  static constexpr int fraction_bits = 14;
  static constexpr int one = 1 << fraction_bits;
  /// Outputs the tables go on for after the last one, which they repeat: vectors of outputs read whole.
  static constexpr int padding = 16;

  int first_sample = 0, last_sample = 1;  ///< the samples that take part: [first, last)
  int pairs = 1;                          ///< of weights an output has
  std::vector<std::int32_t> first;        ///< by output: where its window begins, counted from first_sample
  std::vector<std::int16_t> weights;      ///< 2 * pairs by output
  int block_pairs = 1;                    ///< pairs of samples from first_sample that windows touch, padding included
  bool copies = false;                    ///< each output is one sample
};

/// Pillow's antialiased resize. Chroma of a subsampled format is, in exact mode, raised to luma size by bicubic (a = -0.5)
/// around its site first; both steps are linear, so the weights here are of the two together.
VIDLOOM_API Taps make_taps(const AxisSpec& spec);

/// The same, kept: a handful of geometries serve a process. Thread-safe; blocks only while another thread looks up.
std::shared_ptr<const Taps> cached_taps(const AxisSpec& spec);

}  // namespace v0
}  // namespace vidloom
