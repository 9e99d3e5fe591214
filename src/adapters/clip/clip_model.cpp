#include <adapters/clip/clip_model.hpp>

#include <vidloom/core/error.hpp>

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <exception>
#include <utility>

namespace vidloom {
inline namespace v0 {
namespace {

/// Names of one tower's tensors in a layout.
struct Names {
  std::string layer;  ///< before the layer's number
  std::string norm1, norm2, output, up, down, last, projection;
  bool joined_qkv = false;            ///< one (3 * width, width) tensor, else q_proj, k_proj and v_proj
  bool projection_transposed = false;  ///< (width, embedding) instead of (embedding, width)
};

Names image_names(ClipFiles::Layout layout) {
  if (layout == ClipFiles::Layout::open_clip) {
    return {"visual.transformer.resblocks.", "ln_1", "ln_2", "attn.out_proj", "mlp.c_fc", "mlp.c_proj", "visual.ln_post", "visual.proj", true, true};
  }
  return {"vision_model.encoder.layers.", "layer_norm1", "layer_norm2", "self_attn.out_proj", "mlp.fc1", "mlp.fc2", "vision_model.post_layernorm",
          "visual_projection.weight"};
}

/// \param before  "" or "text.": models with a text tower of its own class put that before each name
Names text_names(ClipFiles::Layout layout, const std::string& before) {
  if (layout == ClipFiles::Layout::open_clip) {
    return {before + "transformer.resblocks.", "ln_1", "ln_2", "attn.out_proj", "mlp.c_fc", "mlp.c_proj", before + "ln_final", before + "text_projection", true, true};
  }
  return {"text_model.encoder.layers.", "layer_norm1", "layer_norm2", "self_attn.out_proj", "mlp.fc1", "mlp.fc2", "text_model.final_layer_norm",
          "text_projection.weight"};
}

/// Packs tensors, and refuses those that hold a number which is none.
class Packer {
 public:
  Packer(const ClipWeights& weights, const Arithmetic& arithmetic, Team& team) : weights_(weights), arithmetic_(arithmetic), team_(team) {}
  /// For a tower that is used once: weights stay in their file until they are multiplied with, and verify() tells what was wrong with them.
  Packer(const ClipWeights& weights, const TowerKernels& kernels, Team& team, bool in_passing) : Packer(weights, Arithmetic{&kernels}, team) {
    if (in_passing) scratch_ = std::make_shared<std::vector<FloatBuffer>>(team.width());
  }

  LayerNorm norm(const std::string& name, std::size_t width) const {
    return {weights_.floats(name + ".weight", {width}), weights_.floats(name + ".bias", {width})};
  }
  /// Rows [first, first + outputs) of a matrix of `all` rows, times `factor`.
  PackedLinear rows(const std::string& weight, const std::string& bias, std::size_t all, std::size_t first, std::size_t outputs,
                    std::size_t inputs, float factor = 1) {
    const std::size_t shape[] = {all, inputs};
    const StoredTensor& tensor = weights_.tensor(weight, shape);
    std::vector<float> offsets;
    if (!bias.empty()) {
      const std::vector<float> given = weights_.floats(bias, {all});
      for (std::size_t i = 0; i < outputs; ++i) offsets.push_back(given[first + i] * factor);
    }
    return pack(weight, tensor, first, outputs, inputs, factor, std::move(offsets));
  }
  PackedLinear linear(const std::string& name, std::size_t outputs, std::size_t inputs) {
    return rows(name + ".weight", name + ".bias", outputs, 0, outputs, inputs);
  }
  /// A tensor whose rows are the outputs once everything behind the first side is one row.
  PackedLinear flat(const std::string& name, std::span<const std::size_t> shape) {
    const std::size_t outputs = shape.front();
    std::size_t inputs = 1;
    for (const std::size_t side : shape.subspan(1)) inputs *= side;
    return pack(name, weights_.tensor(name, shape), 0, outputs, inputs, 1, {});
  }
  PackedLinear transposed(const std::string& name, std::size_t outputs, std::size_t inputs) {
    const auto numbers = std::make_shared<const std::vector<float>>(weights_.floats(name, {inputs, outputs}));
    return make(name, outputs, inputs, [numbers, inputs, outputs](std::size_t output, std::span<float> to) {
      for (std::size_t i = 0; i < inputs; ++i) to[i] = (*numbers)[i * outputs + output];
    }, {});
  }
  /// Keys and values of three tensors as one matrix of 2 * width rows.
  PackedLinear pair(const std::string& first, const std::string& second, std::size_t width) {
    const std::size_t shape[] = {width, width};
    const std::array tensors{readable(weights_.tensor(first + ".weight", shape)), readable(weights_.tensor(second + ".weight", shape))};
    std::vector<float> bias = weights_.floats(first + ".bias", {width});
    const std::vector<float> more = weights_.floats(second + ".bias", {width});
    bias.insert(bias.end(), more.begin(), more.end());
    return make(first + "' or '" + second, 2 * width, width, [tensors, width](std::size_t output, std::span<float> to) {
      read_floats(*tensors[output / width], output % width * width, to);
    }, std::move(bias));
  }

  /// Throws Error(model) when a number of what was multiplied with is not finite.
  void verify() const {
    for (const auto& [name, finite] : read_) {
      if (!*finite) refuse(name);
    }
  }

 private:
  using Row = std::function<void(std::size_t, std::span<float>)>;
  static bool all_finite(std::span<const float> numbers) noexcept {
    // A finite number times 0 is 0, NaN and infinity give NaN; in several sums, for one would wait for itself.
    float nothing[16] = {};
    std::size_t i = 0;
    for (; i + 16 <= numbers.size(); i += 16) {
      for (std::size_t j = 0; j < 16; ++j) nothing[j] += numbers[i + j] * 0.0F;
    }
    for (; i < numbers.size(); ++i) nothing[0] += numbers[i] * 0.0F;
    return std::ranges::all_of(nothing, [](float sum) { return sum == 0; });
  }
  [[noreturn]] void refuse(const std::string& name) const {
    throw Error(Code::model, weights_.path() + ": tensor '" + name + "' holds NaN or infinity; the checkpoint is damaged");
  }
  /// Throws here, on this thread, where the numbers are of a kind that cannot be read.
  static const StoredTensor* readable(const StoredTensor& tensor) {
    float probe = 0;
    read_floats(tensor, 0, {&probe, 1});
    return &tensor;
  }
  PackedLinear pack(const std::string& name, const StoredTensor& tensor, std::size_t first, std::size_t outputs, std::size_t inputs,
                    float factor, std::vector<float> bias) {
    const Row row = [from = readable(tensor), first, inputs](std::size_t output, std::span<float> to) { read_floats(*from, (first + output) * inputs, to); };
    if (factor == 1) return make(name, outputs, inputs, row, std::move(bias));
    return make(name, outputs, inputs, [row, factor](std::size_t output, std::span<float> to) {
      row(output, to);
      std::ranges::transform(to, to.begin(), [factor](float value) { return value * factor; });
    }, std::move(bias));
  }
  PackedLinear make(const std::string& name, std::size_t outputs, std::size_t inputs, Row row, std::vector<float> bias) {
    const auto finite = std::make_shared<std::atomic<bool>>(true);
    Row checked = [row = std::move(row), finite](std::size_t output, std::span<float> to) {
      row(output, to);
      if (!all_finite(to)) *finite = false;
    };
    if (scratch_) {
      read_.emplace_back(name, finite);
      return PackedLinear(*arithmetic_.wide, outputs, inputs, std::move(checked), std::move(bias), scratch_);
    }
    PackedLinear made(arithmetic_, team_, outputs, inputs, checked, std::move(bias));
    if (!*finite) refuse(name);
    return made;
  }

  const ClipWeights& weights_;
  const Arithmetic arithmetic_;
  Team& team_;
  std::shared_ptr<std::vector<FloatBuffer>> scratch_;  // set: nothing is packed
  std::vector<std::pair<std::string, std::shared_ptr<const std::atomic<bool>>>> read_;
};

Transformer make_transformer(Packer& packer, const Names& names, const TowerConfig& config, std::size_t embedding, bool causal) {
  Transformer made;
  const std::size_t width = config.width;
  made.width = width;
  made.heads = config.heads;
  made.activation = config.activation;
  made.epsilon = config.epsilon;
  made.causal = causal;
  const float scale = 1 / std::sqrt(static_cast<float>(width / config.heads));
  for (std::size_t i = 0; i < config.layers; ++i) {
    const std::string layer = names.layer + std::to_string(i) + ".";
    TransformerLayer& one = made.layers.emplace_back();
    one.before_attention = packer.norm(layer + names.norm1, width);
    one.before_mlp = packer.norm(layer + names.norm2, width);
    if (names.joined_qkv) {
      const std::string weight = layer + "attn.in_proj_weight", bias = layer + "attn.in_proj_bias";
      one.query = packer.rows(weight, bias, 3 * width, 0, width, width, scale);
      one.key_value = packer.rows(weight, bias, 3 * width, width, 2 * width, width);
    } else {
      const std::string query = layer + "self_attn.q_proj";
      one.query = packer.rows(query + ".weight", query + ".bias", width, 0, width, width, scale);
      one.key_value = packer.pair(layer + "self_attn.k_proj", layer + "self_attn.v_proj", width);
    }
    one.output = packer.linear(layer + names.output, width, width);
    one.up = packer.linear(layer + names.up, config.hidden, width);
    one.down = packer.linear(layer + names.down, width, config.hidden);
  }
  made.last = packer.norm(names.last, width);
  const std::size_t shape[] = {embedding, width};
  made.projection = names.projection_transposed ? packer.transposed(names.projection, embedding, width) : packer.flat(names.projection, shape);
  return made;
}

class PackedImageTower final : public ImageTower, public std::enable_shared_from_this<PackedImageTower> {
 public:
  PackedImageTower(const ClipFiles& files, const ClipWeights& weights, const Arithmetic& arithmetic)
      : arithmetic_(arithmetic), team_(Team::shared()), config_(files.config) {
    const bool open_clip = files.layout == ClipFiles::Layout::open_clip;
    Packer packer(weights, arithmetic, *team_);
    const std::size_t width = config_.image.width, side = config_.image_size / config_.patch;
    const std::size_t shape[] = {width, 3, config_.patch, config_.patch};
    patches_ = packer.flat(open_clip ? "visual.conv1.weight" : "vision_model.embeddings.patch_embedding.weight", shape);
    class_row_ = weights.floats(open_clip ? "visual.class_embedding" : "vision_model.embeddings.class_embedding", {width});
    positions_ = weights.floats(open_clip ? "visual.positional_embedding" : "vision_model.embeddings.position_embedding.weight", {side * side + 1, width});
    first_ = packer.norm(open_clip ? "visual.ln_pre" : "vision_model.pre_layrnorm", width);
    transformer_ = make_transformer(packer, image_names(files.layout), config_.image, config_.embedding, false);
    for (std::size_t i = 0; i < width; ++i) class_row_[i] += positions_[i];
  }

  std::string description() const override { return arithmetic_.narrow ? std::string(arithmetic_.narrow->precision) + ", " + arithmetic_.narrow->name : std::string("fp32, ") + arithmetic_.wide->name; }
  std::unique_ptr<Session> session() const override { return std::make_unique<Work>(shared_from_this()); }

 private:
  class Work final : public Session {
   public:
    explicit Work(std::shared_ptr<const PackedImageTower> tower) : tower_(std::move(tower)), workspace_(tower_->team_->width()) {}
    void encode(std::span<const Frame> frames, std::span<float> out) override {
      const std::size_t picture = slot_bytes(tower_->config_.pixels) / sizeof(float);
      in_passes(frames.size(), [&](std::size_t from, std::size_t n) {
        float* const pixels = pixels_.ask(n * picture);
        std::vector<std::exception_ptr> failures(n);
        tower_->team_->run(n, [&](std::size_t i, unsigned) noexcept {
          try {
            (void)frames[from + i].write_tensor(tower_->config_.pixels, std::as_writable_bytes(std::span(pixels + i * picture, picture)));
          } catch (...) {
            failures[i] = std::current_exception();
          }
        });
        for (const auto& failure : failures) {
          if (failure) std::rethrow_exception(failure);
        }
        run({pixels, n * picture}, n, out.subspan(from * tower_->config_.embedding));
      });
    }
    void encode_pixels(std::span<const float> pixels, std::size_t n, std::span<float> out) override {
      const std::size_t picture = slot_bytes(tower_->config_.pixels) / sizeof(float);
      in_passes(n, [&](std::size_t from, std::size_t count) {
        run(pixels.subspan(from * picture, count * picture), count, out.subspan(from * tower_->config_.embedding));
      });
    }

   private:
    /// As many pictures at once as keep a layer's numbers in the last level of cache.
    template <class Run>
    void in_passes(std::size_t n, const Run& run_some) const {
      constexpr std::size_t most_rows = 448;
      const std::size_t side = tower_->config_.image_size / tower_->config_.patch, at_once = std::max<std::size_t>(1, most_rows / (side * side + 1));
      const std::size_t passes = (n + at_once - 1) / at_once;
      for (std::size_t pass = 0; pass < passes; ++pass) {
        const std::size_t from = n * pass / passes, to = n * (pass + 1) / passes;
        run_some(from, to - from);
      }
    }
    void run(std::span<const float> pixels, std::size_t n, std::span<float> out) {
      const PackedImageTower& tower = *tower_;
      const ClipConfig& config = tower.config_;
      const std::size_t width = config.image.width, size = config.image_size, patch = config.patch, side = size / patch;
      const std::size_t tokens = side * side + 1, depth = 3 * patch * patch;
      pieces_.ask(tower.arithmetic_, n * side * side, depth);
      for (auto& scratch : workspace_.scratch) scratch.ask(side * depth);
      float* const embedded = embedded_.ask(n * side * side * width);
      float* const x = x_.ask(n * tokens * width);
      tower.team_->run(n * side, [&](std::size_t index, unsigned member) noexcept {  // one row of patches each
        float* const row = workspace_.scratch[member].ask(side * depth);
        const float* const picture = pixels.data() + index / side * 3 * size * size + index % side * patch * size;
        for (std::size_t column = 0; column < side; ++column) {
          float* to = row + column * depth;
          for (std::size_t channel = 0; channel < 3; ++channel) {
            for (std::size_t y = 0; y < patch; ++y, to += patch) std::copy_n(picture + (channel * size + y) * size + column * patch, patch, to);
          }
        }
        pieces_.write(tower.arithmetic_, row, index * side, side);
      });
      tower.patches_(*tower.team_, pieces_, n * side * side, embedded, width);
      sequences_.clear();
      for (std::size_t i = 0; i < n; ++i) sequences_.push_back({i * tokens, tokens, 0});
      tower.team_->run(n, [&](std::size_t i, unsigned) noexcept {
        float* const rows = x + i * tokens * width;
        std::ranges::copy(tower.class_row_, rows);
        const float* const from = embedded + i * (tokens - 1) * width;
        for (std::size_t j = 0; j < (tokens - 1) * width; ++j) rows[width + j] = from[j] + tower.positions_[width + j];
        tower.arithmetic_.wide->layer_norm(rows, tokens, width, tower.first_.gain.data(), tower.first_.bias.data(), config.image.epsilon, rows);
      });
      tower.transformer_.run(tower.arithmetic_, *tower.team_, workspace_, x, n * tokens, sequences_, out.data());
      for (std::size_t i = 0; i < n; ++i) normalise(out.subspan(i * config.embedding, config.embedding));
    }

    const std::shared_ptr<const PackedImageTower> tower_;
    Transformer::Workspace workspace_;
    FloatBuffer pixels_, embedded_, x_;
    OperandBuffer pieces_;
    std::vector<Transformer::Sequence> sequences_;
  };

  const Arithmetic arithmetic_;
  const std::shared_ptr<Team> team_;
  const ClipConfig config_;
  PackedLinear patches_;
  std::vector<float> class_row_, positions_;  // the class row holds its position already
  LayerNorm first_;
  Transformer transformer_;
};

}  // namespace

ImageTower::~ImageTower() = default;
ImageTower::Session::~Session() = default;

std::shared_ptr<const ImageTower> make_packed_image_tower(const ClipFiles& files, const ClipWeights& weights, const Arithmetic& arithmetic) {
  auto tower = std::make_shared<const PackedImageTower>(files, weights, arithmetic);
  weights.release_pages();
  return tower;
}

std::vector<float> encode_texts(const ClipFiles& files, const ClipWeights& weights, std::span<const std::vector<std::int64_t>> texts,
                                const TowerKernels& kernels) {
  const ClipConfig& config = files.config;
  const bool open_clip = files.layout == ClipFiles::Layout::open_clip;
  const std::string before = open_clip && weights.has("text.token_embedding.weight") ? "text." : "";
  const std::shared_ptr<Team> team = Team::shared();
  const Arithmetic arithmetic{&kernels};
  // Packing costs as much as a hundred rows or two, and 150 MB while it lasts: only where the weights are gone through again and again.
  std::size_t all_rows = 0;
  for (const auto& text : texts) all_rows += text.size();
  constexpr std::size_t most_rows = 512;
  Packer packer(weights, kernels, *team, all_rows <= 2 * most_rows);
  const std::size_t width = config.text.width;
  const Transformer transformer = make_transformer(packer, text_names(files.layout, before), config.text, config.embedding, true);
  const std::size_t shape[] = {config.vocabulary, width};
  const StoredTensor& tokens = weights.tensor(open_clip ? before + "token_embedding.weight" : "text_model.embeddings.token_embedding.weight", shape);
  const std::vector<float> positions = weights.floats(open_clip ? before + "positional_embedding" : "text_model.embeddings.position_embedding.weight", {config.context, width});

  std::vector<float> out(texts.size() * config.embedding);
  Transformer::Workspace workspace(team->width());
  FloatBuffer buffer;
  for (std::size_t first = 0; first < texts.size();) {  // as many texts at once as keep a layer's numbers in the last level of cache
    std::vector<Transformer::Sequence> sequences;
    std::size_t rows = 0;
    for (std::size_t i = first; i < texts.size() && (i == first || rows + texts[i].size() <= most_rows); ++i) {
      if (texts[i].empty() || texts[i].size() > config.context) throw Error(Code::internal, "a text of " + std::to_string(texts[i].size()) + " tokens");
      sequences.push_back({rows, texts[i].size(), texts[i].size() - 1});
      rows += texts[i].size();
    }
    float* const x = buffer.ask(rows * width);
    for (std::size_t i = 0; i < sequences.size(); ++i) {
      for (std::size_t at = 0; at < sequences[i].length; ++at) {
        const std::int64_t id = texts[first + i][at];
        if (id < 0 || static_cast<std::uint64_t>(id) >= config.vocabulary) {
          throw Error(Code::model, files.folder.string() + ": the tokenizer knows id " + std::to_string(id) + ", the model only " + std::to_string(config.vocabulary) + " ids");
        }
        float* const row = x + (sequences[i].first + at) * width;
        read_floats(tokens, static_cast<std::size_t>(id) * width, {row, width});
        for (std::size_t j = 0; j < width; ++j) row[j] += positions[at * width + j];
      }
    }
    transformer.run(arithmetic, *team, workspace, x, rows, sequences, out.data() + first * config.embedding);
    first += sequences.size();
  }
  packer.verify();
  for (std::size_t i = 0; i < texts.size(); ++i) normalise({out.data() + i * config.embedding, config.embedding});
  weights.release_pages();
  return out;
}

double logit_scale(const ClipWeights& weights) {
  const double scale = std::exp(static_cast<double>(weights.floats("logit_scale", {}).front()));
  if (!(scale > 0) || !std::isfinite(scale)) throw Error(Code::model, weights.path() + ": logit_scale is " + std::to_string(scale));
  return scale;
}

void normalise(std::span<float> row) {
  double sum = 0;
  for (const float value : row) sum += static_cast<double>(value) * static_cast<double>(value);
  if (!std::isfinite(sum) || sum <= 0) throw Error(Code::model, "the model's answer has no finite length: its weights or the picture are damaged");
  const double scale = 1 / std::sqrt(sum);
  for (float& value : row) value = static_cast<float>(static_cast<double>(value) * scale);
}

}  // namespace v0
}  // namespace vidloom
