// A kernel compiled for the processor: blocks and threads are loops, one after the other, so that a test can hold its pixels against the CPU's.
#pragma once

#define __global__
#define __device__

struct Place {
    unsigned x, y, z;
};
static Place gridDim, blockDim, blockIdx, threadIdx;

/// Runs `thread` once for every thread of every block, the last block first: no kernel here may depend on the order.
template <typename Thread> static void launch(Place grid, Place block, Thread thread) {
    gridDim = grid;
    blockDim = block;
    const unsigned n_blocks = grid.x * grid.y * grid.z, n_threads = block.x * block.y * block.z;
    for (unsigned b = n_blocks; b-- > 0;) {
        blockIdx = {b % grid.x, b / grid.x % grid.y, b / grid.x / grid.y};
        for (unsigned t = 0; t < n_threads; t++) {
            threadIdx = {t % block.x, t / block.x % block.y, t / block.x / block.y};
            thread();
        }
    }
}
