/// The evidence behind every find, for fitting confidence_of(): reads references and grey frames, prints a JSON line a find.
///
///     candidates METHOD REFERENCES FRAMES    (both files as fit.py writes them: int32 width, height, then the pixels, one picture after another;
///                                             references are BGRA, frames are grey)

#include <adapters/opencv/logos/finder.hpp>

#include <opencv2/imgproc.hpp>

#include <cstdint>
#include <cstdio>
#include <ctime>
#include <fstream>
#include <string>
#include <vector>

namespace {

bool read_picture(std::ifstream& file, int type, cv::Mat& picture) {
  std::int32_t size[2];
  if (!file.read(reinterpret_cast<char*>(size), sizeof size)) return false;
  picture.create(size[1], size[0], type);
  return static_cast<bool>(file.read(reinterpret_cast<char*>(picture.data), static_cast<std::streamsize>(picture.total() * picture.elemSize())));
}

/// Processor time of this process: the same on a busy machine.
double cpu_ms() { return 1000.0 * static_cast<double>(std::clock()) / CLOCKS_PER_SEC; }

}  // namespace

int main(int count, char** arguments) {
  using namespace vidloom::logo_search;
  if (count != 4) return 2;
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
                 made.plain, made.corners.size(), made.templates.size(), made.edges[1].size(), made.weakness.c_str());
  }
  double scene_ms = 0, find_ms = 0;
  int frame = 0;
  cv::setNumThreads(1);
  for (std::ifstream file(arguments[3], std::ios::binary); read_picture(file, CV_8UC1, picture); ++frame) {
    const double start = cpu_ms();
    const Scene scene = make_scene(picture, method != Method::features, method != Method::shape);
    const double middle = cpu_ms();
    for (std::size_t i = 0; i < references.size(); ++i) {
      for (const Find& find : find_one(scene, references[i], i)) {
        const Evidence& e = find.evidence;
        std::printf("{\"frame\": %d, \"reference\": %zu, \"look\": %d, \"plain\": %d, \"corners\": [%.2f, %.2f, %.2f, %.2f, %.2f, %.2f, %.2f, %.2f], "
                    "\"support\": %.4f, \"direction\": %.4f, \"contrast\": %.2f, \"polarity\": %.4f, \"ncc\": %.4f, \"blocks\": %.4f, \"agreeing\": %.4f, "
                    "\"uniform\": %.4f, \"apart\": %.4f, \"stretch\": %.3f, \"size\": %.2f, \"inliers\": %d, \"confidence\": %.5f}\n",
                    frame, i, static_cast<int>(references[i].look), references[i].plain, find.corners[0].x, find.corners[0].y, find.corners[1].x, find.corners[1].y,
                    find.corners[2].x, find.corners[2].y, find.corners[3].x, find.corners[3].y, static_cast<double>(e.edges.support),
                    static_cast<double>(e.edges.direction), static_cast<double>(e.edges.contrast), static_cast<double>(e.edges.polarity), static_cast<double>(e.ncc),
                    static_cast<double>(e.blocks), static_cast<double>(e.agreeing), static_cast<double>(e.uniform), static_cast<double>(e.apart),
                    static_cast<double>(e.stretch), static_cast<double>(e.size), e.inliers, find.confidence);
      }
    }
    const double end = cpu_ms();
    scene_ms += middle - start;
    find_ms += end - middle;
  }
  if (frame > 0) std::fprintf(stderr, "%d frames, %.1f ms a scene, %.1f ms a frame for %zu references, processor time of one thread\n", frame, scene_ms / frame, find_ms / frame, references.size());
}
