#include <vidloom/core/geometry.hpp>

#include <doctest/doctest.h>

#include <limits>
#include <random>

using namespace vidloom;

namespace {
const Affine quarter_turn{{0, -1, 100, 1, 0, 0}};  // clockwise, of a picture 100 high
const Affine twice{{2, 0, 10, 0, 2, 20}};
}  // namespace

TEST_CASE("compose applies the first map first") {
  const Box corner{1, 2, 1, 2};
  CHECK(map_box(compose(twice, quarter_turn), corner) == map_box(twice, map_box(quarter_turn, corner)));
  CHECK(map_box(compose(quarter_turn, twice), corner) == map_box(quarter_turn, map_box(twice, corner)));
  CHECK(compose(twice, quarter_turn) != compose(quarter_turn, twice));
}

TEST_CASE("a map and its inverse cancel") {
  std::mt19937 random(7);
  std::uniform_real_distribution<float> number(-5, 5);
  int checked = 0;
  for (int i = 0; i < 1000; ++i) {
    const Affine map{{number(random), number(random), number(random), number(random), number(random), number(random)}};
    if (std::abs(map.m[0] * map.m[4] - map.m[1] * map.m[3]) < 0.5F) continue;
    const Affine same = compose(inverse(map), map);
    for (int k = 0; k < 6; ++k) CHECK(same.m[k] == doctest::Approx(Affine{}.m[k]).epsilon(1e-4));
    ++checked;
  }
  CHECK(checked > 800);
}

TEST_CASE("a singular map has the identity as its inverse") {
  CHECK(inverse({{1, 2, 3, 2, 4, 5}}) == Affine{});
  CHECK(inverse({{std::numeric_limits<float>::quiet_NaN(), 0, 0, 0, 1, 0}}) == Affine{});
}

TEST_CASE("a turned box is the box around its corners") {
  CHECK(map_box(quarter_turn, {10, 20, 30, 25}) == Box{75, 10, 80, 30});
  CHECK(map_box(Affine{}, {1, 2, 3, 4}) == Box{1, 2, 3, 4});
}

TEST_CASE("clipping keeps boxes inside the picture and never turns them inside out") {
  const Size size{100, 50};
  CHECK(clip({-5, -5, 200, 200}, size) == Box{0, 0, 100, 50});
  CHECK(clip({10, 10, 20, 20}, size) == Box{10, 10, 20, 20});
  CHECK(clip({150, 10, 160, 20}, size) == Box{100, 10, 100, 20});
  CHECK(clip({30, 30, 20, 20}, size) == Box{30, 30, 30, 30});
  const float nan = std::numeric_limits<float>::quiet_NaN();
  CHECK(clip({nan, nan, 10, nan}, size) == Box{0, 0, 10, 0});
  CHECK(clip({1, 1, 2, 2}, Size{-1, 0}) == Box{0, 0, 0, 0});
}
