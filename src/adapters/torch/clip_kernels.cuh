// What CLIP's picture tower needs on a GPU besides matrix products, compiled by NVRTC; hence no include. Numbers are of 16 bits in memory
// and float in registers; VIDLOOM_NUMBERS says which 16 bits: Half or Brain (bf16).
namespace vidloom_device {

struct Half {
  static __device__ float wide(unsigned bits) {
    float value;
    asm("cvt.f32.f16 %0, %1;" : "=f"(value) : "h"(static_cast<unsigned short>(bits)));
    return value;
  }
  static __device__ unsigned pair(float low, float high) {
    unsigned both;
    asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(both) : "f"(high), "f"(low));
    return both;
  }
  /// sums (16 x 8) += a (16 x 16) * b (16 x 8), spread over a warp as PTX lays down for mma.m16n8k16.
  static __device__ void multiply(float* sums, const unsigned* a, unsigned b0, unsigned b1) {
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                 : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
  }
};

struct Brain {
  static __device__ float wide(unsigned bits) { return __uint_as_float(bits << 16); }
  static __device__ unsigned pair(float low, float high) {
    unsigned both;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(both) : "f"(high), "f"(low));
    return both;
  }
  static __device__ void multiply(float* sums, const unsigned* a, unsigned b0, unsigned b1) {
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                 : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
  }
};

template <class Kind>
__device__ void load8(const unsigned short* from, float* to) {
  const uint4 bits = *reinterpret_cast<const uint4*>(from);
  const unsigned words[4] = {bits.x, bits.y, bits.z, bits.w};
#pragma unroll
  for (int i = 0; i < 4; ++i) to[2 * i] = Kind::wide(words[i] & 0xFFFFU), to[2 * i + 1] = Kind::wide(words[i] >> 16);
}

template <class Kind>
__device__ void store8(unsigned short* to, const float* from) {
  *reinterpret_cast<uint4*>(to) =
      make_uint4(Kind::pair(from[0], from[1]), Kind::pair(from[2], from[3]), Kind::pair(from[4], from[5]), Kind::pair(from[6], from[7]));
}

__device__ inline float sum_of_warp(float value) {
  for (int lanes = 16; lanes > 0; lanes /= 2) value += __shfl_xor_sync(0xFFFFFFFFU, value, lanes);
  return value;
}

// A row lies in the registers of a warp: eight numbers a lane, then the next 256. Rows of up to 2048 numbers, a multiple of 8.
constexpr int most_pieces = 8;

__device__ inline int place(int piece) { return piece * 256 + static_cast<int>(threadIdx.x % 32) * 8; }
__device__ inline int row_of_warp() { return static_cast<int>(blockIdx.x * (blockDim.x / 32) + threadIdx.x / 32); }

template <class Kind>
__device__ void store_normed(float (*row)[8], int width, const unsigned short* gain, const unsigned short* bias, float epsilon, unsigned short* to) {
  float sum = 0, squares = 0;
#pragma unroll
  for (int p = 0; p < most_pieces; ++p) {
    if (place(p) < width) {
      for (int i = 0; i < 8; ++i) sum += row[p][i];
    }
  }
  const float mean = sum_of_warp(sum) / static_cast<float>(width);
#pragma unroll
  for (int p = 0; p < most_pieces; ++p) {
    if (place(p) < width) {
      for (int i = 0; i < 8; ++i) squares += (row[p][i] - mean) * (row[p][i] - mean);
    }
  }
  const float scale = rsqrtf(sum_of_warp(squares) / static_cast<float>(width) + epsilon);
#pragma unroll
  for (int p = 0; p < most_pieces; ++p) {
    if (place(p) < width) {
      float gains[8], offsets[8], normed[8];
      load8<Kind>(gain + place(p), gains);
      load8<Kind>(bias + place(p), offsets);
      for (int i = 0; i < 8; ++i) normed[i] = (row[p][i] - mean) * scale * gains[i] + offsets[i];
      store8<Kind>(to + place(p), normed);
    }
  }
}

/// Patches and the class row, each with its position, normed. A warp a row.
template <class Kind>
__device__ void embed(const unsigned short* class_row, const unsigned short* patches, const unsigned short* positions, const unsigned short* gain,
                      const unsigned short* bias, unsigned short* x, int rows, int tokens, int width, float epsilon) {
  const int index = row_of_warp(), picture = index / tokens, token = index % tokens;
  if (index >= rows) return;
  const unsigned short* const from = token == 0 ? class_row : patches + (static_cast<long long>(picture) * (tokens - 1) + token - 1) * width;
  float row[most_pieces][8];
#pragma unroll
  for (int p = 0; p < most_pieces; ++p) {
    if (place(p) < width) {
      float moved[8];
      load8<Kind>(from + place(p), row[p]);
      load8<Kind>(positions + static_cast<long long>(token) * width + place(p), moved);
      for (int i = 0; i < 8; ++i) row[p][i] += moved[i];
    }
  }
  store_normed<Kind>(row, width, gain, bias, epsilon, x + static_cast<long long>(index) * width);
}

/// Rows of x, `stride` numbers apart, normed. To x itself is added what the next product's bias is (`later`, may be null): that product
/// adds itself to x. A warp a row.
template <class Kind>
__device__ void norm(unsigned short* x, long long stride, const unsigned short* gain, const unsigned short* bias, const unsigned short* later,
                     unsigned short* to, int rows, int width, float epsilon) {
  const int index = row_of_warp();
  if (index >= rows) return;
  unsigned short* const from = x + index * stride;
  float row[most_pieces][8];
#pragma unroll
  for (int p = 0; p < most_pieces; ++p) {
    if (place(p) < width) load8<Kind>(from + place(p), row[p]);
  }
  store_normed<Kind>(row, width, gain, bias, epsilon, to + static_cast<long long>(index) * width);
  if (!later) return;
#pragma unroll
  for (int p = 0; p < most_pieces; ++p) {
    if (place(p) < width) {
      float added[8];
      load8<Kind>(later + place(p), added);
      for (int i = 0; i < 8; ++i) row[p][i] += added[i];
      store8<Kind>(from + place(p), row[p]);
    }
  }
}

/// x = act(x + bias), eight numbers a thread. exact: GELU by the error function, else x * sigmoid(1.702 x).
template <class Kind>
__device__ void activate(unsigned short* x, const unsigned short* bias, long long count, int width, int exact) {
  const long long at = (static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x) * 8;
  if (at >= count) return;
  float values[8], offsets[8];
  load8<Kind>(x + at, values);
  load8<Kind>(bias + at % width, offsets);
#pragma unroll
  for (int i = 0; i < 8; ++i) {
    const float value = values[i] + offsets[i];
    values[i] = exact ? 0.5F * value * (1 + erff(value * 0.70710678F)) : value / (1 + __expf(-1.702F * value));
  }
  store8<Kind>(x + at, values);
}

/// softmax(q k^T / 8) v of heads of 64 numbers (Dao 2023: the sums of the softmax go along). A warp takes 16 rows of queries.
/// \param qkv  (pictures * tokens, 3 * width): queries, keys, values before their bias. A key's bias adds the same to all scores of a row,
///             which the softmax takes away again, and the values' can be added once at the end.
/// Grid: 64 queries or as many as the block has warps for, heads, pictures.
template <class Kind>
__device__ void attend(const unsigned short* qkv, const unsigned short* bias, unsigned short* mixed, int tokens, int width) {
  constexpr int head = 64;
  const int lane = static_cast<int>(threadIdx.x % 32), group = lane / 4, pair = lane % 4 * 2;
  const int first = static_cast<int>(blockIdx.x * (blockDim.x / 32) + threadIdx.x / 32) * 16, column = static_cast<int>(blockIdx.y) * head;
  if (first >= tokens) return;
  const long long rows = static_cast<long long>(blockIdx.z) * tokens, stride = 3LL * width;
  const unsigned short* const keys = qkv + rows * stride + width + column;
  const unsigned short* const values = keys + width;

  unsigned q[4][4];
#pragma unroll
  for (int step = 0; step < 4; ++step) {
#pragma unroll
    for (int part = 0; part < 4; ++part) {
      const int row = first + group + part % 2 * 8, at = column + step * 16 + part / 2 * 8 + pair;
      q[step][part] = 0;
      if (row < tokens) {
        const unsigned both = *reinterpret_cast<const unsigned*>(qkv + (rows + row) * stride + at);
        const unsigned added = *reinterpret_cast<const unsigned*>(bias + at);
        q[step][part] = Kind::pair((Kind::wide(both & 0xFFFFU) + Kind::wide(added & 0xFFFFU)) * 0.125F, (Kind::wide(both >> 16) + Kind::wide(added >> 16)) * 0.125F);
      }
    }
  }

  float sums[8][4] = {}, most[2] = {-1e30F, -1e30F}, total[2] = {0, 0};
  for (int key = 0; key < tokens; key += 16) {
    float scores[2][4] = {};
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int row = key + half * 8 + group;
#pragma unroll
      for (int step = 0; step < 4; ++step) {
        const unsigned short* const from = keys + row * stride + step * 16 + pair;
        const unsigned b0 = row < tokens ? *reinterpret_cast<const unsigned*>(from) : 0U;
        const unsigned b1 = row < tokens ? *reinterpret_cast<const unsigned*>(from + 8) : 0U;
        Kind::multiply(scores[half], q[step], b0, b1);
      }
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        if (key + half * 8 + pair + i % 2 >= tokens) scores[half][i] = -1e30F;
      }
    }
    unsigned weights[4];
#pragma unroll
    for (int side = 0; side < 2; ++side) {  // rows group and group + 8
      float* const left = scores[0] + side * 2;
      float* const right = scores[1] + side * 2;
      float top = fmaxf(fmaxf(left[0], left[1]), fmaxf(right[0], right[1]));
      top = fmaxf(top, __shfl_xor_sync(0xFFFFFFFFU, top, 1));
      top = fmaxf(fmaxf(top, __shfl_xor_sync(0xFFFFFFFFU, top, 2)), most[side]);
      const float shrink = __expf(most[side] - top);
      most[side] = top;
      left[0] = __expf(left[0] - top), left[1] = __expf(left[1] - top), right[0] = __expf(right[0] - top), right[1] = __expf(right[1] - top);
      total[side] = total[side] * shrink + left[0] + left[1] + right[0] + right[1];
      weights[side] = Kind::pair(left[0], left[1]);
      weights[2 + side] = Kind::pair(right[0], right[1]);
#pragma unroll
      for (int block = 0; block < 8; ++block) sums[block][side * 2] *= shrink, sums[block][side * 2 + 1] *= shrink;
    }
#pragma unroll
    for (int block = 0; block < 8; ++block) {
      unsigned b[2];
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        const int row = key + half * 8 + pair;
        const unsigned short* const from = values + row * stride + block * 8 + group;
        const unsigned low = row < tokens ? from[0] : 0U, high = row + 1 < tokens ? from[stride] : 0U;
        b[half] = low | high << 16;
      }
      Kind::multiply(sums[block], weights, b[0], b[1]);
    }
  }
#pragma unroll
  for (int side = 0; side < 2; ++side) {
    const int row = first + group + side * 8;
    float all = total[side];
    all += __shfl_xor_sync(0xFFFFFFFFU, all, 1);
    all += __shfl_xor_sync(0xFFFFFFFFU, all, 2);
    if (row >= tokens) continue;
#pragma unroll
    for (int block = 0; block < 8; ++block) {
      const int at = column + block * 8 + pair;
      const unsigned added = *reinterpret_cast<const unsigned*>(bias + 2 * width + at);
      *reinterpret_cast<unsigned*>(mixed + (rows + row) * width + at) =
          Kind::pair(sums[block][side * 2] / all + Kind::wide(added & 0xFFFFU), sums[block][side * 2 + 1] / all + Kind::wide(added >> 16));
    }
  }
}

using Numbers = VIDLOOM_NUMBERS;

extern "C" __global__ void vidloom_embed(const unsigned short* class_row, const unsigned short* patches, const unsigned short* positions,
                                         const unsigned short* gain, const unsigned short* bias, unsigned short* x, int rows, int tokens, int width,
                                         float epsilon) {
  embed<Numbers>(class_row, patches, positions, gain, bias, x, rows, tokens, width, epsilon);
}

extern "C" __global__ void vidloom_norm(unsigned short* x, long long stride, const unsigned short* gain, const unsigned short* bias,
                                        const unsigned short* later, unsigned short* to, int rows, int width, float epsilon) {
  norm<Numbers>(x, stride, gain, bias, later, to, rows, width, epsilon);
}

extern "C" __global__ void vidloom_activate(unsigned short* x, const unsigned short* bias, long long count, int width, int exact) {
  activate<Numbers>(x, bias, count, width, exact);
}

extern "C" __global__ void vidloom_attend(const unsigned short* qkv, const unsigned short* bias, unsigned short* mixed, int tokens, int width) {
  attend<Numbers>(qkv, bias, mixed, tokens, width);
}

}  // namespace vidloom_device
