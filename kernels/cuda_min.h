// What a kernel needs of CUDA and no more, so that Debian's clang makes its PTX with no toolkit installed (scripts/kernels).
#pragma once

#define __global__ __attribute__((global))
#define __device__ __attribute__((device))
#include <__clang_cuda_builtin_vars.h>
