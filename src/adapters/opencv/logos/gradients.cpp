#include <adapters/opencv/logos/gradients.hpp>

#include <opencv2/core/hal/intrin.hpp>
#include <opencv2/imgproc.hpp>

#include <algorithm>
#include <cstdlib>

namespace vidloom {
inline namespace v0 {
namespace logo_search {
namespace {

// A step of 12 levels of brightness counts as an edge, less is noise of coding.
constexpr int weakest = 36;
// So many of the 9 pixels around must have the direction, else it is noise.
constexpr unsigned agreeing = 5;
// A template point agrees with edges up to so many pixels away.
constexpr int reach = 2;

/// One bit per direction, where the pixels around agree on it; else 0.
cv::Mat quantised(const cv::Mat& gray) {
  const Gradient gradient = gradient_of(gray);
  const int width = gray.cols, height = gray.rows;
  // Eight counters of 4 bits: at most 9 votes each.
  cv::Mat votes(height, width, CV_32SC1), bits = cv::Mat::zeros(height, width, CV_8UC1);
  for (int y = 0; y < height; ++y) {
    const auto *gx = gradient.x.ptr<short>(y), *gy = gradient.y.ptr<short>(y);
    auto* out = votes.ptr<int>(y);
    for (int x = 0; x < width; ++x) {
      const int strength = std::abs(gx[x]) + std::abs(gy[x]);
      out[x] = strength < weakest ? 0 : static_cast<int>(1U << 4 * direction_bin(gx[x], gy[x]));
    }
  }
  cv::Mat across(height, width, CV_32SC1);
  for (int y = 0; y < height; ++y) {
    const auto* in = votes.ptr<int>(y);
    auto* out = across.ptr<int>(y);
    for (int x = 1; x + 1 < width; ++x) out[x] = in[x - 1] + in[x] + in[x + 1];
    out[0] = out[width - 1] = 0;
  }
  for (int y = 1; y + 1 < height; ++y) {
    const auto *above = across.ptr<int>(y - 1), *here = across.ptr<int>(y), *below = across.ptr<int>(y + 1);
    const auto* own = votes.ptr<int>(y);
    auto* out = bits.ptr<std::uint8_t>(y);
    for (int x = 0; x < width; ++x) {
      if (own[x] == 0) continue;
      const unsigned sum = static_cast<unsigned>(above[x]) + static_cast<unsigned>(here[x]) + static_cast<unsigned>(below[x]);
      for (unsigned bin = 0; bin < 8; ++bin) {
        if ((sum >> 4 * bin & 15U) >= agreeing) out[x] = static_cast<std::uint8_t>(1U << bin);
      }
    }
  }
  return bits;
}

/// \return each pixel with the bits of all pixels within `reach`.
cv::Mat spread(const cv::Mat& bits) {
  cv::Mat across = bits.clone(), all;
  const auto join = [](const cv::Mat& from, cv::Mat& into) { cv::bitwise_or(from, into, into); };
  for (int by = 1; by <= reach && by < bits.cols; ++by) {
    cv::Mat left = across.colRange(0, bits.cols - by), right = across.colRange(by, bits.cols);
    join(bits.colRange(by, bits.cols), left);
    join(bits.colRange(0, bits.cols - by), right);
  }
  all = across.clone();
  for (int by = 1; by <= reach && by < bits.rows; ++by) {
    cv::Mat upper = all.rowRange(0, bits.rows - by), lower = all.rowRange(by, bits.rows);
    join(across.rowRange(by, bits.rows), upper);
    join(across.rowRange(0, bits.rows - by), lower);
  }
  return all;
}

}  // namespace

Gradient gradient_of(const cv::Mat& gray) {
  cv::Mat smooth;
  cv::GaussianBlur(gray, smooth, {3, 3}, 0, 0, cv::BORDER_REPLICATE);
  Gradient gradient;
  cv::Sobel(smooth, gradient.x, CV_16S, 1, 0, 3, 1, 0, cv::BORDER_REPLICATE);
  cv::Sobel(smooth, gradient.y, CV_16S, 0, 1, 3, 1, 0, cv::BORDER_REPLICATE);
  return gradient;
}

Gradient strongest_gradient(const std::vector<cv::Mat>& views) {
  Gradient best = gradient_of(views.front());
  for (std::size_t i = 1; i < views.size(); ++i) {
    const Gradient other = gradient_of(views[i]);
    for (int y = 0; y < best.x.rows; ++y) {
      auto *bx = best.x.ptr<short>(y), *by = best.y.ptr<short>(y);
      const auto *ox = other.x.ptr<short>(y), *oy = other.y.ptr<short>(y);
      for (int x = 0; x < best.x.cols; ++x) {
        if (ox[x] * ox[x] + oy[x] * oy[x] > bx[x] * bx[x] + by[x] * by[x]) bx[x] = ox[x], by[x] = oy[x];
      }
    }
  }
  return best;
}

std::uint8_t direction_bin(int x, int y) noexcept {
  if (y < 0 || (y == 0 && x < 0)) x = -x, y = -y;
  // tan of 11.25, 33.75, 56.25, 78.75 degrees in 1/1024.
  const int ax = std::abs(x);
  const int scaled = y * 1024;
  const unsigned octant = scaled < ax * 204 ? 0U : scaled < ax * 684 ? 1U : scaled < ax * 1533 ? 2U : scaled < ax * 5148 ? 3U : 4U;
  return static_cast<std::uint8_t>(x >= 0 ? octant : (8U - octant) & 7U);
}

ResponseMaps::ResponseMaps(const cv::Mat& gray) {
  columns_ = gray.cols / step;
  rows_ = gray.rows / step;
  const std::size_t count = static_cast<std::size_t>(columns_) * static_cast<std::size_t>(rows_);
  plane_ = (count + 63) / 64 * 64 + 64;
  const std::size_t all = plane_ * step * step;
  data_.assign(all * 8 + 256, 0);
  const cv::Mat bits = spread(quantised(gray));
  // By phase first, so that what follows reads and writes whole vectors.
  std::vector<std::uint8_t> phases(all, 0);
  for (int y = 0; y < rows_ * step; ++y) {
    const auto* in = bits.ptr<std::uint8_t>(y);
    std::uint8_t* const row = phases.data() + static_cast<std::size_t>(y % step * step) * plane_ + static_cast<std::size_t>(y / step * columns_);
    for (int phase = 0; phase < step; ++phase) {
      std::uint8_t* const out = row + static_cast<std::size_t>(phase) * plane_;
      for (int x = 0; x < columns_; ++x) out[x] = in[x * step + phase];
    }
  }
  for (unsigned bin = 0; bin < 8; ++bin) {
    const cv::v_uint8x16 same = cv::v_setall_u8(static_cast<std::uint8_t>(1U << bin)), four = cv::v_setall_u8(4), two = cv::v_setall_u8(2);
    const cv::v_uint8x16 beside = cv::v_setall_u8(static_cast<std::uint8_t>(1U << ((bin + 1) & 7U) | 1U << ((bin + 7) & 7U)));
    const cv::v_uint8x16 none = cv::v_setzero_u8();
    std::uint8_t* const out = data_.data() + bin * all;
    for (std::size_t i = 0; i < all; i += 16) {
      const cv::v_uint8x16 seen = cv::v_load(phases.data() + i);
      cv::v_store(out + i, cv::v_max(four & ((seen & same) != none), two & ((seen & beside) != none)));
    }
  }
}

}  // namespace logo_search
}  // namespace v0
}  // namespace vidloom
