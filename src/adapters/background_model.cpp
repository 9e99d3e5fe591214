#include <adapters/background_model.hpp>
#include <imaging/mapped_memory.hpp>

#include <algorithm>
#include <cmath>
#include <limits>

namespace vidloom {
inline namespace v0 {
namespace {

constexpr float background_share = 0.9F;     // T_B: how much of the weight is background
constexpr float generating_distance = 9;     // T_G: closer than 3 standard deviations, a sample belongs to a mode
constexpr float first_variance = 15, least_variance = 4, most_variance = 75;
constexpr float complexity = 0.05F;          // c_T: what a mode must prove to be kept

}  // namespace

BackgroundModel::BackgroundModel(Size size, int history, double threshold)
    : pixels_(static_cast<std::size_t>(size.width) * static_cast<std::size_t>(size.height)),
      history_(history),
      threshold_(static_cast<float>(threshold)),
      memory_(map_memory(pixels_ * (sizeof(Pixel) + 1))),
      models_(reinterpret_cast<Pixel*>(memory_.get())),
      used_(reinterpret_cast<std::uint8_t*>(models_ + pixels_)) {}

void BackgroundModel::learn(std::span<const std::uint8_t> grey, std::span<std::uint8_t> moving) {
  seen_ = std::min(seen_ + 1, history_);
  const double exact = 1.0 / static_cast<double>(std::min<std::int64_t>(2 * std::int64_t{seen_}, history_));
  const auto rate = static_cast<float>(exact), forgetting = static_cast<float>(-exact * complexity);
  for (std::size_t i = 0; i < pixels_; ++i) {
    moving[i] = is_background(models_[i], used_[i], grey[i], rate, forgetting) ? 0 : 255;
  }
}

bool BackgroundModel::is_background(Pixel& pixel, std::uint8_t& used, float value, float rate, float forgetting) const {
  auto& modes = pixel.modes;
  const float keep = 1 - rate;
  bool background = false, fits = false;
  std::size_t count = used;
  float total = 0;
  for (std::size_t m = 0; m < count; ++m) {
    std::size_t place = m;
    float weight = keep * modes[m].weight + forgetting;
    if (!fits) {
      Gaussian& mode = modes[m];
      const float away = mode.mean - value, distance = away * away;
      background = background || (total < background_share && distance < threshold_ * mode.variance);
      if (distance < generating_distance * mode.variance) {
        fits = true;
        weight += rate;
        const float share = rate / weight;
        mode.mean -= share * away;
        mode.variance = std::clamp(mode.variance + share * (distance - mode.variance), least_variance, most_variance);
        for (; place > 0 && weight >= modes[place - 1].weight; --place) std::swap(modes[place], modes[place - 1]);
      }
    }
    if (weight < -forgetting) {  // seen too seldom to be worth its place
      weight = 0;
      --count;
    }
    modes[place].weight = weight;
    total += weight;
  }
  const float scale = std::abs(total) > std::numeric_limits<float>::epsilon() ? 1 / total : 0;
  for (std::size_t m = 0; m < count; ++m) modes[m].weight *= scale;

  if (!fits) {  // something new, in place of the least seen
    if (count < most) ++count;
    if (count == 1) {
      modes[0].weight = 1;
    } else {
      for (std::size_t m = 0; m + 1 < count; ++m) modes[m].weight *= keep;
      modes[count - 1].weight = rate;
    }
    modes[count - 1].mean = value;
    modes[count - 1].variance = first_variance;
    for (std::size_t m = count - 1; m > 0 && rate >= modes[m - 1].weight; --m) std::swap(modes[m], modes[m - 1]);
  }
  used = static_cast<std::uint8_t>(count);
  return background;
}

}  // namespace v0
}  // namespace vidloom
