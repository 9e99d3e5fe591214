/// The evidence behind every find, for fitting confidence_of(): reads references and grey frames, prints a JSON line a find.
///
///     candidates METHOD REFERENCES FRAMES [TRUTH]    (both files as fit.py writes them: int32 width, height, then the pixels, one picture after another;
///                                             references are BGRA, frames are grey. TRUTH: a line a mark, the numbers of its frame and
///                                             reference and its four corners; then it prints instead how far each of these marks came)

#include <adapters/opencv/logos/finder.hpp>

#include <opencv2/imgproc.hpp>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <ctime>
#include <fstream>
#include <map>
#include <string>
#include <vector>

namespace {

bool read_picture(std::ifstream& file, int type, cv::Mat& picture) {
  std::int32_t size[2];
  if (!file.read(reinterpret_cast<char*>(size), sizeof size)) return false;
  picture.create(size[1], size[0], type);
  return static_cast<bool>(file.read(reinterpret_cast<char*>(picture.data), static_cast<std::streamsize>(picture.total() * picture.elemSize())));
}

struct Mark {
  std::size_t reference = 0;
  std::array<cv::Point2f, 4> corners{};
};

double overlap(const std::array<cv::Point2f, 4>& a, const std::array<cv::Point2f, 4>& b) {
  std::vector<cv::Point2f> both;
  const double shared = static_cast<double>(cv::intersectConvexConvex(a, b, both));
  return shared / std::max(1.0, cv::contourArea(a) + cv::contourArea(b) - shared);
}

/// How near a map is to the truth: intersection over union.
double nearness(const cv::Matx33d& map, const vidloom::logo_search::Reference& reference, const Mark& mark) {
  using vidloom::logo_search::map_point;
  const double w = reference.extent.width, h = reference.extent.height;
  const auto at = [&map](double x, double y) { return cv::Point2f(map_point(map, x, y) + cv::Point2d(0.5, 0.5)); };
  return overlap({at(0, 0), at(w, 0), at(w, h), at(0, h)}, mark.corners);
}

/// Processor time of this process: the same on a busy machine.
double cpu_ms() { return 1000.0 * static_cast<double>(std::clock()) / CLOCKS_PER_SEC; }

}  // namespace

int main(int count, char** arguments) {
  using namespace vidloom::logo_search;
  if (count != 4 && count != 5) return 2;
  std::map<int, Mark> truth;
  if (count == 5) {
    std::ifstream file(arguments[4]);
    Mark mark;
    for (int at = 0; file >> at >> mark.reference;) {
      for (cv::Point2f& corner : mark.corners) file >> corner.x >> corner.y;
      truth[at] = mark;
    }
  }
  const std::string word = arguments[1];
  const Method method = word == "features" ? Method::features : word == "shape" ? Method::shape : Method::automatic;
  std::vector<Reference> references;
  cv::Mat picture;
  for (std::ifstream file(arguments[2], std::ios::binary); read_picture(file, CV_8UC4, picture);) {
    cv::Mat bgr, alpha;
    cv::cvtColor(picture, bgr, cv::COLOR_BGRA2BGR);
    cv::extractChannel(picture, alpha, 3);
    references.push_back(make_reference(bgr, alpha, method));
    const Reference& made = references.back();
    std::fprintf(stderr, "%zu: look %d textured %d plain %d corners %zu templates %zu edges %zu %s\n", references.size() - 1, static_cast<int>(made.look), made.textured,
                 made.plain, made.corners.front().at.size(), made.templates.size(), made.edges[1].size(), made.weakness.c_str());
  }
  double scene_ms = 0, find_ms = 0;
  int frame = 0;
  cv::setNumThreads(1);
  for (std::ifstream file(arguments[3], std::ios::binary); read_picture(file, CV_8UC1, picture); ++frame) {
    const double start = cpu_ms();
    const Scene scene = make_scene(picture, {.templates = method != Method::features, .thumbnails = method != Method::features, .corners = method != Method::shape});
    const double middle = cpu_ms();
    if (const auto mark = truth.find(frame); mark != truth.end()) {
      // Where a mark gets lost: the nearest guess of each kind, the nearest after it was placed, and what that has to say.
      const Reference& reference = references[mark->second.reference];
      double guess[2] = {0, 0}, placed = 0, truest = 0;
      int rank = -1;
      if (reference.textured) {
        for (const Candidate& one : search_features(scene, reference, 4)) guess[0] = std::max(guess[0], nearness(one.scene_from_unit, reference, mark->second));
      }
      for (const Candidate& one : search_templates(scene, reference)) guess[1] = std::max(guess[1], nearness(one.scene_from_unit, reference, mark->second));
      const std::vector<Candidate> candidates = guesses(scene, reference);
      for (std::size_t i = 0; i < candidates.size(); ++i) {
        cv::Matx33d map;
        if (!place(scene, reference, candidates[i], map)) continue;
        const double after = nearness(map, reference, mark->second);
        if (after > placed) placed = after, rank = static_cast<int>(i), truest = confidence_of(reference, weigh(scene, reference, map));
      }
      std::printf("{\"frame\": %d, \"reference\": %zu, \"features\": %.3f, \"templates\": %.3f, \"rank\": %d, \"placed\": %.3f, \"confidence\": %.5f}\n", frame,
                  mark->second.reference, guess[0], guess[1], rank, placed, truest);
    }
    for (std::size_t i = 0; i < references.size() && truth.empty(); ++i) {
      for (const Find& find : find_one(scene, references[i], i)) {
        const Evidence& e = find.evidence;
        std::printf("{\"frame\": %d, \"reference\": %zu, \"look\": %d, \"plain\": %d, \"corners\": [%.2f, %.2f, %.2f, %.2f, %.2f, %.2f, %.2f, %.2f], "
                    "\"support\": %.4f, \"direction\": %.4f, \"ncc\": %.4f, \"low\": %.4f, \"middle\": %.4f, \"high\": %.4f, "
                    "\"seen_direction\": %.4f, \"seen_low\": %.4f, \"seen_middle\": %.4f, \"seen_high\": %.4f, \"exact\": %.4f, \"bends\": %.3f, "
                    "\"stretch\": %.3f, \"size\": %.2f, \"inliers\": %d, \"confidence\": %.5f}\n",
                    frame, i, static_cast<int>(references[i].look), references[i].plain, find.corners[0].x, find.corners[0].y, find.corners[1].x, find.corners[1].y,
                    find.corners[2].x, find.corners[2].y, find.corners[3].x, find.corners[3].y, static_cast<double>(e.edges.support),
                    static_cast<double>(e.edges.direction), static_cast<double>(e.ncc), static_cast<double>(e.windows[0]), static_cast<double>(e.windows[1]),
                    static_cast<double>(e.windows[2]), static_cast<double>(e.seen_direction), static_cast<double>(e.seen_windows[0]), static_cast<double>(e.seen_windows[1]),
                    static_cast<double>(e.seen_windows[2]), static_cast<double>(e.edges.exact), references[i].bends, static_cast<double>(e.stretch), static_cast<double>(e.size), e.inliers, find.confidence);
      }
    }
    const double end = cpu_ms();
    scene_ms += middle - start;
    find_ms += end - middle;
  }
  if (frame > 0) std::fprintf(stderr, "%d frames, %.1f ms a scene, %.1f ms a frame for %zu references, processor time of one thread\n", frame, scene_ms / frame, find_ms / frame, references.size());
}
