// Tile scores to pixels: every pixel takes the number of the cell that holds its centre, for any number of granules in one launch.
//
// Its CPU reference is `stitch` of crates/heatmap-stitch/src/stitch.rs; crates/heatmap-stitch/src/card.rs prepares the tables, and
// crates/heatmap-stitch/tests/kernel.rs holds both against each other bit for bit, this file compiled for the processor.
//
// Corrections of scenes act on the 1024 scores of a granule, not on its 120 million pixels: the tables hold corrected scores, and a pixel is a copy.
// Left out: granules that overlap or are reprojected; `heatmap-stitch map` joins those.

typedef float Four __attribute__((vector_size(16)));

/// A granule in the arrays that all granules share; offsets count elements.
struct Granule {
    unsigned height;
    unsigned width;
    /// Cells in a row of its table, the empty one at the end included.
    unsigned cell_columns;
    /// Its place in `cell_rows`, `cell_columns`, `cells`.
    unsigned first_row;
    unsigned first_column;
    unsigned first_cell;
    /// Its place in `pixels`, a multiple of four.
    unsigned long long first_pixel;
};

/// Pixel rows that a thread writes, one below the other. The host's ROWS_A_THREAD.
constexpr unsigned ROWS_A_THREAD = 32;
/// Pixels of a row that a thread writes. The host's COLUMNS_A_THREAD.
constexpr unsigned COLUMNS_A_THREAD = 4;

/// One block writes COLUMNS_A_THREAD x blockDim.x columns of ROWS_A_THREAD rows of granule blockIdx.z.
///
/// `rows` and `columns` name the cell over each pixel row and column; the last row and column of `cells` are empty ones, for pixels without a tile.
/// A thread keeps its numbers while the row of cells stays the same, so that almost all it does is to write. Neighbouring threads write
/// neighbouring pixels: sixteen bytes each where rows start on sixteen bytes, four otherwise.
extern "C" __global__ void score_fill(const Granule *granules, const unsigned short *rows, const unsigned short *columns,
                                      const float *cells, float *pixels) {
    const Granule g = granules[blockIdx.z];
    const unsigned first = blockIdx.y * ROWS_A_THREAD;
    const unsigned end = first + ROWS_A_THREAD < g.height ? first + ROWS_A_THREAD : g.height;
    const unsigned block_column = blockIdx.x * blockDim.x * COLUMNS_A_THREAD;
    const bool wide = g.width % COLUMNS_A_THREAD == 0;
    const unsigned step = wide ? 1 : blockDim.x;
    const unsigned column = block_column + threadIdx.x * (wide ? COLUMNS_A_THREAD : 1);
    unsigned cell_columns[COLUMNS_A_THREAD];
    for (unsigned i = 0; i < COLUMNS_A_THREAD; i++) {
        const unsigned at = column + i * step;
        cell_columns[i] = at < g.width ? columns[g.first_column + at] : 0;
    }
    Four values = {0, 0, 0, 0};
    unsigned before = ~0u;
    for (unsigned row = first; row < end; row++) {
        const unsigned cell_row = rows[g.first_row + row];
        if (cell_row != before) {
            const float *line = cells + g.first_cell + cell_row * g.cell_columns;
            for (unsigned i = 0; i < COLUMNS_A_THREAD; i++) values[i] = line[cell_columns[i]];
            before = cell_row;
        }
        float *to = pixels + g.first_pixel + (unsigned long long)row * g.width + column;
        if (wide) {
            if (column < g.width) *(Four *)to = values;
        } else {
            for (unsigned i = 0; i < COLUMNS_A_THREAD; i++)
                if (column + i * step < g.width) to[i * step] = values[i];
        }
    }
}

/// The shape of the study's kernel, for comparison: a thread writes all pixels of a tile, row by row. Threads side by side write a tile apart.
///
/// `tiles_m` tiles a side of `tile_px` pixels; granule blockIdx.y of `cells` and `pixels`, both without empty cells.
extern "C" __global__ void score_fill_one_thread_a_tile(unsigned tiles, unsigned tile_px, const float *cells, float *pixels) {
    const unsigned tile = blockIdx.x * blockDim.x + threadIdx.x;
    if (tile >= tiles * tiles) return;
    const unsigned width = tiles * tile_px;
    const float value = cells[blockIdx.y * tiles * tiles + tile];
    float *to = pixels + (unsigned long long)blockIdx.y * width * width;
    to += (unsigned long long)(tile / tiles) * tile_px * width + tile % tiles * tile_px;
    for (unsigned row = 0; row < tile_px; row++)
        for (unsigned column = 0; column < tile_px; column++) to[(unsigned long long)row * width + column] = value;
}
