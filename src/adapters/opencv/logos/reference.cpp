#include <adapters/opencv/logos/reference.hpp>

#include <adapters/opencv/logos/gradients.hpp>

#include <opencv2/features2d.hpp>
#include <opencv2/imgproc.hpp>

#include <algorithm>
#include <cmath>
#include <numeric>

namespace vidloom {
inline namespace v0 {
namespace logo_search {
namespace {

// Root of the area that references are brought to first; larger ones carry no detail a video shows.
constexpr double working_size = 320;
constexpr int pad_share = 6;  // views are padded by a sixth of the size, so that a silhouette's border is an edge
constexpr std::size_t least_corners = 60;  // of a flat mark that can be told from what is met by chance
constexpr std::size_t least_textured = 150;  // corners of a print
constexpr int angle_steps = 4;  // to each side
constexpr double angle_step = 10 * CV_PI / 180;

/// The visible part at working size, and the views its edges are taken from.
struct Picture {
  cv::Mat gray, mask;             // mask empty: opaque
  std::vector<cv::Mat> views;     // padded
  cv::Size size;                  // without padding
  int pad = 0;
};

cv::Mat gray_of(const cv::Mat& bgr) {
  cv::Mat gray;
  cv::cvtColor(bgr, gray, cv::COLOR_BGR2GRAY);
  return gray;
}

/// \return where the picture differs from the colour of its border; empty where the border has no one colour.
cv::Mat mask_by_border(const cv::Mat& bgr) {
  std::vector<cv::Vec3b> border;
  for (int x = 0; x < bgr.cols; ++x) border.push_back(bgr.at<cv::Vec3b>(0, x)), border.push_back(bgr.at<cv::Vec3b>(bgr.rows - 1, x));
  for (int y = 0; y < bgr.rows; ++y) border.push_back(bgr.at<cv::Vec3b>(y, 0)), border.push_back(bgr.at<cv::Vec3b>(y, bgr.cols - 1));
  cv::Vec3b middle;
  for (int c = 0; c < 3; ++c) {
    std::vector<std::uint8_t> values;
    for (const cv::Vec3b& colour : border) values.push_back(colour[c]);
    std::nth_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2), values.end());
    middle[c] = values[values.size() / 2];
  }
  const auto distance = [&middle](const cv::Vec3b& colour) {
    return std::max({std::abs(colour[0] - middle[0]), std::abs(colour[1] - middle[1]), std::abs(colour[2] - middle[2])});
  };
  const auto alike = std::count_if(border.begin(), border.end(), [&](const cv::Vec3b& colour) { return distance(colour) < 16; });
  if (static_cast<double>(alike) < 0.97 * static_cast<double>(border.size())) return {};
  cv::Mat mask(bgr.size(), CV_8UC1);
  for (int y = 0; y < bgr.rows; ++y) {
    for (int x = 0; x < bgr.cols; ++x) mask.at<std::uint8_t>(y, x) = static_cast<std::uint8_t>(std::min(255, distance(bgr.at<cv::Vec3b>(y, x)) * 4));
  }
  const double seen = cv::mean(mask)[0] / 255;
  return seen > 0.02 && seen < 0.98 ? mask : cv::Mat();
}

double spread_within(const cv::Mat& bgr, const cv::Mat& mask) {
  cv::Mat solid;
  cv::erode(mask >= 250, solid, cv::getStructuringElement(cv::MORPH_RECT, {3, 3}));
  if (cv::countNonZero(solid) < 16) solid = mask >= 128;
  cv::Scalar mean, deviation;
  cv::meanStdDev(bgr, mean, deviation, solid);
  return std::max({deviation[0], deviation[1], deviation[2]});
}

/// \param silhouette  what is cut out is a silhouette, whatever its colours
Picture prepare(const cv::Mat& bgr, const cv::Mat& alpha, bool silhouette, Look& look) {
  cv::Mat mask = alpha;
  if (!mask.empty() && cv::countNonZero(mask < 250) < static_cast<int>(mask.total() / 200)) mask.release();
  if (mask.empty()) mask = mask_by_border(bgr);
  cv::Rect visible({}, bgr.size());
  if (!mask.empty()) {
    const cv::Rect part = cv::boundingRect(mask >= 64);
    if (part.area() > 0) visible = part;
    look = silhouette || spread_within(bgr(visible), mask(visible)) < 12 ? Look::flat : Look::cutout;
  }
  Picture picture;
  const double factor = working_size / std::sqrt(static_cast<double>(visible.area()));
  const cv::Size size(std::max(8, cvRound(visible.width * factor)), std::max(8, cvRound(visible.height * factor)));
  const int how = factor < 1 ? cv::INTER_AREA : cv::INTER_CUBIC;
  cv::resize(gray_of(bgr(visible)), picture.gray, size, 0, 0, how);
  if (!mask.empty()) cv::resize(mask(visible), picture.mask, size, 0, 0, how);
  picture.size = size;
  picture.pad = static_cast<int>(working_size) / pad_share;
  const auto padded = [&](const cv::Mat& view, int border, double value) {
    cv::Mat out;
    cv::copyMakeBorder(view, out, picture.pad, picture.pad, picture.pad, picture.pad, border, cv::Scalar::all(value));
    return out;
  };
  if (look == Look::opaque) {
    picture.views.push_back(padded(picture.gray, cv::BORDER_REPLICATE, 0));
  } else if (look == Look::flat) {
    picture.views.push_back(padded(picture.mask, cv::BORDER_CONSTANT, 0));
  } else {
    // On black and on white: the border of a part that is dark or bright shows in one of them.
    for (const double ground : {0.0, 255.0}) {
      cv::Mat on(size, CV_8UC1);
      for (int y = 0; y < size.height; ++y) {
        for (int x = 0; x < size.width; ++x) {
          const double share = picture.mask.at<std::uint8_t>(y, x) / 255.0;
          on.at<std::uint8_t>(y, x) = cv::saturate_cast<std::uint8_t>(share * picture.gray.at<std::uint8_t>(y, x) + (1 - share) * ground);
        }
      }
      picture.views.push_back(padded(on, cv::BORDER_CONSTANT, ground));
    }
  }
  return picture;
}

/// The views at `size`, turned about the middle. \return and where the mark's middle is.
cv::Point2f render(const Picture& picture, double size, double angle, std::vector<cv::Mat>& out) {
  const double factor = size / working_size;
  const double c = std::cos(angle) * factor, s = std::sin(angle) * factor;
  const double width = picture.views[0].cols, height = picture.views[0].rows;
  const int w = static_cast<int>(std::ceil(std::abs(c) * width + std::abs(s) * height)) + 2;
  const int h = static_cast<int>(std::ceil(std::abs(s) * width + std::abs(c) * height)) + 2;
  const cv::Matx23d map(c, -s, (w - 1) / 2.0 - c * (width - 1) / 2 + s * (height - 1) / 2, s, c,
                        (h - 1) / 2.0 - s * (width - 1) / 2 - c * (height - 1) / 2);
  out.clear();
  for (const cv::Mat& view : picture.views) {
    cv::Mat smooth, turned;
    // What INTER_AREA does for upright pictures: average over the pixels that become one.
    cv::GaussianBlur(view, smooth, {}, 0.45 / std::min(1.0, factor));
    cv::warpAffine(smooth, turned, map, {w, h}, cv::INTER_LINEAR, cv::BORDER_REPLICATE);
    out.push_back(turned);
  }
  return {static_cast<float>((w - 1) / 2.0), static_cast<float>((h - 1) / 2.0)};
}

struct Edge {
  int x, y;
  float strength;
  short gx, gy;
};

/// Pixels on the ridge of an edge, strongest first.
std::vector<Edge> ridge(const Gradient& gradient) {
  const int width = gradient.x.cols, height = gradient.x.rows;
  cv::Mat strength(height, width, CV_32F);
  float largest = 0;
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      const float s = std::hypot(static_cast<float>(gradient.x.at<short>(y, x)), static_cast<float>(gradient.y.at<short>(y, x)));
      strength.at<float>(y, x) = s;
      largest = std::max(largest, s);
    }
  }
  std::vector<Edge> edges;
  const float least = std::max(60.0F, 0.15F * largest);
  for (int y = 1; y + 1 < height; ++y) {
    for (int x = 1; x + 1 < width; ++x) {
      const float s = strength.at<float>(y, x);
      if (s < least) continue;
      const short gx = gradient.x.at<short>(y, x), gy = gradient.y.at<short>(y, x);
      const int dx = std::abs(gx) * 1024 > std::abs(gy) * 424 ? (gx > 0 ? 1 : -1) : 0;
      const int dy = std::abs(gy) * 1024 > std::abs(gx) * 424 ? (gy > 0 ? 1 : -1) : 0;
      if (s < strength.at<float>(y + dy, x + dx) || s <= strength.at<float>(y - dy, x - dx)) continue;
      edges.push_back({x, y, s, gx, gy});
    }
  }
  std::stable_sort(edges.begin(), edges.end(), [](const Edge& a, const Edge& b) { return a.strength > b.strength; });
  return edges;
}

/// `count` of them, as far from each other as that allows.
std::vector<Edge> scattered(const std::vector<Edge>& edges, std::size_t count) {
  if (edges.size() <= count) return edges;
  for (float apart = 12; apart > 0.4F; apart *= 0.88F) {
    std::vector<Edge> chosen;
    for (const Edge& edge : edges) {
      const bool near = std::any_of(chosen.begin(), chosen.end(), [&](const Edge& other) {
        const auto dx = static_cast<float>(edge.x - other.x), dy = static_cast<float>(edge.y - other.y);
        return dx * dx + dy * dy < apart * apart;
      });
      if (!near) chosen.push_back(edge);
      if (chosen.size() == count) return chosen;
    }
  }
  return {edges.begin(), edges.begin() + static_cast<std::ptrdiff_t>(count)};
}

/// Leaves out what padding made: an opaque picture's edges end with it, a silhouette's may lie on its border.
void keep_own(std::vector<Edge>& edges, const Reference& reference, cv::Point2f middle, double size, double angle) {
  const double margin = reference.look == Look::opaque ? -1.5 : 1.5;
  const double across = reference.extent.width * size / 2 + margin, down = reference.extent.height * size / 2 + margin;
  const double c = std::cos(angle), s = std::sin(angle);
  std::erase_if(edges, [&](const Edge& edge) {
    const double x = static_cast<double>(edge.x) - static_cast<double>(middle.x), y = static_cast<double>(edge.y) - static_cast<double>(middle.y);
    return std::abs(c * x + s * y) > across || std::abs(c * y - s * x) > down;
  });
}

void add_templates(const Picture& picture, Reference& reference) {
  std::vector<cv::Mat> views;
  for (int scale = 0; scale < template_scales; ++scale) {
    const double size = smallest_template * std::pow(template_ratio, scale);
    for (int turn = -angle_steps; turn <= angle_steps; ++turn) {
      Template made;
      made.size = static_cast<float>(size);
      made.angle = static_cast<float>(turn * angle_step);
      const cv::Point2f middle = render(picture, size, made.angle, views);
      std::vector<Edge> edges = ridge(strongest_gradient(views));
      keep_own(edges, reference, middle, size, made.angle);
      for (const Edge& edge : scattered(edges, template_points)) {
        made.points.push_back({static_cast<std::int16_t>(cvRound(static_cast<float>(edge.x) - middle.x)),
                               static_cast<std::int16_t>(cvRound(static_cast<float>(edge.y) - middle.y)), direction_bin(edge.gx, edge.gy)});
      }
      if (made.points.size() >= 20) reference.templates.push_back(std::move(made));
    }
  }
}

void add_edges(const Picture& picture, Reference& reference) {
  std::vector<cv::Mat> views;
  for (std::size_t level = 0; level < edge_sizes.size(); ++level) {
    const cv::Point2f middle = render(picture, edge_sizes[level], 0, views);
    const cv::Point2f half(reference.extent.width / 2, reference.extent.height / 2);
    std::vector<Edge> edges = ridge(strongest_gradient(views));
    keep_own(edges, reference, middle, static_cast<double>(edge_sizes[level]), 0);
    for (const Edge& edge : scattered(edges, 160)) {
      const float length = std::hypot(static_cast<float>(edge.gx), static_cast<float>(edge.gy));
      const cv::Point2f at((static_cast<float>(edge.x) - middle.x) / edge_sizes[level] + half.x,
                           (static_cast<float>(edge.y) - middle.y) / edge_sizes[level] + half.y);
      reference.edges[level].push_back({at, {static_cast<float>(edge.gx) / length, static_cast<float>(edge.gy) / length}});
    }
  }
}

/// Straight edges are on everything; corners and bends are a mark's own.
double distinctiveness(const cv::Mat& values) {
  double xx = 0, yy = 0, xy = 0;
  for (int y = 0; y + 1 < values.rows; ++y) {
    const auto *row = values.ptr<float>(y), *below = values.ptr<float>(y + 1);
    for (int x = 0; x + 1 < values.cols; ++x) {
      const auto right = static_cast<double>(row[x + 1] + below[x + 1] - row[x] - below[x]), down = static_cast<double>(below[x] + below[x + 1] - row[x] - row[x + 1]);
      xx += right * right, yy += down * down, xy += right * down;
    }
  }
  if (xx + yy <= 0) return 0.1;
  const double coherence = std::hypot(xx - yy, 2 * xy) / (xx + yy);  // 1: one direction
  return 0.1 + 0.9 * (1 - coherence * coherence);
}

/// Those that are mostly known and not of one brightness.
std::vector<Window> windows_of(const Patch& patch) {
  constexpr int side = 8, hop = 4;
  constexpr double least_deviation = 12;
  std::vector<Window> windows;
  for (int y = 0; y + side <= patch.values.rows; y += hop) {
    for (int x = 0; x + side <= patch.values.cols; x += hop) {
      const cv::Rect at(x, y, side, side);
      if (cv::countNonZero(patch.weights(at)) < side * side / 2) continue;
      cv::Scalar mean, deviation;
      cv::meanStdDev(patch.values(at), mean, deviation, patch.weights(at));
      if (deviation[0] >= least_deviation) windows.push_back({at, distinctiveness(patch.values(at))});
    }
  }
  return windows;
}

/// \param stride  2: every second pixel, of every second row
Samples samples_of(const Patch& patch, int stride) {
  Samples samples;
  const cv::Rect mark = cv::boundingRect(patch.weights);  // the grid reaches beyond it
  for (std::size_t i = 0; i < samples.ninths.size(); ++i) {
    Samples::Ninth& ninth = samples.ninths[i];
    const int row = static_cast<int>(i) / 3, column = static_cast<int>(i) % 3;
    for (int y = mark.y + mark.height * row / 3; y < mark.y + mark.height * (row + 1) / 3; ++y) {
      if ((y - mark.y) % stride != 0) continue;
      for (int x = mark.x + mark.width * column / 3; x < mark.x + mark.width * (column + 1) / 3; ++x) {
        if ((x + y / stride) % stride != 0 || !patch.weights.at<std::uint8_t>(y, x)) continue;
        const float value = patch.values.at<float>(y, x) - Samples::middle;
        samples.pixels.push_back({patch.origin.x + static_cast<float>(x) * patch.step, patch.origin.y + static_cast<float>(y) * patch.step, value});
        ninth.count += 1, ninth.sum += static_cast<double>(value), ninth.squares += static_cast<double>(value * value);
      }
    }
    ninth.end = samples.pixels.size();
  }
  samples.around = {patch.origin + cv::Point2f(mark.tl()) * patch.step, patch.origin + cv::Point2f(mark.br()) * patch.step};
  return samples;
}

/// What is drawn of the mark itself: 255, padded as its views are.
cv::Mat padded_mask(const Picture& picture, Look look) {
  const cv::Mat own = look == Look::opaque ? cv::Mat(picture.size, CV_8UC1, cv::Scalar::all(255)) : picture.mask;
  cv::Mat padded;
  cv::copyMakeBorder(own, padded, picture.pad, picture.pad, picture.pad, picture.pad, cv::BORDER_CONSTANT, cv::Scalar::all(0));
  return padded;
}

Patch patch_of(const Picture& picture, const Reference& reference, float size) {
  std::vector<cv::Mat> views;
  const cv::Point2f middle = render(picture, size, 0, views);
  Patch patch;
  patch.step = 1 / size;
  patch.origin = cv::Point2f(reference.extent.width / 2, reference.extent.height / 2) - middle * patch.step;
  views[0].convertTo(patch.values, CV_32F);
  const int width = views[0].cols, height = views[0].rows;
  const float margin = 0.5F;
  const cv::Rect within(cv::Point(cvFloor(middle.x - reference.extent.width * size / 2 + margin), cvFloor(middle.y - reference.extent.height * size / 2 + margin)),
                        cv::Point(cvCeil(middle.x + reference.extent.width * size / 2 - margin) + 1, cvCeil(middle.y + reference.extent.height * size / 2 - margin) + 1));
  patch.weights = cv::Mat::zeros(height, width, CV_8UC1);
  if (reference.look == Look::opaque) {
    patch.weights(within & cv::Rect({}, patch.weights.size())).setTo(255);
    return patch;
  }
  Picture of_mask = picture;
  of_mask.views.clear();
  of_mask.views.push_back(padded_mask(picture, reference.look));
  render(of_mask, size, 0, views);
  if (reference.look == Look::flat) {
    cv::dilate(views[0] >= 100, patch.weights, cv::getStructuringElement(cv::MORPH_ELLIPSE, {7, 7}));
  } else {
    patch.weights = views[0] >= 200;  // what is around it is unknown
  }
  return patch;
}

void add_thumbnails(const Picture& picture, Reference& reference) {
  if (reference.look == Look::flat) return;
  constexpr double least_contrast = 4, largest_weight = 255;
  Picture of_mask = picture;
  of_mask.views = {padded_mask(picture, reference.look)};
  std::vector<cv::Mat> views, masks;
  for (int turn = -angle_steps; turn <= angle_steps; ++turn) {
    Thumbnail made;
    made.angle = static_cast<float>(turn * angle_step);
    const cv::Point2f middle = render(picture, thumbnail_size, made.angle, views);
    render(of_mask, thumbnail_size, made.angle, masks);
    cv::Mat known = masks[0] >= 160;
    cv::Rect part = cv::boundingRect(known);
    if (part.area() == 0) continue;
    if (part.width % 2 != 0) {
      cv::copyMakeBorder(known, known, 0, 0, 0, 1, cv::BORDER_CONSTANT, cv::Scalar::all(0));
      cv::copyMakeBorder(views[0], views[0], 0, 0, 0, 1, cv::BORDER_REPLICATE);
      ++part.width;
    }
    made.middle = middle - cv::Point2f(part.tl());
    made.known = known(part).clone();
    cv::Mat values;
    views[0](part).convertTo(values, CV_32F);
    values -= cv::mean(values, made.known);
    values.setTo(0, ~made.known);
    const double most = cv::norm(values, cv::NORM_INF);
    if (most < least_contrast) continue;
    values.convertTo(made.weights, CV_16S, largest_weight / most);
    made.scale = static_cast<float>(1 / (cv::norm(made.weights) * std::sqrt(cv::countNonZero(made.known))));
    reference.thumbnails.push_back(std::move(made));
  }
}

/// \param angle  of the direction it is squeezed along, radians. \param squeeze  by how much; 1: not at all
Corners corners_of(const Picture& picture, Look look, double angle, double squeeze) {
  Corners corners;
  const cv::Mat& source = picture.views[0];
  const cv::Mat padded = padded_mask(picture, look);
  cv::Mat turned = source, turned_mask = padded;
  cv::Matx33d turn = cv::Matx33d::eye();
  if (squeeze < 1) {
    const double c = std::cos(angle), s = std::sin(angle);
    const int width = static_cast<int>(std::ceil(std::abs(c) * source.cols + std::abs(s) * source.rows));
    const int height = static_cast<int>(std::ceil(std::abs(s) * source.cols + std::abs(c) * source.rows));
    turn = {c, -s, (width - 1 - c * (source.cols - 1) + s * (source.rows - 1)) / 2, s, c, (height - 1 - s * (source.cols - 1) - c * (source.rows - 1)) / 2, 0, 0, 1};
    cv::warpAffine(source, turned, turn.get_minor<2, 3>(0, 0), {width, height}, cv::INTER_LINEAR, cv::BORDER_REPLICATE);
    cv::warpAffine(padded, turned_mask, turn.get_minor<2, 3>(0, 0), {width, height}, cv::INTER_LINEAR, cv::BORDER_CONSTANT);
  }
  const double shift = static_cast<double>(picture.pad) - 0.5;  // unit space counts pixel edges
  corners.view_from_unit = cv::Matx33d(1 / working_size, 0, 0, 0, squeeze / working_size, 0, 0, 0, 1) * turn * cv::Matx33d(working_size, 0, shift, 0, working_size, shift, 0, 0, 1);
  for (const double size : {240.0, 60.0}) {
    const bool large = size > 100;
    cv::Mat small, mask;
    const cv::Size seen(cvRound(turned.cols * size / working_size), cvRound(turned.rows * squeeze * size / working_size));
    cv::resize(turned, small, seen, 0, 0, cv::INTER_AREA);
    cv::resize(turned_mask, mask, seen, 0, 0, cv::INTER_AREA);
    mask = mask >= 128;
    const int most = (large ? 500 : 120) / (squeeze < 1 ? 2 : 1);
    const auto orb = cv::ORB::create(most, 1.2F, large ? 7 : 3, 5, 0, 2, cv::ORB::HARRIS_SCORE, 31, 12);
    std::vector<cv::KeyPoint> points;
    cv::Mat rows;
    orb->detectAndCompute(small, mask, points, rows);
    const auto scale_x = static_cast<float>(static_cast<double>(turned.cols) / seen.width), scale_y = static_cast<float>(turned.rows * squeeze / seen.height);
    for (const cv::KeyPoint& point : points) {
      const cv::Point2f at((point.pt.x + 0.5F) * scale_x - 0.5F, (point.pt.y + 0.5F) * scale_y - 0.5F * static_cast<float>(squeeze));
      corners.at.push_back(at * static_cast<float>(1 / working_size));
      corners.sizes.push_back(point.size / static_cast<float>(size));
      corners.angles.push_back(point.angle);
    }
    if (large) corners.fine = points.size();
    if (!rows.empty()) corners.descriptors.push_back(rows);
  }
  return corners;
}

/// Areas of one colour each, apart from each other, are known by their outlines, not by what is within them.
bool has_inner_edges(const Picture& picture) {
  constexpr std::size_t least_windows = 16;
  Reference trial;
  trial.look = Look::cutout;
  trial.extent = {static_cast<float>(picture.size.width / working_size), static_cast<float>(picture.size.height / working_size)};
  return windows_of(patch_of(picture, trial, patch_size)).size() >= least_windows;
}

void add_corners(const Picture& picture, Reference& reference) {
  reference.corners.push_back(corners_of(picture, reference.look, 0, 1));
  const Corners& upright = reference.corners.front();
  if (reference.look == Look::flat || upright.fine < least_textured) return;
  std::vector<cv::Point2f> fine(upright.at.begin(), upright.at.begin() + static_cast<std::ptrdiff_t>(upright.fine)), hull;
  cv::convexHull(fine, hull);
  reference.textured = cv::contourArea(hull) > 0.25;
}

/// As seen from the side, from four sides: features of a picture so squeezed are others than those of the picture.
void add_askew_corners(const Picture& picture, Reference& reference) {
  for (int quarter = 0; quarter < 4; ++quarter) reference.corners.push_back(corners_of(picture, reference.look, quarter * CV_PI / 4, 0.5));
}

/// Judges how much of the mark is its own: rectangles, discs and rings are everywhere.
void judge(const Picture& picture, Reference& reference) {
  if (reference.templates.empty()) {
    reference.hopeless = !reference.textured;
    reference.weakness = "it shows no edges";
    return;
  }
  if (reference.look == Look::opaque) {
    // Smooth pictures resemble many things.
    reference.plain = !reference.textured;
    if (reference.plain) reference.weakness = "it has few details (" + std::to_string(reference.corners.front().at.size()) + " corners)";
    return;
  }
  std::vector<std::vector<cv::Point>> contours;
  const cv::Mat solid = picture.mask >= 128;
  cv::findContours(solid, contours, cv::RETR_CCOMP, cv::CHAIN_APPROX_NONE);
  // Convex outlines say little, whether around or within. What counts is the length of outline that is not.
  double own = 0;
  int parts = 0;
  for (const auto& contour : contours) {
    const double length = cv::arcLength(contour, true);
    if (length < 0.15 * working_size) continue;
    ++parts;
    std::vector<cv::Point> hull;
    cv::convexHull(contour, hull);
    const double solidity = cv::contourArea(contour) / std::max(1.0, cv::contourArea(hull));
    if (solidity < 0.94) own += length * std::min(1.0, (1 - solidity) * 5);
  }
  reference.bends = own / working_size;
  const bool one_colour = reference.look == Look::flat;
  reference.plain = one_colour && own < 0.8 * working_size && parts < 4;
  if (reference.plain) reference.weakness = "its outline is as simple as a disc's or a rectangle's";
  if (reference.look == Look::flat && !reference.plain && reference.corners.front().at.size() < least_corners) {
    reference.plain = true;
    reference.weakness = "its outline has few corners (" + std::to_string(reference.corners.front().at.size()) + ")";
  }
}

}  // namespace

Reference make_reference(const cv::Mat& bgr, const cv::Mat& alpha, Method method) {
  Reference reference;
  Picture picture = prepare(bgr, alpha, false, reference.look);
  if (reference.look == Look::cutout && !has_inner_edges(picture)) picture = prepare(bgr, alpha, true, reference.look);
  reference.extent = {static_cast<float>(picture.size.width / working_size), static_cast<float>(picture.size.height / working_size)};
  add_edges(picture, reference);
  reference.patch = patch_of(picture, reference, patch_size);
  reference.patch.windows = windows_of(reference.patch);
  reference.patch.samples = samples_of(reference.patch, 2);
  reference.coarse = patch_of(picture, reference, coarse_patch_size);
  reference.coarse.samples = samples_of(reference.coarse, 1);
  add_templates(picture, reference);
  add_thumbnails(picture, reference);
  add_corners(picture, reference);
  judge(picture, reference);
  if (method == Method::features) {
    reference.templates.clear();
    reference.thumbnails.clear();
    if (!reference.textured && reference.corners.front().at.size() >= 12 ) reference.textured = true;
    if (!reference.textured) reference.hopeless = true, reference.weakness = "it has too few corners for method features";
  }
  if (method == Method::shape) reference.textured = false;
  if (reference.textured) add_askew_corners(picture, reference);
  return reference;
}

}  // namespace logo_search
}  // namespace v0
}  // namespace vidloom
