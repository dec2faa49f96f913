// CUDA on the CPU, as much of it as kernels/*.cu use: included by kernels/kernel.h when BD_EMULATOR is defined.
//
// The idea: a kernel is a C++ function that reads threadIdx and its like from one structure. BD_LAUNCH calls it for
// one thread after the other. BD_LAUNCH_SYNC and BD_LAUNCH_SHARED give each thread of a block a stack of its own and
// switch between them at barriers and shuffles; blocks run one after the other. Memory that nobody wrote is filled
// with 0xFF bytes, a NaN in every float type. What it cannot show: races between warps that only time decides,
// misaligned vector loads (build with SAN=undefined for those), and speed.
//
// The same bits as on a device come out of + - * / sqrtf, fmaf and conversions. Not of rsqrtf, expf and other
// functions of libm: where bits matter, kernels use base/mathfn.h and 1.0f / sqrtf(x).
#ifndef BD_EMU_H
#define BD_EMU_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "emu_api.h"

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(...)
#define __align__(n) alignas(n)

// ---- vector types

struct uint3 {
    unsigned x, y, z;
};
struct dim3 {
    unsigned x, y, z;
    constexpr dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}
};
struct alignas(8) float2 {
    float x, y;
};
struct alignas(16) float4 {
    float x, y, z, w;
};
struct alignas(8) int2 {
    int x, y;
};
struct alignas(16) int4 {
    int x, y, z, w;
};
struct alignas(8) uint2 {
    unsigned x, y;
};
struct alignas(16) uint4 {
    unsigned x, y, z, w;
};
struct alignas(16) double2 {
    double x, y;
};
static inline float2 make_float2(float x, float y) { return {x, y}; }
static inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }
static inline int2 make_int2(int x, int y) { return {x, y}; }
static inline int4 make_int4(int x, int y, int z, int w) { return {x, y, z, w}; }
static inline uint2 make_uint2(unsigned x, unsigned y) { return {x, y}; }
static inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) {
    return {x, y, z, w};
}
static inline double2 make_double2(double x, double y) { return {x, y}; }

// ---- where a thread is

struct emu_place {
    uint3 thread, block, block_dim, grid_dim;
};
extern __thread emu_place emu_here;
#define threadIdx (emu_here.thread)
#define blockIdx (emu_here.block)
#define blockDim (emu_here.block_dim)
#define gridDim (emu_here.grid_dim)

// ---- arithmetic that CUDA has and C++ has not

template <class To, class From> static inline To emu_bits(From from) {
    static_assert(sizeof(To) == sizeof(From), "emu_bits: sizes differ");
    To to;
    memcpy(&to, &from, sizeof to);
    return to;
}
static inline unsigned __float_as_uint(float x) { return emu_bits<unsigned>(x); }
static inline int __float_as_int(float x) { return emu_bits<int>(x); }
static inline float __uint_as_float(unsigned x) { return emu_bits<float>(x); }
static inline float __int_as_float(int x) { return emu_bits<float>(x); }
static inline long long __double_as_longlong(double x) { return emu_bits<long long>(x); }
static inline double __longlong_as_double(long long x) { return emu_bits<double>(x); }
static inline unsigned __umulhi(unsigned a, unsigned b) {
    return static_cast<unsigned>((static_cast<uint64_t>(a) * b) >> 32);
}
static inline float rsqrtf(float x) { return 1.0f / sqrtf(x); }
template <class T> static inline T __ldg(const T *p) { return *p; }

#define EMU_MIN_MAX(T)                                      \
    static inline T min(T a, T b) { return a < b ? a : b; } \
    static inline T max(T a, T b) { return a > b ? a : b; }
EMU_MIN_MAX(int)
EMU_MIN_MAX(unsigned)
EMU_MIN_MAX(long)
EMU_MIN_MAX(unsigned long)
EMU_MIN_MAX(long long)
EMU_MIN_MAX(unsigned long long)
#undef EMU_MIN_MAX
// Of a number and a NaN, the number, as on the device.
static inline float min(float a, float b) { return fminf(a, b); }
static inline float max(float a, float b) { return fmaxf(a, b); }
static inline double min(double a, double b) { return fmin(a, b); }
static inline double max(double a, double b) { return fmax(a, b); }

// ---- 16-bit floats: storage and conversions, rounding to nearest even; every NaN becomes 0x7fff as on the device

struct bd_bf16 {
    uint16_t bits;
};
struct bd_half {
    uint16_t bits;
};

static inline float bd_load(float x) { return x; }
static inline float bd_load(bd_bf16 x) {
    return __uint_as_float(static_cast<unsigned>(x.bits) << 16);
}
static inline float bd_load(bd_half x) {
    unsigned sign = (x.bits & 0x8000u) << 16, rest = x.bits & 0x7fffu;
    if (rest >= 0x7c00u) return __uint_as_float(sign | 0x7f800000u | (rest & 0x3ffu) << 13);
    // The value times 2^-112, which is exact, times 2^112: this takes care of subnormal numbers.
    return __uint_as_float(sign | __float_as_uint(__uint_as_float(rest << 13) * 0x1p112f));
}
static inline bd_bf16 emu_bf16(float x) {
    unsigned u = __float_as_uint(x);
    if ((u & 0x7fffffffu) > 0x7f800000u) return {0x7fff};
    return {static_cast<uint16_t>((u + 0x7fffu + (u >> 16 & 1u)) >> 16)};
}
static inline bd_half emu_half(float x) {
    unsigned u = __float_as_uint(x), sign = u >> 16 & 0x8000u;
    u &= 0x7fffffffu;
    if (u > 0x7f800000u) return {0x7fff};
    if (u >= 0x477ff000u)
        return {static_cast<uint16_t>(sign | 0x7c00u)}; // 65520 and more: infinity
    // Below 2^-14: adding 0.5 leaves the multiple of 2^-24 in the last bits, rounded.
    if (u < 0x38800000u) {
        unsigned sub = __float_as_uint(__uint_as_float(u) + 0.5f) - __float_as_uint(0.5f);
        return {static_cast<uint16_t>(sign | sub)};
    }
    u += 0xfffu + (u >> 13 & 1u);
    return {static_cast<uint16_t>(sign | (u - 0x38000000u) >> 13)};
}
static inline void bd_store(float *p, float x) { *p = x; }
static inline void bd_store(bd_bf16 *p, float x) { *p = emu_bf16(x); }
static inline void bd_store(bd_half *p, float x) { *p = emu_half(x); }

// ---- threads that wait for each other

// A barrier is known by the line of its call: threads of a block that wait at different lines are an error.
void emu_barrier(int line);
// All lanes of the mask hand in 8 bytes and a source lane each, and get that lane's 8 bytes.
uint64_t emu_exchange(unsigned mask, uint64_t bits, unsigned source, int line);
unsigned emu_lane();

static inline void __syncthreads(int line = __builtin_LINE()) { emu_barrier(line); }
static inline void __syncwarp(unsigned mask = 0xffffffffu, int line = __builtin_LINE()) {
    emu_exchange(mask, 0, emu_lane(), line);
}

template <class T> static inline T emu_shuffle(unsigned mask, T x, unsigned source, int line) {
    static_assert(sizeof(T) == 4 || sizeof(T) == 8, "shuffles move 4 or 8 bytes");
    uint64_t bits = 0;
    memcpy(&bits, &x, sizeof x);
    bits = emu_exchange(mask, bits, source, line);
    memcpy(&x, &bits, sizeof x);
    return x;
}
// Lanes whose source lies outside their group of `width` lanes keep their own value (xor: above their group only).
template <class T>
static inline T __shfl_sync(unsigned mask, T x, int source, int width = 32,
                            int line = __builtin_LINE()) {
    unsigned w = static_cast<unsigned>(width), lane = emu_lane();
    return emu_shuffle(mask, x, (lane & ~(w - 1)) | (static_cast<unsigned>(source) & (w - 1)),
                       line);
}
template <class T>
static inline T __shfl_xor_sync(unsigned mask, T x, int other, int width = 32,
                                int line = __builtin_LINE()) {
    unsigned lane = emu_lane(), from = lane ^ static_cast<unsigned>(other);
    return emu_shuffle(mask, x, from > (lane | (static_cast<unsigned>(width) - 1)) ? lane : from,
                       line);
}
template <class T>
static inline T __shfl_down_sync(unsigned mask, T x, unsigned by, int width = 32,
                                 int line = __builtin_LINE()) {
    unsigned lane = emu_lane(), from = lane + by;
    return emu_shuffle(mask, x, from > (lane | (static_cast<unsigned>(width) - 1)) ? lane : from,
                       line);
}
template <class T>
static inline T __shfl_up_sync(unsigned mask, T x, unsigned by, int width = 32,
                               int line = __builtin_LINE()) {
    unsigned lane = emu_lane(), first = lane & ~(static_cast<unsigned>(width) - 1);
    return emu_shuffle(mask, x, lane < first + by ? lane : lane - by, line);
}

// ---- shared memory: a buffer for each place in the code that asks for one, full of NaN when a block starts

void *emu_shared(const void *site, size_t bytes);
void *emu_shared_dynamic();

#define BD_SHARED(type, name, count)   \
    static const char name##_site = 0; \
    type *name = static_cast<type *>(emu_shared(&name##_site, sizeof(type) * (count)))
#define BD_SHARED_DYNAMIC(type, name) type *name = static_cast<type *>(emu_shared_dynamic())

// ---- launches

enum emu_mode { EMU_PLAIN, EMU_SYNC };
struct emu_call {
    const char *name;
    emu_mode mode;
    dim3 grid, block;
    size_t bytes;                 // dynamic shared memory
    void (*thread)(emu_call *me); // runs one thread
};
template <class Body> struct emu_call_of : emu_call {
    Body body;
    emu_call_of(const emu_call &call, const Body &b) : emu_call(call), body(b) {}
    static void run(emu_call *me) { static_cast<emu_call_of *>(me)->body(); }
};
// Checks the configuration, then runs or records the call of `bytes` bytes.
int emu_launch_call(const emu_call *call, size_t bytes, void *stream);
bool emu_argument_ok(const char *kernel, int index, const void *p);

template <class T> static inline bool emu_check_argument(const char *, int, const T &) {
    return true;
}
template <class T>
static inline bool emu_check_argument(const char *kernel, int index, T *const &p) {
    return emu_argument_ok(kernel, index, reinterpret_cast<const void *>(p));
}
template <class T> struct emu_same { typedef T type; };
// Pointers among the arguments must be device memory or NULL; pointers inside structures are not looked at.
template <class... P>
static inline int emu_launch(const char *name, emu_mode mode, dim3 grid, dim3 block, size_t bytes,
                             void *stream, void (*kernel)(P...),
                             typename emu_same<P>::type... args) {
    int index = 0;
    bool ok = (emu_check_argument(name, index++, args) && ... && true);
    if (!ok) return EMU_E_ADDRESS;
    auto body = [kernel, args...]() { kernel(args...); };
    typedef emu_call_of<decltype(body)> call_type;
    call_type call({name, mode, grid, block, bytes, call_type::run}, body);
    return emu_launch_call(&call, sizeof call, stream);
}

#define BD_LAUNCH(kernel, grid, block, stream, ...) \
    emu_launch(#kernel, EMU_PLAIN, dim3(grid), dim3(block), 0, stream, kernel, __VA_ARGS__)
#define BD_LAUNCH_SYNC(kernel, grid, block, stream, ...) \
    emu_launch(#kernel, EMU_SYNC, dim3(grid), dim3(block), 0, stream, kernel, __VA_ARGS__)
#define BD_LAUNCH_SHARED(kernel, grid, block, bytes, stream, ...) \
    emu_launch(#kernel, EMU_SYNC, dim3(grid), dim3(block), bytes, stream, kernel, __VA_ARGS__)

#endif
