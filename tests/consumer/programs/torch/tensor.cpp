// Frames as at::Tensor in a program of one's own.
#include <vidloom/interop/torch.hpp>
#include <vidloom/vidloom.hpp>

#include <iostream>

int main() try {
  vidloom::register_components();
  const auto source = vidloom::open_source("test:size=160x96,frames=8");
  vidloom::SourceContext context{.cpu = vidloom::CpuGate::process()};
  source->open(context);
  std::vector<vidloom::Frame> frames;
  for (auto next = source->read(); std::holds_alternative<vidloom::Frame>(next); next = source->read())
    frames.push_back(std::get<vidloom::Frame>(next));
  source->close();

  const vidloom::TensorSpec spec{.size = {96, 96}, .mean = {0.5F, 0.5F, 0.5F}, .std = {0.25F, 0.25F, 0.25F}};
  std::vector<vidloom::Affine> maps;
  const at::Tensor batch = vidloom::to_tensor(frames, spec, &maps);
  int equal = 0;
  for (std::size_t i = 0; i < frames.size(); ++i) {
    const at::Tensor one = vidloom::to_tensor(frames[i], spec);
    const at::Tensor other = batch[static_cast<std::int64_t>(i)];
    equal += one.equal(other) && one.std().item<float>() > 0.5F && maps[i].m[0] == 1 && maps[i].m[2] == 32;
  }
  std::cout << equal << " of " << frames.size() << " tensors equal\n";
  return equal == 8 ? 0 : 1;
} catch (const vidloom::Error& error) {
  std::cerr << error.what() << '\n';
  return vidloom::exit_code(error);
}
