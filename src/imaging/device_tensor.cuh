// From planes to tensors on a device: one source, read twice. g++ takes it as plain C++: the host fills in these structs, and tests
// run the arithmetic on the CPU. NVRTC takes it as CUDA. Hence built-in types alone, and no include.
//
// A block of memory goes to the device in one copy: a Picture a frame, then the tables of taps, then the parts of the planes that
// taps reach. `across` resizes the rows of each component, `down` the columns, and turns the three components into a pixel.
#if defined(__CUDACC_RTC__)
#define VIDLOOM_ON_DEVICE __device__ inline
#else
#pragma once
#define VIDLOOM_ON_DEVICE inline
#endif

namespace vidloom_device {

/// Taps of one direction: output i is the sum over k of weights[k * count + i] * input[first[i] + k], k below width.
struct Axis {
  int first = 0, weights = 0;  ///< bytes from the block's begin to int[count] and float[width * count]
  int count = 0, width = 0;
  int inputs = 0;                ///< that taps reach
};

struct Component {
  long long samples = 0;   ///< bytes from the block's begin to its first sample
  long long narrowed = 0;  ///< floats from the begin of what `across` makes to this component's rows
  int row = 0, step = 0;   ///< bytes from row to row, from sample to sample
  int rows = 0;            ///< rows to be resized
  int chroma = 0;          ///< 1: the taps of the smaller planes
};

enum Type { type_u8 = 0, type_f16 = 1, type_bf16 = 2, type_f32 = 3 };  // as TensorSpec::DType

struct Picture {
  Axis across[2], down[2];  ///< of luma (and RGB), of chroma
  Component component[3];
  int components = 3;
  int bytes = 1;     ///< of a sample
  int columns = 0;   ///< of resized pixels, in coded orientation
  int width = 0, height = 0, type = type_f32;      ///< of the tensor
  int left = 0, top = 0, right = 0, bottom = 0;    ///< part of the tensor that the picture covers; grey 114/255 around it
  int column = 0, column_x = 0, column_y = 0;      ///< resized column of tensor pixel (x, y): column + column_x * x + column_y * y
  int row = 0, row_x = 0, row_y = 0;
  float matrix[9] = {}, offset[3] = {};            ///< samples to R, G, B in 0..1
  float mean[3] = {}, deviation[3] = {};
  long long out = 0;                               ///< bytes from the output's begin to this tensor
};

VIDLOOM_ON_DEVICE float narrowed_sample(const unsigned char* block, const Picture& picture, int component, int row, int column) {
  const Component& from = picture.component[component];
  const Axis& axis = picture.across[from.chroma];
  const int first = reinterpret_cast<const int*>(block + axis.first)[column];
  const float* weight = reinterpret_cast<const float*>(block + axis.weights) + column;
  const unsigned char* at = block + from.samples + static_cast<long long>(row) * from.row + static_cast<long long>(first) * from.step;
  float sum = 0;
  if (picture.bytes == 1) {
    for (int k = 0; k < axis.width; ++k, weight += axis.count, at += from.step) sum += *weight * static_cast<float>(*at);
  } else {
    for (int k = 0; k < axis.width; ++k, weight += axis.count, at += from.step)
      sum += *weight * static_cast<float>(*reinterpret_cast<const unsigned short*>(at));
  }
  return sum;
}

VIDLOOM_ON_DEVICE float resized_sample(const unsigned char* block, const float* narrowed, const Picture& picture, int component, int row,
                                       int column) {
  const Component& from = picture.component[component];
  const Axis& axis = picture.down[from.chroma];
  const int first = reinterpret_cast<const int*>(block + axis.first)[row];
  const float* weight = reinterpret_cast<const float*>(block + axis.weights) + row;
  const float* at = narrowed + from.narrowed + static_cast<long long>(first) * picture.columns + column;
  float sum = 0;
  for (int k = 0; k < axis.width; ++k, weight += axis.count, at += picture.columns) sum += *weight * *at;
  return sum;
}

/// R, G, B of tensor pixel (x, y), 0..1, before mean and deviation.
VIDLOOM_ON_DEVICE void tensor_pixel(const unsigned char* block, const float* narrowed, const Picture& picture, int x, int y, float* rgb) {
  if (x < picture.left || x >= picture.right || y < picture.top || y >= picture.bottom) {
    rgb[0] = rgb[1] = rgb[2] = 114.0F / 255.0F;
    return;
  }
  const int column = picture.column + picture.column_x * x + picture.column_y * y;
  const int row = picture.row + picture.row_x * x + picture.row_y * y;
  float sample[3] = {0, 0, 0};
  for (int c = 0; c < picture.components; ++c) sample[c] = resized_sample(block, narrowed, picture, c, row, column);
  for (int c = 0; c < 3; ++c) {
    const float* m = picture.matrix + c * 3;
    const float value = m[0] * sample[0] + m[1] * sample[1] + m[2] * sample[2] + picture.offset[c];
    rgb[c] = value < 0 ? 0.0F : value > 1 ? 1.0F : value;  // clamped once, after the resize
  }
}

#if defined(__CUDACC_RTC__)

__device__ inline void store(unsigned char* out, long long index, int type, float value) {
  if (type == type_f32) {
    reinterpret_cast<float*>(out)[index] = value;
  } else if (type == type_f16) {
    unsigned short half;
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(half) : "f"(value));
    reinterpret_cast<unsigned short*>(out)[index] = half;
  } else if (type == type_bf16) {
    const unsigned int bits = __float_as_uint(value);
    reinterpret_cast<unsigned short*>(out)[index] = static_cast<unsigned short>((bits + 0x7FFFU + ((bits >> 16) & 1U)) >> 16);
  } else {
    out[index] = static_cast<unsigned char>(value * 255.0F + 0.5F);
  }
}

/// Grid: columns, rows of all components, frames.
extern "C" __global__ void vidloom_across(const unsigned char* block, float* narrowed) {
  const Picture& picture = reinterpret_cast<const Picture*>(block)[blockIdx.z];
  const int column = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  int row = static_cast<int>(blockIdx.y * blockDim.y + threadIdx.y);
  if (column >= picture.columns) return;
  for (int c = 0; c < picture.components; ++c) {
    const Component& to = picture.component[c];
    if (row < to.rows) {
      narrowed[to.narrowed + static_cast<long long>(row) * picture.columns + column] = narrowed_sample(block, picture, c, row, column);
      return;
    }
    row -= to.rows;
  }
}

/// Grid: width, height, frames.
extern "C" __global__ void vidloom_down(const unsigned char* block, const float* narrowed, unsigned char* out) {
  const Picture& picture = reinterpret_cast<const Picture*>(block)[blockIdx.z];
  const int x = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  const int y = static_cast<int>(blockIdx.y * blockDim.y + threadIdx.y);
  if (x >= picture.width || y >= picture.height) return;
  float rgb[3];
  tensor_pixel(block, narrowed, picture, x, y, rgb);
  const long long plane = static_cast<long long>(picture.width) * picture.height;
  for (int c = 0; c < 3; ++c) {
    const float value = picture.type == type_u8 ? rgb[c] : (rgb[c] - picture.mean[c]) / picture.deviation[c];
    store(out + picture.out, c * plane + static_cast<long long>(y) * picture.width + x, picture.type, value);
  }
}

#endif

}  // namespace vidloom_device
