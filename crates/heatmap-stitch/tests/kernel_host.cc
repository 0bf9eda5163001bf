// Runs kernels/score_fill.cu on the processor over tables from standard input, and writes the pixels to standard output. See kernel.rs.
//
// Input: 12 numbers of 32 bits (kernel 0 or 1; blocks across, down, deep; threads a block; granules; rows; columns; cells; pixels; tiles a side;
// pixels a tile), then the tables in that order. Pixels come back with a guard of GUARD numbers on either side, which no thread may touch.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <vector>

static const unsigned GUARD = 64;
static const float UNTOUCHED = -1234.5f;

template <typename T> static std::vector<T> read_all(size_t n) {
    std::vector<T> all(n);
    if (n && std::fread(all.data(), sizeof(T), n, stdin) != n) std::exit(2);
    return all;
}

int main() {
    const std::vector<uint32_t> head = read_all<uint32_t>(12);
    const std::vector<Granule> granules = read_all<Granule>(head[5]);
    const std::vector<uint16_t> rows = read_all<uint16_t>(head[6]), columns = read_all<uint16_t>(head[7]);
    const std::vector<float> cells = read_all<float>(head[8]);
    const size_t n = head[9] + 2 * GUARD;
    std::vector<Four> aligned((n + 3) / 4, Four{UNTOUCHED, UNTOUCHED, UNTOUCHED, UNTOUCHED});
    float *pixels = reinterpret_cast<float *>(aligned.data());
    const Place grid = {head[1], head[2], head[3]}, block = {head[4], 1, 1};
    if (head[0] == 0)
        launch(grid, block, [&] { score_fill(granules.data(), rows.data(), columns.data(), cells.data(), pixels + GUARD); });
    else
        launch(grid, block, [&] { score_fill_one_thread_a_tile(head[10], head[11], cells.data(), pixels + GUARD); });
    return std::fwrite(pixels, sizeof(float), n, stdout) == n ? 0 : 2;
}
