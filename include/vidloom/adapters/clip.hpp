#pragma once
/// Labels in words for the whole picture, by a CLIP model that the user has (Radford et al., ICML 2021). Component: clip.
///
///     Analyzer analyzer({{.name = "brands", .adapter = clip({.model = "openai/clip-vit-base-patch32",
///                                                            .labels = {"Apple", "Google", "Nike"}}), .every = 1s}});

#include <vidloom/detection_adapter.hpp>

#include <map>
#include <optional>
#include <string>
#include <vector>

namespace vidloom {
inline namespace v0 {

struct ClipOptions {
  std::string model{};  ///< folder, .safetensors file, or a name on the Hugging Face hub whose files are in its local cache
  std::vector<std::string> labels{};     ///< what to tell apart; may be empty where there are references
  std::vector<std::string> prompts{};    ///< sentences with {} for the label; empty: "a photo of {}", or "a photo of the {} logo" for kind logo
  std::vector<std::string> negatives{};  ///< sentences, as they stand, for what is there when no label is: they compete
  std::map<std::string, std::string> references{};  ///< label: picture file, or folder of pictures
  std::size_t top_k = 5;                 ///< most labels in an answer; all above the least confidence come from these
  std::string precision = "auto";        ///< auto, fp32, bf16, int8; fp16 on CUDA. auto: the fastest that passes its accuracy line (docs/reference/adapters.md)
  std::string device{};                  ///< auto, cpu, cuda or cuda:N; "": the Analyzer's; auto: CUDA where there is one
  std::string scoring = "calibrated";    ///< calibrated, or softmax: what confidence is (docs/reference/adapters.md)
  std::string calibration{};             ///< file written by `vidloom calibrate`
  int tiles = 0;                         ///< 0: the whole picture; -1: auto; else about so many parts of it, too
  std::size_t max_batch = 32;            ///< most pictures in one batch
  double max_wait = 0.005;               ///< seconds a picture waits for company
  bool embedding = false;                ///< put the L2-normalised picture embedding into the answer
  std::optional<double> logit_scale{};   ///< the model's own when not given
  std::string kind = "scene";            ///< scene, or logo
};
/// class_id counts `labels`; raw_score is a cosine.
VIDLOOM_API AdapterSpec clip(const ClipOptions& options);

}  // namespace v0
}  // namespace vidloom
